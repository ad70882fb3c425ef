//! What another crate brings takes part in everything: attacks, filters, models, data sets and
//! partitions beside the rule of `own_rule.rs`, under names of their own.

use std::sync::Arc;
use varangian::attacks::{Attack, AttackEntry, AttackFacts, Sees, View};
use varangian::base::{Args, Entry, Kind, Param, RowsMut, SpecError};
use varangian::learn::data::{DataEntry, DataError, Facts, Images, Place, Shape, Source, Split};
use varangian::learn::model::{self, Home, Model, ModelEntry, Recipe};
use varangian::learn::partition::{Partition, PartitionEntry, Samples, Shares};
use varangian::rules::{
    Arrival, Bound, Decision, Filter, FilterEntry, FilterFacts, RuleEntry, RuleFacts, Stage,
};
use varangian::{Experiment, Round, Rule, Seed, Silent, Verdict, conformance};

#[path = "../examples/own_attack.rs"]
mod own_attack;

#[test]
fn the_example_of_an_attack_runs_and_hurts_the_mean_more_than_the_median() {
    own_attack::main();
    let ends = own_attack::accuracies(60).unwrap();
    let of = |run: &str| ends.iter().find(|(name, _)| name == run).unwrap().1;
    assert!(of("median × mirror") > of("average × mirror"), "{ends:?}");
}

/// Images whose class is the half that is bright.
struct Halves;

static HALVES: DataEntry = Entry {
    name: "halves",
    summary: "which half of a picture of 4 × 4 pixels is bright",
    paper: "folklore",
    differs: &[],
    params: &[],
    cost: "16 bytes an image",
    facts: Facts { size: "200 + 40 images", files: &[] },
    build: |_: &Args| Ok(Box::new(Halves)),
};

impl Source for Halves {
    fn load(&self, place: &Place) -> Result<Split, DataError> {
        let shape = Shape { channels: 1, height: 4, width: 4 };
        let mut draws = place.seed.stream(varangian::base::Domain::Data, 77, 0);
        let mut set = |count: usize| {
            let (mut pixels, mut labels) = (Vec::new(), Vec::new());
            for i in 0..count {
                let label = i % 2;
                labels.push(label as u16);
                let bright = |k: usize| (k / 8 == label) as usize * 150;
                pixels.extend((0..16).map(|k| (bright(k) + draws.below(100)) as u8));
            }
            Arc::new(Images::new(shape, 2, pixels, labels))
        };
        Ok(Split { train: set(200), test: set(40) })
    }
}

/// Softmax regression under a name of its own.
struct Regression;

static REGRESSION: ModelEntry = Entry {
    name: "regression",
    summary: "softmax regression",
    paper: "folklore",
    differs: &[],
    params: &[],
    cost: "O(d)",
    facts: Home { shape: Shape { channels: 1, height: 4, width: 4 }, classes: 2, d: 34 },
    build: |_: &Args| Ok(Box::new(Regression)),
};

impl Recipe for Regression {
    fn build(&self, shape: Shape, classes: usize) -> Result<Box<dyn Model>, SpecError> {
        model::build("linear", shape, classes)
    }
}

/// Samples in turn.
struct InTurn;

static IN_TURN: PartitionEntry = Entry {
    name: "in-turn",
    summary: "sample i goes to worker i modulo n",
    paper: "folklore",
    differs: &[],
    params: &[],
    cost: "O(samples)",
    facts: (),
    build: |_: &Args| Ok(Box::new(InTurn)),
};

impl Partition for InTurn {
    fn split(&self, samples: &Samples, workers: usize, _: Seed) -> Result<Shares, SpecError> {
        if samples.len() < workers {
            return Err(SpecError::new("in-turn wants a sample a worker"));
        }
        let share = |w: usize| (w as u32..samples.len() as u32).step_by(workers).collect();
        Ok(Shares { samples: (0..workers).map(share).collect(), notes: Vec::new() })
    }
}

/// Steps along what is not longer than ten times the mean length so far.
#[derive(Clone, Default)]
struct Shortish;

