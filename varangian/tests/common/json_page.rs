//! `docs/command-json.md` held to what commands print.

use serde_json::Value;
use std::collections::BTreeMap;

/// The fields that a section of `docs/command-json.md` lists, with their types.
fn documented(command: &str) -> BTreeMap<String, String> {
    let page = include_str!("../../../docs/command-json.md");
    let title = format!("\n## varangian {command}\n");
    let (_, section) = page.split_once(&title).unwrap_or_else(|| panic!("no section {command}"));
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    let rows = rows.map(|row| {
        let (field, rest) = row.split_once("` | ").unwrap();
        (field.to_owned(), rest.split(" | ").next().unwrap().to_owned())
    });
    rows.collect()
}

/// Whether the page has an object here and says of none of its fields what they are.
fn is_whole(path: &str, page: &BTreeMap<String, String>) -> bool {
    let inner = format!("{path}.");
    page.get(path).is_some_and(|kind| kind.starts_with("object"))
        && !page.keys().any(|known| known.starts_with(&inner))
}

/// Every value with its path, as the page spells paths; what is documented as an object is one.
fn fields(
    value: &Value,
    path: &str,
    page: &BTreeMap<String, String>,
    out: &mut Vec<(String, Value)>,
) {
    match value {
        Value::Object(map) if !is_whole(path, page) => {
            for (key, value) in map {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                fields(value, &path, page, out);
            }
        }
        Value::Array(list) => {
            list.iter().for_each(|value| fields(value, &format!("{path}[]"), page, out));
        }
        value => out.push((path.to_owned(), value.clone())),
    }
}

/// Holds what was printed to the page: each field is there with that type. Returns its fields.
pub(crate) fn held(command: &str, value: &Value) -> Vec<(String, Value)> {
    let (page, mut found) = (documented(command), Vec::new());
    fields(value, "", &page, &mut found);
    assert!(!found.is_empty(), "{command}: {value}");
    for (path, value) in &found {
        // A list that may be null as a whole is documented by its elements.
        if value.is_null() && page.keys().any(|known| known.starts_with(&format!("{path}[]"))) {
            continue;
        }
        let kind = page.get(path).unwrap_or_else(|| panic!("{command}: {path} is not documented"));
        let fits = match kind.trim_end_matches(" or null") {
            _ if value.is_null() => kind.ends_with(" or null"),
            "text" => value.is_string(),
            "whole" => value.is_u64(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            "object" => value.is_object(),
            "value" => value.is_string() || value.is_number(),
            _ => false,
        };
        assert!(fits, "{command}: {path} should be {kind}: {value}");
    }
    found
}

/// That fields stand on the page only where they can be printed.
pub(crate) fn all_of(command: &str, found: &[(String, Value)]) {
    let real: Vec<&str> = found.iter().map(|(path, _)| path.as_str()).collect();
    for path in documented(command).keys() {
        assert!(real.contains(&path.as_str()), "{command}: {path} was never printed");
    }
}
