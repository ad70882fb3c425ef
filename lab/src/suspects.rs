//! Evidence of many steps, worker by worker: who was off, since when, and how sure that is.
//!
//! ```
//! let line = r#"{"format":"varangian-evidence","version":1,"rule":"median","n":4,"f":1,"d":12,"step":3,
//!     "worker":1,"weight":null,"norm":2.5,"distance":1.0,"verdict":"kept","reason":null,"p":null,
//!     "alarms":[{"kind":"step","layer":"head","statistic":"norm","p":1e-9}]}"#.replace('\n', "");
//! let found = varangian_lab::suspects::suspects(&line)?;
//! assert_eq!((found[0].worker, found[0].since()), (1, Some(3)));
//! # Ok::<(), varangian_lab::Failure>(())
//! ```

use crate::plot::{Curve, Panel, Picture, Sheet, Spread};
use crate::{Failure, evidence};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use varangian_rules::{Evidence, Standing};

/// Workers that a picture shows at most: the most suspicious.
const DRAWN: usize = 8;
/// Points of a line in a picture, about.
const POINTS: usize = 400;
/// A row whose p is below this counts as unlike the others: of honest ones about as many, by
/// chance, as this says.
pub const UNLIKE: f64 = 0.01;
/// A p, or a ratio, below this is drawn as this.
const LEAST: f64 = 1e-30;

/// An alarm, as a guard of the Python package writes it into a record.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Alarm {
    /// The step, from 0.
    #[serde(skip)]
    pub step: u64,
    /// "step", "sequence", "non-finite" or "reduce".
    pub kind: String,
    /// The layer, or nothing.
    pub layer: String,
    /// What of it was off.
    pub statistic: String,
    /// The rate of false alarms at which it would just be raised.
    pub p: f64,
}

/// What a record may hold beside evidence.
#[derive(Deserialize)]
struct Beside {
    alarms: Option<Vec<Alarm>>,
    convicted: Option<String>,
    #[serde(default)]
    layers: BTreeMap<String, Layer>,
}

/// What a record may hold of a layer.
#[derive(Deserialize)]
struct Layer {
    p: Option<f64>,
}

/// What was found of a worker over all steps.
#[derive(Clone, Debug)]
pub struct Suspect {
    /// Its id: the rank, in a group of processes.
    pub worker: u64,
    /// Its records.
    pub steps: usize,
    /// The first step of which it has a second record: another run, or a step made again.
    pub again: Option<u64>,
    /// Whether somebody looked for patterns over the steps: records of a guard say so, those of a
    /// server or of `replay` do not.
    pub guarded: bool,
    /// Records with a p of their own, and those of them with one below [`UNLIKE`].
    pub judged: usize,
    /// See `judged`.
    pub unlike: usize,
    /// Its alarms, by step.
    pub alarms: Vec<Alarm>,
    /// The first step in which it was left out as convicted.
    pub convicted: Option<u64>,
    /// Records in which a rule never saw its row, gave it nothing, or less than an equal share.
    pub refused: usize,
    /// See `refused`.
    pub excluded: usize,
    /// See `refused`.
    pub reduced: usize,
    /// The first refusal, and why.
    pub first_refusal: Option<(u64, String)>,
    /// (step, length over the median length of that step).
    pub lengths: Vec<(u64, f64)>,
    /// (step, least p of its layers).
    pub looks: Vec<(u64, f64)>,
}

impl Suspect {
    /// The first step in which something was wrong: an alarm, or a row that a rule never saw.
    pub fn since(&self) -> Option<u64> {
        let alarm = self.alarms.first().map(|alarm| alarm.step);
        let refusal = self.first_refusal.as_ref().map(|(step, _)| *step);
        alarm.into_iter().chain(refusal).min()
    }

    /// Whether its rows are unlike the others ten times as often as chance would have it, where
    /// nobody looked closer.
    pub fn is_unlike(&self) -> bool {
        !self.guarded && self.unlike as f64 > 10.0 * UNLIKE * self.judged as f64
    }

