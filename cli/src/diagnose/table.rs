//! A row a worker: what it sent, what rules made of it, and how far off it is as a bar.

use crate::print;
use varangian_lab::diagnose::{Diagnosis, Look, Sent, Step};
use varangian_lab::plot::{Bar, Picture, bars};
use varangian_rules::{Evidence, Standing};

/// Letters of a bar that is as long as the usual one, and of the longest.
const USUAL: f64 = 8.0;
const LONGEST: f64 = 24.0;

/// The head line and the table; over several steps the middle of what was measured in each.
pub(super) fn text(
    steps: &[Step],
    found: &Diagnosis,
    weighed: &[Vec<Evidence>],
    f: usize,
) -> String {
    let d = steps.first().map_or(0, Step::d);
    let count = match steps.len() {
        1 => "1 step".to_owned(),
        t => format!("{t} steps"),
    };
    let mut out =
        format!("{} workers, {d} coordinates, {count}; weights at f = {f}\n", found.p.len());
    let mut head = vec!["worker", "norm", "off", "cosine", "oddest in", "p"];
    head.extend(weighed.iter().filter_map(|all| Some(all.first()?.rule.as_str())));
    head.push("off, beside the others");
    let middle = |worker: u32, of: fn(&Look) -> f64| {
        median(steps.iter().filter_map(|step| step.look(worker)).map(of).collect())
    };
    let off = |worker: u32| middle(worker, |look| look.off);
    let usual = median(found.p.keys().filter_map(|&worker| off(worker)).collect());
    let mut rows = Vec::new();
    for (&worker, p) in &found.p {
        let cell = |x: Option<f64>| x.map_or("–".to_owned(), print::number);
        let mut row = vec![
            worker.to_string(),
            cell(middle(worker, |look| look.norm)),
            cell(off(worker)),
            middle(worker, |look| look.cosine).map_or("–".to_owned(), |c| format!("{c:.3}")),
            format!("{}/{}", found.oddest[&worker], steps.len()),
            cell(*p),
        ];
        row.extend(weighed.iter().filter(|all| !all.is_empty()).map(|all| weight(all, worker)));
        row.push(bar(off(worker), usual));
        rows.push(row);
    }
    let mut right = vec![true; head.len()];
    right[head.len() - 1] = false;
    out.push_str(print::table(&head, &rows, &right).trim_end());
    out
}

/// How far off each worker is, in units of what is usual; those that stand out in another colour.
pub(super) fn picture(steps: &[Step], found: &Diagnosis) -> Picture {
    let off = |worker: u32| {
        let all = steps.iter().filter_map(|step| step.look(worker)).map(|look| look.off);
        median(all.collect()).unwrap_or(f64::NAN)
    };
    let usual = median(found.p.keys().map(|&worker| off(worker)).filter(|x| !x.is_nan()).collect());
    let usual = usual.filter(|&usual| usual > 0.0).unwrap_or(1.0);
    let bar = |(&worker, p): (&u32, &Option<f64>)| {
        let value = off(worker) / usual;
        let p = p.map_or(String::new(), |p| format!(", p = {}", print::number(p)));
        let told = if value.is_nan() { "refused".into() } else { print::number(value) + &p };
        let marked = found.suspects.iter().any(|suspect| suspect.worker == worker);
        Bar { name: format!("worker {worker}"), value, told, marked }
    };
    let all: Vec<Bar> = found.p.iter().map(bar).collect();
    let notes = match found.suspects.is_empty() {
        true => vec!["No worker stands out.".to_owned()],
        false => vec!["Orange: workers that stand out.".to_owned()],
    };
    let label = "distance from the middle of the rows, in units of the usual one";
    bars("How far off each worker is", label, &all, LONGEST / USUAL * 2.0, notes)
}

/// The mean share that a rule gave a worker, or what it said instead.
fn weight(all: &[Evidence], worker: u32) -> String {
    let own: Vec<&Evidence> =
        all.iter().filter(|record| record.worker == u64::from(worker)).collect();
    if !own.is_empty() && own.iter().all(|record| record.standing == Standing::Refused) {
        return "refused".to_owned();
    }
    let shares: Vec<f64> = own.iter().filter_map(|record| record.weight).collect();
    match shares.is_empty() || own.iter().any(|record| record.weight.is_none()) {
        true => "–".to_owned(),
        false => format!("{:.4}", shares.iter().sum::<f64>() / shares.len() as f64),
    }
}

fn bar(off: Option<f64>, usual: Option<f64>) -> String {
    let (Some(off), Some(usual)) = (off, usual.filter(|&usual| usual > 0.0)) else {
        return String::new();
    };
    let length = off / usual * USUAL;
    let shown = "█".repeat(length.round().clamp(0.0, LONGEST) as usize);
    if length > LONGEST { shown + "▶" } else { shown }
}

/// The middle of some numbers, or half way between the middle two; `None` of none.
fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_unstable_by(f64::total_cmp);
    let n = numbers.len();
    let at = |i: usize| numbers[i] / 2.0;
    (n > 0).then(|| at((n - 1) / 2) + at(n / 2))
}

/// The mean of the rows with these weights, of which one is above 0.
pub(super) fn mean(rows: &Sent, weights: &[f64]) -> Vec<f64> {
    let all: f64 = weights.iter().sum();
    let d = match rows {
        Sent::Single(matrix) => matrix.d(),
        Sent::Double(rows) => rows.first().map_or(0, Vec::len),
    };
    let mut out = vec![0.0; d];
    for (i, weight) in weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
        for (k, sum) in out.iter_mut().enumerate() {
            let x = match rows {
                Sent::Single(matrix) => f64::from(matrix.row(i)[k]),
                Sent::Double(rows) => rows[i][k],
            };
            *sum += weight / all * x;
        }
    }
    out
}

/// The distance between two points, whatever their magnitude.
pub(super) fn distance(a: &[f64], b: &[f64]) -> f64 {
    let apart = || a.iter().zip(b).map(|(a, b)| (a / 2.0 - b / 2.0).abs());
    let most = apart().fold(0.0, f64::max);
    match most > 0.0 {
        true => {
            (2.0 * most * apart().map(|x| (x / most).powi(2)).sum::<f64>().sqrt()).min(f64::MAX)
        }
        false => 0.0,
    }
}
