//! Lockstep: every worker answers every step; the server closes when all are in.

use crate::crew::{Crew, Team, stage, step_in_place, step_staged};
use crate::{Hostile, Plan};
use std::sync::{Arc, Mutex};
use varangian_base::{Matrix, Memory, Seed, SpecError};
use varangian_learn::model::{Prepared, Tally};
use varangian_learn::optim::Optimiser;
use varangian_learn::{Dataset, Model, Sampler};
use varangian_train::{
    Adversary, Bench, COLUMNS, Closed, Evaluator, Job, Keeping, Passes, Refusal, Server, Settings,
    Shown, States, Study, StudyRow, Worker,
};

/// What is known of a step when it is over.
pub struct StepRecord<'a> {
    /// Mean minibatch loss over the honest workers that took part, penalties included.
    pub loss: f64,
    /// Honest workers that took part and said their loss; where there are none, `loss` is none.
    pub losses: usize,
    /// The learning rate.
    pub rate: f64,
    /// The ids of the hostile workers.
    pub hostile: &'a [u32],
    /// How the server closed the step: refusals, weights, what was skipped.
    pub closed: &'a Closed,
    /// The step's metrics, where the plan asks for a study.
    pub study: Option<&'a StudyRow>,
}

impl StepRecord<'_> {
    /// The share of the aggregate's weight that hostile rows got, where the rule gives weights.
    pub fn hostile_weight(&self) -> Option<f64> {
        hostile_weight(self.closed, self.hostile)
    }
}

fn hostile_weight(closed: &Closed, hostile: &[u32]) -> Option<f64> {
    let weights = &closed.verdict.weights;
    let total: f64 = weights.iter().map(|w| w.abs()).sum();
    if weights.is_empty() || total == 0.0 {
        return None;
    }
    let of_hostile = closed.ids.iter().zip(weights).filter(|(id, _)| hostile.contains(id));
    Some(of_hostile.map(|(_, w)| w.abs()).sum::<f64>() / total)
}

/// Test loss and accuracy before a step (or after the last).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    /// Steps made so far.
    pub step: u64,
    /// Sums over the test samples.
    pub tally: Tally,
}

/// A run in lockstep, between steps.
pub struct Lockstep {
    model: Arc<dyn Model>,
    train: Arc<dyn Dataset>,
    test: Arc<dyn Dataset>,
    sampler: Arc<dyn Sampler>,
    optimiser: Optimiser,
    seed: Seed,
    server: Server,
    honest: Vec<Worker>,
    hostile: Vec<Worker>,
    hostile_ids: Vec<u32>,
    adversary: Adversary,
    passes: Passes,
    in_place: bool,
    /// Honest workers that take part in the open step.
    here: usize,
    staged: Matrix,
    own: Matrix,
    /// What the server would keep of the hostile workers if they were honest, by place.
    shadow: Option<States>,
    prepared: Prepared,
    evaluator: Evaluator,
    benches: Mutex<Vec<Bench>>,
    study: Option<Studied>,
}

/// A study with the rows that only it needs.
struct Studied {
    study: Study,
    /// Gradients before momentum; nothing where they are what is sent.
    sampled: Option<Matrix>,
    points: u64,
    row: StudyRow,
}

impl Lockstep {
    /// Sets the run up at step 0, with parameters drawn from the seed.
    ///
    /// # Errors
    /// If the plan's numbers do not fit together; see [`Plan::check`].
    pub fn new(plan: Plan) -> Result<Self, SpecError> {
        let last = plan.hostile == Hostile::Last || plan.f_real == 0;
        let in_place = last && plan.participation.is_none();
        Lockstep::build(plan, in_place, true)
    }

    /// The same run whose rows are staged, to be carried by a network where silence proves nothing.
    pub(crate) fn staged(plan: Plan) -> Result<Self, SpecError> {
        Lockstep::build(plan, false, false)
    }

