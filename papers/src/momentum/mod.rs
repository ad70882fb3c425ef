//! The grid of Distributed Momentum (El-Mhamdi, Guerraoui & Rouault, ICLR 2021, §4) on MNIST-size
//! data: does momentum at the workers beat momentum at the update (of aggregates)?

mod published;
mod statistics;

use varangian_lab::config::{Experiment, Source};
use varangian_lab::plot::{BoxGroup, Picture, boxes};
use varangian_lab::results::{Outcome, Store, judge, median};
use varangian_lab::run::{Events, How};
use varangian_lab::{Failure, text};

/// The grid, and how it is run.
#[derive(Clone, Debug)]
pub struct Grid {
    /// One seed, the larger learning rate, classical momentum where there is: 46 runs instead of
    /// 920.
    pub quick: bool,
    /// What the published code did rather than what the paper says: the profile `reference`.
    pub reference: bool,
    /// Whether the study metrics of every step are gathered.
    pub study: bool,
    /// Replaces the experiment's seeds by one.
    pub seed: Option<u64>,
    /// Changes keys of the experiment, as `steps=100`.
    pub set: Vec<String>,
    /// One of the publication's data sets, as a data set is written.
    pub dataset: String,
    /// The model, as a model is written, where it is not the one that the publication has first.
    pub model: Option<String>,
    /// Folders, threads, shares.
    pub how: How,
}

/// One of the publication's grids: its data sets, its model, its experiment file.
struct Family {
    datasets: &'static [&'static str],
    model: &'static str,
    text: &'static str,
    /// Past mean gradients in the curvature, of a study.
    past: usize,
}

const FAMILIES: &[Family] = &[
    Family {
        datasets: &["mnist", "fashion-mnist"],
        model: "mlp",
        text: include_str!("../../experiments/momentum/mnist.toml"),
        past: 150,
    },
    Family {
        datasets: &["cifar10"],
        model: "empire-cnn",
        text: include_str!("../../experiments/momentum/cifar10.toml"),
        past: 25,
    },
    Family {
        datasets: &["cifar100"],
        model: "empire-cnn",
        text: include_str!("../../experiments/momentum/cifar100.toml"),
        past: 25,
    },
    Family {
        datasets: &["cifar10"],
        model: "wide-resnet",
        text: include_str!("../../experiments/momentum/cifar10-wide-resnet.toml"),
        past: 1,
    },
];

/// The name in front of a specification's parameters.
fn base(spec: &str) -> &str {
    spec.split(' ').next().unwrap_or("")
}

/// A data set of the publication.
///
/// # Errors
/// If the text names another set.
pub fn dataset(text: &str) -> Result<String, String> {
    let known = FAMILIES.iter().any(|family| family.datasets.contains(&base(text)));
    known.then(|| text.to_owned()).ok_or_else(|| {
        "the grids of this publication are on mnist, fashion-mnist, cifar10 and cifar100".into()
    })
}

impl Grid {
    fn family(&self) -> Result<&'static Family, Failure> {
        let own = FAMILIES.iter().filter(|own| own.datasets.contains(&base(&self.dataset)));
        let own: Vec<&Family> = own.collect();
        let wanted = |family: &&&Family| match &self.model {
            Some(model) => base(model) == family.model,
            None => true,
        };
        own.iter().find(wanted).copied().ok_or_else(|| {
            let models: Vec<&str> = own.iter().map(|family| family.model).collect();
            Failure::refused(format!(
                "the publication's models on {} are {}; found \"{}\"",
                base(&self.dataset),
                models.join(", "),
                self.model.as_deref().unwrap_or("")
            ))
        })
    }

    /// The runs of the grid, and how they are run.
    ///
    /// # Errors
    /// If the publication has no such model on such data.
    pub fn experiment(&self) -> Result<Experiment, Failure> {
        let family = self.family()?;
        let mut set = vec![format!("dataset={}", self.dataset)];
        set.extend(self.model.iter().map(|model| format!("model={model}")));
        if self.reference {
            set.push("profile=reference".into());
        }
        if self.study {
            set.push(format!("study={}", family.past));
        }
        set.extend_from_slice(&self.set);
        let seed = self.seed.or(self.quick.then_some(1));
        let source = Source { seed, set, ..Source::default() };
        let name = format!(
            "momentum-{}{}{}{}",
            base(&self.dataset),
            if family.model == "wide-resnet" { "-wide-resnet" } else { "" },
            if self.reference { "-reference" } else { "" },
            if self.quick { "-quick" } else { "" }
        );
        let mut experiment = Experiment::parse(family.text, &name, &source)?;
        if self.quick {
            let runs = &mut experiment.runs;
            let most = runs.iter().map(|own| own.learning_rate).fold(0.0, f64::max);
            let classical = runs.iter().any(|own| !own.nesterov);
            runs.retain(|own| own.learning_rate >= most && (!classical || !own.nesterov));
        }
        Ok(Experiment { name, how: self.how.clone(), ..experiment })
    }

    /// Runs the grid, tells the paper's statistics for best and for last accuracies, draws both:
    /// all settings together, and a picture for each learning rate and kind of momentum.
    ///
    /// # Errors
    /// If runs cannot be done or fail, or the folder cannot be written.
    pub fn run(&self, events: &mut dyn Events) -> Result<(), Failure> {
        let experiment = self.experiment()?;
        let outcomes = experiment.run(events)?;
        let store = Store::open(&experiment.folder())?;
        let mut text = String::new();
        for (what, best) in [("best", true), ("last", false)] {
            let pairs = pairs(&outcomes, best);
            text.push_str(&statistics::statistics(what, &pairs));
            for (file, picture) in overviews(&experiment.name, what, &pairs) {
                picture.write(&store.path(&file))?;
            }
        }
        let (model, best) = (self.family()?.model, pairs(&outcomes, true));
        // The wide network's runs are in an appendix and in none of these counts.
        let claims = published::claims(&best, model == "mlp");
        let claims = if model == "wide-resnet" { String::new() } else { claims };
        let mut sections = vec![claims, cells(&outcomes)];
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

/// An attacked setting with momentum at either place, and its unattacked reference of the same
/// seed.
#[derive(Clone)]
struct Pair {
    /// "f = 24, alie z=1.5".
    group: String,
    /// "classical-lr-0.5": the kind of momentum and the learning rate.
    setting: String,
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
            let kind = if own.nesterov { "nesterov" } else { "classical" };
            let setting = format!("{kind}-lr-{}", own.learning_rate);
            out.push(Pair { group, setting, reference, update: accuracy(outcome, best), worker });
        }
    }
    out
}

