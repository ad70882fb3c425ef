//! Every rule under every attack that tries rows on it, and what is refused before round 0.

mod common;

use common::plan;
use varangian_learn::optim::Optimiser;
use varangian_rules::{ALL, Family, Oracle, Pipeline};
use varangian_sim::Plan;
use varangian_sim::lockstep::Lockstep;

/// Every attack with every value of the parameter that makes it try the rule.
fn probing() -> Vec<String> {
    let mut list = vec!["mixed groups=\"1 alie search=on; * sign-flip\"".to_owned()];
    for entry in varangian_attacks::ALL {
        let searches = entry.params.iter().any(|param| param.name == "search");
        let specs = match searches {
            true => ["on", "reference"]
                .map(|how| format!("{} search={how} evaluations=3", entry.name))
                .to_vec(),
            false => vec![entry.name.to_owned()],
        };
        list.extend(specs);
    }
    list.retain(|spec| varangian_attacks::build(spec).unwrap().sees().rule);
    list.iter_mut().filter(|spec| *spec == "worst").for_each(|s| s.push_str(" budget=4"));
    assert!(list.len() >= 8, "{list:?}");
    list
}

/// A loss of the server's own.
struct Held;

impl Oracle for Held {
    fn refresh(&mut self) {}

    fn loss(&mut self, params: &[f32]) -> f64 {
        params.iter().map(|&x| f64::from(x * x)).sum()
    }

    fn gradient(&mut self, params: &[f32], out: &mut [f32]) -> f64 {
        out.copy_from_slice(params);
        self.loss(params)
    }
}

/// Remembers every parameter vector whose loss it was asked for.
struct Remembering(std::sync::Arc<std::sync::Mutex<Vec<Vec<f32>>>>);

impl Oracle for Remembering {
    fn refresh(&mut self) {}

    fn loss(&mut self, params: &[f32]) -> f64 {
        self.0.lock().unwrap().push(params.to_vec());
        0.0
    }

    fn gradient(&mut self, _: &[f32], out: &mut [f32]) -> f64 {
        out.fill(0.0);
        0.0
    }
}