    fn build(plan: Plan, in_place: bool, silence_is_hostile: bool) -> Result<Self, SpecError> {
        plan.check()?;
        let hostile_ids = plan.hostile_ids();
        let (d, n) = (plan.model.dim(), plan.n);
        let (_, f) = plan.round();
        let keeping = Keeping::of(&plan.optimiser, plan.participation.as_ref());
        let keeping = keeping.filter(|keeping| *keeping != Keeping::Last);
        let settings = Settings {
            n,
            f,
            weights: plan.weights,
            participation: plan.participation,
            non_finite: plan.non_finite,
            rule: plan.rule,
            optimiser: plan.optimiser.clone(),
            steps_per_epoch: plan.sampler.steps_per_epoch() / plan.optimiser.local.steps as f64,
            buffers: plan.model.init_buffers(),
            seed: plan.seed,
            packs_votes: false,
            silence_is_hostile,
        };
        let mut server = Server::new(settings, plan.model.init(plan.seed), plan.oracle)?;
        if let Some(effort) = plan.certificate {
            server.certify(effort);
        }
        let is_hostile = |id: &u32| hostile_ids.binary_search(id).is_ok();
        let (hostile, honest): (Vec<u32>, Vec<u32>) = (0..n as u32).partition(is_hostile);
        let study = plan.study.map(|past| Studied {
            study: Study::new(server.params(), plan.optimiser.momentum.coefficient, past),
            sampled: plan.optimiser.changes_gradients().then(|| Matrix::zeros(honest.len(), d)),
            points: 0,
            row: [f64::NAN; COLUMNS.len()],
        });
        let (adversary, liars) = (Adversary::new(plan.attack), hostile.len());
        let liar = |(k, id)| adversary.worker(id, k, liars);
        let hostile: Vec<Worker> = hostile.into_iter().enumerate().map(liar).collect();
        Ok(Lockstep {
            staged: Matrix::zeros(if in_place { 0 } else { n }, d),
            own: Matrix::zeros(hostile.len(), d),
            shadow: keeping.map(|keeping| States::new(keeping, hostile.len(), d)),
            evaluator: Evaluator::new(plan.test.as_ref(), plan.test_samples),
            adversary,
            honest: honest.into_iter().map(Worker::new).collect(),
            hostile,
            prepared: Box::new(()),
            benches: Mutex::new(Vec::new()),
            study,
            model: plan.model,
            train: plan.train,
            test: plan.test,
            sampler: plan.sampler,
            optimiser: plan.optimiser,
            seed: plan.seed,
            server,
            hostile_ids,
            passes: plan.passes,
            in_place,
            here: 0,
        })
    }

