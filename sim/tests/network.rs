//! Virtual time: rounds over a network without faults are lockstep, faults stop nothing that they
//! should not, and asynchronous runs repeat bit for bit.

mod common;

use common::plan;
use std::sync::Arc;
use varangian_attacks as attacks;
use varangian_base::Seed;
use varangian_learn::optim::{Message, Momentum, Optimiser, Placement, ServerOptimiser};
use varangian_rules::build_filter;
use varangian_sim::lockstep::Lockstep;
use varangian_sim::network::{Delay, Network};
use varangian_sim::rounds::Rounds;
use varangian_sim::swarm::{AsyncPlan, Staleness, Swarm};
use varangian_sim::{Hostile, Plan};
use varangian_train::{Passes, Validation};

fn with_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

fn sgd() -> Optimiser {
    Optimiser::sgd(0.1)
}

#[test]
fn without_faults_rounds_end_on_the_bits_of_lockstep() {
    let momentum = Momentum {
        coefficient: 0.9,
        dampening: 0.0,
        nesterov: false,
        placement: Placement::Worker,
    };
    for (rule, attack, hostile) in [
        ("krum", "alie", Hostile::Last),
        ("median", "sign-flip", Hostile::Random),
        ("safeguard t0=5", "ipm", Hostile::First),
    ] {
        let make = || {
            let optimiser = Optimiser { momentum, ..sgd() };
            Plan { hostile, ..plan(rule, attack, 9, 2, optimiser) }
        };
        let mut lockstep = Lockstep::new(make()).unwrap();
        // Delays without faults change the order of arrival, not the bits.
        let delayed = Network {
            compute: Delay::LogNormal { median: 1.0, sigma: 0.7 },
            up: Delay::Exponential(0.5),
            ..Network::perfect()
        };
        let mut perfect = Rounds::new(make(), Network::perfect()).unwrap();
        let mut late = Rounds::new(make(), delayed).unwrap();
        for _ in 0..20 {
            let expected = lockstep.step().loss;
            assert_eq!(perfect.step().loss, expected);
            assert_eq!(late.step().loss, expected);
        }
        assert_eq!(perfect.params(), lockstep.params(), "{rule}");
        assert_eq!(late.params(), lockstep.params(), "{rule}");
        assert_eq!(perfect.now(), 20.0);
        assert!(late.now() > 20.0);
    }
}

fn faulty() -> Network {
    Network {
        compute: Delay::LogNormal { median: 1.0, sigma: 0.3 },
        down: Delay::Constant(0.05),
        up: Delay::Exponential(0.1),
        loss: 0.05,
        duplication: 0.1,
        reordering: 0.05,
        crash: 0.02,
        downtime: Delay::Constant(5.0),
        slow: 1,
        slowdown: 3.0,
        silent: 1,
        haste: 1.0,
        deadline: 3.0,
    }
}

#[test]
fn rounds_under_faults_go_on_and_repeat_at_any_number_of_threads() {
    let run = |threads, seed| {
        with_threads(threads, || {
            let seeded = Plan { seed: Seed(seed), ..plan("median", "ipm", 11, 2, sgd()) };
            let mut rounds = Rounds::new(seeded, faulty()).unwrap();
            let start = rounds.evaluate().tally.mean_loss();
            let (mut seen, mut refused, mut skipped) = (0, 0, 0);
            for _ in 0..60 {
                let record = rounds.step();
                seen += record.closed.n;
                refused += record.closed.refused.len();
                skipped += usize::from(record.closed.skipped.is_some());
            }
            let end = rounds.evaluate().tally.mean_loss();
            (rounds.trace(), seen, refused, skipped, start, end)
        })
    };
    let (trace, seen, refused, skipped, start, end) = run(1, 3);
    assert_eq!(run(2, 3), (trace, seen, refused, skipped, start, end));
    assert_ne!(run(1, 4).0, trace);
    assert!((60 * 6..60 * 11).contains(&seen), "{seen} rows of 660");
    assert!(refused > 0, "duplicates and late messages are refused and counted");
    assert!(skipped == 0 && end < 0.8 * start, "{skipped} skipped, {start} to {end}");
}

