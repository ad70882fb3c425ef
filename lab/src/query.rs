//! `varangian results DIR`: filter, group and judge the runs of a folder.

use crate::config::{KEYS, Settings};
use crate::results::{Cell, Interval, Outcome, Store, judge, median};
use crate::{Failure, print};
use std::path::PathBuf;
use varangian_base::SpecError;

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
    /// The metric that is judged
    #[arg(long, default_value = "accuracy")]
    metric: String,
    /// The accuracy, from 0 to 1, of "steps to": the median over seeds of the step that reaches it
    #[arg(long, value_name = "SHARE", default_value_t = 0.9)]
    reach: f64,
    /// For each rule, the largest f within 5 points of no attack, worst case over attacks
    #[arg(long)]
    breakdown: bool,
    /// Print CSV
    #[arg(long)]
    csv: bool,
}

/// One line of the answer.
struct Line {
    names: Vec<String>,
    cell: Cell,
    seconds: f64,
    /// The step at which each run first reached the wanted accuracy; infinite where it never did.
    reached: Vec<f64>,
}

/// Answers a query.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let outcomes = Store::open(&args.folder)?.outcomes()?;
    let outcomes = filtered(outcomes, &args.filter)?;
    args.by.iter().try_for_each(|key| known(key))?;
    if args.breakdown {
        return breakdown(&outcomes, args);
    }
    let lines = grouped(&outcomes, &args.by, &args.metric, args.reach);
    if lines.iter().all(|line| line.cell.seeds.is_empty()) {
        return Err(unmeasured(&outcomes, &args.metric));
    }
    let reach = format!("steps to {:.0} %", 100.0 * args.reach);
    let mut head: Vec<&str> = args.by.iter().map(String::as_str).collect();
    head.extend(["runs", "last", "±", "last10", "±", "median", "best", "±", "collapsed"]);
    head.extend([reach.as_str(), "s/run"]);
    let rows: Vec<Vec<String>> = lines.iter().map(row).collect();
    show(&head, &rows, args.by.len(), args.csv);
    Ok(())
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

fn show(head: &[&str], rows: &[Vec<String>], names: usize, csv: bool) {
    if csv {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let full = "memory is never full";
        writer.write_record(head).expect(full);
        rows.iter().for_each(|row| writer.write_record(row).expect(full));
        let text = String::from_utf8(writer.into_inner().expect(full)).expect("text");
        print::line(text.trim_end());
        return;
    }
    let right: Vec<bool> = (0..head.len()).map(|k| k >= names).collect();
    print::line(print::table(head, rows, &right).trim_end());
}

fn row(line: &Line) -> Vec<String> {
    let Line { names, cell, seconds, reached } = line;
    let runs = cell.seeds.len();
    let mut row = names.clone();
    row.push((runs + cell.failed).to_string());
    let mut pair = |interval: Interval, middle: Option<f64>| {
        row.push(format!("{:.4}", interval.mean));
        row.push(if interval.half.is_nan() { "-".into() } else { format!("{:.4}", interval.half) });
        row.extend(middle.map(|middle| format!("{middle:.4}")));
    };
    let tails: Vec<f64> = cell.seeds.iter().map(|judged| judged.tail).collect();
    pair(cell.over(|judged| judged.last), None);
    pair(cell.over(|judged| judged.tail), Some(median(&tails)));
    pair(cell.over(|judged| judged.best), None);
    row.push(cell.collapsed().to_string());
    row.push(match median(reached) {
        step if step.is_finite() => format!("{step:.0}"),
        _ => "-".into(),
    });
    row.push(format!("{:.2}", seconds / (runs + cell.failed).max(1) as f64));
    row
}

