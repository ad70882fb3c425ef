//! What a run consists of, and whether it can start.

use std::sync::Arc;
use varangian_attacks::{Attack, Ground};
use varangian_base::{Domain, Seed, SpecError};
use varangian_learn::data::Split;
use varangian_learn::optim::{Message, Optimiser};
use varangian_learn::{Dataset, Model, Sampler};
use varangian_rules::{Effort, Oracle, Pipeline};
use varangian_train::{Keeping, NonFinite, Participation, Passes, Who};

/// Which workers are hostile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hostile {
    /// The highest ids, so that ties favour honest workers (as in distributed momentum's code).
    #[default]
    Last,
    /// The lowest ids, so that ties favour hostile workers.
    First,
    /// Drawn from the seed.
    Random,
}

impl Hostile {
    /// The ids of `k` hostile workers among n, ascending; k is at most n.
    pub fn ids(self, n: usize, k: usize, seed: Seed) -> Vec<u32> {
        match self {
            Hostile::Last => ((n - k) as u32..n as u32).collect(),
            Hostile::First => (0..k as u32).collect(),
            Hostile::Random => {
                let mut order = seed.stream(Domain::Roles, 0, 0).permutation(n);
                order.truncate(k);
                order.sort_unstable();
                order
            }
        }
    }
}

/// The most numbers that SAGA's tables of all workers may hold: 4 GiB.
const MOST_KEPT: usize = 1 << 30;

/// Everything that a run needs. Declared f and real f are two numbers.
pub struct Plan {
    /// The model.
    pub model: Arc<dyn Model>,
    /// What workers learn from.
    pub train: Arc<dyn Dataset>,
    /// What the model is judged on.
    pub test: Arc<dyn Dataset>,
    /// Which samples a worker draws.
    pub sampler: Arc<dyn Sampler>,
    /// The number of workers.
    pub n: usize,
    /// The number of hostile workers that the server is told of.
    pub f: usize,
    /// The number of workers that attack.
    pub f_real: usize,
    /// Which workers attack.
    pub hostile: Hostile,
    /// How much each worker counts, by the server's records; `None`: alike.
    pub weights: Option<Vec<f64>>,
    /// Which workers take part in a round; `None`: all.
    pub participation: Option<Participation>,
    /// What becomes of a round with a row that is not finite.
    pub non_finite: NonFinite,
    /// The gradient aggregation rule.
    pub rule: Pipeline,
    /// The attack.
    pub attack: Box<dyn Attack>,
    /// Momentum, clipping, schedule.
    pub optimiser: Optimiser,
    /// Whose forward passes move the model's running statistics.
    pub passes: Passes,
    /// Validation data for rules that ask for it.
    pub oracle: Option<Box<dyn Oracle + Send>>,
    /// Test samples used in an evaluation.
    pub test_samples: usize,
    /// Gather the metrics of [`varangian_train::Study`] at every step, with this many past means.
    pub study: Option<usize>,
    /// Certify each step, this hard; see [`varangian_rules::certificate`].
    pub certificate: Option<Effort>,
    /// The seed of everything random.
    pub seed: Seed,
}

impl Plan {
    /// A plan in which f of n workers are hostile, the last ones, as the server is told; plain
    /// descent at rate 0.1, everything else left at what does nothing. Fields are
    /// public: set what should differ.
    pub fn new(
        model: Arc<dyn Model>,
        data: &Split,
        sampler: Arc<dyn Sampler>,
        (n, f): (usize, usize),
        rule: Pipeline,
        attack: Box<dyn Attack>,
        seed: Seed,
    ) -> Self {
        Plan {
            model,
            train: Arc::clone(&data.train),
            test: Arc::clone(&data.test),
            sampler,
            n,
            f,
            f_real: f,
            hostile: Hostile::Last,
            weights: None,
            participation: None,
            non_finite: NonFinite::default(),
            rule,
            attack,
            optimiser: Optimiser::sgd(0.1),
            passes: Passes::Honest,
            oracle: None,
            test_samples: usize::MAX,
            study: None,
            certificate: None,
            seed,
        }
    }

