//! The grid of Distributed Momentum (El-Mhamdi, Guerraoui & Rouault, ICLR 2021, §4) on MNIST-size
//! data: does momentum at the workers beat momentum at the server?

use crate::config::{Experiment, Source};
use crate::plot::{BoxGroup, boxes};
use crate::results::{Outcome, Store, judge, median};
use crate::run::{How, execute};
use crate::{Failure, print};
use std::path::PathBuf;

/// Arguments of `varangian reproduce momentum`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// One seed, learning rate 0.5, classical momentum: 46 runs instead of 920
    #[arg(long)]
    quick: bool,
    /// What the published code did rather than what the paper says: clipping to norm 1, the squared
    /// coefficient of the penalty, unsquared Krum scores, the lower median, Bulyan without
    /// rescoring
    #[arg(long)]
    reference: bool,
    /// The data set: mnist or fashion-mnist
    #[arg(long, default_value = "mnist")]
    dataset: String,
    #[command(flatten)]
    how: How,
}

/// Runs the grid, prints the paper's statistics for best and for last accuracies, draws both.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let name = format!(
        "momentum-{}{}{}",
        args.dataset.split(' ').next().unwrap_or("data"),
        if args.reference { "-reference" } else { "" },
        if args.quick { "-quick" } else { "" }
    );
    let experiment = Experiment::parse(&grid(args), &name, &Source::default())?;
    let outcomes = execute(&experiment, &args.how)?;
    let folder = args.how.out.clone().unwrap_or_else(|| PathBuf::from("runs").join(&name));
    let store = Store::open(&folder)?;
    let mut text = String::new();
    for (what, best) in [("best", true), ("last", false)] {
        let pairs = pairs(&outcomes, best);
        text.push_str(&statistics(what, &pairs));
        overview(&name, what, &pairs).write(&store.path(&format!("overview-{what}")))?;
    }
    text.push_str(&cells(&outcomes));
    store.write("statistics.txt", text.as_bytes())?;
    if !args.how.quiet {
        print::line(&text);
    }
    Ok(())
}

/// The experiment as a file would say it.
fn grid(args: &Args) -> String {
    let (seeds, rates, nesterov) = match args.quick {
        true => ("[1]", "[0.5]", "[false]"),
        false => ("[1, 2, 3, 4, 5]", "[0.5, 0.02]", "[false, true]"),
    };
    let (krum, median, bulyan, clip_mode, regulariser) = match args.reference {
        true => (
            "multi-krum variant=distributed-momentum",
            "median middle=lower",
            "bulyan variant=reference",
            "unit",
            "reference-norm",
        ),
        false => ("multi-krum", "median", "bulyan", "rescale", "norm"),
    };
    let rules = format!("\"{krum}\", \"{median}\", \"trimmed-mean\", \"phocas\", \"meamed\"");
    let dataset = &args.dataset;
    let mut text = format!(
        "dataset = \"{dataset}\"\nmodel = \"mlp\"\nsampling = \"shared-stream\"\nbatch = 83\n\
         steps = 300\nevaluate_every = 5\nmomentum = 0.9\nclip = 2\nclip_mode = \"{clip_mode}\"\n\
         regulariser = \"{regulariser}\"\nregularise = 1e-4\nlearning_rate = {rates}\n\
         nesterov = {nesterov}\nseed = {seeds}\n"
    );
    for (f, more) in [(24, String::new()), (12, format!(", \"{bulyan}\""))] {
        text.push_str(&format!(
            "[[run]]\nn = {}\nrule = \"average\"\nmomentum_at = \"update\"\n\
             [[run]]\nn = 51\nf = {f}\nrule = [{rules}{more}]\n\
             attack = [\"alie z=1.5\", \"empire factor=1.1\"]\n\
             momentum_at = [\"update\", \"worker\"]\n",
            51 - f
        ));
    }
    text
}