fn grouped(outcomes: &[Outcome], by: &[String], metric: &str, reach: f64) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for outcome in outcomes {
        let names: Vec<String> = by.iter().map(|key| outcome.settings.text(key)).collect();
        let place = lines.iter().position(|line| line.names == names).unwrap_or_else(|| {
            let (cell, reached) = Default::default();
            lines.push(Line { names, cell, seconds: 0.0, reached });
            lines.len() - 1
        });
        let line = &mut lines[place];
        line.seconds += outcome.seconds;
        line.reached.push(steps_to(outcome, reach));
        let curve: Vec<f64> = outcome.curve(metric).iter().map(|point| point.1).collect();
        match judge(&curve, !metric.contains("loss")) {
            Some(judged) if outcome.is_finished() => line.cell.seeds.push(judged),
            _ => line.cell.failed += 1,
        }
    }
    lines
}

/// The first evaluated step at which the accuracy is at least `share`; infinite if there is none.
pub(crate) fn steps_to(outcome: &Outcome, share: f64) -> f64 {
    let curve = outcome.curve("accuracy");
    curve.iter().find(|(_, value)| *value >= share).map_or(f64::INFINITY, |(step, _)| *step as f64)
}

/// f* by rule: the largest f such that at it and below the worst tail mean over attacks is within
/// 5 points of that rule's own without attack (at the least f where that was run).
fn breakdown(outcomes: &[Outcome], args: &Args) -> Result<(), Failure> {
    let by = ["rule", "f", "attack"].map(String::from);
    let lines = grouped(outcomes, &by, "accuracy", args.reach);
    let tail = |line: &Line| line.cell.over(|judged| judged.tail).mean;
    let mut rows = Vec::new();
    let mut rules: Vec<&str> = lines.iter().map(|line| line.names[0].as_str()).collect();
    rules.dedup();
    rules.sort_unstable();
    rules.dedup();
    for rule in rules {
        let own = || lines.iter().filter(|line| line.names[0] == rule);
        let f_of = |line: &Line| line.names[1].parse::<usize>().unwrap_or(0);
        let clean = own().filter(|line| line.names[2] == "none").min_by_key(|line| f_of(line));
        let Some(clean) = clean.map(&tail) else { continue };
        let mut fs: Vec<usize> = own().map(f_of).collect();
        fs.sort_unstable();
        fs.dedup();
        let worst = |f: usize| {
            own().filter(|line| f_of(line) == f).map(&tail).fold(f64::INFINITY, f64::min)
        };
        let holds = fs.iter().take_while(|&&f| worst(f) >= clean - 0.05).last();
        let holds = holds.map_or("none".into(), usize::to_string);
        let tried: Vec<String> = fs.iter().map(usize::to_string).collect();
        rows.push(vec![rule.to_owned(), holds, tried.join(" "), format!("{clean:.4}")]);
    }
    if rows.is_empty() {
        return Err(Failure::refused("a breakdown needs runs without attack; there are none"));
    }
    show(&["rule", "f*", "f tried", "no attack"], &rows, 1, args.csv);
    Ok(())
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
            Outcome::sample("krum", "none", 1, &[0.9]),
            Outcome::sample("krum", "alie", 1, &[0.2]),
            Outcome::sample("krum", "alie", 2, &[0.4]),
        ];
        let kept = filtered(outcomes, &["attack=alie".into()]).unwrap();
        let lines = grouped(&kept, &["rule".into()], "accuracy", 0.4);
        assert_eq!((lines.len(), lines[0].cell.seeds.len()), (1, 2));
        assert!((lines[0].cell.over(|judged| judged.last).mean - 0.3).abs() < 1e-12);
        assert_eq!(lines[0].reached, [f64::INFINITY, 0.0]);
        let error = unmeasured(&kept, "acuracy").to_string();
        assert_eq!(error, "unknown metric \"acuracy\"; did you mean \"accuracy\"?");
        let error = filtered(kept, &["atack=none".into()]).unwrap_err().to_string();
        assert_eq!(error, "unknown key \"atack\"; did you mean \"attack\"?");
    }
}