    /// Makes one step and says how it went.
    pub fn step(&mut self) -> StepRecord<'_> {
        let rate = self.server.broadcast().rate;
        let (in_place, absent) = (self.in_place, self.not_sampled());
        let loss = self.with_crew(&absent, |crew, team, server, staged| match in_place {
            true => step_in_place(crew, team, server),
            false => step_staged(crew, team, server, staged),
        });
        self.follow(&absent);
        self.close(loss, rate)
    }

    /// By place, whether the worker was not drawn for the open step; empty where all take part.
    pub(crate) fn not_sampled(&self) -> Vec<bool> {
        let Some(sampled) = self.server.sampled() else { return Vec::new() };
        let workers = self.honest.iter().chain(&self.hostile);
        workers.map(|worker| sampled.binary_search(&worker.id()).is_err()).collect()
    }

    /// Computes what is sent this step into the staging matrix, without the workers at the places
    /// that are absent, and returns the mean loss of the honest ones.
    pub(crate) fn stage(&mut self, absent: &[bool]) -> f64 {
        let loss =
            self.with_crew(absent, |crew, team, server, staged| stage(crew, team, server, staged));
        self.follow(absent);
        loss
    }

    /// Moves the model's running statistics by what this step's forward passes measured.
    fn follow(&mut self, absent: &[bool]) {
        let here =
            |(place, worker)| (!absent.get(place).is_some_and(|&absent| absent)).then_some(worker);
        let hostile = match self.passes {
            Passes::Honest => &[][..],
            Passes::All => &self.hostile,
        };
        let is_here = |place: &usize| !absent.get(*place).is_some_and(|&absent| absent);
        self.here = (0..self.honest.len()).filter(is_here).count();
        let all = self.honest.iter().chain(hostile).enumerate();
        self.server.follow(all.filter_map(here).map(Worker::statistics));
    }

    /// Carries the staged row at `place` (honest workers first) to the server, as of `step`.
    pub(crate) fn carry(&mut self, place: usize, step: u64) -> Result<(), Refusal> {
        self.server.receive(self.id_at(place), step, self.staged.row(place))
    }

    /// The worker whose row is staged at `place`.
    pub(crate) fn id_at(&self, place: usize) -> u32 {
        self.honest.iter().chain(&self.hostile).nth(place).expect("a place a worker").id()
    }

    /// Closes the step.
    pub(crate) fn close(&mut self, loss: f64, rate: f64) -> StepRecord<'_> {
        self.show_rows(loss);
        self.server.close();
        self.show_aggregate();
        let study = self.study.as_ref().map(|studied| &studied.row);
        let (losses, hostile, closed) = (self.here, &self.hostile_ids, self.server.closed());
        StepRecord { loss, losses, rate, hostile, closed, study }
    }

    fn with_crew<T>(
        &mut self,
        absent: &[bool],
        work: impl FnOnce(&Crew<'_>, Team<'_>, &mut Server, &mut Matrix) -> T,
    ) -> T {
        let (n, f) = self.server.round();
        let crew = Crew {
            job: Job {
                model: self.model.as_ref(),
                train: self.train.as_ref(),
                sampler: self.sampler.as_ref(),
                optimiser: &self.optimiser,
                seed: self.seed,
            },
            benches: &self.benches,
            n,
            f,
            all_pass: self.passes == Passes::All && self.model.buffers() > 0,
        };
        let team = Team {
            honest: &mut self.honest,
            hostile: &mut self.hostile,
            adversary: &mut self.adversary,
            own: &mut self.own,
            shadow: self.shadow.as_mut(),
            prepared: &mut self.prepared,
            sampled: self.study.as_mut().and_then(|studied| studied.sampled.as_mut()),
            absent,
        };
        work(&crew, team, &mut self.server, &mut self.staged)
    }

    /// Shows the study what was sent, before the server aggregates.
    fn show_rows(&mut self, loss: f64) {
        let (n, f) = self.server.round();
        let Some(studied) = &mut self.study else { return };
        let rows = if self.in_place { self.server.intake().slots() } else { self.staged.rows() };
        let honest = self.honest.len();
        let shown = Shown {
            step: self.server.step(),
            points: studied.points,
            loss,
            sampled: studied.sampled.as_ref().map(Matrix::rows),
            honest: rows.head(honest),
            attack: rows.tail(honest),
            params: self.server.params(),
            variance_norm: self.server.rule().variance_norm(n, f),
            kappa: self.server.rule().kappa(n, f),
            votes: self.optimiser.message.is_sign(),
        };
        studied.study.before(&shown);
        let (mut indices, local) = (Vec::new(), self.optimiser.local.steps);
        for worker in &self.honest {
            for draw in shown.step * local..(shown.step + 1) * local {
                self.sampler.draw(worker.id(), draw, &mut indices);
                studied.points += indices.len() as u64;
            }
        }
    }

    /// Shows the study what the rule made of it.
    fn show_aggregate(&mut self) {
        if let Some(studied) = &mut self.study {
            let weight = hostile_weight(self.server.closed(), &self.hostile_ids);
            studied.row = *studied.study.after(self.server.aggregate(), weight);
        }
    }

    /// Evaluates the current parameters on the test samples.
    pub fn evaluate(&mut self) -> Evaluation {
        let Lockstep { model, server, prepared, evaluator, test, .. } = self;
        let (params, statistics) = (server.params(), server.statistics());
        model.prepare(params, prepared);
        model.load_buffers(statistics, prepared);
        let tally = evaluator.run(model.as_ref(), params, prepared, test.as_ref());
        Evaluation { step: server.step(), tally }
    }

    /// Evaluates other parameters and running statistics, those of the model before `step`.
    pub fn evaluate_at(&mut self, step: u64, params: &[f32], statistics: &[f32]) -> Evaluation {
        let Lockstep { model, prepared, evaluator, test, .. } = self;
        model.prepare(params, prepared);
        model.load_buffers(statistics, prepared);
        let tally = evaluator.run(model.as_ref(), params, prepared, test.as_ref());
        Evaluation { step, tally }
    }

    /// The current parameters θ.
    pub fn params(&self) -> &[f32] {
        self.server.params()
    }

    /// Whether the plan asks for a study.
    pub(crate) fn studies(&self) -> bool {
        self.study.is_some()
    }

    /// The server.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Saves everything that the next step depends on. Only between steps.
    pub fn save(&self) -> Memory {
        let mut memory = Memory::default();
        memory.absorb("server", self.server.save());
        memory.absorb("adversary", self.adversary.save());
        if let Some(shadow) = &self.shadow {
            memory.absorb("shadow", shadow.save());
        }
        for worker in self.honest.iter().chain(&self.hostile) {
            memory.absorb(&format!("worker-{}", worker.id()), worker.save());
        }
        memory
    }

    /// Restores what `save` returned.
    ///
    /// # Errors
    /// If the memory is of another plan.
    pub fn load(&mut self, memory: &Memory) -> Result<(), SpecError> {
        self.server.load(&memory.part("server"))?;
        self.adversary.load(&memory.part("adversary"))?;
        if let Some(shadow) = &mut self.shadow {
            shadow.load(&memory.part("shadow"))?;
        }
        for worker in self.honest.iter_mut().chain(&mut self.hostile) {
            worker.load(&memory.part(&format!("worker-{}", worker.id())))?;
        }
        Ok(())
    }
}
