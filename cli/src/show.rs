//! `varangian rules|filters|attacks|models|datasets|partitions [NAME] [--json]`: what the entries
//! say of themselves.

use crate::{Failure, print};
use serde_json::{Value, json};
use varangian_attacks::AttackEntry;
use varangian_base::{Entry, Param, entry};
use varangian_learn::{data, model, partition};
use varangian_rules::entry::{Claims, Family, Kappa, RuleFacts};
use varangian_rules::{FilterEntry, RuleEntry};

/// Arguments of the commands that list entries.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Explain this one
    name: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Lists or explains rules.
pub(crate) fn rules(args: &Args) -> Result<(), Failure> {
    show("rule", varangian_rules::ALL, args, rule_facts)
}

/// Lists or explains attacks.
pub(crate) fn attacks(args: &Args) -> Result<(), Failure> {
    show("attack", varangian_attacks::ALL, args, attack_facts)
}

/// Lists or explains filters: the rules of asynchronous training.
pub(crate) fn filters(args: &Args) -> Result<(), Failure> {
    show("filter", varangian_rules::FILTERS, args, filter_facts)
}

/// Lists or explains models.
pub(crate) fn models(args: &Args) -> Result<(), Failure> {
    show("model", model::entry::ALL, args, |entry| {
        let mut facts = model_facts(entry);
        facts.extend(tensors(entry));
        facts
    })
}

/// Lists or explains data sets.
pub(crate) fn datasets(args: &Args) -> Result<(), Failure> {
    show("data set", data::ALL, args, data_facts)
}

/// Lists or explains partitions.
pub(crate) fn partitions(args: &Args) -> Result<(), Failure> {
    show("partition", partition::ALL, args, |_| Vec::new())
}

/// What a family says of itself beyond the common part: labelled sentences.
pub(crate) type Facts = Vec<(&'static str, String)>;

fn show<T: ?Sized, F>(
    what: &str,
    list: &'static [&'static Entry<T, F>],
    args: &Args,
    facts: fn(&Entry<T, F>) -> Facts,
) -> Result<(), Failure> {
    let chosen: Vec<&Entry<T, F>> = match &args.name {
        Some(name) => vec![entry::find(what, list, name)?],
        None => list.to_vec(),
    };
    if args.json {
        let all: Vec<Value> = chosen.iter().map(|entry| to_json(entry, &facts(entry))).collect();
        let value = if args.name.is_some() { all[0].clone() } else { Value::Array(all) };
        print::line(&format!("{value:#}"));
    } else if args.name.is_some() {
        print::told(&explain(chosen[0], &facts(chosen[0])));
    } else {
        let row = |entry: &&Entry<T, F>| vec![entry.name.to_owned(), entry.summary.to_owned()];
        let rows: Vec<Vec<String>> = chosen.iter().map(row).collect();
        print::line(print::table(&[what, "what it does"], &rows, &[false, false]).trim_end());
    }
    Ok(())
}

fn explain<T: ?Sized, F>(entry: &Entry<T, F>, facts: &Facts) -> String {
    let mut out = format!("{}: {}\n\nPaper: {}\n", entry.name, entry.summary, entry.paper);
    for sentence in entry.differs {
        out.push_str(&format!("Differs: {sentence}\n"));
    }
    for (label, text) in facts {
        out.push_str(&format!("{label}: {text}\n"));
    }
    out.push_str(&format!("Cost: {}\n", entry.cost));
    match entry.params {
        [] => out.push_str("Parameters: none"),
        params => {
            out.push_str("Parameters:");
            for param in params {
                let Param { name, kind, default, help } = param;
                out.push_str(&format!("\n  {name}={default}  {help} ({kind})"));
            }
        }
    }
    out
}

fn to_json<T: ?Sized, F>(entry: &Entry<T, F>, facts: &Facts) -> Value {
    let param = |param: &Param| {
        json!({ "name": param.name, "takes": param.kind.to_string(),
                "default": param.default, "help": param.help })
    };
    let mut value = json!({
        "name": entry.name, "summary": entry.summary, "paper": entry.paper,
        "differs": entry.differs, "cost": entry.cost,
        "params": entry.params.iter().map(param).collect::<Vec<_>>(),
    });
    for (label, text) in facts {
        value[label.to_lowercase().replace(' ', "_")] = json!(text);
    }
    value
}

/// The facts of a rule.
pub(crate) fn rule_facts(entry: &RuleEntry) -> Facts {
    let facts = &entry.facts;
    let family = match facts.family {
        Family::PreAggregation => "before the rule",
        Family::Rule => "the rule",
        Family::MetaAggregation => "after the rule",
    };
    let kappa = match facts.kappa {
        Kappa::Exact(_, text) => format!("{text} (exact worst case)"),
        Kappa::Bound(_, text) => format!("at most {text}"),
        Kappa::Through(_, text) => format!("of a rule with κ it makes at most {text}"),
        Kappa::Open(text) => text.into(),
    };
    let mut out = vec![
        ("Place", family.to_owned()),
        ("Bound", format!("{} ({})", facts.bound.text, facts.bound.source)),
        ("Kappa", kappa),
        ("Variance-norm limit", facts.variance_norm.map_or("none", |(_, text)| text).into()),
        ("Reports", reports(facts)),
        ("Claims", claimed(&facts.claims, true)),
        ("Not claimed", claimed(&facts.claims, false)),
    ];
    if !facts.variants.is_empty() {
        let claims =
            |(choice, claims): &(&str, Claims)| format!("with {choice}: {}", claimed(claims, true));
        let all: Vec<String> = facts.variants.iter().map(claims).collect();
        out.push(("Claims otherwise", all.join("; ")));
    }
    if facts.weighted {
        let text = "taken: the f heaviest may hold less than half (Dahan & Levy 2025)";
        out.push(("Weights of rows", text.into()));
    }
    if facts.needs_oracle {
        out.push(("Asks", "the loss on data that the server holds".into()));
    }
    if facts.has_memory {
        out.push(("Remembers", "earlier rounds".into()));
    }
    let dealt = match facts.whole_rows {
        "" => "the bits of whole rows".into(),
        why => format!("refused: {why}"),
    };
    out.push(("Columns over processes", dealt));
    out.push((
        "Rows of f64",
        match facts.needs_oracle {
            true => "refused: it asks for a loss, and models compute in f32",
            false => "answered in f64 from the formula, ten to a hundred times slower",
        }
        .into(),
    ));
    out
}