#[test]
fn zeno_tries_each_row_at_the_rate_of_the_step() {
    let seen = std::sync::Arc::default();
    let bare = with_oracle("zeno", "none", 5, 1);
    let plan = Plan { oracle: Some(Box::new(Remembering(std::sync::Arc::clone(&seen)))), ..bare };
    let mut run = Lockstep::new(plan).unwrap();
    let start = run.params().to_vec();
    run.step();
    let tried = seen.lock().unwrap();
    assert_eq!(tried.len(), 5);
    // The step is the mean of four rows, so it ends at the mean of the four places where they were
    // tried, if that was at its rate.
    let far = |left_out: usize| {
        let others = || (0..5).filter(|&i| i != left_out).map(|i| &tried[i]);
        let apart = |k: usize| others().map(|x| x[k]).sum::<f32>() / 4.0 - run.params()[k];
        (0..start.len()).map(|k| apart(k).abs()).fold(0.0, f32::max)
    };
    let moved = start.iter().zip(run.params()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    let nearest = (0..5).map(far).fold(f32::INFINITY, f32::min);
    assert!(moved > 1e-3 && nearest < 1e-6, "{moved}, {nearest}");
}

fn with_oracle(rule: &str, attack: &str, n: usize, f: usize) -> Plan {
    let bare = plan(rule, attack, n, f, Optimiser::sgd(0.1));
    Plan { oracle: Some(Box::new(Held)), ..bare }
}

#[test]
fn every_rule_meets_every_probing_attack_or_says_why_not() {
    let (mut refused, mut run) = (0, 0);
    for entry in ALL {
        let rule = match entry.facts.family {
            Family::PreAggregation => format!("{} | median", entry.name),
            Family::Rule => entry.name.to_owned(),
            Family::MetaAggregation => format!("median | {}", entry.name),
        };
        let n = Pipeline::parse(&rule).unwrap().least(2).unwrap().max(9);
        for attack in probing() {
            match Lockstep::new(with_oracle(&rule, &attack, n, 2)) {
                Err(error) => {
                    assert!(entry.facts.needs_oracle, "{rule} × {attack}: {error}");
                    assert!(error.to_string().contains("the server's own data"), "{error}");
                    refused += 1;
                }
                Ok(mut lockstep) => {
                    assert!(!entry.facts.needs_oracle, "{rule} × {attack} is run");
                    for _ in 0..2 {
                        lockstep.step();
                    }
                    assert!(lockstep.params().iter().all(|x| x.is_finite()), "{rule} × {attack}");
                    run += 1;
                }
            }
        }
        // What does not try the rule meets it all the same.
        let mut quiet = Lockstep::new(with_oracle(&rule, "alie", n, 2)).unwrap();
        quiet.step();
    }
    assert!(refused >= 16 && run >= 200, "{refused} refused, {run} run");
}

#[test]
fn what_an_attack_names_must_be_there() {
    let error = |attack: &str| {
        let plan = plan("median", attack, 7, 2, Optimiser::sgd(0.1));
        Lockstep::new(plan).err().map(|error| error.to_string())
    };
    let line = error("mimic target=5").unwrap();
    assert_eq!(line, "the attack needs target ≤ 4, the last honest worker; target = 5");
    assert!(error("mimic target=4").is_none());
    let line = error("single-coordinate coordinate=70").unwrap();
    assert_eq!(line, "the attack needs coordinate < d = 70; coordinate = 70");
    for attack in [
        "bit-flip first=71",
        "bit-flip tile=71",
        "extreme every=71",
        "non-finite every=71",
        "label-flip",
        "mimic target=9 start=3",
        "mixed groups=\"1 alie; 1 mimic target=6\"",
        "mixed groups=\"1 alie; * label-flip\"",
    ] {
        assert!(error(attack).is_some(), "{attack}");
    }
    for attack in ["bit-flip first=70", "bit-flip tile=70", "extreme every=70"] {
        assert_eq!(error(attack), None, "{attack}");
    }
    // Nobody attacks: what the attack names does not matter.
    let mut idle = plan("median", "mimic target=9", 7, 2, Optimiser::sgd(0.1));
    idle.f_real = 0;
    assert!(Lockstep::new(idle).is_ok());
    let monna = plan("monna pivot=7", "none", 7, 2, Optimiser::sgd(0.1));
    let line = Lockstep::new(monna).err().unwrap().to_string();
    assert_eq!(line, "monna needs pivot < n; pivot = 7; got n = 7, f = 2");
}

#[test]
fn a_search_carried_over_tries_its_rows_on_the_rule_that_it_names() {
    let ends = |rule: &str, attack: &str| {
        let mut run = Lockstep::new(plan(rule, attack, 9, 2, Optimiser::sgd(0.1))).unwrap();
        for _ in 0..4 {
            run.step();
        }
        run.params().to_vec()
    };
    let own = ends("median", "worst budget=64");
    // The same rule has no coins: a copy of it is the rule in force.
    assert_eq!(ends("median", "worst budget=64 probe=median"), own);
    assert_ne!(ends("median", "worst budget=64 probe='nnm | trimmed-mean'"), own);
    // Of a rule with chance the coins are the searcher's own.
    let bucketing = "bucketing s=2 | median";
    let blind = ends(bucketing, &format!("worst budget=64 probe='{bucketing}'"));
    assert_ne!(blind, ends(bucketing, "worst budget=64"));
    let refused = |rule: &str, attack: &str| {
        Lockstep::new(plan(rule, attack, 9, 2, Optimiser::sgd(0.1))).err().unwrap().to_string()
    };
    assert!(refused("median", "worst probe=nmn").contains("probe"), "the name");
    assert!(refused("median", "worst probe='bulyan'").contains("probe: bulyan needs n ≥ 4f + 3"));
    let memory = refused("median", "worst probe=centred-clipping");
    assert!(memory.contains("a rule without a memory, blocks or data of the server's"), "{memory}");
    let group = varangian_attacks::build("mixed groups='* worst probe=krum'").err().unwrap();
    assert!(group.to_string().contains("found one that names krum"), "{group}");
}
