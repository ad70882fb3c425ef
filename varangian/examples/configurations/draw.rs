//! Draws whole configurations and runs each for a few steps in this process.

// A case that hangs is told by a clock.
#![allow(clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};
use varangian::lab::config::Settings;
use varangian::lab::run::Shelf;
use varangian::sim::Course;
use varangian_base::{Domain, Seed, Stream};
use varangian_sim::gossip::Peers;
use varangian_sim::lockstep::Lockstep;
use varangian_sim::rounds::Rounds;
use varangian_sim::swarm::Swarm;

/// A case that takes longer than this counts as one that hangs.
const LIMIT: Duration = Duration::from_secs(30);

/// What became of a number of cases.
#[derive(Default)]
pub(crate) struct Counts {
    /// Refused before the first step: how often, by the start of the reason.
    pub(crate) refused: BTreeMap<String, u64>,
    /// Run to their last step.
    pub(crate) run: u64,
    /// The pairs of rule and attack that were run.
    pub(crate) pairs: BTreeSet<(String, String)>,
    /// Panicked, were refused only when they had begun, or took longer than the limit: the
    /// case's number, and why.
    pub(crate) failed: Vec<(u64, String)>,
}

/// Runs the cases `from` to `to` of `seed` and tells `begin` of each first.
pub(crate) fn run_cases(seed: Seed, (from, to): (u64, u64), begin: &dyn Fn(u64)) -> Counts {
    let (shelf, mut counts) = (Shelf::new(None), Counts::default());
    for case in from..to {
        begin(case);
        let settings = draw(&mut seed.stream(Domain::Test, 2, case));
        let begun = Instant::now();
        let ended = catch_unwind(AssertUnwindSafe(|| one(&shelf, &settings)));
        match ended {
            Ok(Ok(None)) => {
                counts.run += 1;
                counts.pairs.insert((settings.rule, settings.attack));
            }
            Ok(Ok(Some(reason))) => {
                let start: String = reason.chars().take(60).collect();
                *counts.refused.entry(start).or_default() += 1;
            }
            Ok(Err(why)) => counts.failed.push((case, why)),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
                let text = text.unwrap_or("a panic without words");
                counts.failed.push((case, format!("panicked: {text}")));
            }
        }
        if begun.elapsed() > LIMIT {
            counts.failed.push((case, format!("took {:?}", begun.elapsed())));
        }
    }
    counts
}

/// Why it was refused, if it was; an error where it was found wrong only after it had begun.
fn one(shelf: &Shelf, settings: &Settings) -> Result<Option<String>, String> {
    let course = match shelf.course(settings) {
        Ok(course) => course,
        Err(failure) => return Ok(Some(failure.to_string())),
    };
    let late = |error: varangian_base::SpecError| format!("refused late: {error}");
    match course {
        Course::Lockstep(plan) => {
            let mut run = Lockstep::new(*plan).map_err(late)?;
            for _ in 0..settings.steps {
                run.step();
            }
            run.evaluate();
        }
        Course::Rounds(plan, network) => {
            let mut run = Rounds::new(*plan, network).map_err(late)?;
            for _ in 0..settings.steps {
                run.step();
            }
            run.evaluate();
        }
        Course::Gossip(plan, gossip) => {
            let mut run = Peers::new(*plan, gossip).map_err(late)?;
            for _ in 0..settings.steps {
                run.step();
            }
            run.evaluate();
        }
        Course::Swarm(plan) => {
            // The command sets an asynchronous run up before the first run starts.
            let mut run = match Swarm::new(*plan) {
                Ok(run) => run,
                Err(error) => return Ok(Some(error.to_string())),
            };
            let arrivals = settings.steps * settings.n as u64;
            (0..arrivals).for_each(|_| {
                run.step();
            });
            run.evaluate();
        }
    }
    Ok(None)
}

/// The settings of one case. Most that cannot be combined are drawn apart, so that most cases run;
/// one case in eight draws everything from everything.
pub(crate) fn draw(stream: &mut Stream) -> Settings {
    let free = stream.below(8) == 0;
    let data = pick(stream, &["logreg", "logreg", "linreg"]);
    let (models, partitions): (&[&str], &[&str]) = match data {
        "logreg" => (
            &["linear", "logistic", "mlp hidden=3"],
            &["sorted", "dirichlet alpha=0.1", "long-tail", "quantity-skew", "shards"],
        ),
        _ if free => (&["linear", "logistic"], &["sorted", "shards"]),
        _ => (&["linear", "mlp hidden=3"], &["quantity-skew"]),
    };
    let n = 1 + stream.below(12);
    let f = stream.below(n.div_ceil(3) + 1 + usize::from(free)).min(n - 1);
    let f_real = if stream.below(3) == 0 { stream.below(n) } else { f };
    let (rule, network) = judge(stream);
    let filter = varangian_rules::FILTERS.iter().any(|filter| filter.name == rule);
    let mut settings = Settings {
        dataset: data.into(),
        model: pick(stream, models).into(),
        n,
        f,
        f_real: Some(f_real),
        rule,
        network,
        attack: attack(stream),
        hostile: pick(stream, &["last", "first", "random"]).into(),
        partition: or(stream, "iid", partitions),
        sampling: or(stream, "epochs", &["with-replacement", "shared-stream", "epochs last=drop"]),
        batch: [1, 2, 5][stream.below(3)],
        steps: 2 + stream.below(3) as u64,
        test_samples: 5,
        validation: [0, 20, 20, 20][stream.below(4)],
        validation_batch: 5,
        learning_rate: [0.1, 1.0, 1e20][stream.below(3)],
        clip: [f64::INFINITY, 1.0][stream.below(2)],
        local_steps: [1, 1, 3][stream.below(3)],
        weight_decay: [0.0, 0.1][stream.below(2)],
        statistics: pick(stream, &["honest", "all"]).into(),
        seed: 1 + stream.below(1000) as u64,
        ..Settings::default()
    };
    server(stream, &mut settings, filter && !free);
    messages(stream, &mut settings, free);
    settings
}

