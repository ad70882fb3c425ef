//! `optimiser = "signum"`: the names under which sign descent is published, each short for the keys
//! that make it. Keys that are written beside it win, so `rule = "krum"` is Signum under Krum.

use crate::Failure;
use toml::{Table, Value};
use varangian_base::SpecError;

/// What a name stands for.
struct Preset {
    name: &'static str,
    message: &'static str,
    rule: &'static str,
    /// β: new gradients enter the worker's momentum with weight 1 − β.
    momentum: f64,
}

const PRESETS: &[Preset] = &[
    Preset { name: "distsgd", message: "vector", rule: "sum", momentum: 0.0 },
    Preset { name: "signsgd", message: "sign", rule: "majority", momentum: 0.0 },
    Preset { name: "signum", message: "sign", rule: "majority", momentum: 0.9 },
    Preset { name: "sto-sign", message: "sto-sign", rule: "majority", momentum: 0.0 },
    Preset { name: "dp-sign", message: "dp-sign", rule: "majority", momentum: 0.0 },
];

/// The key; its value is a name or a list of names.
pub(crate) const KEY: &str = "optimiser";

/// The tables that `part` stands for, one a named optimiser; `part` itself where none is named.
///
/// # Errors
/// If a name is unknown or not a text.
pub(crate) fn expand(mut part: Table) -> Result<Vec<Table>, Failure> {
    match part.remove(KEY) {
        None => Ok(vec![part]),
        Some(Value::Array(names)) => names.iter().map(|name| one(&part, name)).collect(),
        Some(name) => Ok(vec![one(&part, &name)?]),
    }
}

fn one(part: &Table, name: &Value) -> Result<Table, Failure> {
    let names = || PRESETS.iter().map(|preset| preset.name).collect::<Vec<_>>();
    let Some(text) = name.as_str() else {
        let known = names().join(", ");
        return Err(Failure::refused(format!("{KEY} takes a name of {known}; found {name}")));
    };
    let preset = PRESETS.iter().find(|preset| preset.name == text);
    let preset = preset.ok_or_else(|| SpecError::unknown(KEY, text, &names()))?;
    let mut out = part.clone();
    let mut absent = |key: &str, value: Value| {
        out.entry(key.to_owned()).or_insert(value);
    };
    absent("message", preset.message.into());
    absent("rule", preset.rule.into());
    absent("momentum", preset.momentum.into());
    absent("momentum_at", "worker".into());
    if let Some(beta) = out.get("momentum").filter(|beta| !beta.is_array()).cloned() {
        out.entry("dampening").or_insert(beta);
    } else if !out.contains_key("dampening") {
        return Err(Failure::refused(format!(
            "{KEY} sets dampening to the momentum, which must be one number; found a list"
        )));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Table>, String> {
        expand(text.parse().unwrap()).map_err(|failure| failure.to_string())
    }

    #[test]
    fn names_stand_for_keys_and_written_keys_win() {
        let found = read("optimiser = ['distsgd', 'signum']").unwrap();
        let text = |k: usize, key: &str| found[k][key].as_str().unwrap().to_owned();
        assert_eq!((text(0, "rule"), text(0, "message")), ("sum".into(), "vector".into()));
        assert_eq!((text(1, "rule"), text(1, "message")), ("majority".into(), "sign".into()));
        assert_eq!(found[1]["dampening"], Value::Float(0.9));
        let krum = &read("optimiser = 'signum'\nrule = 'krum'\nmomentum = 0.5").unwrap()[0];
        assert_eq!(krum["rule"].as_str(), Some("krum"));
        assert_eq!((&krum["momentum"], &krum["dampening"]), (&0.5.into(), &0.5.into()));
        assert_eq!(read("n = 3").unwrap(), ["n = 3".parse::<Table>().unwrap()]);
    }

    #[test]
    fn other_names_and_lists_of_momenta_are_refused() {
        let error = read("optimiser = 'signun'").unwrap_err();
        assert_eq!(error, "unknown optimiser \"signun\"; did you mean \"signum\"?");
        assert!(read("optimiser = 3").unwrap_err().contains("takes a name of distsgd"));
        assert!(read("optimiser = 'signum'\nmomentum = [0.5, 0.9]").is_err());
        assert!(read("optimiser = 'signum'\nmomentum = [0.5, 0.9]\ndampening = 0").is_ok());
    }
}
