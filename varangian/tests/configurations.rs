//! Whole configurations drawn at random: refused before the first step, or run to the end.
//! `cargo run --release -p varangian --example configurations -- 100000` draws many more.

#[path = "../examples/configurations/draw.rs"]
mod draw;

use varangian::lab::config::Settings;
use varangian_base::{Domain, Seed};

#[test]
fn some_hundred_drawn_configurations_are_refused_or_run() {
    let counts = draw::run_cases(Seed(0), (0, 400), &|_| ());
    assert!(counts.failed.is_empty(), "{:?}", counts.failed);
    assert_eq!(counts.refused.values().sum::<u64>() + counts.run, 400);
    assert!(counts.run >= 60, "{} of 400 were run", counts.run);
}

#[test]
fn cases_that_once_panicked_run_or_are_refused() {
    // Searching attacks in network rounds with too few rows for caf and for smea.
    for case in [15_041, 232_236] {
        let counts = draw::run_cases(Seed(1), (case, case + 1), &|_| ());
        assert!(counts.failed.is_empty(), "{:?}", counts.failed);
    }
}

#[test]
fn a_case_is_the_same_whenever_it_is_drawn() {
    let settings = |case| draw::draw(&mut Seed(7).stream(Domain::Test, 2, case));
    let all: Vec<Settings> = (0..20).map(settings).collect();
    assert_eq!(all, (0..20).map(settings).collect::<Vec<_>>());
    assert!(all.windows(2).any(|pair| pair[0].rule != pair[1].rule));
}
