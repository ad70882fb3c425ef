//! `profile = "reference"`: the quirks of published code, all at once.
//!
//! Each quirk is a switch of its own that a file can set without the profile. The profile moves
//! every switch that stands at its correct value; other variants are left as they are written.

use super::Settings;
use crate::Failure;
use toml::{Table, Value};
use varangian_base::spec::{self, Spec};
use varangian_base::{Param, SpecError};
use varangian_rules::FILTERS;

/// A quirk of the published code of Distributed Momentum (El-Mhamdi, Guerraoui & Rouault 2021).
#[derive(Clone, Copy, Debug)]
pub struct Quirk {
    /// The key of the experiment file that it sits in.
    pub key: &'static str,
    /// The variants that it concerns; all that have the parameter, where empty.
    pub of: &'static [&'static str],
    /// The parameter of the variant; empty where the key itself is the switch.
    pub param: &'static str,
    /// The correct values.
    pub correct: &'static [&'static str],
    /// The published code's.
    pub reference: &'static str,
    /// What the published code does.
    pub help: &'static str,
}

const fn quirk(
    (key, of, param): (&'static str, &'static [&'static str], &'static str),
    (correct, reference): (&'static [&'static str], &'static str),
    help: &'static str,
) -> Quirk {
    Quirk { key, of, param, correct, reference, help }
}

/// Every quirk with its switch.
pub const QUIRKS: &[Quirk] = &[
    quirk(
        ("clip_mode", &[], ""),
        (&["rescale"], "unit"),
        "an over-long gradient is scaled to norm 1 instead of to the bound",
    ),
    quirk(
        ("regulariser", &[], ""),
        (&["norm"], "reference-norm"),
        "the coefficient of the penalty is squared",
    ),
    quirk(
        ("model", &[], "norm"),
        (&["batch"], "frozen-init"),
        "batch norm never leaves its initial statistics",
    ),
    quirk(("model", &[], "dropout"), (&["true"], "false"), "dropout never drops"),
    quirk(
        ("dataset", &["cifar10", "cifar100", "fashion-mnist"], "flip"),
        (&["train", "none"], "both"),
        "test images are mirrored at random, as training images are",
    ),
    quirk(
        ("dataset", &["fashion-mnist"], "normalise"),
        (&["standard"], "none"),
        "pixels are not normalised",
    ),
    quirk(
        ("rule", &["krum", "multi-krum"], "variant"),
        (&["blanchard"], "distributed-momentum"),
        "scores sum unsquared distances over n − f − 1 neighbours",
    ),
    quirk(
        ("rule", &["bulyan"], "variant"),
        (&["rescored"], "reference"),
        "scores are not computed anew when a row has been selected",
    ),
    quirk(
        ("rule", &["median", "meamed", "aksel"], "middle"),
        (&["mean"], "lower"),
        "the median of an even number is the lower of the two middle values",
    ),
    quirk(
        ("attack", &[], "search"),
        (&["on"], "reference"),
        "searches for a factor go one way and use the published line search",
    ),
];

/// Applies the profile that the settings name. Its effects are seen in the other keys.
///
/// # Errors
/// If the profile or a variant is unknown.
pub(crate) fn apply(settings: Settings) -> Result<Settings, Failure> {
    match settings.profile.as_str() {
        "correct" => return Ok(settings),
        "reference" => {}
        other => {
            return Err(SpecError::unknown("profile", other, &["correct", "reference"]).into());
        }
    }
    let mut table = Table::try_from(&settings).expect("scalars");
    for quirk in QUIRKS {
        let Some(Value::String(text)) = table.get(quirk.key) else { continue };
        let new = match quirk.param {
            "" if quirk.correct.contains(&text.as_str()) => quirk.reference.to_owned(),
            "" => continue,
            _ => turn(text, quirk)?,
        };
        table.insert(quirk.key.into(), Value::String(new));
    }
    Settings::read(table)
}

/// Whether the quirk's switch stands at the published code's value.
pub(super) fn stands(settings: &Settings, quirk: &Quirk) -> bool {
    let text = settings.text(quirk.key);
    let Ok(stages) = spec::parse_chain(&text) else { return false };
    match quirk.param {
        "" => text == quirk.reference,
        param => stages.iter().any(|stage| {
            let concerned = quirk.of.is_empty() || quirk.of.contains(&stage.name.as_str());
            concerned
                && stage
                    .pairs
                    .iter()
                    .any(|(key, value)| (key.as_str(), value.as_str()) == (param, quirk.reference))
        }),
    }
}

/// The chain `text` with the quirk's switch turned in each stage that has it.
fn turn(text: &str, quirk: &Quirk) -> Result<String, SpecError> {
    let mut stages = match quirk.key {
        "rule" => spec::parse_chain(text)?,
        _ => vec![spec::parse(text)?],
    };
    for stage in &mut stages {
        let concerned = quirk.of.is_empty() || quirk.of.contains(&stage.name.as_str());
        let Some(param) = params(quirk.key, &stage.name) else { continue };
        let Some(param) = param.iter().find(|param| param.name == quirk.param) else { continue };
        let given = stage.pairs.iter().find(|(name, _)| name == param.name);
        let now = given.map_or(param.default, |(_, value)| value.as_str());
        if concerned && quirk.correct.contains(&now) {
            set(stage, param.name, quirk.reference);
        }
    }
    Ok(stages.iter().map(Spec::to_string).collect::<Vec<_>>().join(" | "))
}

fn set(stage: &mut Spec, name: &str, value: &str) {
    match stage.pairs.iter_mut().find(|(known, _)| known == name) {
        Some(pair) => value.clone_into(&mut pair.1),
        None => stage.pairs.push((name.to_owned(), value.to_owned())),
    }
}

/// The parameters of a variant that a key names; nothing for what is unknown, which is refused
/// where it is built.
fn params(key: &str, name: &str) -> Option<&'static [Param]> {
    match key {
        "rule" if FILTERS.iter().any(|entry| entry.name == name) => None,
        "rule" => varangian_rules::ALL.iter().find(|e| e.name == name).map(|e| e.params),
        "attack" => varangian_attacks::ALL.iter().find(|e| e.name == name).map(|e| e.params),
        "model" => varangian_learn::model::ALL.iter().find(|e| e.name == name).map(|e| e.params),
        _ => varangian_learn::data::ALL.iter().find(|e| e.name == name).map(|e| e.params),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(rule: &str, attack: &str, model: &str, dataset: &str) -> Settings {
        let (rule, attack) = (rule.into(), attack.into());
        let (model, dataset) = (model.into(), dataset.into());
        let (profile, regulariser) = ("reference".into(), "norm".into());
        let base = Settings { profile, regulariser, ..Settings::default() };
        apply(Settings { rule, attack, model, dataset, ..base }).unwrap()
    }

    #[test]
    fn every_quirk_turns_and_other_variants_stay() {
        let on = reference("nnm | krum m=1", "alie search=on", "empire-cnn", "cifar10");
        assert_eq!((on.clip_mode.as_str(), on.regulariser.as_str()), ("unit", "reference-norm"));
        assert_eq!(on.rule, "nnm | krum m=1 variant=distributed-momentum");
        assert_eq!(on.attack, "alie search=reference");
        assert_eq!(on.model, "empire-cnn norm=frozen-init dropout=false");
        assert_eq!(on.dataset, "cifar10 flip=both");
        let on = reference("krum variant=byzfl", "alie z=1.5", "mlp", "mnist");
        assert_eq!((on.rule.as_str(), on.attack.as_str()), ("krum variant=byzfl", "alie z=1.5"));
        assert_eq!((on.model.as_str(), on.dataset.as_str()), ("mlp", "mnist"));
        let on = reference("bulyan", "none", "mlp", "fashion-mnist");
        assert_eq!(on.rule, "bulyan variant=reference");
        assert_eq!(on.dataset, "fashion-mnist flip=both normalise=none");
        assert_eq!(reference("median", "none", "mlp", "mnist").rule, "median middle=lower");
    }

    #[test]
    fn each_quirk_names_a_switch_that_exists_and_that_stands_at_its_correct_value() {
        let defaults = Table::try_from(Settings::default()).unwrap();
        for quirk in QUIRKS {
            assert!(defaults.contains_key(quirk.key), "{}", quirk.key);
            for name in quirk.of {
                let params = params(quirk.key, name).unwrap_or_else(|| panic!("{name}"));
                let param = params.iter().find(|param| param.name == quirk.param).unwrap();
                assert!(quirk.correct.contains(&param.default), "{name} {}", quirk.param);
            }
        }
    }

    #[test]
    fn a_resolved_profile_is_its_own_and_unknown_ones_are_refused() {
        let once = reference("meamed", "ipm", "torchnet", "cifar100");
        assert_eq!(apply(once.clone()).unwrap(), once);
        let wrong = Settings { profile: "refrence".into(), ..Settings::default() };
        let error = apply(wrong).unwrap_err().to_string();
        assert_eq!(error, "unknown profile \"refrence\"; did you mean \"reference\"?");
    }
}
