//! The grid of Distributed Momentum (El-Mhamdi, Guerraoui & Rouault, ICLR 2021, §4) on MNIST-size
//! data: does momentum at the workers beat momentum at the update (of aggregates)?

mod published;
mod statistics;

use varangian_lab::config::{Experiment, Source};
use varangian_lab::plot::{BoxGroup, boxes};
use varangian_lab::results::{Outcome, Store, judge, median};
use varangian_lab::run::{Events, How};
use varangian_lab::{Failure, text};

/// The grid, and how it is run.
#[derive(Clone, Debug)]
pub struct Grid {
    /// One seed, learning rate 0.5, classical momentum: 46 runs instead of 920.
    pub quick: bool,
    /// What the published code did rather than what the paper says: the profile `reference`.
    pub reference: bool,
    /// Whether the study metrics of every step are gathered.
    pub study: bool,
    /// Replaces the experiment's seeds by one.
    pub seed: Option<u64>,
    /// `mnist` or `fashion-mnist`, as a data set is written.
    pub dataset: String,
    /// Folders, threads, shares.
    pub how: How,
}

/// A data set of the paper's fully connected network. Its runs on CIFAR have convolutional ones and
/// other n, f and steps: the same grid would be no publication's.
///
/// # Errors
/// If the text names another set.
pub fn dataset(text: &str) -> Result<String, String> {
    match text.split(' ').next() {
        Some("mnist" | "fashion-mnist") => Ok(text.to_owned()),
        _ => Err("this grid is that of the fully connected network: mnist or fashion-mnist".into()),
    }
}

impl Grid {
    /// Runs the grid, tells the paper's statistics for best and for last accuracies, draws both.
    ///
    /// # Errors
    /// If runs cannot be done or fail, or the folder cannot be written.
    pub fn run(&self, events: &mut dyn Events) -> Result<(), Failure> {
        let name = format!(
            "momentum-{}{}{}",
            self.dataset.split(' ').next().unwrap_or("data"),
            if self.reference { "-reference" } else { "" },
            if self.quick { "-quick" } else { "" }
        );
        let source = Source { seed: self.seed, ..Source::default() };
        let experiment = Experiment::parse(&grid(self), &name, &source)?;
        let experiment = Experiment { how: self.how.clone(), ..experiment };
        let outcomes = experiment.run(events)?;
        let store = Store::open(&experiment.folder())?;
        let mut text = String::new();
        for (what, best) in [("best", true), ("last", false)] {
            let pairs = pairs(&outcomes, best);
            text.push_str(&statistics::statistics(what, &pairs));
            overview(&name, what, &pairs).write(&store.path(&format!("overview-{what}")))?;
        }
        let mut sections = vec![published::claims(&pairs(&outcomes, true)), cells(&outcomes)];
        if self.dataset.starts_with("mnist") {
            sections.push(published::beside(&outcomes));
        }
        sections.push(statistics::resilient_steps(&outcomes));
        for section in sections.iter().filter(|section| !section.is_empty()) {
            text.push_str(&format!("{section}\n"));
        }
        store.write("statistics.txt", text.as_bytes())?;
        events.text(&text);
        Ok(())
    }
}

/// The experiment as a file would say it.
fn grid(args: &Grid) -> String {
    let (seeds, rates, nesterov) = match args.quick {
        true => ("[1]", "[0.5]", "[false]"),
        false => ("[1, 2, 3, 4, 5]", "[0.5, 0.02]", "[false, true]"),
    };
    let profile = if args.reference { "reference" } else { "correct" };
    let study = if args.study { 150 } else { 0 };
    let rules = "\"multi-krum\", \"median\", \"trimmed-mean\", \"phocas\", \"meamed\"";
    let dataset = &args.dataset;
    let mut text = format!(
        "dataset = \"{dataset}\"\nmodel = \"mlp\"\nsampling = \"shared-stream\"\nbatch = 83\n\
         steps = 300\nevaluate_every = 5\nmomentum = 0.9\nclip = 2\nprofile = \"{profile}\"\n\
         study = {study}\nregulariser = \"norm\"\nregularise = 1e-4\nlearning_rate = {rates}\n\
         nesterov = {nesterov}\nseed = {seeds}\n"
    );
    for (f, more) in [(24, ""), (12, ", \"bulyan\"")] {
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
    judge(&outcome.curve("accuracy"), true)
        .map_or(f64::NAN, |judged| if best { judged.best } else { judged.last })
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

/// Two boxes a setting: momentum at the update, at the workers.
fn overview(name: &str, what: &str, pairs: &[Pair]) -> varangian_lab::plot::Picture {
    let mut groups: Vec<&str> = pairs.iter().map(|pair| pair.group.as_str()).collect();
    groups.sort_unstable();
    groups.dedup();
    let mut out = Vec::new();
    for group in groups {
        for (place, of) in [("update", 0), ("workers", 1)] {
            let own = pairs.iter().filter(|pair| pair.group == group);
            let values = own.map(|pair| if of == 0 { pair.update } else { pair.worker }).collect();
            out.push(BoxGroup { label: format!("{group}, {place}"), line: of, values });
        }
    }
    let reference = median(&pairs.iter().map(|pair| pair.reference).collect::<Vec<_>>());
    let title = format!("{name}: {what} accuracy, momentum at the update and at the workers");
    let y_label = format!("{what} accuracy");
    boxes(&title, &y_label, out, Some((reference, "no attack, median")), Vec::new())
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
        varangian_lab::results::place(&mut lines, &line(outcome));
        varangian_lab::results::place(&mut columns, &column(outcome));
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
    let mut text = text::table(&header, &rows, &vec![false; header.len()]);
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

    fn args(quick: bool) -> Grid {
        let (reference, study, seed) = (false, false, None);
        Grid { quick, reference, study, seed, dataset: "mnist".into(), how: How::default() }
    }

    #[test]
    fn only_the_data_of_the_papers_dense_network_are_taken() {
        assert!(dataset("mnist").is_ok() && dataset("fashion-mnist normalise=none").is_ok());
        for other in ["cifar10", "cifar100 flip=both", "glyphs", "mnistx", ""] {
            assert!(dataset(other).is_err(), "{other}");
        }
    }

    #[test]
    fn the_grid_has_the_published_number_of_configurations() {
        let runs = |quick| {
            Experiment::parse(&grid(&args(quick)), "m", &Source::default()).unwrap().runs.len()
        };
        // 46 × 4 configurations of one data set, five seeds.
        assert_eq!((runs(true), runs(false)), (46, 46 * 4 * 5));
    }
}
