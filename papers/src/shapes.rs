//! A publication as experiment files, and the shapes that its figures show.

use std::path::{Path, PathBuf};
use varangian_lab::config::{Experiment, Source};
use varangian_lab::results::Outcome;
use varangian_lab::run::{Events, How};
use varangian_lab::{Failure, text};

/// How a publication's experiments are run.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Small models on data that the program draws: minutes instead of days.
    pub quick: bool,
    /// `key=value` pairs that win over the experiment's.
    pub set: Vec<String>,
    /// Replaces the experiment's seeds by one.
    pub seed: Option<u64>,
    /// Folders, threads, shares.
    pub how: How,
}

/// A publication's experiments.
pub struct Publication {
    /// The word after `varangian reproduce`, as a rule or method is called elsewhere.
    pub name: &'static str,
    /// Authors, year and what its experiments show, in a line.
    pub about: &'static str,
    /// The quick form.
    pub(super) quick: &'static str,
    /// The published form.
    pub(super) full: &'static str,
    /// Whether the shapes that the publication shows came out.
    pub(super) judge: fn(&[Outcome]) -> Vec<Shape>,
    /// Further pictures and tables in the results' folder.
    pub(super) more: fn(&Path, &[Outcome], &mut dyn Events) -> Result<(), Failure>,
}

/// A shape that a publication shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// What it says.
    pub claim: String,
    /// What was found.
    pub found: String,
    /// Whether it holds; `None` where the runs that it needs were left out.
    pub holds: Option<bool>,
    /// Whether an undefended run does as well: then the runs tell nothing of the defence.
    pub moot: bool,
}

impl Publication {
    /// The experiment that [`Publication::run`] runs.
    ///
    /// # Errors
    /// If what is set in it is no experiment.
    pub fn experiment(&self, request: &Request) -> Result<Experiment, Failure> {
        let text = if request.quick { self.quick } else { self.full };
        let (set, seed) = (request.set.clone(), request.seed);
        let source = Source { path: PathBuf::new(), set, seed };
        let experiment = Experiment::parse(text, "reproduction", &source)?;
        Ok(Experiment { how: request.how.clone(), ..experiment })
    }

    /// Runs the experiments, tells the shapes as a table, and returns them: those that did not come
    /// out are among them, and [`all_hold`] makes an error of these.
    ///
    /// # Errors
    /// If runs cannot be done or fail.
    pub fn run(&self, request: &Request, events: &mut dyn Events) -> Result<Vec<Shape>, Failure> {
        let experiment = self.experiment(request)?;
        let outcomes = experiment.run(events)?;
        (self.more)(&experiment.folder(), &outcomes, events)?;
        let shapes = (self.judge)(&outcomes);
        events.text(&table(&shapes));
        Ok(shapes)
    }
}

/// Nothing, where each shape came out or its runs were left out.
///
/// # Errors
/// If one did not; how many of how many.
pub fn all_hold(shapes: &[Shape]) -> Result<(), Failure> {
    let failed = shapes.iter().filter(|shape| shape.holds == Some(false)).count();
    match failed {
        0 => Ok(()),
        failed => {
            let text = format!("{failed} of {} shapes did not come out", shapes.len());
            Err(Failure::failed(text))
        }
    }
}

/// What stands under "holds".
fn word(shape: &Shape) -> &'static str {
    match (shape.holds, shape.moot) {
        (Some(true), true) => "no test: undefended does as well",
        (Some(true), false) => "yes",
        (Some(false), _) => "NO",
        (None, _) => "not run",
    }
}

fn table(shapes: &[Shape]) -> String {
    let row = |shape: &Shape| vec![shape.claim.clone(), shape.found.clone(), word(shape).into()];
    let rows: Vec<Vec<String>> = shapes.iter().map(row).collect();
    let table = text::table(&["the publication shows", "found here", "holds"], &rows, &[false; 3]);
    let moot = shapes.iter().any(|shape| shape.moot && shape.holds == Some(true));
    let more = match moot {
        true => {
            "no test: the claim is met, and by the plain mean under the same attack too, so \
                 these runs do not show what the defence is worth\n"
        }
        false => "",
    };
    format!("{table}{more}")
}

