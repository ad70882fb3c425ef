//! Label flip: the hostile workers compute honest gradients on wrong labels (Tolpegin et al. 2020;
//! l → 9 − l on ten classes in Zeno, SafeguardSGD and bucketing).

use crate::{Attack, AttackEntry, AttackFacts, Ground, Labels, Sees, View};
use varangian_base::spec::Args;
use varangian_base::{Kind, Param, RowsMut, SpecError, Stream};

pub(crate) static ENTRY: AttackEntry = AttackEntry {
    name: "label-flip",
    summary: "hostile workers train on labels l → classes − 1 − l, random, or one class as another",
    paper: "Tolpegin, Truex, Gursoy & Liu, Data Poisoning Attacks Against Federated Learning, ESORICS 2020, arXiv 2007.08432; Xie, Koyejo & Gupta, Zeno, ICML 2019, arXiv 1805.10032",
    differs: &[],
    params: &[
        Param {
            name: "mode",
            kind: Kind::Choice(&["mirror", "random", "targeted"]),
            default: "mirror",
            help: "mirror: classes − 1 − l; random: another class, uniformly; targeted: source becomes target",
        },
        Param {
            name: "source",
            kind: Kind::Count { min: 0, max: u32::MAX as usize },
            default: "1",
            help: "the class that mode=targeted relabels",
        },
        Param {
            name: "target",
            kind: Kind::Count { min: 0, max: u32::MAX as usize },
            default: "7",
            help: "what mode=targeted relabels it as",
        },
        Param {
            name: "fraction",
            kind: Kind::Real { min: 0.0, max: 1.0 },
            default: "1",
            help: "the probability that a label is touched",
        },
    ],
    cost: "O(f·d)",
    facts: AttackFacts { poisons: true, ..AttackFacts::reads(Sees::OWN) },
    build,
};

fn build(args: &Args) -> Result<Box<dyn Attack>, SpecError> {
    let class = |name| args.count(name).expect("has a default") as u32;
    let mode = match args.text("mode") {
        "mirror" => Mode::Mirror,
        "random" => Mode::Random,
        _ => Mode::Targeted { source: class("source"), target: class("target") },
    };
    if !matches!(mode, Mode::Targeted { .. })
        && let Some(name) = ["source", "target"].iter().find(|name| args.is_given(name))
    {
        return Err(SpecError::new(format!("{name} needs mode=targeted")));
    }
    Ok(Box::new(LabelFlip { mode, fraction: args.real("fraction").expect("has a default") }))
}

#[derive(Clone, Copy)]
enum Mode {
    Mirror,
    Random,
    Targeted { source: u32, target: u32 },
}

#[derive(Clone)]
struct LabelFlip {
    mode: Mode,
    fraction: f64,
}

impl Attack for LabelFlip {
    fn poison(&self, labels: Labels<'_>, stream: &mut Stream) {
        let classes = labels.classes;
        for label in labels.labels {
            if self.fraction < 1.0 && !stream.coin(self.fraction) {
                continue;
            }
            *label = match self.mode {
                Mode::Mirror => classes.saturating_sub(1 + *label),
                Mode::Random if classes > 1 => {
                    (*label + 1 + stream.below(classes as usize - 1) as u32) % classes
                }
                Mode::Targeted { source, target } if *label == source && target < classes => target,
                _ => *label,
            };
        }
    }

    fn forge(&mut self, view: &mut View<'_>, out: RowsMut<'_>) {
        crate::none::honest(view, out);
    }

    fn sees(&self) -> Sees {
        Sees::OWN
    }

    fn fits(&self, ground: Ground<'_>) -> Result<(), String> {
        let classes = ground.classes.unwrap_or(0);
        if classes < 2 {
            return Err(format!("labels of at least 2 classes; there are {classes}"));
        }
        let Mode::Targeted { source, target } = self.mode else { return Ok(()) };
        match [("source", source), ("target", target)].iter().find(|c| c.1 as usize >= classes) {
            Some((name, class)) => Err(format!("{name} < {classes} classes; {name} = {class}")),
            None if source == target => Err(format!("source ≠ target; both are {source}")),
            None => Ok(()),
        }
    }

    fn fork(&self) -> Box<dyn Attack> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use crate::Labels;
    use crate::scene::{HAND, forge};
    use varangian_base::{Domain, Seed};

    fn poison(spec: &str, labels: &[u32], step: u64) -> Vec<u32> {
        let mut labels = labels.to_vec();
        let mut stream = Seed(3).stream(Domain::Attack, 0, step);
        let batch = Labels { labels: &mut labels, classes: 10, hostile: 0, of: 1, step };
        crate::build(spec).unwrap().poison(batch, &mut stream);
        labels
    }

    #[test]
    fn labels_are_mirrored_shuffled_or_targeted() {
        let all: Vec<u32> = (0..10).collect();
        assert_eq!(poison("label-flip", &all, 0), (0..10).rev().collect::<Vec<u32>>());
        let targeted = poison("label-flip mode=targeted source=2 target=9", &all, 0);
        assert_eq!(targeted, [0, 1, 9, 3, 4, 5, 6, 7, 8, 9]);
        let random = poison("label-flip mode=random", &[4; 4000], 0);
        let count = |class| random.iter().filter(|&&l| l == class).count();
        assert_eq!(count(4), 0);
        assert!((0..10).filter(|&c| c != 4).all(|c| (340..550).contains(&count(c))));
    }

    #[test]
    fn a_fraction_and_a_start_leave_labels_alone() {
        let mixed = poison("label-flip fraction=0.25", &[0; 4000], 0);
        let flipped = mixed.iter().filter(|&&l| l == 9).count();
        assert!((880..1120).contains(&flipped), "{flipped} of 4000");
        assert_eq!(poison("label-flip start=5", &[3], 4), [3]);
        assert_eq!(poison("label-flip start=5", &[3], 5), [6]);
    }

    #[test]
    fn the_rows_are_the_poisoned_gradients() {
        let own: &[&[f32]] = &[&[1.0, -2.0]];
        assert_eq!(forge("label-flip", HAND, own, 1), [[1.0, -2.0]]);
        let error = crate::build("label-flip target=3").err().unwrap().to_string();
        assert_eq!(error, "label-flip: target needs mode=targeted");
    }
}
