//! `varangian results DIR`: filter, group and judge the runs of a folder.

mod across;
mod answer;
mod breakdown;

use crate::{Failure, print};
use answer::{Answer, Field};
use std::path::PathBuf;
use varangian_base::SpecError;
use varangian_lab::config::{KEYS, Settings};
use varangian_lab::results::{Cell, Fate, Interval, Outcome, Store, Sweep, fate, judge, median};

/// Arguments of `varangian results`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A folder of results
    folder: PathBuf,
    /// Only runs whose key has this value
    #[arg(long = "where", value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// One line for each combination of these keys
    #[arg(long, value_name = "KEYS", value_delimiter = ',', default_value = "rule,attack")]
    by: Vec<String>,
    /// Fold a key into columns: the mean of the last ten evaluations under each of its values
    #[arg(long, value_name = "KEY", conflicts_with = "breakdown")]
    across: Option<String>,
    /// The metric that is judged; auto: accuracy, or test_loss where there are no classes
    #[arg(long, default_value = "auto")]
    metric: String,
    /// The accuracy, above 0 and up to 1, of "steps to": the median over seeds of the step that
    /// reaches it
    #[arg(long, value_name = "SHARE", default_value_t = 0.9, value_parser = share)]
    reach: f64,
    /// For each rule and setting, the most attackers under which it stays within 5 points of no
    /// attack, worst case over attacks
    #[arg(long)]
    breakdown: bool,
    /// Print CSV
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Print JSON: lines, and what the words in them mean
    #[arg(long)]
    json: bool,
}

/// Reads a share above 0 and up to 1.
fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if share > 0.0 && share <= 1.0 => Ok(share),
        _ => Err("an accuracy is above 0 and at most 1: 0.9 is 90 %".into()),
    }
}

/// One line of the answer.
struct Line {
    names: Vec<String>,
    cell: Cell,
    /// The settings of its runs.
    runs: Vec<Settings>,
    seconds: f64,
    /// The step at which each run first reached the wanted accuracy; infinite where it never did.
    reached: Vec<f64>,
}

/// Answers a query.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let store = Store::open(&args.folder)?;
    let kept = store.kept()?;
    let missing = kept.missing();
    let outcomes = filtered(kept.outcomes, &args.filter)?;
    args.by.iter().chain(&args.across).try_for_each(|key| known(key))?;
    let table = match args.breakdown {
        true => breakdown::table(&outcomes, &Sweep::kept(&store, &outcomes), missing)?,
        false => judged(args, &outcomes, missing)?,
    };
    let text = table.text(args.csv, args.json);
    match args.csv || args.json {
        true => print::line(text.trim_end()),
        false => print::told(text.trim_end()),
    }
    if args.csv {
        table.notes.iter().for_each(|note| print::note(note));
    }
    Ok(())
}

/// Last, tail and best of the metric, a line for each combination of the keys.
fn judged(args: &Args, outcomes: &[Outcome], missing: Option<String>) -> Result<Answer, Failure> {
    let metric = match args.metric.as_str() {
        "auto" if outcomes.iter().all(|outcome| outcome.curve("accuracy").is_empty()) => {
            "test_loss"
        }
        "auto" => "accuracy",
        given => given,
    };
    // What is folded into columns is a key of its own, and the last one.
    let across = args.across.as_ref();
    let by = args.by.iter().filter(|key| across != Some(*key)).chain(across);
    let lines = grouped(outcomes, &by.cloned().collect::<Vec<_>>(), metric, args.reach);
    if lines.iter().all(|line| line.cell.seeds.is_empty()) {
        return Err(unmeasured(outcomes, metric));
    }
    if let Some(key) = across {
        return Ok(across::folded(key, &args.by, metric, &lines, missing));
    }
    let mut head: Vec<String> = args.by.clone();
    let best = match direction(metric) {
        Some(_) => ["best", "± best"],
        None => ["most", "± most"],
    };
    let middle = ["runs", "last", "± last", "mean of last", "± mean", "median", best[0], best[1]];
    head.extend(middle.map(str::to_owned));
    head.extend(
        ["evaluations", "collapsed", "diverged", "never learnt", "skipped steps"]
            .map(str::to_owned),
    );
    head.extend([format!("steps to {} %", 100.0 * args.reach), "s/run".to_owned()]);
    let mut notes: Vec<String> = missing.into_iter().collect();
    notes.push(format!(
        "{metric}: at the end; mean of the last 10 evaluations after the untrained start, or of as \
         many as there are (evaluations); ± Student's 95 %, from three runs on"
    ));
    notes.extend(pooled(&lines));
    let fates: Vec<Fate> = lines.iter().flat_map(|line| line.cell.fates.clone()).collect();
    notes.extend(fate::meanings(&fates));
    let rows = lines.iter().map(row).collect();
    Ok(Answer { head, rows, names: args.by.len(), notes })
}

