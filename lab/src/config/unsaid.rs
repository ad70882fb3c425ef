//! Keys that came later than the first results: left out of a run's key at their defaults.

use toml::Table;
use varangian_base::{Kind, Param};

/// The parameters of `weights = "samples"`.
pub const WEIGHTS: &[Param] = &[
    Param {
        name: "floor",
        kind: Kind::Real { min: 0.0, max: 1.0 },
        default: "0.01",
        help: "the least that a worker counts, in workers with the median number of samples",
    },
    Param {
        name: "cap",
        kind: Kind::Real { min: 1.0, max: 1e12 },
        default: "10",
        help: "the most that a worker counts, in the same unit",
    },
];

/// The keys that are left out at their defaults, and these as they print.
pub(super) const UNSAID: &[(&str, &str)] = &[
    ("partition_over", "all"),
    ("optimum", "none"),
    ("local_steps", "1"),
    ("local_rate", "0.0"),
    ("local_optimiser", "sgd"),
    ("compression", "none"),
    ("participation", "all"),
    ("non_finite", "refuse-row"),
    ("server_optimiser", "sgd"),
    ("weights", "equal"),
    ("certificate", "none"),
];

/// A key's value in a table of settings as it prints, or its default where that is left out.
pub(super) fn printed(table: &Table, key: &str) -> String {
    match table.get(key) {
        Some(toml::Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => {
            let unsaid = UNSAID.iter().find(|(name, _)| *name == key);
            unsaid.map_or_else(String::new, |(_, text)| (*text).to_owned())
        }
    }
}

pub(super) fn is_one(steps: &u64) -> bool {
    *steps == 1
}

pub(super) fn is_zero(rate: &f64) -> bool {
    *rate == 0.0
}

pub(super) fn is_none(text: &str) -> bool {
    text == "none"
}

pub(super) fn is_all(text: &str) -> bool {
    text == "all"
}

pub(super) fn is_refuse_row(text: &str) -> bool {
    text == "refuse-row"
}

pub(super) fn is_equal(text: &str) -> bool {
    text == "equal"
}

pub(super) fn is_sgd(text: &str) -> bool {
    text == "sgd"
}
