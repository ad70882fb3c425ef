//! Draws whole configurations and runs each for a few steps in this process.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};
use varangian_base::{Domain, Seed, Stream};
use varangian_lab::config::Settings;
use varangian_lab::run::{Course, Shelf};
use varangian_sim::lockstep::Lockstep;
use varangian_sim::rounds::Rounds;
use varangian_sim::swarm::Swarm;

/// A case that takes longer than this counts as one that hangs.
const LIMIT: Duration = Duration::from_secs(30);

/// What became of a number of cases.
#[derive(Default)]
pub(crate) struct Counts {
    /// Refused before the first step.
    pub(crate) refused: u64,
    /// Run to their last step.
    pub(crate) run: u64,
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
            Ok(Ok(true)) => counts.run += 1,
            Ok(Ok(false)) => counts.refused += 1,
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

/// Whether it was run; an error where it was found wrong only after it had been accepted.
fn one(shelf: &Shelf, settings: &Settings) -> Result<bool, String> {
    let Ok(course) = shelf.course(settings) else { return Ok(false) };
    let late = |error: varangian_base::SpecError| format!("refused late: {error}");
    match course {
        Course::Lockstep(plan) => {
            let mut run = Lockstep::new(*plan).map_err(late)?;
            (0..settings.steps).for_each(|_| drop(run.step()));
            run.evaluate();
        }
        Course::Rounds(plan, network) => {
            let mut run = Rounds::new(*plan, network).map_err(late)?;
            (0..settings.steps).for_each(|_| drop(run.step()));
            run.evaluate();
        }
        Course::Swarm(plan) => {
            // The command sets an asynchronous run up before the first run starts.
            let Ok(mut run) = Swarm::new(*plan) else { return Ok(false) };
            let arrivals = settings.steps * settings.n as u64;
            (0..arrivals).for_each(|_| {
                run.step();
            });
            run.evaluate();
        }
    }
    Ok(true)
}

/// The settings of one case.
pub(crate) fn draw(stream: &mut Stream) -> Settings {
    let data = pick(stream, &["logreg", "linreg"]);
    let models: &[&str] = match data {
        "logreg" => &["linear", "logistic", "mlp hidden=3"],
        _ => &["linear", "mlp hidden=3"],
    };
    let n = 1 + stream.below(9);
    let f = stream.below(n.div_ceil(2) + 1).min(n - 1);
    let f_real = if stream.below(3) == 0 { stream.below(n) } else { f };
    let (rule, network) = judge(stream);
    let text = |stream: &mut Stream, common: &str, others: &[&str]| -> String {
        if stream.below(2) == 0 { common.into() } else { pick(stream, others).into() }
    };
    Settings {
        dataset: data.into(),
        model: pick(stream, models).into(),
        n,
        f,
        f_real: Some(f_real),
        rule,
        network,
        attack: attack(stream),
        hostile: pick(stream, &["last", "first", "random"]).into(),
        partition: text(
            stream,
            "iid",
            &["sorted", "dirichlet alpha=0.1", "long-tail", "quantity-skew", "shards"],
        ),
        sampling: text(
            stream,
            "epochs",
            &["with-replacement", "shared-stream", "epochs last=drop"],
        ),
        batch: [1, 2, 5][stream.below(3)],
        steps: 2 + stream.below(3) as u64,
        evaluate_every: 1,
        test_samples: 5,
        validation: [0, 20, 20][stream.below(3)],
        validation_batch: 5,
        learning_rate: [0.1, 1.0, 1e20][stream.below(3)],
        momentum: [0.0, 0.9][stream.below(2)],
        momentum_at: pick(stream, &["worker", "worker", "server", "update"]).into(),
        nesterov: stream.below(6) == 0,
        dampening: [0.0, 0.0, 0.9][stream.below(3)],
        clip: [f64::INFINITY, 1.0][stream.below(2)],
        message: text(
            stream,
            "vector",
            &["sign", "sign zero=plus-one", "sign zero=abstain", "stochastic-sign"],
        ),
        local_steps: [1, 1, 3][stream.below(3)],
        compression: text(stream, "none", &["none", "top-k", "top-k share=0.5"]),
        participation: text(
            stream,
            "all",
            &["all", "all", "sample workers=1", "sample workers=3", "sample workers=5 f=1"],
        ),
        weights: text(stream, "equal", &["equal", "samples"]),
        server_optimiser: text(stream, "sgd", &["sgd", "adam", "yogi", "adagrad"]),
        weight_decay: [0.0, 0.1][stream.below(2)],
        statistics: pick(stream, &["honest", "all"]).into(),
        study: [0, 0, 0, 2][stream.below(4)],
        seed: 1 + stream.below(1000) as u64,
        data_seed: 1,
        ..Settings::default()
    }
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
        1 => pick(stream, &["worst evaluations=10", "ipm epsilon=10", "alie z=1.5"]).into(),
        _ => all[stream.below(all.len())].name.into(),
    }
}

fn pick<'a>(stream: &mut Stream, all: &[&'a str]) -> &'a str {
    all[stream.below(all.len())]
}
