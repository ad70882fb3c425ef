//! What stands in `runs/KEY.json`, and whether it and the table beside it are what was written.
//!
//! Both may come from a stranger, or from a disk that lost a part: the record carries a checksum of
//! itself and one of its table, and what does not match is never taken for a result.

use super::cells::{self, Cell};
use super::store::{End, Outcome, Point};
use serde::{Deserialize, Serialize};

/// The version of how records, tables and checkpoints are written.
pub(super) const FORMAT: u32 = 2;

/// Where the checksum of a text stands while it is taken.
pub(super) const BLANK: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// A record. Its checksum comes first, so that the first place that looks like it is it.
#[derive(Serialize, Deserialize)]
struct Record {
    #[serde(default)]
    check: String,
    #[serde(default)]
    format: u32,
    key: String,
    end: End,
    parameters: String,
    seconds: f64,
    version: String,
    settings: String,
    /// BLAKE3 of the table's bytes.
    #[serde(default)]
    table: String,
    /// BLAKE3 of the bytes of the kept parameters, where there are any.
    #[serde(default)]
    model: String,
}

/// What stands under a key.
pub enum Look {
    /// Nothing.
    Missing,
    /// Something that is not what was written; why.
    Damaged(String),
    /// An outcome from before results had checksums: it may be anything.
    Unchecked(Outcome),
    /// An outcome as it was written.
    Whole(Outcome),
}

impl Look {
    /// The outcome, vouched for or not.
    pub(super) fn outcome(self) -> Option<Outcome> {
        match self {
            Look::Unchecked(outcome) | Look::Whole(outcome) => Some(outcome),
            Look::Missing | Look::Damaged(_) => None,
        }
    }
}

/// The record and the table of an outcome, as they are written.
pub(super) fn written(outcome: &Outcome) -> (String, String) {
    let table = points_text(&outcome.points);
    let record = Record {
        check: BLANK.into(),
        format: FORMAT,
        key: outcome.key.clone(),
        end: outcome.end.clone(),
        parameters: outcome.parameters.clone(),
        seconds: outcome.seconds,
        version: env!("CARGO_PKG_VERSION").into(),
        settings: toml::to_string(&outcome.settings).expect("scalars"),
        table: blake3::hash(table.as_bytes()).to_hex().to_string(),
        model: outcome.model.clone(),
    };
    let text = serde_json::to_string_pretty(&record).expect("plain values");
    (sealed(&text), table)
}

/// What a record and its table are worth under `key`.
pub(super) fn look(key: &str, text: &[u8], table: Option<&[u8]>) -> Look {
    let damaged = |why: &str| Look::Damaged(why.to_owned());
    let Ok(text) = std::str::from_utf8(text) else { return damaged("its record is no text") };
    let record: Record = match serde_json::from_str(text) {
        Ok(record) => record,
        Err(error) => return Look::Damaged(format!("its record cannot be read: {error}")),
    };
    let checked = record.format >= FORMAT;
    if record.format > FORMAT {
        let found = record.format;
        return Look::Damaged(format!(
            "its record is of format {found}; this program has {FORMAT}"
        ));
    }
    if checked && !is_sealed(text, &record.check) {
        return damaged("its record does not match its checksum");
    }
    if super::bare(&record.key) != super::bare(key) {
        return damaged("its record is that of another run");
    }
    let Some(table) = table else { return damaged("its table is missing or cannot be read") };
    if checked && blake3::hash(table).to_hex().as_str() != record.table {
        return damaged("its table does not match its checksum");
    }
    let Some(points) = read_points(table) else { return damaged("its table cannot be read") };
    let Ok(settings) = crate::config::read_settings(&record.settings) else {
        return damaged("its settings cannot be read");
    };
    let finished = record.end == End::Finished;
    if points.iter().any(|point| point.step > settings.steps) || finished && points.is_empty() {
        return damaged("its table cannot be that of its settings");
    }
    let Record { end, parameters, seconds, model, .. } = record;
    let key = key.to_owned();
    let outcome = Outcome { key, settings, points, end, parameters, seconds, model };
    if checked { Look::Whole(outcome) } else { Look::Unchecked(outcome) }
}

