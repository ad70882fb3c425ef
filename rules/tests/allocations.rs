//! The second round of every rule allocates nothing, and the first at most 64 MiB beside the rows,
//! whatever stages stand around it. Alone in its process: it counts allocations.

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::sync::Mutex;
use varangian_base::{Domain, Matrix, Seed};
use varangian_rules::{ALL, Family, Oracle, Pipeline, Round, Verdict};

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// A server that knows one gradient.
struct Ones;

impl Oracle for Ones {
    fn refresh(&mut self) {}

    fn loss(&mut self, params: &[f32]) -> f64 {
        params.iter().map(|&x| f64::from(x)).sum()
    }

    fn gradient(&mut self, params: &[f32], out: &mut [f32]) -> f64 {
        out.fill(1.0);
        self.loss(params)
    }
}

fn rows(n: usize, d: usize, step: u64) -> Matrix {
    let mut draws = Seed(1).stream(Domain::Test, 0, step);
    let mut matrix = Matrix::zeros(n, d);
    (0..n).for_each(|i| matrix.row_mut(i).iter_mut().for_each(|x| *x = draws.normal() as f32));
    matrix
}

/// Allocations of the second and third round.
fn later_allocations(spec: &str) -> usize {
    let (n, f, d) = (13, 2, 2_000);
    let mut rule = Pipeline::parse(spec).unwrap();
    rule.check(n, f).unwrap();
    let (mut out, params, mut verdict) = (vec![0.0; d], vec![0.0; d], Verdict::default());
    let rounds: Vec<Matrix> = (0..4).map(|step| rows(n, d, step)).collect();
    let mut aggregate = |step: usize| {
        let rows = rounds[step].rows();
        let (oracle, params) = (Some(&mut Ones as &mut dyn Oracle), &params[..]);
        let mut round = Round { step: step as u64, params, oracle, ..Round::of(rows, f) };
        rule.aggregate(&mut round, &mut out, &mut verdict);
    };
    aggregate(0);
    let region = Region::new(GLOBAL);
    (1..4).for_each(&mut aggregate);
    let change = region.change();
    change.allocations + change.reallocations
}

/// Bytes that a first round asks for, all in all: no less than it holds at any time.
fn first_bytes(spec: &str, rows: &Matrix, f: usize) -> usize {
    let mut rule = Pipeline::parse(spec).unwrap();
    rule.check(rows.n(), f).unwrap();
    let (mut out, mut verdict) = (vec![0.0; rows.d()], Verdict::default());
    let region = Region::new(GLOBAL);
    rule.aggregate(&mut Round::of(rows.rows(), f), &mut out, &mut verdict);
    let change = region.change();
    change.bytes_allocated + change.bytes_reallocated.unsigned_abs()
}

/// Both tests count what the process allocates: one at a time.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn no_stage_writes_a_second_matrix() {
    let _alone = ALONE.lock().unwrap();
    let (n, f, d) = (17, 3, 1_000_003);
    let mut matrix = Matrix::zeros(n, d);
    for i in 0..n {
        let row = matrix.row_mut(i).iter_mut().enumerate();
        row.for_each(|(k, x)| *x = ((k * (i + 3)) % 101) as f32);
    }
    assert!(4 * n * d > 64 << 20, "a copy would be seen");
    for spec in [
        "nnm | trimmed-mean",
        "arc | nnm | median | ctma",
        "clipping c=2 | krum",
        "bucketing s=2 | geometric-median",
        "nnm | bulyan",
        "arc | centred-clipping L=3",
        "nnm | aksel",
        "clipping | monna",
    ] {
        let bytes = first_bytes(spec, &matrix, f);
        assert!(bytes <= 64 << 20, "{spec} asks for {bytes} bytes beside the rows");
    }
}

#[test]
fn the_second_round_allocates_nothing() {
    let _alone = ALONE.lock().unwrap();
    // Where no group or ring agrees, as here, each round has a line for the record.
    let quiet =
        ALL.iter().filter(|entry| !["draco", "draco-cyclic", "reactive"].contains(&entry.name));
    let bare = quiet.map(|entry| match entry.facts.family {
        Family::PreAggregation => format!("{} | average", entry.name),
        // Where there is no median, each round has a line for the record.
        Family::Rule if entry.name == "byzantine-sgd" => "byzantine-sgd v=1e6".to_owned(),
        Family::Rule => entry.name.to_owned(),
        Family::MetaAggregation => format!("average | {}", entry.name),
    });
    let more = ["bulyan variant=classic", "dnc b=100 T=2", "arc | nnm | trimmed-mean | ctma"];
    let specs: Vec<String> = bare.chain(more.map(str::to_owned)).collect();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let found: Vec<String> = pool.install(|| {
        let counts = specs.iter().map(|spec| (spec, later_allocations(spec)));
        counts.filter(|(_, count)| *count > 0).map(|(s, c)| format!("{s}: {c}")).collect()
    });
    assert!(found.is_empty(), "rules that allocate: {found:?}");
}
