//! Parameters that every attack takes: `jitter` makes colluders' copies differ, `start` lets an
//! attack behave honestly first, `momentum` says whether liars have one.

use crate::write::{draw, nearest, purpose};
use crate::{Attack, AttackEntry, Ground, Labels, Samples, Sees, Trigger, View};
use varangian_base::kernels::norms;
use varangian_base::spec::Spec;
use varangian_base::{Kind, Memory, Param, RowsMut, SpecError, Stream};

/// The parameters that every attack takes beside its own.
pub static COMMON: &[Param] = &[
    Param {
        name: "jitter",
        kind: Kind::Real { min: 0.0, max: 1.0 },
        default: "0",
        help: "noise on each hostile row, relative to the row's root mean square, so that no two are equal",
    },
    Param {
        name: "start",
        kind: Kind::Count { min: 0, max: usize::MAX },
        default: "0",
        help: "the first step of the attack; before it the hostile workers behave honestly",
    },
    Param {
        name: "momentum",
        kind: Kind::Choice(&["kept", "none"]),
        default: "kept",
        help: "whether a hostile worker's own gradients go through a momentum where honest ones' do; none in bucketing's code",
    },
];

/// Takes the common parameters out of `spec` and returns what wraps the attack, if anything.
pub(crate) fn take(spec: &mut Spec) -> Result<Option<Guise>, SpecError> {
    let (common, own) = std::mem::take(&mut spec.pairs)
        .into_iter()
        .partition(|(key, _)| COMMON.iter().any(|param| param.name == key));
    spec.pairs = own;
    let args = Spec { name: spec.name.clone(), pairs: common }.args(COMMON)?;
    let jitter = args.real("jitter").expect("has a default");
    let start = args.count("start").expect("has a default") as u64;
    let bare = args.text("momentum") == "none";
    if bare && start > 0 {
        return Err(SpecError::new(format!(
            "start > 0 needs momentum=kept: before it hostile workers behave honestly; found \
             momentum=none start={start}"
        )));
    }
    Ok((jitter > 0.0 || start > 0 || bare).then_some(Guise { jitter, start, bare }))
}

/// Whether `entry` leaves the common parameters alone: they never reach the attack itself.
///
/// # Errors
/// Names the attack and the parameter.
pub(crate) fn apart(entry: &AttackEntry) -> Result<(), SpecError> {
    let common = |param: &&Param| COMMON.iter().any(|common| common.name == param.name);
    match entry.params.iter().find(common) {
        None => Ok(()),
        Some(param) => Err(SpecError::new(format!(
            "the attack {} declares {}, which every attack takes already",
            entry.name, param.name
        ))),
    }
}

/// The common parameters' values.
#[derive(Clone, Copy)]
pub(crate) struct Guise {
    jitter: f64,
    start: u64,
    bare: bool,
}

/// An attack under a guise.
pub(crate) struct Disguised {
    pub(crate) guise: Guise,
    pub(crate) inner: Box<dyn Attack>,
}

impl Attack for Disguised {
    fn poison(&self, labels: Labels<'_>, stream: &mut Stream) {
        if labels.step >= self.guise.start {
            self.inner.poison(labels, stream);
        }
    }

    fn taint(&self, samples: Samples<'_>, stream: &mut Stream) {
        if samples.labels.step >= self.guise.start {
            self.inner.taint(samples, stream);
        }
    }

    fn trigger(&self) -> Option<Trigger> {
        self.inner.trigger()
    }

    fn keeps_momentum(&self, hostile: usize, of: usize) -> bool {
        !self.guise.bare && self.inner.keeps_momentum(hostile, of)
    }

    fn forge(&mut self, view: &mut View<'_>, mut out: RowsMut<'_>) {
        if view.step < self.guise.start {
            return crate::none::honest(view, out);
        }
        self.inner.forge(view, out.reborrow());
        if self.guise.jitter > 0.0 {
            for (i, row) in out.iter_mut().enumerate() {
                let scale = (norms::norm2(row) / row.len() as f64).sqrt() * self.guise.jitter;
                let scale = if scale.is_finite() { scale } else { 0.0 };
                draw(view.seed, view.own.id(i), view.step, purpose::JITTER, row, |stream, _, x| {
                    nearest(f64::from(x) + scale * stream.normal())
                });
            }
        }
    }

    fn sees(&self) -> Sees {
        let before = if self.guise.start > 0 { Sees::OWN } else { Sees::NOTHING };
        self.inner.sees().or(before)
    }

    fn fork(&self) -> Box<dyn Attack> {
        Box::new(Disguised { guise: self.guise, inner: self.inner.fork() })
    }

    fn fits(&self, ground: Ground<'_>) -> Result<(), String> {
        self.inner.fits(ground)
    }

    fn check(&self, honest: usize, hostile: usize, f: usize) -> Result<(), String> {
        self.inner.check(honest, hostile, f)
    }

    fn save(&self) -> Memory {
        self.inner.save()
    }

    fn load(&mut self, memory: &Memory) -> Result<(), SpecError> {
        self.inner.load(memory)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn liars_without_momentum_lie_from_the_first_step_on() {
        let bare = |text: &str| crate::build(text).map(|attack| !attack.keeps_momentum(0, 2));
        assert!(bare("ipm momentum=none").unwrap() && !bare("ipm start=3").unwrap());
        let error = bare("ipm momentum=none start=3").unwrap_err().to_string();
        assert!(error.contains("start > 0 needs momentum=kept"), "{error}");
        assert!(error.contains("found momentum=none start=3"), "{error}");
    }
}
