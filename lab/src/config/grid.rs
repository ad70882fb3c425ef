//! From tables with lists to runs: cartesian products in the order of the keys.

use super::{KEYS, Settings};
use std::collections::BTreeMap;
use toml::{Table, Value};

/// The tables of scalars that a table with lists stands for; the last key varies fastest.
pub(crate) fn product(table: &Table) -> Vec<Table> {
    let mut out = vec![Table::new()];
    for key in KEYS.iter().map(|key| key.name) {
        let Some(value) = table.get(key) else { continue };
        let values = match value {
            Value::Array(values) => values.as_slice(),
            scalar => std::slice::from_ref(scalar),
        };
        let extend = |base: &Table, value: &Value| {
            let mut one = base.clone();
            one.insert(key.to_owned(), value.clone());
            one
        };
        out = out.iter().flat_map(|base| values.iter().map(|v| extend(base, v))).collect();
    }
    out
}

/// How many runs [`product`] makes of a table, or the largest number where that overflows.
pub(crate) fn count(table: &Table) -> usize {
    let length = |key: &str| match table.get(key) {
        Some(Value::Array(values)) => values.len(),
        _ => 1,
    };
    KEYS.iter().map(|key| length(key.name)).fold(1, usize::saturating_mul)
}

/// The keys beside attack and seed in which runs differ: what tells lines of a table or plot apart.
/// The rule comes first, then the others in the order of the keys. `f_real` counts only where it
/// differs from f.
pub fn label_keys(runs: &[&Settings]) -> Vec<&'static str> {
    let texts: Vec<BTreeMap<&str, String>> = runs.iter().map(|run| run.texts()).collect();
    let varies = |key: &str| {
        if key == "f_real" {
            return runs.iter().any(|run| run.f_real() != run.f);
        }
        let Some(first) = texts.first() else { return false };
        texts.iter().any(|text| text[key] != first[key])
    };
    let others = KEYS.iter().map(|key| key.name);
    let others = others.filter(|key| !["rule", "attack", "seed"].contains(key) && varies(key));
    std::iter::once("rule").chain(others).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_multiply_and_later_keys_vary_faster() {
        let table: Table = "seed = [1, 2]\nrule = ['a', 'b']\nn = 5".parse().unwrap();
        let runs = product(&table);
        let pairs: Vec<String> =
            runs.iter().map(|run| format!("{}{}{}", run["n"], run["rule"], run["seed"])).collect();
        assert_eq!(pairs, ["5\"a\"1", "5\"a\"2", "5\"b\"1", "5\"b\"2"]);
        assert_eq!(product(&"rule = []".parse().unwrap()), Vec::<Table>::new());
    }

    #[test]
    fn labels_name_what_varies() {
        let run = |rule: &str, f, f_real| Settings {
            rule: rule.into(),
            f,
            f_real: Some(f_real),
            ..Settings::default()
        };
        let keys = |runs: &[Settings]| label_keys(&runs.iter().collect::<Vec<_>>());
        assert_eq!(keys(&[run("a", 2, 2), run("b", 2, 2)]), ["rule"]);
        assert_eq!(keys(&[run("a", 2, 2), run("a", 3, 3)]), ["rule", "f"]);
        assert_eq!(keys(&[run("a", 2, 2), run("a", 2, 3)]), ["rule", "f_real"]);
    }
}
