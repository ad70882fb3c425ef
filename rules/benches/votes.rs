//! How fast packed ballots are counted, beside the sum of the same workers' floats.
//!
//! `cargo bench -p varangian-rules --bench votes -- [workers] [coordinates]`; 64 workers of 36.5 M
//! coordinates (a WRN-28-10) unless told otherwise. Best of a second's runs; 1 thread and all
//! threads.

#![allow(clippy::print_stdout, clippy::disallowed_methods)]

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use varangian_base::kernels::combine;
use varangian_base::kernels::isa::{self, Isa};
use varangian_base::{Ballots, Coins, Contest, Domain, Matrix, Rows, Seed, Signs, ZeroPolicy};

/// Distinct float rows; the sum reads them in turn, each far larger than the caches.
const DISTINCT: usize = 4;
/// How far apart two uses of a row start: 8 MiB.
const SHIFT: usize = 2 << 20;

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|word| word.parse::<usize>().ok());
    let n = numbers.next().unwrap_or(64);
    let d = numbers.next().unwrap_or(36_489_290);
    let floats = floats(d);
    let ballots: Vec<Signs> = (0..n)
        .map(|i| {
            let mut signs = Signs::default();
            signs.encode(floats.row(i % DISTINCT), ZeroPolicy::PlusOne, Coins::default());
            signs
        })
        .collect();
    let all = std::thread::available_parallelism().map_or(1, |n| n.get());
    println!("{n} workers, {d} coordinates; best of a second's runs");
    println!("{:<26} {:>7} {:>9} {:>10}", "", "threads", "ms", "GB/s read");
    let mut counts = vec![1, all];
    counts.dedup();
    for threads in counts {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| table(threads, n, d, &ballots, &floats));
    }
}

fn floats(d: usize) -> Matrix {
    let mut floats = Matrix::zeros(DISTINCT, d);
    for i in 0..DISTINCT {
        let mut stream = Seed(i as u64).stream(Domain::Test, 0, 0);
        floats.row_mut(i).iter_mut().for_each(|x| *x = stream.uniform() - 0.5);
    }
    floats
}

fn table(threads: usize, n: usize, d: usize, ballots: &[Signs], floats: &Matrix) {
    let line = |name: &str, bytes: usize, seconds: f64| {
        let rate = bytes as f64 / seconds / 1e9;
        println!("{name:<26} {threads:>7} {:>9.2} {rate:>10.2}", seconds * 1e3);
    };
    let packed = n * Signs::wire_len(d, false);
    let seconds = best(|| {
        black_box(read(ballots));
    });
    line("plain read of the ballots", packed, seconds);
    let mut winner = Signs::default();
    for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
        let seconds = best(|| {
            let ties = ZeroPolicy::PlusOne;
            let contest = Contest { ties, ..Contest::default() };
            isa::with(isa, || contest.tally(Ballots::new(ballots), black_box(&mut winner)));
        });
        line(&format!("tally {isa}"), packed, seconds);
    }
    let seconds = best(|| {
        Contest::default().tally(Ballots::new(ballots), black_box(&mut winner));
    });
    line("tally, ties abstain", packed, seconds);
    let mut one = Signs::default();
    let seconds = best(|| {
        one.encode(black_box(floats.row(0)), ZeroPolicy::PlusOne, Coins::default());
    });
    line("encode one worker", 4 * d, seconds);
    let mut out = vec![0.0f32; d];
    let seconds = best(|| one.decode(black_box(&mut out)));
    line("decode the winner", Signs::wire_len(d, false), seconds);
    let seconds = best(|| sum(floats.rows(), n, black_box(&mut out)));
    line("sum of floats, f32", 4 * n * d, seconds);
    let weights = [1.0; DISTINCT];
    let seconds = best(|| combine::combine(floats.rows(), &weights, black_box(&mut out)));
    line("sum of 4 rows, f64 kernel", 4 * DISTINCT * d, seconds);
}

/// The sum of n rows of floats, block by block: what the vote replaces. Each use of a row starts
/// elsewhere in it, so that every read comes from memory, as those of n distinct rows do.
fn sum(rows: Rows<'_>, n: usize, out: &mut [f32]) {
    varangian_base::blocks::fill(out, varangian_base::blocks::BLOCK, |range, out| {
        out.fill(0.0);
        for i in 0..n {
            let start = (range.start + i / rows.n() * SHIFT) % (rows.d() - range.len() + 1);
            for (out, &x) in out.iter_mut().zip(&rows.row(i % rows.n())[start..]) {
                *out += x;
            }
        }
    });
}

/// Reads every word once and does next to nothing with it: what the memory gives.
fn read(ballots: &[Signs]) -> u64 {
    let total = AtomicU64::new(0);
    let words = ballots.first().map_or(0, |ballot| ballot.minus().len());
    varangian_base::blocks::each(words, 4096, |range| {
        let block = |ballot: &Signs| ballot.minus()[range.clone()].iter().fold(0, |a, w| a ^ w);
        total.fetch_xor(ballots.iter().fold(0, |a, ballot| a ^ block(ballot)), Ordering::Relaxed);
    });
    total.into_inner()
}

/// The best of as many runs as fit into a second, at least five.
fn best(mut work: impl FnMut()) -> f64 {
    work();
    let (begin, mut best, mut runs) = (Instant::now(), f64::INFINITY, 0);
    while runs < 5 || begin.elapsed().as_secs_f64() < 1.0 {
        let start = Instant::now();
        work();
        best = best.min(start.elapsed().as_secs_f64());
        runs += 1;
    }
    best
}