/// Nothing beyond what every matrix leaves.
pub(super) fn nothing_more(_: &Path, _: &[Outcome], _: &mut dyn Events) -> Result<(), Failure> {
    Ok(())
}

/// Writes a table to `file` in the results' folder and shows it; its first `words` columns are
/// words and the others numbers.
pub(super) fn show(
    (folder, file): (&Path, &str),
    head: &[&str],
    rows: &[Vec<String>],
    words: usize,
    events: &mut dyn Events,
) -> Result<(), Failure> {
    let right: Vec<bool> = (0..head.len()).map(|k| k >= words).collect();
    let table = text::table(head, rows, &right);
    varangian_lab::files::write(&folder.join(file), table.as_bytes())?;
    events.text(&table);
    Ok(())
}

/// The accuracies of runs at their ends: means of the last three evaluations, and over seeds.
pub(super) struct Ends<'a>(pub(super) &'a [Outcome]);

impl Ends<'_> {
    /// The mean over seeds of all runs of a rule (by the start of its text) and an attack with this
    /// many hostile workers; `None` where there is none.
    pub(super) fn accuracy(&self, rule: &str, attack: &str, hostile: Option<usize>) -> Option<f64> {
        let all: Vec<f64> = self.chosen(rule, attack, hostile).filter_map(end).collect();
        (!all.is_empty()).then(|| all.iter().sum::<f64>() / all.len() as f64)
    }

    fn chosen(
        &self,
        rule: &str,
        attack: &str,
        hostile: Option<usize>,
    ) -> impl Iterator<Item = &Outcome> {
        let is = move |outcome: &&Outcome| {
            let settings = &outcome.settings;
            let named = settings.rule == rule || settings.rule.starts_with(&format!("{rule} "));
            let counted = hostile.is_none_or(|hostile| settings.f_real() == hostile);
            named && settings.attack.starts_with(attack) && counted
        };
        self.0.iter().filter(is)
    }

    /// "zeno × none 81.2 %, …" and whether all were run and `test` holds.
    pub(super) fn shape(
        &self,
        claim: impl Into<String>,
        runs: &[Run<'_>],
        test: impl Fn(&[f64]) -> bool,
    ) -> Shape {
        let found: Vec<Option<f64>> = runs.iter().map(|run| self.of(run)).collect();
        let listed: Vec<String> = runs.iter().zip(&found).map(told).collect();
        let all: Option<Vec<f64>> = found.into_iter().collect();
        let holds = all.map(|all| test(&all));
        Shape { claim: claim.into(), found: listed.join(", "), holds, moot: false }
    }

    /// As [`Ends::shape`] for the claim that a rule is good enough under attack: it is moot where
    /// `plain`, the undefended run, would pass the same test in the rule's place, which is the
    /// first.
    pub(super) fn defended(
        &self,
        claim: impl Into<String>,
        runs: &[Run<'_>],
        plain: Run<'_>,
        test: impl Fn(&[f64]) -> bool,
    ) -> Shape {
        let mut shape = self.shape(claim, runs, &test);
        let undefended = self.of(&plain);
        shape.found = format!("{}; undefended: {}", shape.found, told((&plain, &undefended)));
        let others: Option<Vec<f64>> = runs[1..].iter().map(|run| self.of(run)).collect();
        shape.moot = match (undefended, others) {
            (Some(undefended), Some(others)) => test(&[vec![undefended], others].concat()),
            _ => false,
        };
        shape
    }

    fn of(&self, (rule, attack, hostile): &Run<'_>) -> Option<f64> {
        self.accuracy(rule, attack, *hostile)
    }
}

/// A rule, an attack and how many really attack, if that is told: runs by the start of their texts.
pub(super) type Run<'a> = (&'a str, &'a str, Option<usize>);

/// "median × ipm epsilon=10 11.6 %": each number with the run that it is of.
fn told(((rule, attack, _), found): (&Run<'_>, &Option<f64>)) -> String {
    let attack = attack.trim_end();
    match found {
        Some(found) => format!("{rule} × {attack} {:.1} %", 100.0 * found),
        None => format!("{rule} × {attack} –"),
    }
}

/// The mean of the last three accuracies of a finished run.
pub(super) fn end(outcome: &Outcome) -> Option<f64> {
    let curve = outcome.curve("accuracy");
    let last = &curve[curve.len().saturating_sub(3)..];
    (!last.is_empty()).then(|| last.iter().map(|point| point.1).sum::<f64>() / last.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_experiment_reads_and_every_shape_names_runs_that_it_holds() {
        for publication in crate::ALL.iter().filter(|one| one.name != "bucketing") {
            for text in [publication.quick, publication.full] {
                let experiment = Experiment::parse(text, "x", &Source::default()).unwrap();
                let outcome = |settings: &varangian_lab::config::Settings| {
                    let mut outcome = Outcome::sample("average", "none", 1, &[0.5]);
                    let point = |metric: &str| varangian_lab::results::Point {
                        step: 0,
                        metric: metric.to_owned(),
                        value: 0.1,
                    };
                    let beside = ["optimality_gap", "backdoor_rate", "test_loss"].map(point);
                    outcome.points.extend(beside);
                    outcome.settings = settings.clone();
                    outcome
                };
                let outcomes: Vec<Outcome> = experiment.runs.iter().map(outcome).collect();
                for shape in (publication.judge)(&outcomes) {
                    assert!(shape.holds.is_some(), "{}: {}", experiment.name, shape.claim);
                }
                assert!((publication.judge)(&[]).iter().all(|shape| shape.holds.is_none()));
            }
        }
    }

    #[test]
    fn the_end_of_a_run_is_the_mean_of_three_evaluations() {
        let outcomes = [
            Outcome::sample("zeno b=4", "none", 1, &[0.0, 0.3, 0.6, 0.9]),
            Outcome::sample("zeno++", "none", 1, &[0.1]),
        ];
        let ends = Ends(&outcomes);
        assert!((ends.accuracy("zeno", "none", Some(0)).unwrap() - 0.6).abs() < 1e-12);
        assert_eq!(ends.accuracy("zeno", "none", Some(3)), None);
        let shape =
            ends.shape("claim", &[("zeno", "none", None), ("krum", "none", None)], |_| true);
        let text = "zeno × none 60.0 %, krum × none –";
        assert_eq!((shape.found.as_str(), shape.holds), (text, None));
    }

    #[test]
    fn a_defence_that_is_no_better_than_none_proves_nothing() {
        let runs = |undefended: f64| {
            [
                Outcome::sample("average", "none", 1, &[0.9]),
                Outcome::sample("safeguard", "zero", 1, &[0.88]),
                Outcome::sample("average", "zero", 1, &[undefended]),
            ]
        };
        let told = |outcomes: &[Outcome]| {
            let near = |a: &[f64]| a[0] > a[1] - 0.05;
            let (rule, ideal) = (("safeguard", "zero", None), ("average", "none", None));
            let plain = ("average", "zero", None);
            let shape = Ends(outcomes).defended("near", &[rule, ideal], plain, near);
            (word(&shape), table(&[shape]))
        };
        let (word, text) = told(&runs(0.3));
        assert!(word == "yes" && !text.contains("no test"), "{text}");
        assert!(text.contains("undefended: average × zero 30.0 %"), "{text}");
        let (word, text) = told(&runs(0.87));
        assert!(
            word.starts_with("no test") && text.contains("what the defence is worth"),
            "{text}"
        );
        let (word, _) = told(&runs(0.87)[..1]);
        assert_eq!(word, "not run");
    }
}
