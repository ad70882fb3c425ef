//! The adversary: the one mind of the hostile workers.

use crate::{Broadcast, Job, Poison, Worker};
use varangian_attacks::{Attack, Labels, Probe, Samples, Sees, View};
use varangian_base::kernels::distances::Pairs;
use varangian_base::{Domain, Memory, Rows, RowsMut, Seed, SpecError, Stream};
use varangian_learn::data::Shape;
use varangian_learn::model::{Model, Prepared, Workspace};
use varangian_learn::{Batch, Targets};
use varangian_rules::{Pipeline, Round, Verdict};

/// Tells the seed of a named rule's coins from that of the run.
const COINS: u64 = 0x9e37_79b9_7f4a_7c15;

/// The hostile workers, which see what the attack says it reads and write their rows together.
pub struct Adversary {
    attack: Box<dyn Attack>,
    sees: Sees,
    verdict: Verdict,
}

/// The sight that an adversary is given of one step.
pub struct Sight<'a> {
    /// The honest workers' messages.
    pub honest: Rows<'a>,
    /// What the hostile workers would have sent; may hold anything where the attack does not look.
    pub own: Rows<'a>,
    /// The number of workers.
    pub n: usize,
    /// The declared number of hostile workers.
    pub f: usize,
    /// The server's momentum buffer, or empty.
    pub server_momentum: &'a [f32],
    /// The server's rule; trials run on a fork.
    pub rule: &'a Pipeline,
    /// How much each worker counts at the server, where they do not count alike.
    pub weights: Option<&'a [f64]>,
    /// The loss on the samples that the hostile workers drew; `None` where the attack does not ask.
    pub held: Option<Held<'a>>,
    /// The run's seed.
    pub seed: Seed,
}

/// What the hostile workers hold to judge parameters by: the model and the minibatches that they
/// drew this step, with clean labels.
pub struct Held<'a> {
    model: &'a dyn Model,
    batch: Batch,
    workspace: Workspace,
    prepared: Prepared,
    trial: Vec<f32>,
}

impl<'a> Held<'a> {
    /// Draws the minibatches of `workers` at `step`; of several local steps, the first. Cost: that
    /// many samples.
    pub fn draw(job: &Job<'a>, workers: &[u32], step: u64) -> Self {
        let (mut indices, mut one, mut batch) = (Vec::new(), Vec::new(), Batch::default());
        let draw = step * job.optimiser.local.steps;
        for &worker in workers {
            job.sampler.draw(worker, draw, &mut one);
            indices.extend_from_slice(&one);
        }
        let first = workers.first().copied().unwrap_or(0);
        let mut augment = job.seed.stream(Domain::Augment, first, draw);
        job.train.fill(&indices, &mut augment, &mut batch);
        let (workspace, prepared) = (job.model.workspace(), Box::new(()) as Prepared);
        Held { model: job.model, batch, workspace, prepared, trial: Vec::new() }
    }

    /// The mean loss at `params` − `rate`·`aggregate`.
    fn loss_after(&mut self, params: &[f32], rate: f32, aggregate: &[f32]) -> f64 {
        let Held { model, batch, workspace, prepared, trial } = self;
        trial.clear();
        trial.extend(params.iter().zip(aggregate).map(|(&p, &a)| p - rate * a));
        model.prepare_inference(trial, prepared);
        model.evaluate(trial, prepared, batch, workspace).mean_loss()
    }
}

/// An attack on the labels of one hostile worker: its place, and how many there are.
pub struct Poisoner<'a> {
    attack: &'a dyn Attack,
    hostile: usize,
    of: usize,
}

impl Poison for Poisoner<'_> {
    fn poison(&self, batch: &mut Batch, on: (Shape, u32), step: u64, stream: &mut Stream) {
        let Poisoner { attack, hostile, of } = *self;
        let (Shape { channels, height, width }, classes) = on;
        if attack.trigger().is_some() {
            // What was listed of the inputs as they were is not so afterwards.
            batch.begin(batch.len, channels * height * width);
        }
        let Batch { inputs, targets: Targets::Labels(labels), .. } = batch else { return };
        let labels = Labels { labels, classes, hostile, of, step };
        attack.taint(Samples { inputs, shape: [channels, height, width], labels }, stream);
    }
}

impl Adversary {
    /// An adversary that plays `attack` and sees what that says it reads.
    pub fn new(attack: Box<dyn Attack>) -> Self {
        let sees = attack.sees();
        Adversary { attack, sees, verdict: Verdict::default() }
    }

    /// What it reads.
    pub fn sees(&self) -> Sees {
        self.sees
    }

