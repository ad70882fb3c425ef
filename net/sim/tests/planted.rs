//! Mistakes that are planted in the server are found, by the invariant that they break, within the
//! seeds that `./check` runs.

use varangian_net::sim::Bug;
use varangian_net_sim::one;
use varangian_net_sim::scenario::Plant;

/// The seeds of `./check`.
const SEEDS: u64 = 1000;

/// The first seed that finds this mistake. It must do so by this invariant, and not find it where
/// it is not planted.
fn found(plant: Plant, invariant: &str) -> u64 {
    for seed in 0..SEEDS {
        let wrong = one::play(seed, Some(plant)).wrong;
        if let Some(first) = wrong.first() {
            assert!(first.contains(invariant), "seed {seed}: {first}");
            assert_eq!(one::play(seed, None).wrong, [""; 0], "seed {seed} without it");
            return seed;
        }
    }
    panic!("no seed below {SEEDS} finds {plant:?}");
}

#[test]
fn a_step_that_is_applied_twice_is_found() {
    found(Plant::Bug(Bug::DoubleApply), "S6");
}

#[test]
fn a_step_that_is_applied_to_half_of_the_model_is_found() {
    found(Plant::Bug(Bug::HalfApply), "S6");
}

#[test]
fn a_row_of_the_last_step_that_counts_is_found() {
    found(Plant::Bug(Bug::StaleRow), "S2");
}

#[test]
fn silence_that_counts_as_hostile_is_found() {
    found(Plant::SilenceIsHostile, "S4");
}

#[test]
fn a_worker_that_is_let_in_though_revoked_is_found() {
    found(Plant::Bug(Bug::NoEnrolment), "S3");
}
