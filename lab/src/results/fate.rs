//! What broke in a run, defined once: tables, pages, pictures and `--json` say it in these words.

use super::Outcome;

/// How far below its best an accuracy may end before the run counts as collapsed, and how far above
/// its start it must get to have learnt: 5 points.
const POINTS: f64 = 0.05;
/// An accuracy from here on counts as learnt wherever it started.
const HIGH: f64 = 0.95;
/// A loss has learnt below this share of its start.
const FALL: f64 = 0.95;
/// A loss that ends above this many times its start has diverged.
const TIMES: f64 = 1000.0;

/// What broke in a run. The default: nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fate {
    /// It ended far below its own best: see `DEFINITIONS`.
    pub collapsed: bool,
    /// It ended at a loss without bounds: see `DEFINITIONS`.
    pub diverged: bool,
    /// It never got above its untrained start: see `DEFINITIONS`.
    pub never_learnt: bool,
    /// Steps that the server did not take.
    pub skipped: u64,
    /// Steps of the run.
    pub steps: u64,
}

/// Mark, word and meaning of each thing that breaks.
pub const DEFINITIONS: [(char, &str, &str); 4] = [
    (
        'c',
        "collapsed",
        "ended more than 5 points of accuracy below its best (without accuracy: at a loss above \
         that of the untrained start, after it had been 5 % below)",
    ),
    (
        'd',
        "diverged",
        "ended at a loss that is not finite (NaN or infinite), or above 1000 times that of the start",
    ),
    (
        'n',
        "never learnt",
        "no evaluation was more than 5 points of accuracy above the untrained start, or at 95 % \
         (without accuracy: no loss was 5 % below the start's); runs with a given start are not \
         judged so",
    ),
    ('s', "skipped", "the server took no step, as too few rows were left for the rule"),
];

impl Fate {
    /// What broke in a run, by its accuracy, or by its test loss where there is none.
    pub fn of(outcome: &Outcome) -> Self {
        let (accuracy, loss) = (outcome.curve("accuracy"), outcome.curve("test_loss"));
        let train = outcome.curve("train_loss");
        let skipped = outcome.curve("skipped_steps").last().map_or(0, |point| point.1 as u64);
        let end = |curve: &[(u64, f64)]| curve.last().map(|point| point.1);
        let gone = |x: Option<f64>| x.is_some_and(|x| !x.is_finite());
        let grown = end(&loss)
            .zip(start(&loss))
            .is_some_and(|(end, start)| start.is_finite() && start > 0.0 && end > TIMES * start);
        let learnt = match accuracy.is_empty() {
            true => learnt(&loss, |start, value| value < FALL * start),
            false => learnt(&accuracy, |start, value| value > start + POINTS || value >= HIGH),
        };
        let collapsed = match accuracy.is_empty() {
            true => learnt == Some(true) && end(&loss) > start(&loss),
            false => {
                let best = accuracy.iter().map(|point| point.1).fold(f64::NEG_INFINITY, f64::max);
                end(&accuracy).is_some_and(|end| best - end > POINTS)
            }
        };
        Fate {
            collapsed,
            diverged: grown || [&accuracy, &loss, &train].into_iter().any(|curve| gone(end(curve))),
            never_learnt: learnt == Some(false) && outcome.settings.start.is_empty(),
            skipped,
            steps: outcome.settings.steps,
        }
    }

    /// Whether each of `DEFINITIONS` holds, in their order.
    pub fn flags(&self) -> [bool; 4] {
        [self.collapsed, self.diverged, self.never_learnt, self.skipped > 0]
    }
}

/// The value before the first step.
fn start(curve: &[(u64, f64)]) -> Option<f64> {
    curve.first().filter(|point| point.0 == 0).map(|point| point.1)
}

/// Whether any later value is better than the start by the test; nothing without a start.
fn learnt(curve: &[(u64, f64)], is_better: impl Fn(f64, f64) -> bool) -> Option<bool> {
    let start = start(curve)?;
    Some(curve[1..].iter().any(|point| is_better(start, point.1)))
}

