//! Columns that are dealt to several processes (threads, here): every rule that says it can answers
//! with the bits of whole rows.

use super::cases::CASES;
use super::families::{FAMILIES, random};
use super::machinery::specs;
use crate::{Pipeline, Round, Verdict, build};
use std::sync::{Barrier, Mutex};
use varangian_base::shard::GRAIN;
use varangian_base::{Exchange, Matrix, Rows, Shard};

/// Threads that exchange numbers.
struct Table {
    slots: Mutex<Vec<Vec<f64>>>,
    barrier: Barrier,
}

struct Seat<'a>(&'a Table, usize);

impl Exchange for Seat<'_> {
    fn all_gather(&self, mine: &[f64]) -> Vec<f64> {
        let Seat(table, rank) = self;
        table.slots.lock().unwrap()[*rank] = mine.to_vec();
        table.barrier.wait();
        let all = table.slots.lock().unwrap().concat();
        table.barrier.wait();
        all
    }
}

/// Two rounds of these rows, the second scaled: the answers and the verdicts' weights.
type Answers = Vec<(Vec<u32>, Vec<f64>)>;

fn rounds(rule: &mut Pipeline, both: [Rows<'_>; 2], f: usize, weights: Option<&[f64]>) -> Answers {
    let bits = |out: Vec<f32>| out.into_iter().map(f32::to_bits).collect();
    let round = |(step, rows): (u64, Rows<'_>)| {
        let (mut out, mut verdict) = (vec![0.0; rows.d()], Verdict::default());
        let mut round = Round { step, weights, ..Round::of(rows, f) };
        rule.aggregate(&mut round, &mut out, &mut verdict);
        (bits(out), verdict.weights)
    };
    (0..).zip(both).map(round).collect()
}

/// What `ranks` threads answer together, the columns put together again.
fn together(
    spec: &str,
    both: [&Matrix; 2],
    f: usize,
    weights: Option<&[f64]>,
    ranks: usize,
) -> Answers {
    let (n, d) = (both[0].n(), both[0].d());
    let bounds = Shard::bounds(d, ranks);
    let (slots, barrier) = (Mutex::new(vec![vec![]; ranks]), Barrier::new(ranks));
    let table = Table { slots, barrier };
    let (table, bounds) = (&table, &bounds);
    let answers: Vec<Answers> = std::thread::scope(|scope| {
        let seat = |rank: usize| {
            scope.spawn(move || {
                let seat = Seat(table, rank);
                let shard = Shard::new(bounds, rank, &seat);
                let part = |m: &Matrix| {
                    let rows = m.rows();
                    let rows: Vec<_> = rows.iter().map(|row| &row[shard.columns()]).collect();
                    Matrix::from_rows(&rows)
                };
                let parts = both.map(part);
                let rows = [0, 1].map(|k: usize| parts[k].rows().sharded(shard));
                rounds(&mut build(spec, n, f).unwrap(), rows, f, weights)
            })
        };
        let threads: Vec<_> = (0..ranks).map(seat).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut whole = answers[0].clone();
    for (r, answer) in answers.iter().enumerate().skip(1) {
        for (whole, (out, weights)) in whole.iter_mut().zip(answer) {
            assert_eq!(&whole.1, weights, "{spec}: process {r} has other weights than process 0");
            whole.0.extend(out);
        }
    }
    whole
}

fn sharding(spec: &str) -> bool {
    Pipeline::parse(spec).unwrap().check_shards(9, 1).is_ok()
}

fn compare(spec: &str, rows: &Matrix, f: usize, ranks: usize, family: &str) {
    let (n, d) = (rows.n(), rows.d());
    let mut second = Matrix::zeros(n, d);
    for i in 0..n {
        let row = second.row_mut(i).iter_mut();
        row.zip(rows.row(i)).for_each(|(to, x)| *to = x * 0.75);
    }
    let both = [rows, &second];
    let whole = rounds(&mut build(spec, n, f).unwrap(), both.map(Matrix::rows), f, None);
    let found = together(spec, both, f, None, ranks);
    assert!(whole == found, "{spec} on {family}: n = {n}, d = {d}, {ranks} processes");
}

/// Slow in n.
const SLOW: &[&str] = &["mda", "smea", "caf variant=byzfl"];

#[test]
fn every_rule_that_says_so_gives_the_bits_of_whole_rows() {
    let mut all: Vec<String> = CASES.iter().map(|&spec| spec.into()).collect();
    all.extend(specs());
    all.sort_unstable();
    all.dedup();
    let mut tried = 0;
    for spec in all.iter().filter(|spec| sharding(spec)) {
        tried += 1;
        let least = Pipeline::parse(spec).unwrap().least(2).unwrap();
        let n = least.max(if SLOW.contains(&spec.as_str()) { 7 } else { 9 });
        for (d, ranks) in [(5, 3), (2 * GRAIN + 700, 3), (GRAIN + 1, 2)] {
            compare(spec, &random(n, d, 3), 2, ranks, "random");
        }
    }
    assert!(tried > 40, "{tried}");
}

#[test]
fn families_that_take_other_paths_keep_their_bits_too() {
    let several = ["nnm | krum", "geometric-median", "arc | nnm | trimmed-mean | ctma"];
    let more = ["centred-clipping tau=2 L=3", "caf", "exclusion | multi-krum", "monna"];
    for spec in several.into_iter().chain(more) {
        for (name, generate) in FAMILIES {
            compare(spec, &generate(9, GRAIN + 40, 5), 2, 2, name);
        }
        // Copies in the columns of one process that are none in those of another.
        let mut rows = random(9, 2 * GRAIN, 6);
        for i in 0..9 {
            let first = rows.row(i - i % 2)[..GRAIN].to_vec();
            rows.row_mut(i)[..GRAIN].copy_from_slice(&first);
        }
        compare(spec, &rows, 2, 2, "copies here");
    }
}

#[test]
fn rows_that_count_differently_do_too() {
    let rows = random(9, GRAIN + 9, 7);
    let weights: Vec<f64> = (0..9).map(|i| 1.0 + f64::from(i % 3)).collect();
    for spec in ["median", "trimmed-mean", "multi-krum", "geometric-median", "average | ctma"] {
        let both = [&rows, &rows];
        let mut rule = build(spec, 9, 2).unwrap();
        let whole = rounds(&mut rule, both.map(Matrix::rows), 2, Some(&weights));
        assert!(whole == together(spec, both, 2, Some(&weights), 3), "{spec}");
    }
}

#[test]
fn who_needs_whole_rows_says_why() {
    let refused = |spec: &str, n, d| Pipeline::parse(spec).unwrap().check_shards(n, d).err();
    for (spec, why) in [
        ("dnc", "dnc needs whole rows: it draws coordinates among those of whole rows"),
        ("nnm | majority ties=random", "majority needs whole rows: a coin's address is"),
        ("zeno", "zeno needs whole rows: it asks for losses"),
        ("fltrust", "fltrust needs whole rows"),
        ("safeguard", "safeguard needs whole rows"),
        ("byzantine-sgd", "byzantine-sgd needs whole rows"),
    ] {
        let said = refused(spec, 9, 100).unwrap().to_string();
        assert!(said.starts_with(why), "{said}");
    }
    assert!(refused("krum", 64, 8_000_000).is_none());
    let far = refused("krum", 64, 90_000_000).unwrap().to_string();
    assert!(far.contains("shards are cut at multiples of 16384"), "{far}");
    assert!(refused("median", 64, 90_000_000).is_none());
}
