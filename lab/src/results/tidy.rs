//! Result tables: the same bytes for the same runs, whatever computed them.

use super::Outcome;
use super::cells::{self, Cell};
use crate::config::{KEYS, label_keys};

/// The columns of the tidy table that stand before those of what varies, and after them.
const FIRST: [&str; 7] = ["run", "seed", "rule", "attack", "n", "f", "f_real"];
const LAST: [&str; 3] = ["step", "metric", "value"];

/// The tidy table: a row a value.
pub struct Tidy {
    /// The columns' names.
    pub header: Vec<&'static str>,
    /// A row for each value of each finished run.
    pub rows: Vec<Vec<Cell>>,
}

impl Tidy {
    /// run, seed, rule, attack, n, f, f_real, every other key that varies, step, metric, value.
    pub fn of(outcomes: &[Outcome]) -> Self {
        let finished: Vec<&Outcome> = outcomes.iter().filter(|one| one.is_finished()).collect();
        let settings: Vec<_> = finished.iter().map(|one| &one.settings).collect();
        let varies = label_keys(&settings).into_iter().filter(|key| !FIRST.contains(key));
        let keys: Vec<&'static str> = FIRST[1..].iter().copied().chain(varies).collect();
        let header = FIRST[..1].iter().chain(&keys).chain(&LAST).copied().collect();
        let mut rows = Vec::new();
        for outcome in finished {
            let fixed = fixed(outcome, &keys);
            for point in &outcome.points {
                let own = [
                    Cell::Whole(point.step as i64),
                    Cell::text(&point.metric),
                    Cell::Real(point.value),
                ];
                rows.push([fixed.as_slice(), own.as_slice()].concat());
            }
        }
        Tidy { header, rows }
    }

    /// The table as CSV.
    pub fn csv(&self) -> Vec<u8> {
        cells::csv(&self.header, self.rows.iter().cloned())
    }
}

/// The run and the values of its keys.
fn fixed(outcome: &Outcome, keys: &[&str]) -> Vec<Cell> {
    let settings = outcome.settings.table();
    let cell = |key: &&str| match *key {
        "f_real" => Cell::count(outcome.settings.f_real()),
        key => Cell::of(settings.get(key)),
    };
    std::iter::once(Cell::text(&outcome.key)).chain(keys.iter().map(cell)).collect()
}

/// One line a run: its key, how it ended, the hash of its final parameters, all its settings.
pub fn run_index(outcomes: &[Outcome]) -> Vec<u8> {
    let keys: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
    let header: Vec<&str> =
        ["run", "state", "parameters", "error"].into_iter().chain(keys.iter().copied()).collect();
    let row = |outcome: &Outcome| {
        let mut row = fixed(outcome, &keys);
        // A hash may look like a number, as a key does without its letter.
        let hash = match outcome.parameters.as_str() {
            "" => String::new(),
            hash => format!("b3-{hash}"),
        };
        let own = [outcome.end.name(), &hash, outcome.end.error()].map(Cell::text);
        row.splice(1..1, own);
        row
    };
    cells::csv(&header, outcomes.iter().map(row))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_a_line_with_every_key_that_varies() {
        let run = |rate: f64, clip: f64| {
            let mut one = Outcome::sample("nnm | krum", "alie z=1.5", 3, &[1.0]);
            (one.settings.learning_rate, one.settings.clip) = (rate, clip);
            one
        };
        let outcomes = [run(0.25, f64::INFINITY), run(1.0, 2.0)];
        let text = String::from_utf8(Tidy::of(&outcomes).csv()).unwrap();
        let head = "run,seed,rule,attack,n,f,f_real,learning_rate,clip,step,metric,value";
        assert_eq!(text.lines().next(), Some(head));
        let rest = "3,\"nnm | krum\",\"alie z=1.5\",11,0,0,0.25,1e999,0,\"accuracy\",1.0";
        let want = format!("\"{}\",{rest}", outcomes[0].key);
        assert_eq!(text.lines().nth(1), Some(want.as_str()));
        let index = String::from_utf8(run_index(&outcomes)).unwrap();
        let line = index.lines().nth(1).unwrap();
        assert!(line.contains(",\"finished\",\"b3-ab\",\"-\",\"correct\",\"glyphs\","), "{line}");
    }
}
