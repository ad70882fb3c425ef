//! The lists of entries, as JSON: classes, their parameters and their documentation are made from
//! it.

use crate::border::refused;
use pyo3::prelude::*;
use serde_json::{Value, json};
use varangian_attacks as attacks;
use varangian_base::{Entry, Kind, Param, Spec, spec};
use varangian_learn::{data, model, partition};
use varangian_rules::{self as rules, Family};

fn kind(kind: &Kind) -> Value {
    // The ends of a format stand for no end.
    let real = |x: f64| if x.abs() < f64::MAX && x.is_finite() { json!(x) } else { Value::Null };
    let whole = |x: usize| if x < usize::MAX { json!(x) } else { Value::Null };
    match *kind {
        Kind::Count { min, max } => json!({"is": "int", "min": min, "max": whole(max)}),
        Kind::Real { min, max } => json!({"is": "float", "min": real(min), "max": real(max)}),
        Kind::Choice(choices) => json!({"is": "choice", "of": choices}),
        Kind::Flag => json!({"is": "bool"}),
        Kind::Text => json!({"is": "str"}),
    }
}

fn param(param: &Param) -> Value {
    json!({
        "name": param.name, "kind": kind(&param.kind), "takes": param.kind.to_string(),
        "default": param.default, "help": param.help,
    })
}

fn about<T: ?Sized, F>(entry: &Entry<T, F>, facts: Value) -> Value {
    json!({
        "name": entry.name, "summary": entry.summary, "paper": entry.paper,
        "differs": entry.differs, "cost": entry.cost, "facts": facts,
        "params": entry.params.iter().map(param).collect::<Vec<_>>(),
    })
}

/// Every entry of every list, as JSON.
#[pyfunction]
pub(crate) fn catalogue() -> String {
    let rules: Vec<Value> = rules::ALL
        .iter()
        .map(|entry| {
            let facts = &entry.facts;
            let family = match facts.family {
                Family::PreAggregation => "pre-aggregation",
                Family::Rule => "rule",
                Family::MetaAggregation => "meta-aggregation",
            };
            let facts = json!({
                "family": family, "bound": facts.bound.text, "needs_oracle": facts.needs_oracle,
                "has_memory": facts.has_memory, "weights": facts.weights,
                "weighted": facts.weighted, "whole_rows": facts.whole_rows,
            });
            about(entry, facts)
        })
        .collect();
    let filters = rules::FILTERS.iter().map(|entry| {
        let facts = &entry.facts;
        about(entry, json!({"bound": facts.bound.text, "needs_oracle": facts.needs_oracle}))
    });
    let attacks = attacks::ALL.iter().map(|entry| {
        let (facts, sees) = (&entry.facts, entry.facts.sees);
        let sees = json!({
            "own": sees.own, "honest": sees.honest, "rule": sees.rule, "server": sees.server,
            "loss": sees.loss,
        });
        let facts = json!({
            "sees": sees, "poisons": facts.poisons, "has_memory": facts.has_memory,
            "wild": facts.wild,
        });
        about(entry, facts)
    });
    let models = model::ALL.iter().map(|entry| {
        let home = &entry.facts;
        about(entry, json!({"d": home.d, "classes": home.classes}))
    });
    let datasets = data::ALL
        .iter()
        .map(|entry| about(entry, json!({"size": entry.facts.size, "files": entry.facts.files})));
    let partitions = partition::ALL.iter().map(|entry| about(entry, json!({})));
    json!({
        "rules": rules,
        "filters": filters.collect::<Vec<_>>(),
        "attacks": attacks.collect::<Vec<_>>(),
        "models": models.collect::<Vec<_>>(),
        "datasets": datasets.collect::<Vec<_>>(),
        "partitions": partitions.collect::<Vec<_>>(),
    })
    .to_string()
}

/// The one spelling of a variant with parameters: "krum m=3".
#[pyfunction]
pub(crate) fn spell(name: String, pairs: Vec<(String, String)>) -> String {
    Spec { name, pairs }.to_string()
}

/// The names of a text's stages, left to right.
#[pyfunction]
pub(crate) fn names(text: &str) -> PyResult<Vec<String>> {
    let chain = spec::parse_chain(text).map_err(refused)?;
    Ok(chain.into_iter().map(|stage| stage.name).collect())
}