    /// The least p of its alarms.
    pub fn p(&self) -> Option<f64> {
        self.alarms.iter().map(|alarm| alarm.p).min_by(f64::total_cmp)
    }
}

/// Reads records, one a line, and says what they hold of each worker, by id.
///
/// # Errors
/// As [`evidence::read`].
pub fn suspects(text: &str) -> Result<Vec<Suspect>, Failure> {
    let records = evidence::read(text)?;
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let mut usual: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for record in &records {
        usual.entry(record.step).or_default().extend(record.norm);
    }
    let usual: BTreeMap<u64, f64> =
        usual.into_iter().filter_map(|(step, norms)| Some((step, median(norms)?))).collect();
    let mut found: BTreeMap<u64, Suspect> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for (record, line) in records.iter().zip(lines) {
        let beside: Beside = serde_json::from_str(line)
            .map_err(|error| Failure::refused(format!("step {}: {error}", record.step)))?;
        let one = found.entry(record.worker).or_insert_with(|| Suspect::new(record.worker));
        one.take(record, beside, usual.get(&record.step).copied());
        if !seen.insert((record.worker, record.step)) {
            one.again = Some(one.again.map_or(record.step, |first| first.min(record.step)));
        }
    }
    let mut found: Vec<Suspect> = found.into_values().collect();
    found.iter_mut().for_each(|one| one.alarms.sort_by_key(|alarm| alarm.step));
    Ok(found)
}

impl Suspect {
    fn new(worker: u64) -> Self {
        let (alarms, lengths, looks) = (Vec::new(), Vec::new(), Vec::new());
        let (convicted, first_refusal) = (None, None);
        let [steps, judged, unlike, refused, excluded, reduced] = [0; 6];
        Suspect {
            worker,
            steps,
            again: None,
            guarded: false,
            judged,
            unlike,
            alarms,
            convicted,
            refused,
            excluded,
            reduced,
            first_refusal,
            lengths,
            looks,
        }
    }

    fn take(&mut self, record: &Evidence, beside: Beside, usual: Option<f64>) {
        self.steps += 1;
        let step = record.step;
        let least = beside.layers.values().filter_map(|layer| layer.p).min_by(f64::total_cmp);
        self.looks.extend(least.map(|p| (step, p)));
        self.judged += usize::from(record.p.is_some());
        self.unlike += usize::from(record.p.is_some_and(|p| p < UNLIKE));
        self.guarded |= beside.alarms.is_some();
        let alarms = beside.alarms.into_iter().flatten();
        self.alarms.extend(alarms.map(|alarm| Alarm { step, ..alarm }));
        if beside.convicted.is_some() && self.convicted.is_none_or(|first| step < first) {
            self.convicted = Some(step);
        }
        match record.standing {
            Standing::Refused => {
                self.refused += 1;
                if self.first_refusal.as_ref().is_none_or(|(first, _)| step < *first) {
                    self.first_refusal = Some((step, record.reason.clone().unwrap_or_default()));
                }
            }
            Standing::Excluded => self.excluded += 1,
            Standing::Reduced => self.reduced += 1,
            Standing::Kept => {}
        }
        if let (Some(norm), Some(usual)) = (record.norm, usual.filter(|&usual| usual > 0.0)) {
            self.lengths.push((step, norm / usual));
        }
    }
}

