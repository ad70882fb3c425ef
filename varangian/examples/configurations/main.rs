//! Fuzzes whole configurations: `cargo run --release -p varangian --example configurations --
//! CASES [SEED [FIRST]]`.
//!
//! A case draws rule or filter, attack, network, partition, message, optimiser and every other key
//! from the seed and its number, and runs two to four steps of it on a tiny model. It may be
//! refused before its first step; it may not panic, hang, or be refused later.

#![allow(clippy::print_stdout)]

mod draw;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use varangian_base::{Domain, Seed};

/// The case under way, for the watch.
static CASE: AtomicU64 = AtomicU64::new(0);

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse().expect("a number"));
    let cases: u64 = arguments.next().unwrap_or(10_000);
    let seed = Seed(arguments.next().unwrap_or(0));
    let first: u64 = arguments.next().unwrap_or(0);
    std::thread::spawn(move || watch(seed));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("one thread");
    let begin = |case| CASE.store(case, Ordering::Relaxed);
    let counts = pool.install(|| draw::run_cases(seed, (first, first + cases), &begin));
    for (case, why) in &counts.failed {
        let settings = draw::draw(&mut seed.stream(Domain::Test, 2, *case));
        println!("case {case}: {why}\n{settings:?}\n");
    }
    let mut reasons: Vec<(&String, &u64)> = counts.refused.iter().collect();
    reasons.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    println!("most frequent reasons of refusals:");
    reasons.iter().take(20).for_each(|(reason, count)| println!("{count:>9} {reason}"));
    let refused: u64 = counts.refused.values().sum();
    let (run, pairs, failed) = (counts.run, counts.pairs.len(), counts.failed.len());
    println!(
        "{cases} cases, seed {}: {refused} refused, {run} run ({pairs} pairs of rule and attack), \
         {failed} failed",
        seed.0
    );
    std::process::exit(i32::from(failed > 0));
}

/// Ends the program where one case stays under way for a minute.
fn watch(seed: Seed) {
    let mut last = u64::MAX;
    loop {
        let case = CASE.load(Ordering::Relaxed);
        if case == last {
            let settings = draw::draw(&mut seed.stream(Domain::Test, 2, case));
            println!("case {case} hangs\n{settings:?}");
            std::process::exit(1);
        }
        last = case;
        std::thread::sleep(Duration::from_secs(60));
    }
}
