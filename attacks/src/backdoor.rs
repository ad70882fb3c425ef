//! Backdoor: hostile workers stamp a patch of pixels on some of their images and call these images
//! the target class (BadNets), and may send what comes of it many times as long (model
//! replacement).
//!
//! The model is to answer the target class whenever the patch is there, and to be as good as ever
//! where it is not, so that accuracy shows nothing: `backdoor_rate` does.

use crate::{Attack, AttackEntry, AttackFacts, Ground, Labels, Samples, Sees, Trigger, View};
use varangian_base::spec::Args;
use varangian_base::{Kind, Param, RowsMut, SpecError, Stream};

pub(crate) static ENTRY: AttackEntry = AttackEntry {
    name: "backdoor",
    summary: "hostile workers stamp a patch on some images and call them the target; rows may be scaled",
    paper: "Gu, Dolan-Gavitt & Garg, BadNets, 2017, arXiv 1708.06733; Bagdasaryan, Veit, Hua, Estrin & Shmatikov, How To Backdoor Federated Learning, AISTATS 2020, arXiv 1807.00459",
    differs: &[
        "Bagdasaryan et al. scale the movement of a model trained to its end; here each row is scaled.",
        "The size, place and share of the patch are ours: papers vary them.",
    ],
    params: &[
        Param {
            name: "target",
            kind: Kind::Count { min: 0, max: u32::MAX as usize },
            default: "0",
            help: "the class that stamped images are to be taken for",
        },
        Param {
            name: "size",
            kind: Kind::Count { min: 1, max: 1024 },
            default: "3",
            help: "rows and columns of the patch, which stands in the lower right corner",
        },
        Param {
            name: "value",
            kind: Kind::Real { min: -1e6, max: 1e6 },
            default: "1",
            help: "what every pixel of the patch is set to, in the units that the model reads",
        },
        Param {
            name: "fraction",
            kind: Kind::Real { min: 0.0, max: 1.0 },
            default: "0.5",
            help: "the probability that a sample is stamped; the others keep the model good",
        },
        Param {
            name: "scale",
            kind: Kind::Real { min: 0.0, max: 1e6 },
            default: "1",
            help: "what rows are multiplied by; n/f makes the mean what the hostile workers want",
        },
    ],
    cost: "O(f·d)",
    facts: AttackFacts { poisons: true, ..AttackFacts::reads(Sees::OWN) },
    build,
};

fn build(args: &Args) -> Result<Box<dyn Attack>, SpecError> {
    let count = |name| args.count(name).expect("has a default");
    let real = |name| args.real(name).expect("has a default");
    let trigger = Trigger {
        target: count("target") as u32,
        size: count("size"),
        value: real("value") as f32,
    };
    Ok(Box::new(Backdoor { trigger, fraction: real("fraction"), scale: real("scale") as f32 }))
}

#[derive(Clone)]
struct Backdoor {
    trigger: Trigger,
    fraction: f64,
    scale: f32,
}

impl Attack for Backdoor {
    /// Labels without their images: those that would be stamped become the target.
    fn poison(&self, labels: Labels<'_>, stream: &mut Stream) {
        for label in labels.labels {
            if self.trigger.target < labels.classes && stream.coin(self.fraction) {
                *label = self.trigger.target;
            }
        }
    }

    fn taint(&self, samples: Samples<'_>, stream: &mut Stream) {
        let Samples { inputs, shape, labels, .. } = samples;
        let width = shape.iter().product::<usize>().max(1);
        for (image, label) in inputs.chunks_exact_mut(width).zip(labels.labels) {
            if self.trigger.target < labels.classes && stream.coin(self.fraction) {
                self.trigger.stamp(image, shape);
                *label = self.trigger.target;
            }
        }
    }

    fn trigger(&self) -> Option<Trigger> {
        Some(self.trigger)
    }

