//! The second round allocates nothing, whatever the rule: everything a rule needs is kept.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use varangian_base::{Domain, Matrix, Seed};
use varangian_rules::{ALL, Family, Pipeline, Round, Verdict, build};

/// The system's allocator, counting what this thread asks for.
struct Counting;

thread_local! {
    static ASKED: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    // A thread that is being torn down has no counter any more.
    let _ = ASKED.try_with(|asked| asked.set(asked.get() + 1));
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: passed on from the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: passed on from the caller.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: passed on from the caller.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn rows(seed: u64, n: usize, d: usize) -> Matrix {
    let mut stream = Seed(seed).stream(Domain::Test, 0, 0);
    let mut matrix = Matrix::zeros(n, d);
    for i in 0..n {
        matrix.row_mut(i).fill_with(|| stream.normal() as f32);
    }
    matrix
}

fn specs() -> impl Iterator<Item = String> {
    ALL.iter().map(|entry| match entry.facts.family {
        Family::Rule => entry.name.to_owned(),
        Family::PreAggregation => format!("{} | median", entry.name),
        Family::MetaAggregation => format!("median | {}", entry.name),
    })
}

/// What the third round of one thread asks for (the second is let grow what the first made).
fn asked(pipeline: &mut Pipeline, n: usize, f: usize, d: usize) -> usize {
    let mut out = vec![0.0; d];
    let mut verdict = Verdict::default();
    let mut last = 0;
    for step in 0..3 {
        let matrix = rows(step, n, d);
        let mut round = Round::of(matrix.rows(), f);
        round.step = step;
        let before = ASKED.get();
        pipeline.aggregate(&mut round, &mut out, &mut verdict);
        last = ASKED.get() - before;
    }
    last
}

#[test]
fn no_rule_allocates_after_its_first_rounds() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    let mut greedy = Vec::new();
    for spec in specs() {
        // Below and above the size from which distances are f32. Few rows: some rules try subsets.
        for d in [300, 9000] {
            let Ok(mut pipeline) = build(&spec, 11, 2) else { continue };
            if pipeline.needs_oracle() {
                continue;
            }
            let count = pool.install(|| asked(&mut pipeline, 11, 2, d));
            if count > 0 {
                greedy.push(format!("{spec} at d = {d}: {count}"));
            }
        }
    }
    // So many rows have no straight-line network.
    for spec in ["median", "trimmed-mean", "meamed", "krum", "nnm | average"] {
        let mut pipeline = build(spec, 70, 3).expect("enough rows");
        let count = pool.install(|| asked(&mut pipeline, 70, 3, 40));
        if count > 0 {
            greedy.push(format!("{spec} at n = 70: {count}"));
        }
    }
    assert!(greedy.is_empty(), "these still allocate: {greedy:#?}");
}
