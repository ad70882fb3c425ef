//! The server: parameters, momentum, intake, aggregation, step.

mod evidence;
mod said;
mod saved;

pub use said::{Broadcast, Closed, Lent};

use crate::descent::Descent;
use crate::escape::Moment;
use crate::{Bodies, Intake, Keeping, NonFinite, Participation, Reason, Refusal, Running, States};
use varangian_base::{Seed, Signs, SpecError};
use varangian_learn::optim::{Optimiser, Placement};
use varangian_rules::{Certifier, Effort, Oracle, Pipeline, Round};

/// What a server is told at the start.
pub struct Settings {
    /// The number of workers.
    pub n: usize,
    /// The declared number of hostile workers; of those of a round, where not all take part; of all
    /// workers again, where the server combines rows that it keeps of all.
    pub f: usize,
    /// How much each worker counts, by the server's own records; `None`: alike. Checked with the
    /// rule by [`Pipeline::check_weights`] when a step is closed.
    pub weights: Option<Vec<f64>>,
    /// Which workers take part in a round; `None`: all.
    pub participation: Option<Participation>,
    /// What becomes of a round with a row that is not finite.
    pub non_finite: NonFinite,
    /// The gradient aggregation rule.
    pub rule: Pipeline,
    /// Momentum, schedule, weight decay.
    pub optimiser: Optimiser,
    /// Steps in an epoch, for schedules that count epochs.
    pub steps_per_epoch: f64,
    /// The model's running statistics at the start, or none.
    pub buffers: Vec<f32>,
    /// The run's seed.
    pub seed: Seed,
    /// Whether messages are votes that stay packed, as `receive_vote` takes them; needs a rule that
    /// counts them ([`Pipeline::counts_votes`]) and workers that count alike.
    pub packs_votes: bool,
    /// Whether silence counts as hostile: true where honest workers are never silent (lockstep).
    pub silence_is_hostile: bool,
}

/// The parameter server: a machine that is told of messages and asked to close steps.
pub struct Server {
    settings: Settings,
    intake: Intake,
    params: Vec<f32>,
    ahead: Vec<f32>,
    descent: Descent,
    /// The workers of this round, ascending, where not all take part.
    sampled: Vec<u32>,
    aggregate: Vec<f32>,
    running: Running,
    /// What it keeps of each worker and combines, where that is not the messages alone.
    states: Option<States>,
    oracle: Option<Box<dyn Oracle + Send>>,
    step: u64,
    rate: f64,
    closed: Closed,
    certifier: Option<Certifier>,
    /// The weights of the rows of the step that is being closed.
    counted: Vec<f64>,
}

impl Server {
    /// A server at step 0 with these parameters. The rule's bound is checked here.
    ///
    /// # Errors
    /// If (n, f) violates the bound of the rule, or the rule needs an oracle and there is none.
    pub fn new(
        settings: Settings,
        params: Vec<f32>,
        oracle: Option<Box<dyn Oracle + Send>>,
    ) -> Result<Self, SpecError> {
        let workers = settings.participation.map_or(settings.n, |some| some.round(settings.n).0);
        Keeping::check(&settings.optimiser, settings.participation.as_ref())?;
        settings.rule.check(workers, settings.f)?;
        if settings.rule.needs_oracle() && oracle.is_none() {
            return Err(SpecError::new(format!(
                "{} needs validation data on the server; none is configured",
                settings.rule.spec()
            )));
        }
        if settings.packs_votes && !(settings.rule.counts_votes() && settings.weights.is_none()) {
            return Err(SpecError::new(format!(
                "votes stay packed for a rule that reads signs alone, with workers that count \
                 alike; found {}",
                settings.rule.spec()
            )));
        }
        let d = params.len();
        let keeping = Keeping::of(&settings.optimiser, settings.participation.as_ref());
        let new = if settings.packs_votes { Intake::of_votes } else { Intake::new };
        let mut settings = settings;
        let mut server = Server {
            intake: new(settings.n, d),
            running: Running::new(std::mem::take(&mut settings.buffers)),
            descent: Descent::new(&settings.optimiser, d),
            states: keeping.map(|keeping| States::new(keeping, settings.n, d)),
            settings,
            params,
            ahead: Vec::new(),
            sampled: Vec::new(),
            aggregate: vec![0.0; d],
            oracle,
            step: 0,
            rate: 0.0,
            closed: Closed::default(),
            certifier: None,
            counted: Vec::new(),
        };
        server.open();
        Ok(server)
    }

    /// Has each step certified from now on, see [`Closed::certificate`], where workers count alike
    /// and messages are rows. It changes no bit of the run, and is no part of a checkpoint.
    pub fn certify(&mut self, effort: Effort) {
        self.certifier = Some(Certifier::new(effort));
    }

