//! What the benchmark asks of every pipeline: the experiment files of a version, and what kind of
//! attack each of theirs is.

use crate::Failure;
use crate::config::{Experiment, Own, Source};
use varangian_attacks::Sees;
use varangian_base::spec;

/// The version of the protocol: what was judged by another one is not comparable.
pub const VERSION: u32 = 1;

/// Samples that the server holds where a rule asks for the loss on data; others hold none.
const VALIDATION: usize = 200;

/// How much a judgement costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Minutes on two cores, without any file of data.
    Small,
    /// Days; wants data sets from files.
    Full,
}

impl Tier {
    /// The words that name the tiers.
    pub const NAMES: [&str; 2] = ["small", "full"];

    /// The tier of this name.
    pub fn from_name(name: &str) -> Option<Tier> {
        [Tier::Small, Tier::Full].into_iter().find(|tier| tier.name() == name)
    }

    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Tier::Small => "small",
            Tier::Full => "full",
        }
    }

    /// The experiment file: everything that is asked, for the rule that is to be judged.
    pub fn text(self) -> &'static str {
        match self {
            Tier::Small => include_str!("../../experiments/benchmark/small-v1.toml"),
            Tier::Full => include_str!("../../experiments/benchmark/full-v1.toml"),
        }
    }

    /// The hash of the experiment file: it tells whether two judgements are of one protocol.
    pub fn hash(self) -> String {
        blake3::hash(self.text().as_bytes()).to_hex()[..16].to_owned()
    }

    /// The experiment with `rule` in it.
    ///
    /// # Errors
    /// If there is no such rule, or it is a filter of asynchronous training, which v1 does not
    /// judge.
    pub fn experiment(self, rule: &str, own: &Own) -> Result<Experiment, Failure> {
        if let Some(entry) = own.filter_of(rule)? {
            return Err(Failure::refused(format!(
                "the benchmark's version {VERSION} judges rules in rounds; {} is a filter of \
                 asynchronous training",
                entry.name
            )));
        }
        let mut experiment = prepared(self.text(), rule, own)?;
        if own.pipeline(rule)?.needs_oracle() {
            // Nobody can try rows on a rule that asks for what the server alone holds.
            experiment.runs.retain(|settings| Kind::of(&settings.attack) != Kind::Search);
        }
        Ok(experiment)
    }
}

/// The experiment of a text with `rule` in every run; where it asks for the loss on data, the
/// server holds some.
pub(super) fn prepared(text: &str, rule: &str, own: &Own) -> Result<Experiment, Failure> {
    let pipeline = own.pipeline(rule)?;
    let mut experiment = Experiment::parse(text, "benchmark", &Source::default())?;
    for settings in &mut experiment.runs {
        settings.rule = pipeline.spec().to_owned();
        settings.validation = if pipeline.needs_oracle() { VALIDATION } else { 0 };
    }
    experiment.own = own.clone();
    Ok(experiment)
}

/// What kind of attack one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nobody attacks.
    None,
    /// One of the five that papers usually take.
    Usual,
    /// The same direction in every round.
    TimeCoupled,
    /// Any other that is written down once and for all, whatever the rule.
    Published,
    /// A search on a copy of the rule.
    Search,
}

/// The five attacks that papers usually take.
const USUAL: [&str; 5] = ["sign-flip", "label-flip", "alie", "ipm", "mimic"];

impl Kind {
    /// The kind of an attack in its one spelling.
    pub(super) fn of(attack: &str) -> Kind {
        let name = spec::parse(attack).map_or(String::new(), |spec| spec.name);
        match name.as_str() {
            "none" => Kind::None,
            "worst" => Kind::Search,
            "time-coupled-alie" | "poisoned-fl" => Kind::TimeCoupled,
            _ if USUAL.contains(&attack) => Kind::Usual,
            _ => Kind::Published,
        }
    }

    /// Its word.
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::None => "none",
            Kind::Usual => "usual",
            Kind::TimeCoupled => "time-coupled",
            Kind::Published => "published",
            Kind::Search => "search",
        }
    }
}

/// What an attack reads, in words: what it must know to be made at all.
pub(super) fn knowledge(attack: &str, own: &Own) -> Vec<String> {
    let sees = own.attack(attack).map_or(Sees::NOTHING, |attack| attack.sees());
    let all = [
        (sees.own, "own gradients"),
        (sees.honest, "honest rows"),
        (sees.rule, "the rule"),
        (sees.server, "the last aggregate"),
        (sees.loss, "the loss"),
    ];
    all.iter().filter(|(sees, _)| *sees).map(|(_, word)| (*word).to_owned()).collect()
}

/// The accuracy of guessing: what a cell is worth that a rule cannot be run in.
pub(super) fn chance(dataset: &str) -> f64 {
    if dataset.starts_with("logreg") { 1.0 / 2.0 } else { 1.0 / 10.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn both_tiers_hold_each_kind_of_attack_and_the_usual_five() {
        for tier in [Tier::Small, Tier::Full] {
            let experiment = tier.experiment("nnm|median", &Own::default()).unwrap();
            assert!(experiment.runs.iter().all(|run| run.rule == "nnm | median"));
            assert!(experiment.name.ends_with(&format!("{}-v{VERSION}", tier.name())));
            let attacks: BTreeSet<&str> =
                experiment.runs.iter().map(|run| run.attack.as_str()).collect();
            let of = |kind: Kind| attacks.iter().filter(|a| Kind::of(a) == kind).count();
            assert_eq!((of(Kind::Usual), of(Kind::None), of(Kind::Search)), (5, 1, 4));
            assert!(of(Kind::TimeCoupled) > 0 && of(Kind::Published) > 0);
            assert!(experiment.tune.is_some_and(|tune| tune.candidates.len() >= 4));
            assert_eq!(Tier::from_name(tier.name()), Some(tier));
        }
        assert_ne!(Tier::Small.hash(), Tier::Full.hash());
    }

    #[test]
    fn what_an_attack_must_know_is_said_and_filters_are_refused() {
        let of = |attack: &str| knowledge(attack, &Own::default()).join(", ");
        assert_eq!(of("label-flip"), "own gradients");
        assert_eq!(
            of("worst objective=loss"),
            "honest rows, the rule, the last aggregate, the loss"
        );
        assert_eq!(of("poisoned-fl"), "the last aggregate");
        let refused = Tier::Small.experiment("kardam", &Own::default()).unwrap_err().to_string();
        assert!(refused.contains("kardam is a filter"), "{refused}");
        let held = Tier::Small.experiment("zeno b=4", &Own::default()).unwrap();
        assert!(held.runs.iter().all(|run| run.validation == VALIDATION));
        let searches = held.runs.iter().filter(|run| Kind::of(&run.attack) == Kind::Search);
        assert_eq!(searches.count(), 0);
    }
}