    /// What the hostile worker at place `hostile` of `of` does to its labels.
    pub fn poisoner(&self, hostile: usize, of: usize) -> Poisoner<'_> {
        Poisoner { attack: self.attack.as_ref(), hostile, of }
    }

    /// The hostile worker `id` at place `hostile` of `of`.
    pub fn worker(&self, id: u32, hostile: usize, of: usize) -> Worker {
        match self.attack.keeps_momentum(hostile, of) {
            true => Worker::new(id),
            false => Worker::new(id).without_momentum(),
        }
    }

    /// Writes the hostile rows of this step: zeros where the attack cannot act on the rows that
    /// there are, as it looks at honest rows and too few came in time.
    pub fn forge(&mut self, broadcast: &Broadcast<'_>, sight: Sight<'_>, out: RowsMut<'_>) {
        if out.n() == 0 {
            return;
        }
        let blind = self.sees.honest && sight.honest.n() == 0;
        if blind || self.attack.check(sight.honest.n(), out.n(), sight.f).is_err() {
            let mut out = out;
            return out.iter_mut().for_each(|row| row.fill(0.0));
        }
        // Whether a named rule fits was asked before the run: see `named`.
        let named = self.attack.tries().and_then(|text| Pipeline::parse(text).ok());
        let (f, seed) = (sight.f, sight.seed);
        // Of a rule that is not the server's own copy the coins are others.
        let coins = if named.is_some() { Seed(seed.0 ^ COINS) } else { seed };
        let rule = self.sees.rule.then(|| named.unwrap_or_else(|| sight.rule.fork()));
        let Adversary { attack, verdict, .. } = self;
        let Sight { held, weights, .. } = sight;
        let mut probe = Trial { rule, broadcast, held, f, weights, seed: coins, verdict };
        let mut view = View {
            n: sight.n,
            f,
            step: broadcast.step,
            previous: broadcast.previous,
            server_momentum: sight.server_momentum,
            learning_rate: broadcast.rate as f32,
            seed,
            ..View::of(sight.honest, sight.own, broadcast.params, &mut probe)
        };
        attack.forge(&mut view, out);
    }

    /// Saves the attack's memory.
    pub fn save(&self) -> Memory {
        self.attack.save()
    }

    /// Restores what `save` returned.
    ///
    /// # Errors
    /// If the memory is of another attack.
    pub fn load(&mut self, memory: &Memory) -> Result<(), SpecError> {
        self.attack.load(memory)
    }
}

/// A probe into a copy of the rule: trials leave no trace in the server, nor in each other.
struct Trial<'a> {
    rule: Option<Pipeline>,
    broadcast: &'a Broadcast<'a>,
    held: Option<Held<'a>>,
    f: usize,
    weights: Option<&'a [f64]>,
    seed: Seed,
    verdict: &'a mut Verdict,
}

impl Probe for Trial<'_> {
    fn aggregate(&mut self, rows: Rows<'_>, out: &mut [f32]) {
        let rule = self.rule.as_mut().expect("an attack that tries the rule says so in its entry");
        // Too few rows, as in a round that the server would skip: nothing moves.
        if rule.check(rows.n(), self.f).is_err() {
            return out.fill(0.0);
        }
        let counts: Option<Vec<f64>> = self
            .weights
            .map(|weights| (0..rows.n()).map(|i| weights[rows.id(i) as usize]).collect());
        let fits = |counts: &Vec<f64>| rule.check_weights(counts, rows.n(), self.f).is_ok();
        if !counts.as_ref().is_none_or(fits) {
            return out.fill(0.0);
        }
        let mut round = Round {
            weights: counts.as_deref(),
            step: self.broadcast.step,
            params: self.broadcast.params,
            learning_rate: self.broadcast.rate as f32,
            seed: self.seed,
            ..Round::of(rows, self.f)
        };
        let mut trial = if rule.has_memory() { Some(rule.fork()) } else { None };
        trial.as_mut().unwrap_or(rule).aggregate(&mut round, out, self.verdict);
    }

    fn weigh(&mut self, squared: &Pairs, weights: &mut [f64]) -> bool {
        let f = self.f;
        // Distances do not tell how much a row counts.
        if self.weights.is_some() {
            return false;
        }
        // As few rows as a round may hold can be too few for the rule.
        if self.rule.as_ref().is_some_and(|rule| rule.check(squared.n(), f).is_err()) {
            return false;
        }
        let rule = self.rule.as_mut().and_then(Pipeline::bare_rule);
        rule.is_some_and(|rule| rule.weigh(squared, f, weights))
    }

    fn loss_after(&mut self, aggregate: &[f32]) -> Option<f64> {
        let Broadcast { params, rate, .. } = *self.broadcast;
        self.held.as_mut().map(|held| held.loss_after(params, rate as f32, aggregate))
    }
}
