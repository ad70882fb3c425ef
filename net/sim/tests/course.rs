//! A seed has one course, and what is drawn covers what it should.

use std::collections::BTreeMap;
use varangian_net_sim::one;
use varangian_net_sim::scenario::{Fault, Nature, Scenario};

#[test]
fn two_runs_of_a_seed_are_the_same_to_the_byte() {
    for seed in 0..20 {
        let (first, second) = (one::play(seed, None), one::play(seed, None));
        assert!(first.trace.len() > 1000, "something happens");
        assert_eq!(first, second, "seed {seed}");
    }
}

#[test]
fn the_seeds_of_a_check_hold_every_fault_rule_and_nature() {
    let mut found: BTreeMap<String, u64> = BTreeMap::new();
    let mut count = |what: String| *found.entry(what).or_default() += 1;
    for seed in 0..1000 {
        let scenario = Scenario::draw(seed, None);
        count(scenario.rule.to_owned());
        count(scenario.codec.to_string());
        scenario.natures.iter().for_each(|nature| count(format!("{nature:?}")));
        scenario.faults.iter().for_each(|planned| count(planned.fault.kind().to_owned()));
        for planned in &scenario.faults {
            if let Fault::ServerCrash(point, _) = planned.fault {
                count(format!("crash at {point}"));
            }
        }
    }
    for nature in Nature::HOSTILE {
        assert!(found[&format!("{nature:?}")] >= 10, "{nature:?}");
    }
    // Rules and filters, codecs, natures, faults, and the points of a crash.
    assert_eq!(found.len(), 10 + 6 + 9 + 13 + 20, "{found:#?}");
    assert!(found.values().all(|&count| count >= 5), "{found:#?}");
}
