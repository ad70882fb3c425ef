//! What rules that compare repeated work demand of the workers.

use super::Words;
use crate::Failure;
use crate::config::Settings;
use varangian_learn::optim::{Compression, Message};
use varangian_learn::partition::Sampling;
use varangian_rules::Redundancy;

/// Refuses workers that do not repeat each other's work as the rule compares it: it would say
/// nothing, or leave out honest ones.
pub(super) fn demand(
    settings: &Settings,
    words: &Words,
    rule: &str,
    redundancy: Option<Redundancy>,
) -> Result<(), Failure> {
    let coded = redundancy.filter(|redundancy| redundancy.coded);
    if let (Message::Cyclic { times }, None) = (words.optimiser.message, coded) {
        return Err(Failure::refused(format!(
            "message=\"{}\" sends sums that the rule \"draco-cyclic r={times} n={}\" undoes; found \
             \"{rule}\"",
            settings.message, settings.n
        )));
    }
    let Some(redundancy) = redundancy else { return Ok(()) };
    let times = redundancy.times;
    if redundancy.coded {
        return undone(settings, words, rule, redundancy);
    }
    if !redundancy.given {
        return Err(Failure::refused(format!(
            "{rule} needs r in a training, r={times} for instance: what it works out from f falls \
             where a row is refused; found none"
        )));
    }
    let (wanted, spelt) = match redundancy.chance {
        None => (Sampling::Repeated { times }, format!("repeated times={times}")),
        Some(chance) => {
            (Sampling::checked(chance, times), format!("checked chance={chance} times={times}"))
        }
    };
    if words.sampling != wanted {
        return Err(Failure::refused(format!(
            "{rule} compares workers that draw the same minibatch, which takes \
             sampling=\"{spelt}\"; found \"{}\"",
            settings.sampling
        )));
    }
    if redundancy.chance.is_none() {
        return Ok(());
    }
    match remembered(words) {
        None => Ok(()),
        Some(what) => Err(Failure::refused(format!(
            "{rule} compares messages that depend on the step's minibatch and parameters alone; \
             found {what}"
        ))),
    }
}

/// Refuses workers that do not send the sums that the rule undoes.
fn undone(
    settings: &Settings,
    words: &Words,
    rule: &str,
    Redundancy { times, given, .. }: Redundancy,
) -> Result<(), Failure> {
    if rule.contains('|') {
        return Err(Failure::refused(format!(
            "draco-cyclic undoes the sums that workers send as they come: no stage stands before or \
             after it in a training; found {rule}"
        )));
    }
    if words.optimiser.message != (Message::Cyclic { times: times as u32 }) {
        return Err(Failure::refused(format!(
            "{rule} undoes what workers send by message=\"draco-cyclic r={times}\"; found \"{}\"",
            settings.message
        )));
    }
    given.then_some(()).ok_or_else(|| {
        Failure::refused(format!(
            "{rule} needs r and n in a training, \"draco-cyclic r={times} n={}\" for instance: what \
             it works out from rows and f falls where a row is refused",
            settings.n
        ))
    })
}

/// What a worker's message holds beside one gradient of the step's minibatch.
fn remembered(words: &Words) -> Option<&'static str> {
    let optimiser = &words.optimiser;
    let momentum = &optimiser.momentum;
    let shortened = match optimiser.compression {
        Compression::None => false,
        Compression::TopK { feedback, .. } => feedback,
        Compression::RandK { feedback, shared, .. } => feedback || !shared,
        Compression::Ef21 { .. } | Compression::Quantised { .. } => true,
    };
    let vote = !matches!(optimiser.message, Message::Vector | Message::Sign(_));
    let found = [
        (momentum.coefficient > 0.0 && momentum.placement.is_at_worker(), "momentum at the worker"),
        (!optimiser.is_one_gradient(), "local steps"),
        (shortened, "compression that remembers or draws by worker"),
        (vote, "a message that is drawn by worker or made of more"),
    ];
    found.into_iter().find(|(is, _)| *is).map(|(_, what)| what)
}

#[cfg(test)]
mod tests {
    use crate::config::{Own, Read, Settings};

    fn refused(change: impl Fn(&mut Settings)) -> String {
        let mut settings = Settings {
            n: 15,
            f: 2,
            rule: "reactive chance=0.25 r=5".into(),
            sampling: "checked chance=0.25 times=5".into(),
            momentum: 0.0,
            ..Settings::default()
        };
        change(&mut settings);
        let read = Read::whole(&settings, &Own::default());
        read.err().map(|failure| failure.to_string()).unwrap_or_default()
    }

    #[test]
    fn workers_repeat_what_the_rule_compares() {
        assert_eq!(refused(|_| ()), "");
        let found = refused(|s| s.sampling = "checked chance=0.2 times=5".into());
        assert!(found.contains("sampling=\"checked chance=0.25 times=5\"; found"), "{found}");
        assert!(refused(|s| s.sampling = "epochs".into()).contains("found \"epochs\""));
        let draco = |sampling: &'static str| {
            refused(|s| (s.rule, s.sampling) = ("draco r=5".into(), sampling.into()))
        };
        assert_eq!(draco("repeated times=5"), "");
        let cyclic = |rule: &'static str, message: &'static str| {
            refused(|s| {
                (s.rule, s.message) = (rule.into(), message.into());
                s.sampling = "with-replacement".into();
            })
        };
        let whole = "draco-cyclic r=5 n=15";
        assert_eq!(cyclic(whole, "draco-cyclic r=5"), "");
        assert!(cyclic(whole, "draco-cyclic r=3").contains("draco-cyclic r=5"));
        assert!(cyclic("draco-cyclic r=5", "draco-cyclic r=5").contains("needs r and n"));
        assert!(cyclic("median", "draco-cyclic r=5").contains("sends sums"));
        let mixed = cyclic("nnm | draco-cyclic r=5 n=15", "draco-cyclic r=5");
        assert!(mixed.contains("no stage stands before"), "{mixed}");
        assert!(refused(|s| s.rule = "reactive chance=0.25".into()).contains("needs r"));
        assert!(draco("repeated times=3").contains("repeated times=5"));
        let momentum = refused(|s| (s.momentum, s.momentum_at) = (0.9, "worker".into()));
        assert!(momentum.contains("momentum at the worker"), "{momentum}");
        assert!(refused(|s| s.local_steps = 2).contains("local steps"));
        let kept = refused(|s| s.compression = "top-k keep=0.5 feedback=true".into());
        assert!(kept.contains("remembers"), "{kept}");
        assert!(
            refused(|s| s.rule = "nnm | reactive chance=0.25 r=5".into()).contains("nnm before")
        );
    }
}