/// How suspicious the most suspicious workers are over the steps: by the least p of their layers,
/// or by their lengths where no p is told.
pub fn picture(found: &[Suspect]) -> Picture {
    let mut order: Vec<&Suspect> = found.iter().collect();
    order.sort_by_key(|one| (one.since().unwrap_or(u64::MAX), one.worker));
    order.truncate(DRAWN);
    let told = found.iter().any(|one| !one.looks.is_empty());
    let value = |one: &Suspect| -> Vec<(u64, f64)> {
        let log = |x: f64| x.max(LEAST).log10();
        match told {
            true => one.looks.iter().map(|&(step, p)| (step, -log(p))).collect(),
            false => one.lengths.iter().map(|&(step, ratio)| (step, log(ratio).abs())).collect(),
        }
    };
    let curve = |(line, one): (usize, &&Suspect)| {
        let mut values = value(one);
        values.sort_by_key(|(step, _)| *step);
        let stride = values.len().div_ceil(POINTS).max(1);
        // Of several steps the most suspicious.
        let points = values.chunks(stride).filter_map(|part| {
            let (step, mean) = part.iter().max_by(|a, b| a.1.total_cmp(&b.1)).copied()?;
            Some(Spread { step: step as f64, low: f64::NAN, mean, high: f64::NAN })
        });
        Curve { line, points: points.collect() }
    };
    // The first lies on top.
    let curves = order.iter().enumerate().rev().map(curve).collect();
    let named = |one: &Suspect| match one.since() {
        Some(step) => format!("rank {}, off since step {step}", one.worker),
        None => format!("rank {}", one.worker),
    };
    let legend = order.iter().map(|one| named(one)).enumerate().collect();
    let left = found.len() - order.len();
    let more = (left > 0).then(|| format!("{left} more ranks are not shown."));
    let (title, y_label) = match told {
        true => ("How unlikely each rank's gradient is among honest ones", "−log₁₀ of the least p"),
        false => ("Length of each rank's gradient beside the median", "|log₁₀| of the ratio"),
    };
    Sheet {
        title: title.into(),
        x_label: "step".into(),
        y_label: y_label.into(),
        legend,
        panels: vec![Panel { title: String::new(), curves }],
        percent: false,
        notes: more.into_iter().collect(),
        wide: None,
        x_names: Vec::new(),
    }
    .draw()
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(step: u64, worker: u32, norm: f64, beside: &str) -> String {
        format!(
            r#"{{"format":"varangian-evidence","version":1,"rule":"median","n":3,"f":1,"d":4,"step":{step},"worker":{worker},"weight":null,"norm":{norm},"distance":1.0,"verdict":"kept","reason":null,"p":null{beside}}}"#
        )
    }

    #[test]
    fn who_was_off_and_since_when() {
        let alarm = r#","alarms":[{"kind":"step","layer":"a","statistic":"norm","p":1e-7}]"#;
        let mut lines = Vec::new();
        for step in [2, 0, 1] {
            for worker in 0..3 {
                let bad = worker == 2 && step > 0;
                let norm = if bad { 50.0 } else { 2.0 };
                lines.push(line(step, worker, norm, if bad { alarm } else { "" }));
            }
        }
        lines.push(lines[0].replace("kept", "refused").replace("\"worker\":0", "\"worker\":1"));
        let found = suspects(&lines.join("\n")).unwrap();
        assert_eq!(found.iter().map(Suspect::since).collect::<Vec<_>>(), [None, Some(2), Some(1)]);
        assert_eq!((found[2].p(), found[2].alarms.len()), (Some(1e-7), 2));
        assert_eq!((found[1].refused, found[0].steps), (1, 3));
        assert_eq!((found[1].again, found[0].again), (Some(2), None));
        assert!(found[2].lengths.contains(&(1, 25.0)) && found[2].lengths.contains(&(0, 1.0)));
        let drawn = picture(&found).svg();
        assert!(drawn.contains("rank 2, off since step 1") && drawn.contains("Length of each"));
        let p = r#","layers":{"a":{"norm":1.0,"p":1e-9},"b":{"norm":1.0,"p":null}}"#;
        let found = suspects(&line(0, 0, 1.0, p)).unwrap();
        assert_eq!(found[0].looks, [(0, 1e-9)]);
        assert!(picture(&found).svg().contains("least p"));
    }
}