/// "!cd": the marks of what broke in any of these runs; empty where nothing did.
pub fn marks(fates: &[Fate]) -> String {
    let holds = |k: usize| fates.iter().any(|fate| fate.flags()[k]);
    let marks: String =
        DEFINITIONS.iter().enumerate().filter(|(k, _)| holds(*k)).map(|(_, one)| one.0).collect();
    if marks.is_empty() { marks } else { format!("!{marks}") }
}

/// "2 of 3 diverged, skipped 60 of 180 steps": what broke in these runs; "-" where nothing did.
pub fn told(fates: &[Fate]) -> String {
    let mut out = Vec::new();
    for (k, (_, word, _)) in DEFINITIONS.iter().enumerate().take(3) {
        let count = fates.iter().filter(|fate| fate.flags()[k]).count();
        if count > 0 {
            out.push(format!("{count} of {} {word}", fates.len()));
        }
    }
    let skipped: u64 = fates.iter().map(|fate| fate.skipped).sum();
    if skipped > 0 {
        let steps: u64 = fates.iter().map(|fate| fate.steps).sum();
        out.push(format!("skipped {skipped} of {steps} steps"));
    }
    if out.is_empty() { "-".into() } else { out.join(", ") }
}

/// A line for each mark that these runs have: what it means.
pub fn meanings(fates: &[Fate]) -> Vec<String> {
    let marks = marks(fates);
    let own = DEFINITIONS.iter().filter(|one| marks.contains(one.0));
    own.map(|(mark, word, meaning)| format!("!{mark} {word}: {meaning}")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Point;
    use super::*;

    fn with(metric: &str, values: &[f64]) -> Outcome {
        let mut outcome = Outcome::sample("krum", "none", 1, values);
        outcome.points.iter_mut().for_each(|point| point.metric = metric.into());
        outcome
    }

    fn words(outcome: &Outcome) -> String {
        told(&[Fate::of(outcome)])
    }

    #[test]
    fn each_word_is_said_where_its_definition_holds_and_nowhere_else() {
        let accuracy = |values: &[f64]| words(&with("accuracy", values));
        let loss = |values: &[f64]| words(&with("test_loss", values));
        assert_eq!(accuracy(&[0.1, 0.9, 0.87]), "-");
        assert_eq!(accuracy(&[0.1, 0.9, 0.84]), "1 of 1 collapsed");
        assert_eq!(accuracy(&[0.104, 0.1, 0.14]), "1 of 1 never learnt");
        assert_eq!(accuracy(&[0.94, 0.96]), "-");
        assert_eq!(accuracy(&[0.1, 0.9, f64::NAN]), "1 of 1 diverged");
        assert_eq!(loss(&[2.0, 1.0, 0.5]), "-");
        assert_eq!(loss(&[2.0, 1.0, 2.5]), "1 of 1 collapsed");
        assert_eq!(loss(&[2.0, 1.95]), "1 of 1 never learnt");
        assert_eq!(loss(&[2e20, 1e73]), "1 of 1 diverged, 1 of 1 never learnt");
        assert_eq!(loss(&[2.0, 0.1, f64::INFINITY]), "1 of 1 collapsed, 1 of 1 diverged");
        // A given start may be as good as it gets; a loss that was never small has not diverged.
        let mut given = with("accuracy", &[0.9, 0.91]);
        given.settings.start = "state.safetensors".into();
        assert_eq!(words(&given), "-");
    }

    #[test]
    fn skipped_steps_are_counted_and_every_mark_has_its_meaning() {
        let mut outcome = with("accuracy", &[0.5, 0.5]);
        outcome.settings.steps = 60;
        outcome.points.push(Point { step: 60, metric: "skipped_steps".into(), value: 60.0 });
        let fates = [Fate::of(&outcome), Fate::default()];
        assert_eq!(told(&fates), "1 of 2 never learnt, skipped 60 of 60 steps");
        assert_eq!(marks(&fates), "!ns");
        assert_eq!(meanings(&fates).len(), 2);
        assert!(meanings(&fates)[0].starts_with("!n never learnt: "));
    }
}