static SHORTISH: FilterEntry = Entry {
    name: "shortish",
    summary: "rejects arrivals longer than 10",
    paper: "folklore",
    differs: &[],
    params: &[],
    cost: "O(d)",
    facts: FilterFacts {
        bound: Bound::ANY,
        needs_oracle: false,
        needs_stale: false,
        has_memory: false,
    },
    build: |_: &Args| Ok(Box::new(Shortish)),
};

impl Filter for Shortish {
    fn offer(&mut self, arrival: &mut Arrival<'_>, out: &mut [f32]) -> Decision {
        let square: f64 = arrival.gradient.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
        if square > 100.0 {
            return Decision::Reject("longer than 10");
        }
        out.copy_from_slice(arrival.gradient);
        Decision::Step
    }

    fn fork(&self) -> Box<dyn Filter> {
        Box::new(self.clone())
    }
}

/// Ones, scaled.
#[derive(Clone)]
struct Ones;

static ONES: AttackEntry = Entry {
    name: "ones",
    summary: "ones, a hundred times",
    paper: "folklore",
    differs: &[],
    params: &[],
    cost: "O(f·d)",
    facts: AttackFacts::reads(Sees::NOTHING),
    build: |_: &Args| Ok(Box::new(Ones)),
};

impl Attack for Ones {
    fn forge(&mut self, _: &mut View<'_>, mut out: RowsMut<'_>) {
        out.iter_mut().for_each(|row| row.fill(100.0));
    }

    fn sees(&self) -> Sees {
        Sees::NOTHING
    }

    fn fork(&self) -> Box<dyn Attack> {
        Box::new(self.clone())
    }
}

#[test]
fn what_is_brought_is_held_to_the_suites() {
    let shape = Shape { channels: 1, height: 4, width: 4 };
    let reports = [
        conformance::check_attack(|| Box::new(Ones), &ONES.facts),
        conformance::check_filter(|| Box::new(Shortish), &SHORTISH.facts),
        conformance::check_model(|| Regression.build(shape, 2).unwrap(), shape, 2),
        conformance::check_partition(|| Box::new(InTurn)),
    ];
    for report in reports {
        assert!(report.passed() && !report.tried.is_empty(), "{report}");
    }
}

/// All of it, and rules of the list.
fn experiment(text: &str, out: &std::path::Path) -> Experiment {
    let text = format!(
        "dataset = 'halves'\nmodel = 'regression'\npartition = 'in-turn'\nattack = 'ones jitter=0.01'\n\
         n = 7\nf = 2\nbatch = 8\nsteps = 40\nlearning_rate = 0.05\n{text}"
    );
    let mut experiment = Experiment::from_text(&text).unwrap();
    experiment.own.attacks.push(&ONES);
    experiment.own.filters.push(&SHORTISH);
    experiment.own.models.push(&REGRESSION);
    experiment.own.datasets.push(&HALVES);
    experiment.own.partitions.push(&IN_TURN);
    experiment.how.out = Some(out.to_owned());
    experiment
}

#[test]
fn all_of_it_runs_together_in_step_and_asynchronously() {
    let folder = tempfile::tempdir().unwrap();
    let own = experiment("rule = ['nnm | median', 'shortish', 'async-sgd']", folder.path());
    let outcomes = own.run(&mut Silent).unwrap();
    let ends: Vec<f64> =
        outcomes.iter().map(|one| one.curve("accuracy").last().unwrap().1).collect();
    assert!(ends[0] > 0.95 && ends[1] > 0.95, "{ends:?}");
    let rejected = |k: usize| outcomes[k].curve("rejected/hostile").first().map(|point| point.1);
    assert_eq!((rejected(1), rejected(2)), (Some(1.0), Some(0.0)));
    // The reports of a folder need none of the entries.
    assert!(folder.path().join("accuracy.svg").is_file());
    varangian::lab::report::write(folder.path(), &[]).unwrap();
}

