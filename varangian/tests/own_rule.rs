//! The example of a rule of one's own runs: its checks pass and it trains.
#![cfg(feature = "train")]

#[path = "../examples/own_rule.rs"]
mod own_rule;

#[test]
fn the_example_runs_and_its_rule_learns_under_attack() {
    own_rule::main();
    let [mean, own] = ["average", "nnm | midrange"].map(|rule| own_rule::accuracy(rule, 60));
    assert!(mean > 0.3 && own > 0.3, "{mean} {own}");
}