    fn forge(&mut self, view: &mut View<'_>, mut out: RowsMut<'_>) {
        crate::none::honest(view, out.reborrow());
        if self.scale != 1.0 {
            for row in out.iter_mut() {
                row.iter_mut().for_each(|x| *x = (*x * self.scale).clamp(f32::MIN, f32::MAX));
            }
        }
    }

    fn sees(&self) -> Sees {
        Sees::OWN
    }

    fn fits(&self, ground: Ground<'_>) -> Result<(), String> {
        let (classes, target) = (ground.classes.unwrap_or(0), self.trigger.target);
        if classes < 2 {
            return Err(format!("labels of at least 2 classes; there are {classes}"));
        }
        if target as usize >= classes {
            return Err(format!("target < {classes} classes; target = {target}"));
        }
        match ground.image {
            Some([_, height, width]) if self.trigger.size > height.min(width) => {
                let size = self.trigger.size;
                Err(format!(
                    "images of at least {size} × {size} pixels; inputs are {height} × {width}"
                ))
            }
            _ => Ok(()),
        }
    }

    fn fork(&self) -> Box<dyn Attack> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use crate::scene::{HAND, forge};
    use crate::{Ground, Labels, Samples};
    use varangian_base::{Domain, Seed};

    #[test]
    fn stamped_images_and_no_others_become_the_target() {
        let (mut inputs, mut labels) = (vec![0.25f32; 400 * 2 * 12], vec![1u32; 400]);
        let mut stream = Seed(3).stream(Domain::Attack, 0, 0);
        let attack = crate::build("backdoor target=2 size=2 value=7 fraction=0.25").unwrap();
        let batch = Labels { labels: &mut labels, classes: 3, hostile: 0, of: 1, step: 0 };
        attack.taint(Samples { inputs: &mut inputs, shape: [2, 3, 4], labels: batch }, &mut stream);
        let stamped = [0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 7.0, 7.0, 0.25, 0.25, 7.0, 7.0];
        let mut count = 0;
        for (image, label) in inputs.chunks_exact(24).zip(&labels) {
            count += usize::from(*label == 2);
            let wanted = if *label == 2 { stamped } else { [0.25; 12] };
            assert!(image.chunks_exact(12).all(|channel| channel == wanted), "{image:?}");
        }
        assert!((70..130).contains(&count), "{count} of 400");
    }

    #[test]
    fn the_start_holds_for_images_too_and_rows_are_scaled() {
        let attack = crate::build("backdoor fraction=1 size=1 value=9 start=5").unwrap();
        let at = |step| {
            let (mut inputs, mut labels) = ([0.0f32; 4], [1u32]);
            let labels = Labels { labels: &mut labels, classes: 2, hostile: 0, of: 1, step };
            let samples = Samples { inputs: &mut inputs, shape: [1, 2, 2], labels };
            attack.taint(samples, &mut Seed(3).stream(Domain::Attack, 0, step));
            inputs[3]
        };
        assert_eq!([at(4), at(5)], [0.0, 9.0]);
        assert_eq!(attack.trigger().map(|trigger| trigger.target), Some(0));
        let own: &[&[f32]] = &[&[1.0, -2.0]];
        assert_eq!(forge("backdoor scale=3", HAND, own, 1), [[3.0, -6.0]]);
    }

    #[test]
    fn patches_and_classes_that_are_not_there_are_refused() {
        let ground = Ground { honest: &[0], d: 9, classes: Some(10), image: Some([20, 1, 1]) };
        let fits = |spec: &str, ground| crate::build(spec).unwrap().fits(ground);
        let error = fits("backdoor", ground).unwrap_err();
        assert_eq!(error, "images of at least 3 × 3 pixels; inputs are 1 × 1");
        assert!(fits("backdoor size=1", ground).is_ok());
        let error = fits("backdoor target=10 size=1", ground).unwrap_err();
        assert_eq!(error, "target < 10 classes; target = 10");
    }
}
