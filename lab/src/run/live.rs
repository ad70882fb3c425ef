//! What runs are doing right now: for the terminal and for the page of `varangian watch`.

use super::one::Job;
use super::served::Served;
use crate::results::Store;
use crate::{plot, text};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use varangian_sim::Attendance;
use varangian_sim::lockstep::StepRecord;
use varangian_sim::swarm::ArrivalRecord;
use varangian_train::Fate;

/// Where a process writes what its runs do: each share of a matrix has a file of its own.
pub fn file(store: &Store, shard: Option<(usize, usize)>) -> PathBuf {
    store.path(&match shard {
        None => "live.json".to_owned(),
        Some((i, n)) => format!("live-{i}-of-{n}.json"),
    })
}

/// The files in which processes write what their runs do.
pub fn files(store: &Store) -> Vec<PathBuf> {
    let list = std::fs::read_dir(store.path("")).into_iter().flatten().flatten();
    let names = list.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| is_file(name)).collect();
    names.sort();
    names.iter().map(|name| store.path(name)).collect()
}

fn is_file(name: &str) -> bool {
    let middle = name.strip_prefix("live").and_then(|rest| rest.strip_suffix(".json"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    middle.is_some_and(|middle| {
        let share = middle.strip_prefix('-').and_then(|share| share.split_once("-of-"));
        middle.is_empty() || share.is_some_and(|(i, n)| digits(i) && digits(n))
    })
}

/// One run that goes on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Live {
    /// Its key.
    pub key: String,
    /// Its rule.
    pub rule: String,
    /// Its attack.
    pub attack: String,
    /// What else tells it from the others: "n=15, momentum_at=worker".
    #[serde(default)]
    pub setting: String,
    /// Its seed.
    pub seed: u64,
    /// Steps done.
    pub step: u64,
    /// Steps in all.
    pub steps: u64,
    /// (step, accuracy) so far; the test loss where there is no accuracy. What is not finite is
    /// null in JSON, and comes back as NaN.
    #[serde(deserialize_with = "with_nulls")]
    pub curve: Vec<(u64, f64)>,
    /// Whether the curve is an accuracy.
    pub classifies: bool,
    /// By worker: the mean of its weight over steps; empty where the rule gives none.
    #[serde(deserialize_with = "numbers")]
    pub weights: Vec<f64>,
    /// By worker: rows refused so far.
    pub refused: Vec<u64>,
    /// Reasons of refusals, with counts.
    pub reasons: BTreeMap<String, u64>,
    /// The workers that attack.
    pub hostile: Vec<u32>,
    /// Workers that the rule has expelled.
    pub expelled: Vec<u32>,
    /// Steps that were skipped.
    pub skipped: u64,
    /// How its workers stand, where they are elsewhere.
    #[serde(default)]
    pub served: Option<Served>,
    #[serde(skip)]
    weighed: u64,
}

/// Points whose values may be null.
fn with_nulls<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<(u64, f64)>, D::Error> {
    let points = Vec::<(u64, Option<f64>)>::deserialize(from)?;
    Ok(points.into_iter().map(|(step, value)| (step, value.unwrap_or(f64::NAN))).collect())
}

/// Numbers that may be null.
fn numbers<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f64>, D::Error> {
    let values = Vec::<Option<f64>>::deserialize(from)?;
    Ok(values.into_iter().map(|value| value.unwrap_or(f64::NAN)).collect())
}

impl Live {
    /// A run before its first step.
    pub(super) fn of(job: &Job, setting: String) -> Self {
        let own = job.settings();
        Live {
            key: job.key.clone(),
            rule: own.rule.clone(),
            attack: own.attack.clone(),
            setting,
            seed: own.seed,
            steps: own.steps,
            refused: vec![0; own.n],
            ..Live::default()
        }
    }

    /// Takes in a step.
    pub fn look(&mut self, record: &StepRecord<'_>) {
        let closed = record.closed;
        self.step = closed.step + 1;
        self.hostile = record.hostile.to_vec();
        self.skipped += u64::from(closed.skipped.is_some());
        for refusal in &closed.refused {
            *self.reasons.entry(refusal.reason.name().into()).or_default() += 1;
            if let Some(count) = self.refused.get_mut(refusal.worker as usize) {
                *count += 1;
            }
        }
        self.expelled.clone_from(&closed.verdict.expelled);
        self.weigh(&closed.ids, &closed.verdict.weights);
    }

    /// Takes in an arrival.
    pub(super) fn arrive(&mut self, record: &ArrivalRecord) {
        self.step += 1;
        let outcome = &record.outcome;
        let reason = match outcome.fate {
            Fate::Step | Fate::Hold => return,
            Fate::Reject(why) => why,
            Fate::NotFinite => "not-finite",
            Fate::Refused => "refused",
        };
        match self.reasons.get_mut(reason) {
            Some(count) => *count += 1,
            None => drop(self.reasons.insert(reason.to_owned(), 1)),
        }
        if let Some(count) = self.refused.get_mut(outcome.worker as usize) {
            *count += 1;
        }
        if record.hostile && !self.hostile.contains(&outcome.worker) {
            self.hostile.push(outcome.worker);
            self.hostile.sort_unstable();
        }
    }

    /// Takes in how workers elsewhere stand.
    pub(super) fn attend(&mut self, now: &Attendance) {
        let step = self.step;
        self.served.get_or_insert_default().look(step, now);
    }

    fn weigh(&mut self, ids: &[u32], weights: &[f64]) {
        if weights.is_empty() {
            return;
        }
        self.weights.resize(self.refused.len(), 0.0);
        let before = self.weighed as f64;
        self.weights.iter_mut().for_each(|mean| *mean *= before / (before + 1.0));
        for (&id, &weight) in ids.iter().zip(weights) {
            if let Some(mean) = self.weights.get_mut(id as usize) {
                *mean += weight / (before + 1.0);
            }
        }
        self.weighed += 1;
    }

    /// The run as lines of text for a terminal `width` columns wide.
    pub fn lines(&self, width: usize) -> Vec<String> {
        let Live { rule, attack, seed, step, steps, .. } = self;
        let now = self.curve.last().map_or(String::new(), |(_, value)| match self.classifies {
            true => format!("  accuracy {:.1} %", 100.0 * value),
            false => format!("  test loss {}", text::number(*value)),
        });
        // What was swept has a line of its own, so that it pushes nothing else out.
        let mut out = vec![format!("{rule} × {attack}, seed {seed}  step {step}/{steps}{now}")];
        out.extend(Some(format!("  {}", self.setting)).filter(|_| !self.setting.is_empty()));
        out.extend(self.chart(width.saturating_sub(10).clamp(10, 72)));
        out.extend(self.bars("weight", width));
        if !self.reasons.is_empty() {
            let reasons: Vec<String> =
                self.reasons.iter().map(|(name, count)| format!("{name} {count}")).collect();
            let who: Vec<String> = (0..self.refused.len())
                .filter(|&worker| self.refused[worker] > 0)
                .map(|worker| worker.to_string())
                .collect();
            out.push(format!("  refused  {} (worker {})", reasons.join(", "), who.join(" ")));
        }
        if !self.expelled.is_empty() {
            let who: Vec<String> = self.expelled.iter().map(u32::to_string).collect();
            out.push(format!("  expelled worker {}", who.join(" ")));
        }
        if self.skipped > 0 {
            out.push(format!("  skipped  {} of {step} steps", self.skipped));
        }
        out.into_iter().map(|line| cut(&line, width)).collect()
    }

    /// Mean weights, one sign a worker; hostile workers stand behind a bar where they are last.
    fn bars(&self, name: &str, width: usize) -> Option<String> {
        let most = self.weights.iter().copied().fold(0.0, f64::max);
        if most <= 0.0 {
            return None;
        }
        let bar = |worker: usize| match self.weights[worker] / most {
            share if share <= 0.001 => '·',
            share => EIGHTHS[((share * 8.0).ceil() as usize).clamp(1, 8) - 1],
        };
        let first = self.hostile.first().copied();
        let mut text = String::new();
        for worker in 0..self.weights.len() {
            if first == Some(worker as u32) && worker > 0 {
                text.push('|');
            }
            text.push(bar(worker));
        }
        let shown = cut(&text, width.saturating_sub(44));
        let of_hostile: f64 = self.hostile.iter().map(|&w| self.weights[w as usize].abs()).sum();
        let all: f64 = self.weights.iter().map(|weight| weight.abs()).sum();
        Some(format!("  {name:<8} {shown}  hostile {:.0} % of it", 100.0 * of_hostile / all))
    }

    /// The curve in braille dots, four rows high.
    fn chart(&self, columns: usize) -> Vec<String> {
        let values: Vec<(u64, f64)> =
            self.curve.iter().copied().filter(|(_, value)| value.is_finite()).collect();
        if values.is_empty() {
            return Vec::new();
        }
        let most = values.iter().map(|point| point.1).fold(1e-12, f64::max);
        let top = if self.classifies { 1.0 } else { most };
        let (wide, high) = (2 * columns, 4 * ROWS);
        let mut cells = vec![vec![0u8; columns]; ROWS];
        let x = |step: u64| (step * (wide as u64 - 1) / self.steps.max(1)) as usize;
        for pair in values.windows(2).map(|pair| (pair[0], pair[1])).chain([(values[0], values[0])])
        {
            let ((from, a), (to, b)) = pair;
            for column in x(from)..=x(to) {
                let part = (column - x(from)) as f64 / (x(to) - x(from)).max(1) as f64;
                let share = ((a + part * (b - a)) / top).clamp(0.0, 1.0);
                let row = high - 1 - (share * (high - 1) as f64).round() as usize;
                cells[row / 4][(column / 2).min(columns - 1)] |= dot(column % 2, row % 4);
            }
        }
        let label = |row: usize| match (row, self.classifies) {
            (0, true) => "   100 %".to_owned(),
            (0, false) => format!("{:>8}", plot::compact(top)),
            (row, _) if row + 1 == ROWS => "       0".into(),
            _ => "        ".into(),
        };
        let line = |row: usize| {
            let signs = cells[row].iter().map(|&dots| char::from_u32(0x2800 + u32::from(dots)));
            format!("{} {}", label(row), signs.flatten().collect::<String>())
        };
        (0..ROWS).map(line).collect()
    }
}

/// Rows of a chart, four dots each.
const ROWS: usize = 4;
const EIGHTHS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The bit of a braille sign's dot.
fn dot(column: usize, row: usize) -> u8 {
    [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]][row][column]
}