/// What a ± or a median is over beside seeds.
fn pooled(lines: &[Line]) -> Option<String> {
    let mut keys: Vec<&str> = Vec::new();
    for line in lines {
        let runs: Vec<&Settings> = line.runs.iter().collect();
        let varies = |key: &str| runs.iter().any(|run| run.text(key) != runs[0].text(key));
        let own = KEYS.iter().map(|key| key.name).filter(|key| *key != "seed" && varies(key));
        keys.extend(own);
    }
    keys.sort_unstable();
    keys.dedup();
    (!keys.is_empty()).then(|| {
        format!(
            "each line pools runs of different {} as if they were one sample: its ± is no interval \
             over seeds; --by tells them apart",
            keys.join(", ")
        )
    })
}

/// Whether more of the metric is better; nothing where neither is.
fn direction(metric: &str) -> Option<bool> {
    match metric {
        "accuracy" => Some(true),
        metric if metric.ends_with("loss") => Some(false),
        _ => None,
    }
}

/// No run has the metric: those that there are, without the many of single workers.
fn unmeasured(outcomes: &[Outcome], metric: &str) -> Failure {
    let points = outcomes.iter().flat_map(|outcome| &outcome.points);
    let named = points.map(|point| point.metric.as_str());
    let mut known: Vec<&str> = named.filter(|name| !name.contains("/worker-")).collect();
    known.sort_unstable();
    known.dedup();
    SpecError::unknown("metric", metric, &known).into()
}

fn row(line: &Line) -> Vec<Field> {
    let Line { names, cell, seconds, reached, .. } = line;
    let runs = cell.seeds.len();
    let mut row: Vec<Field> = names.iter().map(Field::text).collect();
    row.push(Field::Count((runs + cell.failed) as u64));
    let mut pair = |interval: Interval, middle: Option<f64>| {
        row.extend([Field::Number(interval.mean), Field::Number(interval.half)]);
        row.extend(middle.map(Field::Number));
    };
    let tails: Vec<f64> = cell.seeds.iter().map(|judged| judged.tail).collect();
    pair(cell.over(|judged| judged.last), None);
    pair(cell.over(|judged| judged.tail), Some(median(&tails)));
    pair(cell.over(|judged| judged.best), None);
    let counted = cell.seeds.iter().map(|judged| judged.counted).min();
    row.push(Field::Count(counted.unwrap_or(0) as u64));
    for k in 0..3 {
        let count = cell.fates.iter().filter(|fate| fate.flags()[k]).count();
        row.push(Field::Count(count as u64));
    }
    let skipped: u64 = cell.fates.iter().map(|fate| fate.skipped).sum();
    let steps: u64 = cell.fates.iter().map(|fate| fate.steps).sum();
    row.push(Field::text(format!("{skipped} of {steps}")));
    let step = median(reached);
    row.push(Field::Step(if step.is_finite() { step } else { f64::NAN }));
    row.push(Field::Number(seconds / (runs + cell.failed).max(1) as f64));
    row
}

fn grouped(outcomes: &[Outcome], by: &[String], metric: &str, reach: f64) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for outcome in outcomes {
        let names: Vec<String> = by.iter().map(|key| outcome.settings.text(key)).collect();
        let place = lines.iter().position(|line| line.names == names).unwrap_or_else(|| {
            let (cell, reached) = Default::default();
            lines.push(Line { names, cell, runs: Vec::new(), seconds: 0.0, reached });
            lines.len() - 1
        });
        let line = &mut lines[place];
        line.seconds += outcome.seconds;
        line.runs.push(outcome.settings.clone());
        line.reached.push(steps_to(outcome, reach));
        let mut curve = outcome.curve(metric);
        if !["accuracy", "test_loss", "seconds"].contains(&metric) {
            // Measured during a step: what stands at step 0 is no untrained start.
            curve.iter_mut().for_each(|point| point.0 += 1);
        }
        line.cell.add(outcome, judge(&curve, direction(metric).unwrap_or(true)));
    }
    lines
}

