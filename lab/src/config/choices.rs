//! What the words of the settings choose.

use super::Settings;
use super::unsaid::WEIGHTS;
use varangian_base::SpecError;
use varangian_learn::optim::{
    Clip, ClipMode, Compression, Inner, Local, Message, Momentum, Optimiser, Placement,
    Regulariser, Schedule, ServerOptimiser,
};
use varangian_rules::Effort;
use varangian_sim::Hostile;
use varangian_train::{Participation, Passes};

impl Settings {
    /// Which workers are hostile.
    ///
    /// # Errors
    /// If the word is unknown.
    pub fn hostile(&self) -> Result<Hostile, SpecError> {
        Ok(match choice("hostile", &self.hostile, &["last", "first", "random"])? {
            "first" => Hostile::First,
            "random" => Hostile::Random,
            _ => Hostile::Last,
        })
    }

    /// Whether the honest workers alone share the training set.
    ///
    /// # Errors
    /// If the word is unknown.
    pub fn partitioned_over_honest(&self) -> Result<bool, SpecError> {
        Ok(choice("partition_over", &self.partition_over, &["all", "honest"])? == "honest")
    }

    /// How many workers the training set is split over.
    pub fn partition_workers(&self) -> usize {
        match self.partition_over == "honest" {
            true => self.n.saturating_sub(self.f_real()),
            false => self.n,
        }
    }

    /// How hard each step is certified, if it is.
    ///
    /// # Errors
    /// If the word is unknown.
    pub fn certificate(&self) -> Result<Option<Effort>, SpecError> {
        let known = ["none", Effort::NAMES[0], Effort::NAMES[1]];
        choice("certificate", &self.certificate, &known).map(Effort::from_name)
    }

    /// Whether the gap to the optimum is measured.
    ///
    /// # Errors
    /// If the word is unknown, or the optimum of this model and penalty is not known.
    pub fn optimum(&self) -> Result<bool, SpecError> {
        if choice("optimum", &self.optimum, &["none", "newton"])? == "none" {
            return Ok(false);
        }
        let model = varangian_base::spec::parse(&self.model)?.name;
        if model != "logistic" || self.regulariser != "half-squared" || self.regularise <= 0.0 {
            return Err(SpecError::new(format!(
                "optimum=newton is found for model=logistic with regulariser=half-squared and \
                 regularise above 0; got model={model}, regulariser={}, regularise={}",
                self.regulariser, self.regularise
            )));
        }
        Ok(true)
    }

    /// Whose forward passes move the model's running statistics.
    ///
    /// # Errors
    /// If the word is unknown.
    pub fn passes(&self) -> Result<Passes, SpecError> {
        Ok(match choice("statistics", &self.statistics, &["honest", "all"])? {
            "all" => Passes::All,
            _ => Passes::Honest,
        })
    }

    /// How much each worker counts, given its number of samples; `None`: alike.
    ///
    /// # Errors
    /// If the text is malformed, or the counts give no weights.
    pub fn weights(&self, samples: &[f64]) -> Result<Option<Vec<f64>>, SpecError> {
        let spec = varangian_base::spec::parse(&self.weights)?;
        match spec.name.as_str() {
            "equal" => spec.args(&[]).map(|_| None),
            "samples" => {
                let args = spec.args(WEIGHTS)?;
                let real = |name| args.real(name).expect("has a default");
                varangian_rules::weights::bounded(samples, real("floor"), real("cap")).map(Some)
            }
            other => Err(SpecError::unknown("weights", other, &["equal", "samples"])),
        }
    }

    /// Which workers take part in a round; `None`: all.
    ///
    /// # Errors
    /// If the text is malformed or its numbers do not fit n and f.
    pub fn participation(&self) -> Result<Option<Participation>, SpecError> {
        Participation::parse(&self.participation, self.n, self.f, self.steps)
    }

    /// The optimiser that these settings describe.
    ///
    /// # Errors
    /// If a placement, mode, regulariser or schedule is unknown or malformed.
    pub fn optimiser(&self) -> Result<Optimiser, SpecError> {
        let at = choice("momentum_at", &self.momentum_at, Placement::NAMES)?;
        let mode = match choice("clip_mode", &self.clip_mode, &["rescale", "unit"])? {
            "unit" => ClipMode::Unit,
            _ => ClipMode::Rescale,
        };
        let known = ["none", "half-squared", "norm", "reference-norm"];
        let regulariser = match choice("regulariser", &self.regulariser, &known)? {
            "half-squared" => Regulariser::HalfSquared(self.regularise),
            "norm" => Regulariser::Norm(self.regularise),
            "reference-norm" => Regulariser::ReferenceNorm(self.regularise),
            _ => Regulariser::None,
        };
        Ok(Optimiser {
            learning_rate: self.learning_rate,
            schedule: Schedule::parse(&self.schedule)?,
            momentum: Momentum {
                coefficient: self.momentum,
                dampening: self.dampening,
                nesterov: self.nesterov,
                placement: Placement::from_name(at).expect("a known placement"),
            },
            clip: self.clip.is_finite().then_some(Clip { bound: self.clip, mode }),
            regulariser,
            message: Message::parse(&self.message)?,
            local: Local {
                steps: self.local_steps,
                rate: (self.local_rate > 0.0).then_some(self.local_rate),
            },
            inner: Inner::parse(&self.local_optimiser)?,
            compression: Compression::parse(&self.compression)?,
            server: ServerOptimiser::parse(&self.server_optimiser)?,
            weight_decay: self.weight_decay,
        })
    }
}

/// `asked` where it is one of `known`.
fn choice(what: &str, asked: &str, known: &[&'static str]) -> Result<&'static str, SpecError> {
    let found = known.iter().find(|name| **name == asked);
    found.copied().ok_or_else(|| SpecError::unknown(what, asked, known))
}