fn cut(line: &str, width: usize) -> String {
    match line.chars().count() > width {
        true => line.chars().take(width.saturating_sub(1)).chain(['…']).collect(),
        false => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_shows_its_curve_its_weights_and_its_refusals() {
        let mut live = Live { steps: 10, step: 5, classifies: true, ..Live::default() };
        (live.rule, live.refused, live.hostile) = ("krum".into(), vec![0; 4], vec![3]);
        live.curve = vec![(0, 0.0), (5, 1.0)];
        live.weigh(&[0, 1, 2], &[1.0, 0.0, 1.0]);
        live.weigh(&[0, 1, 2], &[1.0, 0.0, 0.0]);
        live.refused[3] = 2;
        live.reasons.insert("not-finite".into(), 2);
        assert_eq!(live.weights, [1.0, 0.0, 0.5, 0.0]);
        let text = live.lines(60).join("\n");
        assert!(text.contains("step 5/10  accuracy 100.0 %"), "{text}");
        assert!(text.contains("█·▄|·  hostile 0 % of it"), "{text}");
        assert!(text.contains("refused  not-finite 2 (worker 3)"), "{text}");
        // The curve rises from the lower left to the top in the middle.
        let rows: Vec<&str> = text.lines().skip(1).take(ROWS).collect();
        assert!(rows[0].starts_with("   100 % ") && rows[ROWS - 1].starts_with("       0 "));
        assert!(rows[ROWS - 1].chars().nth(9) != Some('\u{2800}'), "{text}");
        assert!(live.lines(60).iter().all(|line| line.chars().count() <= 60));
    }

    #[test]
    fn a_run_that_leaves_the_numbers_is_still_shown() {
        let mut live = Live { steps: 10, step: 5, ..Live::default() };
        live.curve = vec![(0, 2.0), (2, 1e73), (4, f64::INFINITY), (5, f64::NAN)];
        live.weights = vec![f64::NAN];
        let text = serde_json::to_string(&live).unwrap();
        let back: Live = serde_json::from_str(&text).unwrap();
        assert_eq!((back.curve.len(), back.curve[1].1), (4, 1e73));
        assert!(back.curve[3].1.is_nan() && back.weights[0].is_nan());
        let lines = back.lines(60).join("\n");
        assert!(lines.contains("test loss NaN") && lines.contains("    1e73 "), "{lines}");
    }

    #[test]
    fn each_share_has_a_file_and_all_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::make(folder.path()).unwrap();
        let all = [Some((10, 12)), Some((2, 12)), None].map(|shard| file(&store, shard));
        for name in ["live-x-of-2.json", "live-1.json", "alive.json", "live-1-of-2.json.x"] {
            std::fs::write(store.path(name), "[]").unwrap();
        }
        all.iter().for_each(|file| std::fs::write(file, "[]").unwrap());
        assert_eq!(files(&store), all);
    }

    #[test]
    fn nothing_measured_shows_nothing_false() {
        let live = Live { steps: 10, ..Live::default() };
        assert_eq!(live.lines(40).len(), 1);
    }
}