#[test]
fn a_parameter_may_name_what_is_brought_and_the_run_is_keyed_by_it() {
    #[derive(Default)]
    struct Steps(u64);
    impl varangian::lab::run::Events for Steps {
        fn step(&mut self, _: &varangian::lab::run::Live) {
            self.0 += 1;
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let mut mixed = experiment("rule = 'median'", folder.path());
    mixed.runs[0].attack = "mixed groups='1 ones; * sign-flip'".into();
    // Only the attack is from outside.
    let runs = &mut mixed.runs[0];
    (runs.dataset, runs.model, runs.partition) =
        ("logreg".into(), "logreg-net".into(), "iid".into());
    let steps = |own: &Experiment| {
        let mut steps = Steps::default();
        own.run(&mut steps).unwrap();
        steps.0
    };
    assert_eq!([steps(&mixed), steps(&mixed)], [40, 40], "unversioned code is done again");
    mixed.runs[0].rule = "basgd buffers=5 rule='mean-of-two'".into();
    mixed.own.rules.push(&MEAN_OF_TWO);
    mixed.how.replace = true;
    assert_eq!(steps(&mixed), 40);
}

/// The mean of the first two rows: no defence, and a name.
#[derive(Clone)]
struct MeanOfTwo;

static MEAN_OF_TWO: RuleEntry = Entry {
    name: "mean-of-two",
    summary: "the mean of the first two rows",
    paper: "folklore",
    differs: &[],
    params: &[],
    cost: "O(d)",
    facts: RuleFacts { bound: Bound::ANY, ..RuleFacts::RULE },
    build: |_: &Args| Ok(Box::new(Stage::Rule(Box::new(MeanOfTwo)))),
};

impl Rule for MeanOfTwo {
    fn aggregate(&mut self, round: &mut Round<'_>, out: &mut [f32], _: &mut Verdict) {
        let (mut a, mut b) = (Vec::new(), Vec::new());
        let last = 1.min(round.rows.n() - 1);
        let pair = (round.rows.row(0, &mut a).to_vec(), round.rows.row(last, &mut b));
        out.iter_mut().enumerate().for_each(|(k, x)| *x = (pair.0[k] + pair.1[k]) / 2.0);
    }

    fn fork(&self) -> Box<dyn Rule> {
        Box::new(self.clone())
    }
}

#[test]
fn runs_of_unversioned_code_are_done_again_and_of_versioned_code_once() {
    #[derive(Default)]
    struct Steps(u64);
    impl varangian::lab::run::Events for Steps {
        fn step(&mut self, _: &varangian::lab::run::Live) {
            self.0 += 1;
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let steps = |version: &str| {
        let mut own = experiment("rule = 'median'", folder.path());
        own.own.version = version.into();
        own.how.replace = true;
        let mut steps = Steps::default();
        own.run(&mut steps).unwrap();
        steps.0
    };
    assert_eq!([steps(""), steps("")], [40, 40]);
    assert_eq!([steps("1"), steps("1"), steps("2")], [40, 0, 40]);
}

#[test]
fn a_name_that_is_taken_and_one_that_is_unknown_are_refused() {
    static TAKEN: AttackEntry = AttackEntry { name: "alie", ..COPY };
    const COPY: AttackEntry = Entry {
        name: "copy",
        summary: "",
        paper: "",
        differs: &[],
        params: &[],
        cost: "",
        facts: AttackFacts::reads(Sees::NOTHING),
        build: |_: &Args| Ok(Box::new(Ones)),
    };
    let folder = tempfile::tempdir().unwrap();
    let error = |change: &dyn Fn(&mut Experiment)| {
        let mut own = experiment("rule = 'median'", folder.path());
        change(&mut own);
        own.run(&mut Silent).unwrap_err().to_string()
    };
    let text = error(&|own| own.own.attacks.push(&TAKEN));
    assert!(text.contains("two attacks are called \"alie\""), "{text}");
    let text = error(&|own| own.own.datasets.clear());
    assert!(text.contains("unknown data set \"halves\""), "{text}");
    let text = error(&|own| own.runs[0].model = "regresion".into());
    assert!(text.contains("did you mean \"regression\""), "{text}");
    static NAMED: AttackEntry = AttackEntry { name: "two words", ..COPY };
    let text = error(&|own| own.own.attacks.push(&NAMED));
    assert!(text.contains("one word without"), "{text}");
    static COMMON: AttackEntry = AttackEntry { params: &[JITTER], ..COPY };
    const JITTER: Param =
        Param { name: "jitter", kind: Kind::Flag, default: "false", help: "our own" };
    let text = error(&|own| own.own.attacks.push(&COMMON));
    assert!(text.contains("declares jitter, which every attack takes already"), "{text}");
    static DEFAULT: AttackEntry = AttackEntry { params: &[ODD], ..COPY };
    const ODD: Param = Param { name: "odd", kind: Kind::Flag, default: "perhaps", help: "" };
    let text = error(&|own| own.own.attacks.push(&DEFAULT));
    assert!(text.contains("the attack copy: default"), "{text}");
    static BOTH: FilterEntry = FilterEntry { name: "median", ..FILTER };
    const FILTER: FilterEntry = Entry {
        name: "filter",
        summary: "",
        paper: "",
        differs: &[],
        params: &[],
        cost: "",
        facts: FilterFacts::FILTER,
        build: |_: &Args| Ok(Box::new(Shortish)),
    };
    let text = error(&|own| own.own.filters.push(&BOTH));
    assert!(text.contains("a rule and a filter are called \"median\""), "{text}");
    let text = error(&|own| own.runs[0].seed = u64::MAX);
    assert!(text.contains("seed is at most 9223372036854775807"), "{text}");
    let settings = varangian::lab::config::Settings { data_seed: u64::MAX, ..Default::default() };
    let text = Experiment::of("mine", vec![settings]).unwrap_err().to_string();
    assert!(text.contains("data_seed is at most"), "{text}");
}

#[test]
fn a_model_of_ones_own_keeps_its_name() {
    static WIDE: ModelEntry = Entry {
        name: "wide-resnet-1-1",
        summary: "softmax regression",
        paper: "folklore",
        differs: &[],
        params: &[],
        cost: "O(d)",
        facts: Home { shape: Shape { channels: 1, height: 4, width: 4 }, classes: 2, d: 34 },
        build: |_: &Args| Ok(Box::new(Regression)),
    };
    let shape = Shape { channels: 1, height: 4, width: 4 };
    let model = model::build_among("wide-resnet-1-1", shape, 2, &[&WIDE]).unwrap();
    assert_eq!(model.dim(), 34);
}

#[test]
fn how_an_experiment_is_run_is_checked_before_it_is() {
    type Wrong = fn(&mut varangian::lab::run::How);
    let wrong: [(&str, Wrong); 7] = [
        ("shard (i, n) wants 1 ≤ i ≤ n, and is (0, 0)", |how| how.shard = Some((0, 0))),
        ("shard (i, n) wants 1 ≤ i ≤ n, and is (0, 4)", |how| how.shard = Some((0, 4))),
        ("shard (i, n) wants 1 ≤ i ≤ n, and is (5, 4)", |how| how.shard = Some((5, 4))),
        ("threads must be 1 to 1024, not 0", |how| how.threads = Some(0)),
        ("jobs must be 1 to 1024, not 1025", |how| how.jobs = Some(1025)),
        ("0 or above, not NaN", |how| how.checkpoint_every = f64::NAN),
        ("0 or above, not -1", |how| how.checkpoint_every = -1.0),
    ];
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    for (expected, spoil) in wrong {
        let mut asked = experiment("rule = 'median'", &out);
        spoil(&mut asked.how);
        let ran = asked.run(&mut Silent).unwrap_err().to_string();
        assert!(ran.contains(expected), "{expected}: {ran}");
        assert_eq!(asked.planned().unwrap_err().to_string(), ran);
        assert!(!out.exists(), "{expected}: something was written");
    }
}