/// The first evaluated step at which the accuracy is at least `share`; infinite if there is none.
pub(crate) fn steps_to(outcome: &Outcome, share: f64) -> f64 {
    let curve = outcome.curve("accuracy");
    curve.iter().find(|(_, value)| *value >= share).map_or(f64::INFINITY, |(step, _)| *step as f64)
}

fn filtered(outcomes: Vec<Outcome>, filter: &[String]) -> Result<Vec<Outcome>, Failure> {
    let mut pairs = Vec::new();
    for pair in filter {
        let Some((key, value)) = pair.split_once('=') else {
            let text = format!("--where takes key=value; found \"{pair}\"");
            return Err(Failure::refused(text));
        };
        known(key)?;
        pairs.push((key, value));
    }
    let holds = |settings: &Settings| pairs.iter().all(|(key, value)| settings.text(key) == *value);
    let kept: Vec<Outcome> =
        outcomes.into_iter().filter(|outcome| holds(&outcome.settings)).collect();
    match kept.is_empty() {
        true => Err(Failure::refused(format!("no run has {}", filter.join(" and ")))),
        false => Ok(kept),
    }
}

fn known(key: &str) -> Result<(), SpecError> {
    let known: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
    match known.contains(&key) {
        true => Ok(()),
        false => Err(SpecError::unknown("key", key, &known)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_filtered_and_grouped() {
        let outcomes = vec![
            Outcome::sample("krum", "none", 1, &[0.1, 0.9]),
            Outcome::sample("krum", "alie", 1, &[0.1, 0.2]),
            Outcome::sample("krum", "alie", 2, &[0.1, 0.4]),
        ];
        let kept = filtered(outcomes, &["attack=alie".into()]).unwrap();
        let lines = grouped(&kept, &["rule".into()], "accuracy", 0.4);
        assert_eq!((lines.len(), lines[0].cell.seeds.len()), (1, 2));
        assert!((lines[0].cell.over(|judged| judged.last).mean - 0.3).abs() < 1e-12);
        assert_eq!(lines[0].reached, [f64::INFINITY, 10.0]);
        let error = unmeasured(&kept, "acuracy").to_string();
        assert_eq!(error, "unknown metric \"acuracy\"; did you mean \"accuracy\"?");
        let error = filtered(kept, &["atack=none".into()]).unwrap_err().to_string();
        assert_eq!(error, "unknown key \"atack\"; did you mean \"attack\"?");
    }

    #[test]
    fn an_accuracy_to_reach_is_a_share() {
        assert_eq!((share("1"), share("0.85")), (Ok(1.0), Ok(0.85)));
        assert!(["85", "1.01", "0", "-1", "nan", "x"].iter().all(|text| share(text).is_err()));
    }

    #[test]
    fn lines_say_what_they_pool_and_what_is_not_measured_has_no_number() {
        let mut runs = vec![
            Outcome::sample("krum", "none", 1, &[0.1, 0.9]),
            Outcome::sample("krum", "alie", 1, &[0.1, 0.2]),
            Outcome::sample("median", "alie", 1, &[0.1, 0.2]),
        ];
        runs[0].points.push(varangian_lab::results::Point {
            step: 10,
            metric: "hostile_weight".into(),
            value: 0.25,
        });
        let args = |metric: &str| Args {
            folder: PathBuf::new(),
            filter: Vec::new(),
            by: vec!["rule".into()],
            metric: metric.into(),
            reach: 0.9,
            across: None,
            breakdown: false,
            csv: false,
            json: false,
        };
        let answer = judged(&args("accuracy"), &runs, None).unwrap();
        assert!(answer.notes[1].contains("runs of different attack as if"), "{:?}", answer.notes);
        let answer = judged(&args("hostile_weight"), &runs, None).unwrap();
        let text = answer.text(false, false);
        let median = text.lines().find(|line| line.starts_with("median")).unwrap();
        assert!(!text.contains("NaN") && median.matches(" -").count() >= 7, "{text}");
        let json: serde_json::Value = serde_json::from_str(&answer.text(false, true)).unwrap();
        assert_eq!(json["lines"][0]["last"], 0.25);
        assert!(json["lines"][1]["last"].is_null());
    }
}