/// The pictures and the files that they go to: all settings together, then each alone where there
/// are several.
fn overviews(name: &str, what: &str, pairs: &[Pair]) -> Vec<(String, Picture)> {
    let mut settings: Vec<&str> = pairs.iter().map(|pair| pair.setting.as_str()).collect();
    settings.sort_unstable();
    settings.dedup();
    let mut out = vec![(format!("overview-{what}"), overview(name, what, pairs))];
    for setting in settings.iter().filter(|_| settings.len() > 1) {
        let own: Vec<Pair> = pairs.iter().filter(|p| p.setting == *setting).cloned().collect();
        let title = format!("{name}, {}", setting.replace("-lr-", ", learning rate "));
        out.push((format!("overview-{what}-{setting}"), overview(&title, what, &own)));
    }
    out
}

/// Two boxes an attack and number of hostile workers: momentum at the update, at the workers.
fn overview(name: &str, what: &str, pairs: &[Pair]) -> Picture {
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

    fn grid(dataset: &str, model: Option<&str>) -> Grid {
        let (reference, study, seed, quick, set) = Default::default();
        let (dataset, model) = (dataset.to_owned(), model.map(str::to_owned));
        Grid { quick, reference, study, seed, set, dataset, model, how: How::default() }
    }

    #[test]
    fn only_the_publications_data_and_models_are_taken() {
        for own in ["mnist", "fashion-mnist normalise=none", "cifar10", "cifar100 flip=both"] {
            assert!(dataset(own).is_ok(), "{own}");
        }
        for other in ["glyphs", "mnistx", ""] {
            assert!(dataset(other).is_err(), "{other}");
        }
        let runs = |dataset, model| grid(dataset, model).experiment().map(|own| own.runs.len());
        assert!(runs("cifar10", Some("wide-resnet depth=10 widen=1")).is_ok());
        let error = runs("cifar100", Some("wide-resnet")).err().unwrap().to_string();
        assert!(error.contains("models on cifar100 are empire-cnn"), "{error}");
    }

    #[test]
    fn each_grid_has_the_published_number_of_configurations() {
        // 46 × 4 configurations of one data set, 22 of the wide network; five seeds.
        for (dataset, model, configurations, quick) in [
            ("mnist", None, 46 * 4, 46),
            ("fashion-mnist", Some("mlp"), 46 * 4, 46),
            ("cifar10", None, 46 * 4, 46),
            ("cifar100", None, 46 * 4, 46),
            ("cifar10", Some("wide-resnet"), 22, 22),
        ] {
            let runs = |grid: Grid| grid.experiment().unwrap().runs;
            let all = runs(grid(dataset, model));
            assert_eq!(all.len(), 5 * configurations, "{dataset} {model:?}");
            assert!(all.iter().all(|own| own.dataset == dataset));
            let one = runs(Grid { seed: Some(3), ..grid(dataset, model) });
            assert_eq!((one.len(), one[0].seed), (configurations, 3));
            let short = runs(Grid { quick: true, ..grid(dataset, model) });
            assert_eq!(short.len(), quick, "{dataset} {model:?}");
            assert!(short.iter().all(|own| own.seed == 1));
            // About half hostile, and about a quarter.
            let shares = all.iter().filter(|own| own.f > 0).map(|own| own.f as f64 / own.n as f64);
            assert!(
                shares.into_iter().all(|x| (0.35..0.5).contains(&x) || (0.17..0.25).contains(&x))
            );
            // Every attacked run has its partner and its reference.
            let outcomes: Vec<Outcome> = all
                .iter()
                .map(|own| Outcome { settings: own.clone(), ..Outcome::sample("", "", 1, &[0.5]) })
                .collect();
            let attacked = all.iter().filter(|own| own.attack != "none").count();
            assert_eq!(2 * pairs(&outcomes, true).len(), attacked, "{dataset} {model:?}");
        }
    }

    #[test]
    fn a_box_plot_for_each_rate_and_kind_of_momentum() {
        let pair = |setting: &str, worker| Pair {
            group: "f = 24, alie z=1.5".into(),
            setting: setting.into(),
            reference: 0.95,
            update: 0.5,
            worker,
        };
        let names = |pairs: &[Pair]| -> Vec<String> {
            overviews("m", "best", pairs).into_iter().map(|(file, _)| file).collect()
        };
        let two = [pair("nesterov-lr-0.5", 0.8), pair("classical-lr-0.02", 0.9)];
        let wanted =
            ["overview-best", "overview-best-classical-lr-0.02", "overview-best-nesterov-lr-0.5"];
        assert_eq!(names(&two), wanted);
        assert_eq!(names(&two[..1]), ["overview-best"]);
    }
}