    /// Whether the numbers fit together.
    ///
    /// # Errors
    /// Names what was asked, what is required and what was found.
    pub fn check(&self) -> Result<(), SpecError> {
        let (n, f_real) = (self.n, self.f_real);
        if n == 0 || f_real >= n {
            return Err(SpecError::new(format!(
                "at least one worker must be honest; got n = {n}, f_real = {f_real}"
            )));
        }
        self.optimiser.check()?;
        Keeping::check(&self.optimiser, self.participation.as_ref())?;
        let (workers, f) = self.round();
        if workers > n || workers == 0 {
            return Err(SpecError::new(format!(
                "participation needs 1 to n workers a round; got {workers}, n = {n}"
            )));
        }
        if self.participation.is_some() && self.study.is_some() {
            return Err(SpecError::new(
                "study looks at the rows of all workers, so participation must be all",
            ));
        }
        if self.certificate.is_some() && self.weights.is_some() {
            return Err(SpecError::new(
                "a certificate is of rows that count alike, so weights must be equal",
            ));
        }
        self.check_message()?;
        if let (Some(keeping), true) = (self.keeping(), self.study.is_some()) {
            return Err(SpecError::new(format!(
                "study looks at what workers send, and the rule combines what the server keeps of \
                 them under {}; study must be 0",
                keeping.key()
            )));
        }
        self.rule.check(workers, f)?;
        self.rule.fits(workers, f)?;
        if let Some(weights) = &self.weights {
            // Of a sample the f heaviest may hold more than half where of all they do not; such
            // rounds are skipped.
            self.rule.check_weights(weights, n, f)?;
        }
        if f_real == 0 {
            return Ok(());
        }
        let needs = |condition| SpecError::new(format!("the attack needs {condition}"));
        self.attack.check(n - f_real, f_real, self.f).map_err(needs)?;
        fits(self.attack.as_ref(), n, &self.hostile_ids(), &*self.model, &*self.train)?;
        let named = varangian_train::named(self.attack.as_ref(), self.round())?.is_some();
        if self.attack.sees().rule && self.rule.needs_oracle() && !named {
            return Err(SpecError::new(format!(
                "the attack tries rows on the rule, and {} asks for the server's own data, which \
                 no attacker has; take an attack that does not try the rule",
                self.rule.spec()
            )));
        }
        Ok(())
    }

    /// Whether the sampler gives what the message needs.
    fn check_message(&self) -> Result<(), SpecError> {
        let share = self.sampler.share(0).len();
        if self.optimiser.message.is_of_finite_sums() && share == 0 {
            return Err(SpecError::new(
                "message=marina, saga and dasha take gradients over all of a worker's samples, \
                 which this sampler does not name",
            ));
        }
        if let Message::Cyclic { times } = self.optimiser.message {
            let ring = self.sampler.ring(0) as usize;
            if ring.is_multiple_of(2) || times as usize > ring {
                return Err(SpecError::new(format!(
                    "message=draco-cyclic takes an odd number of workers, at least r = {times}; \
                     found {ring}"
                )));
            }
        }
        if self.optimiser.message == Message::Saga {
            let table = self.n.saturating_mul(share).saturating_mul(self.model.dim());
            if table > MOST_KEPT {
                return Err(SpecError::new(format!(
                    "message=saga keeps a gradient of each sample: workers × samples × parameters \
                     is at most {MOST_KEPT}; got {table}"
                )));
            }
        }
        Ok(())
    }

    /// Workers of a round, and how many of them the rule is told are hostile.
    pub fn round(&self) -> (usize, usize) {
        self.participation.map_or((self.n, self.f), |some| some.round(self.n))
    }

    /// The fewest rows of a round that is not waited with for more: what the rule needs at f, and
    /// one where a round may hold any number.
    pub fn least(&self) -> usize {
        let (workers, f) = self.round();
        match self.participation {
            Some(some) if some.caches || matches!(some.who, Who::Chance(_)) => 1,
            _ => self.rule.least(f).unwrap_or(workers),
        }
    }

    /// What the server keeps of each worker, if it keeps anything.
    pub fn keeping(&self) -> Option<Keeping> {
        Keeping::of(&self.optimiser, self.participation.as_ref())
    }

    /// The ids of the hostile workers, ascending.
    pub fn hostile_ids(&self) -> Vec<u32> {
        self.hostile.ids(self.n, self.f_real, self.seed)
    }
}

/// Whether every worker, coordinate and class that the attack names exists in this run.
pub(crate) fn fits(
    attack: &dyn Attack,
    n: usize,
    hostile: &[u32],
    model: &dyn Model,
    train: &dyn Dataset,
) -> Result<(), SpecError> {
    let honest: Vec<u32> = (0..n as u32).filter(|id| !hostile.contains(id)).collect();
    let shape = train.shape();
    let ground = Ground {
        honest: &honest,
        d: model.dim(),
        classes: Some(train.classes()),
        image: Some([shape.channels, shape.height, shape.width]),
    };
    let needs = |condition| SpecError::new(format!("the attack needs {condition}"));
    attack.fits(ground).map_err(needs)
}