    /// Opens the current step: learning rate, look-ahead point, empty intake.
    fn open(&mut self) {
        self.rate = self.settings.optimiser.rate(self.step, self.settings.steps_per_epoch);
        self.intake.open(self.step);
        if let Some(participation) = self.settings.participation {
            let Settings { n, seed, .. } = self.settings;
            self.sampled = participation.draw(n, seed, self.step);
            self.intake.invite(&self.sampled);
        }
        let momentum = self.settings.optimiser.momentum;
        if momentum.nesterov && !momentum.placement.is_at_worker() {
            self.ahead.resize(self.params.len(), 0.0);
            let buffer = match momentum.placement {
                Placement::Update if !self.descent.momentum().is_empty() => self.descent.momentum(),
                _ => self.aggregate.as_slice(),
            };
            momentum.look_ahead(&self.params, buffer, self.rate, &mut self.ahead);
        }
    }

    /// What workers need to compute this step's messages.
    pub fn broadcast(&self) -> Broadcast<'_> {
        let params = if self.ahead.is_empty() { &self.params } else { &self.ahead };
        Broadcast { step: self.step, params, previous: &self.aggregate, rate: self.rate }
    }

    /// For drivers in the same process: the broadcast, the intake's slots to write into, and what
    /// an omniscient adversary may see.
    pub fn lend(&mut self) -> Lent<'_> {
        let params = if self.ahead.is_empty() { &self.params } else { &self.ahead };
        let broadcast =
            Broadcast { step: self.step, params, previous: &self.aggregate, rate: self.rate };
        Lent {
            broadcast,
            slots: self.intake.lend(),
            states: self.states.as_ref(),
            rule: &self.settings.rule,
            weights: self.settings.weights.as_deref(),
            momentum: self.descent.momentum(),
        }
    }

    /// The current parameters θ.
    pub fn params(&self) -> &[f32] {
        &self.params
    }

    /// The current step.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// How much each worker counts, where they do not count alike.
    pub fn weights(&self) -> Option<&[f64]> {
        self.settings.weights.as_deref()
    }

    /// The workers that take part in the open step, ascending, where not all do.
    pub fn sampled(&self) -> Option<&[u32]> {
        self.settings.participation.is_some().then_some(self.sampled.as_slice())
    }

    /// What the server keeps of each worker, where it keeps anything.
    pub fn states(&self) -> Option<&States> {
        self.states.as_ref()
    }

    /// How many rows the open round can have, and with how many hostile ones the rule reckons.
    pub fn round(&self) -> (usize, usize) {
        let Settings { n, f, participation, .. } = self.settings;
        match participation {
            Some(some) if !some.caches => {
                let drawn = self.sampled.len();
                (drawn, some.reckoned(n, drawn))
            }
            _ => (n, f),
        }
    }

    /// The rule.
    pub fn rule(&self) -> &Pipeline {
        &self.settings.rule
    }

    /// The momentum buffer where it lives at the server, or empty.
    pub fn momentum(&self) -> &[f32] {
        self.descent.momentum()
    }

    /// The last aggregate.
    pub fn aggregate(&self) -> &[f32] {
        &self.aggregate
    }

    /// The model's running statistics, for evaluations at the current parameters.
    pub fn statistics(&self) -> &[f32] {
        self.running.values()
    }

    /// Moves the running statistics by this step's forward passes; see [`Running::follow`].
    pub fn follow<'a>(&mut self, passes: impl Iterator<Item = &'a [f32]>) {
        self.running.follow(passes);
        self.inform();
    }

    /// As [`Server::follow`], where the passes are those of all workers, of whom f may lie; see
    /// [`Running::follow_trimmed`].
    pub fn follow_trimmed<'a>(&mut self, passes: impl Iterator<Item = &'a [f32]>) {
        self.running.follow_trimmed(passes, self.settings.f);
        self.inform();
    }

    fn inform(&mut self) {
        if let Some(oracle) = &mut self.oracle {
            oracle.inform(self.running.values());
        }
    }

    /// How the last step was closed.
    pub fn closed(&self) -> &Closed {
        &self.closed
    }

    /// The workers that took part in the step that was closed last, ascending.
    pub fn heard(&self) -> Vec<u32> {
        let Settings { n, seed, participation, .. } = self.settings;
        match participation {
            None => (0..n as u32).collect(),
            Some(participation) => participation.draw(n, seed, self.closed.step),
        }
    }

    /// The intake, to read counts.
    pub fn intake(&self) -> &Intake {
        &self.intake
    }

    /// Takes a worker's message for `step`.
    ///
    /// # Errors
    /// The refusal.
    pub fn receive(&mut self, from: u32, step: u64, body: &[f32]) -> Result<(), Refusal> {
        self.intake.receive(from, step, body)
    }

    /// Takes a worker's vote for `step`, where votes stay packed.
    ///
    /// # Errors
    /// The refusal.
    pub fn receive_vote(&mut self, from: u32, step: u64, vote: Signs) -> Result<(), Refusal> {
        self.intake.receive_vote(from, step, vote)
    }

    /// Refuses a message that is no row; see [`Intake::refuse_unread`].
    ///
    /// # Errors
    /// The refusal, always.
    pub fn refuse_unread(
        &mut self,
        from: u32,
        step: u64,
        why: (Reason, String),
    ) -> Result<(), Refusal> {
        self.intake.refuse_unread(from, step, why)
    }

    /// Admits what was written into a lent slot.
    ///
    /// # Errors
    /// The refusal of a non-finite row.
    pub fn commit(&mut self, from: u32, inspected: Result<(), usize>) -> Result<(), Refusal> {
        self.intake.commit(from, inspected)
    }

    /// Closes the step: aggregates what was admitted, steps, and opens the next one.
    ///
    /// f is lowered by the workers proven hostile (and by the silent ones, where silence is
    /// hostile). If what is left violates the rule's bound, or one row not finite is to spoil a
    /// round, the step is skipped and the record says so.
    pub fn close(&mut self) -> &Closed {
        let (_, declared) = self.round();
        let Server { settings, intake, oracle, closed, aggregate, params, ahead, .. } = self;
        let certifier = self.certifier.as_mut().filter(|_| settings.weights.is_none());
        let (counted, weights) = (&mut self.counted, &settings.weights);
        let received = intake.close();
        // A silent worker's kept row is combined all the same.
        let quiet = settings.silence_is_hostile && self.states.is_none();
        let quiet = if quiet { received.silent } else { 0 };
        let f = declared.saturating_sub(received.proven + quiet);
        closed.begin(self.step, &received);
        let mut bodies = received.bodies;
        if let (Some(states), Bodies::Rows(rows)) = (&mut self.states, bodies) {
            states.close(&closed.ids, rows, &|id| closed.proves_hostile(id));
            let rows = states.counted();
            closed.ids.clear();
            closed.ids.extend((0..rows.n()).map(|i| rows.id(i)));
            bodies = Bodies::Rows(rows);
        }
        let n = closed.ids.len();
        (closed.n, closed.f) = (n, f);
        let counts = weights.as_ref().map(|weights| {
            counted.clear();
            counted.extend(closed.ids.iter().map(|&id| weights[id as usize]));
            counted.as_slice()
        });
        let nobody = || SpecError::new("nobody took part");
        let fits = if n == 0 { Err(nobody()) } else { settings.rule.check(n, f) };
        let fits = fits.and_then(|()| match counts {
            Some(counts) => settings.rule.check_weights(counts, n, f),
            None => Ok(()),
        });
        let spoilt = settings.non_finite.spoils(received.refused);
        closed.skipped = spoilt.or(fits.err().map(|error| error.to_string()));
        if closed.skipped.is_none() {
            match bodies {
                Bodies::Rows(rows) => {
                    let oracle = oracle.as_mut().map(|oracle| oracle.as_mut() as &mut dyn Oracle);
                    let mut round = Round {
                        weights: counts,
                        step: self.step,
                        params: if ahead.is_empty() { params } else { ahead },
                        learning_rate: self.rate as f32,
                        oracle,
                        seed: settings.seed,
                        ..Round::of(rows, f)
                    };
                    settings.rule.aggregate(&mut round, aggregate, &mut closed.verdict);
                    let kappa = settings.rule.kappa(n, f);
                    closed.certificate = certifier
                        .and_then(|certifier| certifier.certify(rows, aggregate, f, kappa));
                    if let Some(certificate) = &mut closed.certificate {
                        certificate.margin = settings.rule.margin(f);
                    }
                }
                Bodies::Votes(votes) => {
                    let at = (self.step, settings.seed);
                    settings.rule.count(votes, at, aggregate, &mut closed.verdict);
                }
            }
            self.update();
        }
        self.step += 1;
        self.open();
        &self.closed
    }

    /// Momentum at the server, then the step.
    fn update(&mut self) {
        let Settings { optimiser, seed, .. } = &self.settings;
        let at = (self.rate, Moment { seed: *seed, step: self.step });
        let told = self.descent.step(optimiser, at, &self.aggregate, &mut self.params);
        let rule = self.closed.verdict.event.take();
        self.closed.verdict.event = [rule, told].into_iter().flatten().reduce(|a, b| a + "; " + &b);
    }
}