/// An attacked setting with momentum at either place, and its unattacked reference of the same
/// seed.
struct Pair {
    /// "f = 24, alie z=1.5".
    group: String,
    reference: f64,
    update: f64,
    worker: f64,
}

/// Best or last accuracy of an outcome.
fn accuracy(outcome: &Outcome, best: bool) -> f64 {
    let curve: Vec<f64> = outcome.curve("accuracy").iter().map(|point| point.1).collect();
    judge(&curve, true).map_or(f64::NAN, |judged| if best { judged.best } else { judged.last })
}

fn pairs(outcomes: &[Outcome], best: bool) -> Vec<Pair> {
    let find = |wanted: &dyn Fn(&Outcome) -> bool| {
        outcomes.iter().find(|outcome| wanted(outcome)).map(|outcome| accuracy(outcome, best))
    };
    let mut out = Vec::new();
    for outcome in outcomes {
        let own = &outcome.settings;
        if own.attack == "none" || own.momentum_at != "update" {
            continue;
        }
        let like = |other: &Outcome| {
            let other = &other.settings;
            (other.seed, other.nesterov) == (own.seed, own.nesterov)
                && other.learning_rate.total_cmp(&own.learning_rate).is_eq()
        };
        let reference = find(&|other| {
            like(other) && other.settings.attack == "none" && other.settings.n == own.n - own.f
        });
        let worker = find(&|other| {
            let o = &other.settings;
            like(other)
                && (&o.rule, &o.attack, o.f) == (&own.rule, &own.attack, own.f)
                && o.momentum_at == "worker"
        });
        if let (Some(reference), Some(worker)) = (reference, worker) {
            let group = format!("f = {}, {}", own.f, own.attack);
            out.push(Pair { group, reference, update: accuracy(outcome, best), worker });
        }
    }
    out
}

/// What the reference's script prints, for all pairs and by number of hostile workers.
fn statistics(what: &str, pairs: &[Pair]) -> String {
    let header = [
        what,
        "pairs",
        "loss>.1",
        ">.2",
        ">.4",
        "then gain>.1",
        ">.2",
        ">.4",
        "gain<0",
        "<-.02",
        "<-.05",
        "mean gain",
    ];
    let mut rows = Vec::new();
    for subset in ["", "f = 24", "f = 12"] {
        let of: Vec<&Pair> = pairs.iter().filter(|pair| pair.group.starts_with(subset)).collect();
        let count = |holds: &dyn Fn(&Pair) -> bool| {
            of.iter().filter(|pair| holds(pair)).count().to_string()
        };
        let loss = |pair: &Pair| pair.reference - pair.update;
        let gain = |pair: &Pair| pair.worker - pair.update;
        let mut row = vec![if subset.is_empty() { "all".into() } else { subset.to_owned() }];
        row.push(of.len().to_string());
        [0.1, 0.2, 0.4].iter().for_each(|&x| row.push(count(&|pair| loss(pair) > x)));
        let both = |pair: &Pair, x: f64| loss(pair) > x && gain(pair) > x;
        [0.1, 0.2, 0.4].iter().for_each(|&x| row.push(count(&|pair| both(pair, x))));
        [0.0, -0.02, -0.05].iter().for_each(|&x| row.push(count(&|pair| gain(pair) < x)));
        let gains: Vec<f64> = of.iter().map(|pair| gain(pair)).collect();
        row.push(format!("{:+.3}", crate::results::mean(&gains)));
        rows.push(row);
    }
    let right: Vec<bool> = (0..header.len()).map(|k| k > 0).collect();
    format!("{}\n", print::table(&header, &rows, &right))
}