#[test]
fn a_round_with_too_few_rows_is_extended_once_and_skipped() {
    let silent = Network { silent: 8, deadline: 2.0, ..Network::perfect() };
    let mut rounds = Rounds::new(plan("median", "none", 11, 2, sgd()), silent).unwrap();
    let before = rounds.params().to_vec();
    let record = rounds.step();
    let skipped = record.closed.skipped.clone().unwrap();
    assert!(skipped.contains("n = 3, f = 2"), "{skipped}");
    assert_eq!((rounds.now(), rounds.params()), (4.0, &before[..]));
}

fn swarm(filter: &str, attack: &str, n: usize, f: usize, staleness: Staleness) -> AsyncPlan {
    let plan = plan("average", "none", n, 0, sgd());
    let oracle =
        Validation::new(Arc::clone(&plan.model), Arc::clone(&plan.test), 20, Seed(3)).unwrap();
    AsyncPlan {
        model: plan.model,
        train: plan.train,
        test: plan.test,
        sampler: plan.sampler,
        n,
        f,
        f_real: f,
        hostile: Hostile::Last,
        filter: build_filter(filter, n, f).unwrap(),
        attack: attacks::build(attack).unwrap(),
        clean: 0,
        optimiser: sgd(),
        passes: Passes::Honest,
        oracle: Some(Box::new(oracle)),
        staleness,
        keep: 20,
        test_samples: 100,
        seed: Seed(3),
    }
}

#[test]
fn asynchronous_runs_repeat_at_any_number_of_threads() {
    for staleness in [Staleness::Network(faulty()), Staleness::Uniform { max_delay: 5 }] {
        for (filter, attack) in
            [("zeno++", "sign-flip"), ("basgd", "alie"), ("kardam", "blind-inversion")]
        {
            let run = |threads| {
                with_threads(threads, || {
                    let plan = swarm(filter, attack, 13, 4, staleness.clone());
                    let mut swarm = Swarm::new(plan).unwrap();
                    for _ in 0..200 {
                        swarm.step().unwrap();
                    }
                    (swarm.trace(), swarm.fates())
                })
            };
            assert_eq!(run(1), run(2), "{filter}");
        }
    }
}

fn with_momentum() -> Optimiser {
    let momentum = Momentum {
        coefficient: 0.9,
        dampening: 0.0,
        nesterov: false,
        placement: Placement::Worker,
    };
    Optimiser { momentum, ..Optimiser::sgd(0.02) }
}

#[test]
fn a_saved_asynchronous_run_goes_on_to_the_same_bits() {
    for staleness in [Staleness::Network(faulty()), Staleness::Uniform { max_delay: 5 }] {
        for (filter, attack) in [
            ("zeno++ k=7", "sign-flip"),
            ("basgd", "alie"),
            ("kardam", "delayed-gradient delay=3"),
            ("kardam-reduced", "blind-inversion"),
            ("weighted", "ipm"),
        ] {
            let make = || {
                let plan = swarm(filter, attack, 13, 4, staleness.clone());
                Swarm::new(AsyncPlan { optimiser: with_momentum(), clean: 20, ..plan }).unwrap()
            };
            let mut whole = make();
            (0..101).for_each(|_| assert!(whole.step().is_some()));
            let (saved, mut resumed) = (whole.save(), make());
            resumed.load(&saved).unwrap();
            assert_eq!(resumed.save(), saved, "{filter}");
            for _ in 0..100 {
                let (a, b) = (whole.step().unwrap(), resumed.step().unwrap());
                assert_eq!((a.time, a.loss, a.outcome), (b.time, b.loss, b.outcome), "{filter}");
            }
            assert_eq!((resumed.trace(), resumed.fates()), (whole.trace(), whole.fates()));
        }
    }
    let make = |n| swarm("zeno++", "none", n, 0, Staleness::Network(Network::perfect()));
    let saved = Swarm::new(make(5)).unwrap().save();
    let error = Swarm::new(make(4)).unwrap().load(&saved).unwrap_err().to_string();
    assert_eq!(error, "checkpoint: an event is of no worker below 4");
}

