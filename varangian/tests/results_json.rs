//! `docs/results-json.md` names every field of the document that the live page and the report show,
//! and no other.

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use varangian::lab::results::json::Watched;
use varangian::lab::results::{Outcome, Store};

/// The paths of all fields, those of the entries of lists behind `[]`.
fn paths(value: &Value, at: &str, out: &mut BTreeSet<String>) {
    let Value::Object(fields) = value else { return };
    for (name, value) in fields {
        let path = format!("{at}{name}");
        // The reasons of refusals are data, not fields.
        if let Value::Array(all) = value
            && let Some(first) = all.first()
        {
            paths(first, &format!("{path}[]."), out);
        }
        out.insert(path);
    }
}

#[test]
fn the_page_names_every_field_and_the_report_carries_the_same_document() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::make(folder.path()).unwrap();
    store.save(&Outcome::sample("</script><b>", "alie", 1, &[0.25, f64::NAN])).unwrap();
    let live = r#"[{"key":"a","rule":"krum","attack":"alie","setting":"","seed":3,"step":2,
        "steps":4,"curve":[],"classifies":true,"weights":[],"refused":[],"reasons":{},
        "hostile":[],"expelled":[],"skipped":0}]"#;
    std::fs::write(folder.path().join("live.json"), live).unwrap();
    let text = Watched::open(folder.path()).unwrap().now().text();
    let document: Value = serde_json::from_str(&text).unwrap();
    let mut found = BTreeSet::new();
    paths(&document, "", &mut found);

    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let page = std::fs::read_to_string(root.join("docs/results-json.md")).unwrap();
    let named: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .map(str::to_owned)
        .collect();
    assert_eq!(found, named);

    let report = varangian::lab::report::write(folder.path()).unwrap();
    let html = std::fs::read_to_string(report.file).unwrap();
    let start = "<script type=\"application/json\" id=\"results\">";
    let inside = html.split(start).nth(1).unwrap().split("</script>").next().unwrap();
    let again: Value = serde_json::from_str(inside).unwrap();
    assert_eq!((&again["runs"], &again["lines"]), (&document["runs"], &document["lines"]));
}
