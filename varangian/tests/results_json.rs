//! `docs/results-json.md` names every field of the results' JSON, and no field that is not there.

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use varangian::lab::benchmark::{Curves, Leaderboard};
use varangian::lab::results::json::{About, FORMAT, Results, VERSION};
use varangian::lab::results::{End, Outcome, Point};
use varangian::lab::run::{Live, Served, Suspicion};

/// Objects whose keys are names from elsewhere and no fields.
const OPEN: [&str; 4] = ["common", "runs[].settings", "running[].reasons", "running[].settings"];

/// The paths of all fields, as the page spells them.
fn fields(value: &Value, path: &str, out: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) if !OPEN.contains(&path) => {
            for (key, value) in map {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                fields(value, &path, out);
            }
        }
        // A pair of a curve is one thing.
        Value::Array(list) if !path.ends_with("curve[]") => {
            assert!(!list.is_empty(), "the sample has nothing at {path}");
            list.iter().for_each(|value| fields(value, &format!("{path}[]"), out));
        }
        _ => {
            out.insert(path.to_owned());
        }
    }
}

/// A leaderboard of a shipped entry, its first setting alone.
fn board() -> Leaderboard {
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../experiments/benchmark/small-v1");
    let mut board = Leaderboard::within(Path::new(shipped)).unwrap().unwrap();
    board.standings.truncate(1);
    let curves = Curves { steps: vec![0], worst: vec![0.5], clean: vec![0.5] };
    board.standings[0].cells.iter_mut().for_each(|cell| cell.curves = Some(curves.clone()));
    board
}

/// Results in which every list has an element.
fn sample() -> Results {
    let mut outcomes = [
        Outcome::sample("krum", "alie", 1, &[0.25, f64::NAN]),
        Outcome::sample("median", "alie", 1, &[0.25, 0.5]),
    ];
    outcomes[1].settings.n = 15;
    outcomes[1].end = End::Failed("why".into());
    let mut about = About { leaderboard: Some(board()), ..About::default() };
    about.notes.push("batch=7 does nothing".into());
    about.measured.push("partition iid over 11 workers".into());
    for metric in ["hostile_weight", "refused/not-finite/worker-003"] {
        let point = Point { step: 10, metric: metric.into(), value: 0.5 };
        outcomes.iter_mut().for_each(|outcome| outcome.points.push(point.clone()));
    }
    let mut results = Results::of(&about, &outcomes.iter().collect::<Vec<_>>());
    let mut live = Live::default();
    live.curve.push((0, 0.5));
    live.weights.push(f64::NAN);
    (live.refused, live.hostile, live.expelled) = (vec![0], vec![1], vec![1]);
    let one = Suspicion { worker: 0, share: 0.5, curve: vec![(0, 0.5)] };
    live.served = Some(Served {
        present: vec![true],
        admitted: vec![1],
        missed: vec![0],
        revoked: vec![0],
        round_curve: vec![(0, 0.1)],
        by: "evidence".into(),
        suspicion: vec![one],
    });
    results.going_on(&[live], true, &about);
    results
}

#[test]
fn every_field_is_on_the_page_and_the_page_has_no_other() {
    let sample = sample();
    assert_eq!(sample.lasting() + &sample.passing(), sample.text());
    let mut real = BTreeSet::new();
    fields(&serde_json::from_str(&sample.text()).unwrap(), "", &mut real);
    let page = include_str!("../../docs/results-json.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let named: Vec<&str> = rows.filter_map(|row| row.split('`').next()).collect();
    let told: BTreeSet<String> = named.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(told.len(), named.len(), "a field stands twice");
    let missing: Vec<&String> = real.difference(&told).collect();
    let invented: Vec<&String> = told.difference(&real).collect();
    assert!(
        missing.is_empty() && invented.is_empty(),
        "missing {missing:?}, not there {invented:?}"
    );
    assert!(page.contains(&format!("| `format` | text | `{FORMAT}` |")));
    assert!(page.contains(&format!("the version of these fields: {VERSION} |")));
}

/// Kinds of values stand beside the fields: text, whole, number, boolean, pair, object, value; "or null".
#[test]
fn every_value_is_of_the_type_that_the_page_says() {
    fn walk(value: &Value, path: &str, check: &dyn Fn(&str, &Value)) {
        match value {
            Value::Object(map) if !OPEN.contains(&path) => map.iter().for_each(|(key, value)| {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                walk(value, &path, check);
            }),
            Value::Array(list) if !path.ends_with("curve[]") => {
                list.iter().for_each(|value| walk(value, &format!("{path}[]"), check));
            }
            _ => check(path, value),
        }
    }
    let page = include_str!("../../docs/results-json.md");
    let value: Value = serde_json::from_str(&sample().text()).unwrap();
    walk(&value, "", &|path, value| {
        let row = page.lines().find(|line| line.starts_with(&format!("| `{path}` | ")));
        let kind = row.unwrap().split(" | ").nth(1).unwrap();
        let plain = match kind.trim_end_matches(" or null") {
            _ if value.is_null() => kind.ends_with("or null"),
            "text" => value.is_string(),
            "whole" => value.is_u64(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            "pair" => value.as_array().is_some_and(|pair| pair.len() == 2),
            "object" => value.is_object(),
            // Whatever a setting may be.
            "value" => value.is_string() || value.is_number() || value.is_boolean(),
            _ => false,
        };
        assert!(plain, "{path} should be {kind}: {value}");
    });
}