#[test]
fn double_momentum_goes_on_asynchronously_to_the_same_bits() {
    let make = || {
        let hasty = Network { haste: 3.0, ..faulty() };
        let plan = swarm("weighted", "sign-flip", 13, 4, Staleness::Network(hasty));
        let optimiser = Optimiser {
            message: Message::parse("storm").unwrap(),
            server: ServerOptimiser::parse("anytime gamma=0.1").unwrap(),
            ..sgd()
        };
        Swarm::new(AsyncPlan { optimiser, ..plan }).unwrap()
    };
    let run = |threads| {
        with_threads(threads, || {
            let mut whole = make();
            (0..150).for_each(|_| assert!(whole.step().is_some()));
            whole.trace()
        })
    };
    let mut whole = make();
    (0..70).for_each(|_| assert!(whole.step().is_some()));
    let mut resumed = make();
    resumed.load(&whole.save()).unwrap();
    (0..80).for_each(|_| assert!(resumed.step().is_some()));
    assert_eq!([resumed.trace(), run(2)], [run(1); 2]);
}

#[test]
fn every_filter_meets_the_same_arrivals_whatever_the_attack() {
    let arrivals = |filter: &str, attack: &str, haste: f64, optimiser: Optimiser| {
        let network = Network { haste, ..faulty() };
        let plan = swarm(filter, attack, 13, 4, Staleness::Network(network));
        let mut swarm = Swarm::new(AsyncPlan { optimiser, ..plan }).unwrap();
        let one = |_| {
            let record = swarm.step().unwrap();
            (record.time.to_bits(), record.outcome.worker, record.hostile)
        };
        (0..200).map(one).collect::<Vec<_>>()
    };
    let filters = varangian_rules::FILTERS.iter().map(|entry| entry.name);
    let mut hostile = Vec::new();
    for haste in [1.0, 4.0] {
        let wanted = arrivals("async-sgd", "none", haste, sgd());
        for filter in filters.clone() {
            for attack in ["none", "sign-flip", "ipm"] {
                let found = arrivals(filter, attack, haste, with_momentum());
                assert_eq!(found, wanted, "{filter}, {attack}");
            }
        }
        hostile.push(wanted.iter().filter(|arrival| arrival.2).count());
    }
    assert!(hostile[1] > hostile[0] + 20, "{hostile:?}");
}

#[test]
fn saved_rounds_under_faults_go_on_to_the_same_bits() {
    let make = || {
        let plan = plan("safeguard t0=9", "mimic", 11, 2, with_momentum());
        Rounds::new(plan, faulty()).unwrap()
    };
    let mut whole = make();
    (0..25).for_each(|_| {
        whole.step();
    });
    let mut resumed = make();
    resumed.load(&whole.save()).unwrap();
    for _ in 0..25 {
        assert_eq!(resumed.step().loss.to_bits(), whole.step().loss.to_bits());
    }
    assert_eq!((resumed.trace(), resumed.now()), (whole.trace(), whole.now()));
    let other = Rounds::new(plan("median", "none", 9, 2, sgd()), Network::perfect());
    assert!(other.unwrap().load(&whole.save()).is_err());
}

#[test]
fn second_copies_of_messages_change_nothing() {
    let run = |duplication| {
        let compute = Delay::LogNormal { median: 1.0, sigma: 0.5 };
        let (down, up) = (Delay::Constant(0.2), Delay::Constant(0.3));
        let network = Network { duplication, compute, down, up, ..Network::perfect() };
        let plan = swarm("async-sgd", "alie", 9, 3, Staleness::Network(network));
        let mut swarm = Swarm::new(plan).unwrap();
        (0..150).for_each(|_| assert!(swarm.step().is_some()));
        (swarm.queue().params().to_vec(), swarm.fates())
    };
    assert_eq!(run(0.9), run(0.0));
}