/// What the server does beside judging: momentum, samples of workers, weights, a study.
fn server(stream: &mut Stream, settings: &mut Settings, filter: bool) {
    settings.momentum = [0.0, 0.9][stream.below(2)];
    settings.dampening = [0.0, 0.0, 0.9][stream.below(3)];
    settings.momentum_at = pick(stream, &["worker", "update"]).into();
    if filter {
        return;
    }
    settings.momentum_at = pick(stream, &["worker", "server", "update"]).into();
    settings.nesterov = stream.below(6) == 0;
    settings.study = [0, 0, 0, 2][stream.below(4)];
    settings.certificate = or(stream, "none", &["fast", "sharp"]);
    settings.weights = or(stream, "equal", &["equal", "samples"]);
    settings.non_finite = or(stream, "refuse-row", &["refuse-row", "skip-round"]);
    let servers = ["sgd", "adam", "yogi", "adagrad", "byzantine-pgd T=3 Q=2 epsilon=1"];
    settings.server_optimiser = or(stream, "sgd", &servers);
    if settings.server_optimiser != "sgd" && stream.below(4) > 0 {
        (settings.momentum, settings.nesterov) = (0.0, false);
    }
    if settings.study == 0 && stream.below(3) == 0 {
        let workers = 1 + stream.below(settings.n);
        settings.participation = format!("sample workers={workers}");
    }
}

/// What workers send.
fn messages(stream: &mut Stream, settings: &mut Settings, free: bool) {
    let signs = ["sign", "sign zero=plus-one", "sign zero=random", "stochastic-sign", "dp-sign"];
    settings.message = or(stream, "vector", &signs);
    if free || settings.message == "vector" {
        let packed = ["none", "top-k", "top-k keep=0.5", "top-k keep=0.5 feedback=false"];
        settings.compression = or(stream, "none", &packed);
    }
}

/// The common text in half of all cases, or one of the others.
fn or(stream: &mut Stream, common: &str, others: &[&str]) -> String {
    if stream.below(2) == 0 { common.into() } else { pick(stream, others).into() }
}

/// A rule with stages around it or a filter, and how messages travel.
fn judge(stream: &mut Stream) -> (String, String) {
    use varangian_rules::{ALL, FILTERS, entry::Family};
    let nets = [
        "network up=(exponential mean=1) deadline=1",
        "network loss=0.9 deadline=2",
        "network crash=0.9 deadline=3",
        "network duplication=0.9 reordering=0.5 deadline=5",
        "network slow=2 silent=1 deadline=2",
        "network slow=20",
        "network silent=3 deadline=1 up=(exponential mean=2)",
    ];
    if stream.below(4) == 0 {
        let filter = FILTERS[stream.below(FILTERS.len())].name.to_owned();
        let network =
            if stream.below(3) == 0 { "uniform max-delay=3" } else { pick(stream, &nets) };
        return (filter, network.to_owned());
    }
    let of = |stream: &mut Stream, family: Family| {
        let all: Vec<&str> =
            ALL.iter().filter(|e| e.facts.family == family).map(|e| e.name).collect();
        pick(stream, &all).to_owned()
    };
    let mut chain = Vec::new();
    if stream.below(3) == 0 {
        chain.push(of(stream, Family::PreAggregation));
    }
    chain.push(of(stream, Family::Rule));
    if stream.below(5) == 0 {
        chain.push(of(stream, Family::MetaAggregation));
    }
    let network = if stream.below(2) == 0 { "" } else { pick(stream, &nets) };
    (chain.join(" | "), network.to_owned())
}

fn attack(stream: &mut Stream) -> String {
    let all = varangian_attacks::ALL;
    match stream.below(8) {
        0 => "none".into(),
        1 => pick(stream, &["worst budget=10", "ipm epsilon=10", "alie z=1.5"]).into(),
        _ => all[stream.below(all.len())].name.into(),
    }
}

fn pick<'a>(stream: &mut Stream, all: &[&'a str]) -> &'a str {
    all[stream.below(all.len())]
}
