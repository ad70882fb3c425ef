//! The example of a rule of one's own runs: its checks pass and it trains.
#![cfg(feature = "lab")]

#[path = "../examples/own_rule.rs"]
mod own_rule;

#[test]
fn the_example_runs_and_its_rule_learns_under_attack() {
    own_rule::main();
    let ends = own_rule::accuracies(60).unwrap();
    assert_eq!(ends.len(), 3);
    assert!(ends.iter().all(|(_, accuracy)| *accuracy > 0.3), "{ends:?}");
}