/// The claims that are made, or those that are not.
fn claimed(claims: &Claims, made: bool) -> String {
    let permutation = match claims.ties && made {
        true => "permutation (of rows without ties, which go by worker id)",
        false => "permutation",
    };
    let pairs = [
        (permutation, claims.permutation),
        ("translation", claims.translation),
        ("scale (by positive factors)", claims.scale),
        ("rotation", claims.rotation),
        ("coordinate-wise", claims.coordinate_wise),
        ("honest box", claims.honest_box),
        ("bounded", claims.bounded),
        ("majority", claims.majority),
    ];
    let names = pairs.iter().filter(|(_, held)| *held == made).map(|(name, _)| *name);
    let names: Vec<&str> = names.collect();
    if names.is_empty() { "nothing".into() } else { names.join(", ") }
}

/// What a rule says of each row's part in the answer.
fn reports(facts: &RuleFacts) -> String {
    match (facts.weights, facts.claims.coordinate_wise) {
        (true, _) => "the weight of each row in the answer",
        (false, true) => "no weights: each coordinate is made of other rows",
        (false, false) => "no weights: the answer is no combination of the rows",
    }
    .into()
}

/// The facts of a filter.
pub(crate) fn filter_facts(entry: &FilterEntry) -> Facts {
    let facts = &entry.facts;
    let mut out = vec![("Bound", format!("{} ({})", facts.bound.text, facts.bound.source))];
    if facts.needs_oracle {
        out.push(("Asks", "the gradient on data that the server holds".into()));
    }
    if facts.needs_stale {
        out.push(("Looks at", "the parameters at which a gradient was taken".into()));
    }
    if facts.has_memory {
        out.push(("Remembers", "earlier arrivals".into()));
    }
    out
}

/// The facts of a model.
pub(crate) fn model_facts(entry: &model::entry::ModelEntry) -> Facts {
    let home = &entry.facts;
    let shape = home.shape;
    let answer = match home.classes {
        0 => "regression".into(),
        classes => format!("{classes} classes"),
    };
    let inputs = format!("{} × {} × {}", shape.channels, shape.height, shape.width);
    vec![("At home", format!("{inputs}, {answer}, d = {}", home.d))]
}

/// The names and shapes of a model's tensors at home, as a file to start from holds them.
fn tensors(entry: &model::entry::ModelEntry) -> Facts {
    let home = &entry.facts;
    let Ok(model) = model::build(entry.name, home.shape, home.classes) else {
        return Facts::new();
    };
    let list = |tensors: &[model::Tensor]| {
        let one = |tensor: &model::Tensor| {
            let sizes: Vec<String> = tensor.shape.iter().map(usize::to_string).collect();
            format!("{} {}", tensor.name, sizes.join(" × "))
        };
        tensors.iter().map(one).collect::<Vec<String>>().join(", ")
    };
    let mut out = vec![("Tensors", list(model.tensors()))];
    if !model.buffer_tensors().is_empty() {
        out.push(("Running statistics", list(model.buffer_tensors())));
    }
    out
}

/// The facts of a data set.
pub(crate) fn data_facts(entry: &Entry<dyn data::Source, data::Facts>) -> Facts {
    let files = match entry.facts.files {
        [] => "none; it is generated".into(),
        files => files.join(", "),
    };
    vec![("Size", entry.facts.size.into()), ("Files", files)]
}

/// The facts of an attack.
pub(crate) fn attack_facts(entry: &AttackEntry) -> Facts {
    let sees = &entry.facts.sees;
    let parts = [
        ("its own honest gradients", sees.own),
        ("the honest rows", sees.honest),
        ("the rule", sees.rule),
        ("the server's momentum or last aggregate", sees.server),
        ("the loss on samples of its own", sees.loss),
    ];
    let seen: Vec<&str> = parts.iter().filter(|(_, on)| *on).map(|(name, _)| *name).collect();
    let seen = if seen.is_empty() { "nothing".into() } else { seen.join(", ") };
    let mut out = vec![("Sees", seen)];
    if entry.facts.poisons {
        out.push(("Poisons", "labels before the gradient is taken".into()));
    }
    if entry.facts.has_memory {
        out.push(("Remembers", "earlier rounds".into()));
    }
    let common = varangian_attacks::COMMON.iter().map(|p| format!("{}={}", p.name, p.default));
    out.push(("Also takes", common.collect::<Vec<String>>().join(" ")));
    out
}