/// A text with the checksum of the whole of it in the first place that is blank.
pub(super) fn sealed(text: &str) -> String {
    text.replacen(BLANK, &blake3::hash(text.as_bytes()).to_hex(), 1)
}

/// Whether a text is as [`sealed`] left it, with this checksum.
pub(super) fn is_sealed(text: &str, check: &str) -> bool {
    check.len() == BLANK.len() && sealed(&text.replacen(check, BLANK, 1)) == text
}

/// Points as CSV: `step,metric,value`.
pub(super) fn points_text(points: &[Point]) -> String {
    let row = |point: &Point| {
        vec![Cell::Whole(point.step as i64), Cell::text(&point.metric), Cell::Real(point.value)]
    };
    let bytes = cells::csv(&["step", "metric", "value"], points.iter().map(row));
    String::from_utf8(bytes).expect("text")
}

/// Points from CSV, if it is whole.
pub(super) fn read_points(text: &[u8]) -> Option<Vec<Point>> {
    csv::Reader::from_reader(text).deserialize().collect::<Result<_, _>>().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(look: Look) -> String {
        match look {
            Look::Missing => "missing".into(),
            Look::Damaged(why) => why,
            Look::Unchecked(_) => "unchecked".into(),
            Look::Whole(_) => "whole".into(),
        }
    }

    #[test]
    fn what_does_not_match_is_never_believed() {
        let one = Outcome::sample("krum", "none", 1, &[0.5, 0.9]);
        let other = Outcome::sample("median", "none", 1, &[0.5, 0.1]);
        let ((text, table), (_, foreign)) = (written(&one), written(&other));
        let see =
            |text: &str, table: &str| why(look(&one.key, text.as_bytes(), Some(table.as_bytes())));
        assert_eq!(see(&text, &table), "whole");
        let lost = "its table does not match its checksum";
        let header = table.lines().next().unwrap();
        let cut: Vec<&str> = table.lines().collect();
        for bad in [header, &cut[..2].join("\n"), "", &foreign, &table.replace("0.9", "0.8")] {
            assert_eq!(see(&text, bad), lost, "{bad}");
        }
        let edited = "its record does not match its checksum";
        let digit = if text.contains("\"seconds\": 1.5") { "1.5" } else { "1" };
        for (from, to) in
            [("krum", "mean"), (digit, "2.5"), ("finished", "finished "), ("ab", "ac")]
        {
            assert!(text.contains(from), "{from}");
            let said = see(&text.replacen(from, to, 1), &table);
            assert!(said == edited || said.contains("cannot be read"), "{from}: {said}");
        }
        let newer = text.replace("\"format\": 2", "\"format\": 3");
        assert!(see(&newer, &table).contains("is of format 3"), "{}", see(&newer, &table));
        assert_eq!(
            why(look(&other.key, text.as_bytes(), Some(table.as_bytes()))),
            "its record is that of another run"
        );
        assert_eq!(
            why(look(&one.key, text.as_bytes(), None)),
            "its table is missing or cannot be read"
        );
    }

    #[test]
    fn what_is_older_than_checksums_is_marked_and_an_empty_table_is_none() {
        let one = Outcome::sample("krum", "none", 1, &[0.5, 0.9]);
        let (text, table) = written(&one);
        let mut old: serde_json::Value = serde_json::from_str(&text).unwrap();
        for key in ["check", "format", "table", "model"] {
            old.as_object_mut().unwrap().remove(key);
        }
        let old = old.to_string();
        let see = |table: &str| why(look(&one.key, old.as_bytes(), Some(table.as_bytes())));
        assert_eq!(see(&table), "unchecked");
        assert_eq!(see("step,metric,value\n"), "its table cannot be that of its settings");
        let far = format!("step,metric,value\n{},\"accuracy\",0.5\n", 1u64 << 62);
        assert_eq!(see(&far), "its table cannot be that of its settings");
    }
}