/// Two boxes a setting: momentum at the server, at the workers.
fn overview(name: &str, what: &str, pairs: &[Pair]) -> crate::plot::Picture {
    let mut groups: Vec<&str> = pairs.iter().map(|pair| pair.group.as_str()).collect();
    groups.sort_unstable();
    groups.dedup();
    let mut out = Vec::new();
    for group in groups {
        for (place, of) in [("server", 0), ("workers", 1)] {
            let own = pairs.iter().filter(|pair| pair.group == group);
            let values = own.map(|pair| if of == 0 { pair.update } else { pair.worker }).collect();
            out.push(BoxGroup { label: format!("{group}, {place}"), values });
        }
    }
    let reference = median(&pairs.iter().map(|pair| pair.reference).collect::<Vec<_>>());
    let title = format!("{name}: {what} accuracy, momentum at the server and at the workers");
    let y_label = format!("{what} accuracy");
    boxes(&title, &y_label, out, Some((reference, "median without attack")))
}

/// Best (last) accuracy, update -> worker, rules by settings: medians over seeds.
fn cells(outcomes: &[Outcome]) -> String {
    let attacked = || outcomes.iter().filter(|outcome| outcome.settings.attack != "none");
    let column = |outcome: &Outcome| {
        let own = &outcome.settings;
        format!("f={} {}", own.f, own.attack)
    };
    let line = |outcome: &Outcome| {
        let own = &outcome.settings;
        let nesterov = if own.nesterov { ", nesterov" } else { "" };
        format!("{}, lr {}{nesterov}", own.rule, own.learning_rate)
    };
    let (mut lines, mut columns) = (Vec::new(), Vec::new());
    for outcome in attacked() {
        crate::results::place(&mut lines, &line(outcome));
        crate::results::place(&mut columns, &column(outcome));
    }
    let cell = |row: &str, head: &str, place: &str| {
        let own: Vec<&Outcome> = attacked()
            .filter(|o| line(o) == row && column(o) == head && o.settings.momentum_at == place)
            .collect();
        let of = |best| median(&own.iter().map(|o| accuracy(o, best)).collect::<Vec<_>>());
        (!own.is_empty()).then(|| format!("{:.3} ({:.3})", of(true), of(false)))
    };
    let rows: Vec<Vec<String>> = lines
        .iter()
        .map(|row| {
            let pair = |head: &String| match (cell(row, head, "update"), cell(row, head, "worker"))
            {
                (Some(update), Some(worker)) => format!("{update} -> {worker}"),
                _ => String::new(),
            };
            std::iter::once(row.clone()).chain(columns.iter().map(pair)).collect()
        })
        .collect();
    let mut header = vec!["best (last), update -> worker"];
    header.extend(columns.iter().map(String::as_str));
    let mut text = print::table(&header, &rows, &vec![false; header.len()]);
    for outcome in outcomes.iter().filter(|o| o.settings.attack == "none" && o.settings.seed == 1) {
        let (own, best) = (&outcome.settings, accuracy(outcome, true));
        let nesterov = if own.nesterov { ", nesterov" } else { "" };
        let (n, rate) = (own.n, own.learning_rate);
        text.push_str(&format!("no attack, average of n = {n}, lr {rate}{nesterov}: {best:.3}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(quick: bool) -> Args {
        let how = How {
            data: None,
            out: None,
            threads: None,
            jobs: None,
            shard: None,
            checkpoint_every: 60.0,
            quiet: true,
        };
        Args { quick, reference: false, dataset: "mnist".into(), how }
    }

    #[test]
    fn the_grid_has_the_published_number_of_configurations() {
        let runs = |quick| {
            Experiment::parse(&grid(&args(quick)), "m", &Source::default()).unwrap().runs.len()
        };
        // 46 × 4 configurations of one data set, five seeds.
        assert_eq!((runs(true), runs(false)), (46, 46 * 4 * 5));
    }

    #[test]
    fn statistics_count_losses_and_gains() {
        let pair = |update, worker| Pair {
            group: "f = 24, alie z=1.5".into(),
            reference: 0.95,
            update,
            worker,
        };
        let text = statistics("best", &[pair(0.5, 0.9), pair(0.94, 0.90), pair(0.8, 0.91)]);
        let all: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(all[..11], ["all", "3", "2", "1", "1", "2", "1", "0", "1", "1", "0"]);
    }
}