#[test]
fn with_eight_of_ten_flipping_signs_zeno_pp_learns_and_plain_steps_diverge() {
    let loss_after = |filter: &str| {
        let uniform = Staleness::Uniform { max_delay: 10 };
        let mut swarm = Swarm::new(swarm(filter, "sign-flip scale=10", 10, 8, uniform)).unwrap();
        let start = swarm.evaluate().tally.mean_loss();
        let mut rejected = 0;
        for _ in 0..400 {
            rejected += u64::from(swarm.step().unwrap().hostile);
        }
        assert!((280..360).contains(&rejected), "eight tenths are hostile: {rejected}");
        let [honest, hostile] = swarm.fates();
        (start, swarm.evaluate().tally.mean_loss(), honest, hostile)
    };
    let (start, end, honest, hostile) = loss_after("zeno++");
    assert!(end < 0.6 * start, "{start} to {end}");
    // Near the optimum the noise of a gradient can pass for descent.
    assert!(hostile.stepped < 10 && honest.rejected_share() < 0.2, "{hostile:?} {honest:?}");
    let (start, end, ..) = loss_after("async-sgd");
    assert!(end.is_nan() || end > 100.0 * start, "{start} to {end}");
}

#[test]
fn a_lost_model_ends_a_run_after_its_arrivals() {
    let drawn = || Staleness::Uniform { max_delay: 10 };
    let sent = || Staleness::Network(Network::perfect());
    for staleness in [drawn, sent] {
        // A few steps of 1e30 lose the model.
        let plan = swarm("async-sgd", "sign-flip scale=1e30", 10, 8, staleness());
        let mut swarm = Swarm::new(plan).unwrap();
        (0..300).for_each(|_| assert!(swarm.step().is_some()));
        assert_eq!(swarm.queue().judged(), 300);
        let all: u64 =
            swarm.fates().iter().map(|f| f.stepped + f.held + f.rejected + f.refused).sum();
        assert_eq!(all, 300);
        // What hostile workers make of the gradients of such a model is not finite.
        assert!(swarm.fates()[1].refused > 100, "{:?}", swarm.fates());
    }
}

#[test]
fn drawn_staleness_is_uniform_and_bounded_by_what_is_kept() {
    for (max_delay, kept) in [(5usize, 6u64), (40, 20)] {
        let uniform = Staleness::Uniform { max_delay };
        let mut swarm = Swarm::new(swarm("async-sgd", "none", 10, 0, uniform)).unwrap();
        let mut counts = vec![0u64; kept as usize];
        for t in 0..4_000 {
            let staleness = swarm.step().unwrap().outcome.staleness;
            if t >= 40 {
                counts[staleness as usize] += 1;
            }
        }
        let mean = 3_960.0 / kept as f64;
        let chi: f64 = counts.iter().map(|&c| (c as f64 - mean).powi(2) / mean).sum();
        assert!(chi < 3.0 * kept as f64, "{counts:?}");
    }
}

#[test]
fn silence_of_everyone_ends_a_run_and_odd_plans_are_refused() {
    let silent = Network { silent: 10, ..Network::perfect() };
    let mut dead = Swarm::new(swarm("async-sgd", "none", 10, 0, Staleness::Network(silent)));
    assert!(dead.as_mut().unwrap().step().is_none());
    let odd = swarm("async-sgd", "alie search=on", 10, 3, Staleness::Uniform { max_delay: 1 });
    let error = Swarm::new(odd).err().unwrap().to_string();
    assert!(error.contains("tries the rule"), "{error}");
}

#[test]
fn a_thousand_workers_of_ten_thousand_updates_take_moments() {
    let network = Network {
        compute: Delay::LogNormal { median: 1.0, sigma: 1.0 },
        up: Delay::Exponential(0.2),
        slow: 100,
        slowdown: 10.0,
        ..Network::perfect()
    };
    let plan = swarm("zeno++", "sign-flip", 1_000, 400, Staleness::Network(network));
    let mut swarm = Swarm::new(plan).unwrap();
    let mut last = 0.0;
    for _ in 0..10_000 {
        let record = swarm.step().unwrap();
        assert!(record.time >= last, "time never runs back");
        last = record.time;
    }
    assert_eq!(swarm.queue().judged(), 10_000);
    assert!(last > 5.0 && last < 100.0, "{last} seconds of virtual time");
}
