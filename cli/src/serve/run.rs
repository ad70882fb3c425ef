//! A served run between two steps, as every run is driven: the sockets' machines behind it, an
//! evaluation of their parameters beside it.

use super::log::Metrics;
use super::suspicion::Suspicion;
use crate::{evidence, print};
use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use varangian_base::{Memory, SpecError};
use varangian_learn::model::Prepared;
use varangian_learn::{Dataset, Model};
use varangian_net::{Arrivals, Rounds, Tally};
use varangian_sim::Arrivals as Counts;
use varangian_sim::lockstep::{Evaluation, StepRecord};
use varangian_sim::swarm::{ArrivalRecord, Fates};
use varangian_sim::{Advance, Attendance, Run};
use varangian_train::{Evaluator, Fate};

/// What parameters are evaluated with.
pub(crate) struct Bench {
    model: Arc<dyn Model>,
    test: Arc<dyn Dataset>,
    evaluator: Evaluator,
    prepared: Prepared,
}

impl Bench {
    pub(crate) fn new(model: Arc<dyn Model>, test: Arc<dyn Dataset>, evaluator: Evaluator) -> Self {
        Bench { model, test, evaluator, prepared: Box::new(()) }
    }

    fn evaluate(&mut self, step: u64, params: &[f32], statistics: &[f32]) -> Evaluation {
        let Bench { model, test, evaluator, prepared } = self;
        model.prepare(params, prepared);
        model.load_buffers(statistics, prepared);
        let tally = evaluator.run(model.as_ref(), params, prepared, test.as_ref());
        Evaluation { step, tally }
    }
}

/// When the state is kept: on order, and after every so many steps.
struct Saving {
    every: u64,
    last: u64,
}

impl Saving {
    fn is_due(&mut self, step: u64, ordered: bool) -> bool {
        let due = step >= self.last.saturating_add(self.every);
        if due || ordered {
            self.last = step;
        }
        due || ordered
    }
}

/// How workers stand.
fn stand(
    tallies: &[Tally],
    revoked: Vec<u32>,
    by: &'static str,
    suspicion: Vec<f64>,
) -> Attendance {
    Attendance {
        present: tallies.iter().map(|tally| tally.present).collect(),
        admitted: tallies.iter().map(|tally| tally.admitted).collect(),
        missed: tallies.iter().map(|tally| tally.missed).collect(),
        revoked,
        longest: None,
        by,
        suspicion,
    }
}

/// A run in rounds.
pub(super) struct Stepping {
    rounds: Rounds,
    bench: Bench,
    hostile: Vec<u32>,
    saving: Saving,
    metrics: Option<Metrics>,
    evidence: Option<File>,
    suspicion: Suspicion,
    /// Seconds of the longest round since somebody asked.
    longest: Option<f64>,
}

impl Stepping {
    pub(super) fn new(
        rounds: Rounds,
        bench: Bench,
        hostile: Vec<u32>,
        every: u64,
        metrics: Option<SocketAddr>,
    ) -> Result<Self, SpecError> {
        let metrics = metrics.map(Metrics::serve).transpose()?;
        let suspicion = Suspicion::of(rounds.tallies().len());
        Ok(Stepping {
            rounds,
            bench,
            hostile,
            saving: Saving { every, last: 0 },
            metrics,
            evidence: None,
            suspicion,
            longest: None,
        })
    }

    /// The same with a file that what was found of each worker is added to.
    pub(super) fn with_evidence(self, path: Option<&Path>) -> Result<Self, SpecError> {
        let opened = |path: &Path| {
            let file = File::options().append(true).create(true).open(path);
            file.map_err(|error| {
                SpecError::new(format!("cannot write {}: {error}", path.display()))
            })
        };
        Ok(Stepping { evidence: path.map(opened).transpose()?, ..self })
    }

    /// Takes in the round that has just been closed, and adds its records where they are kept.
    fn note(&mut self) {
        let took = self.rounds.took();
        self.longest = Some(self.longest.map_or(took, |longest| longest.max(took)));
        let Some(file) = &mut self.evidence else {
            let closed = self.rounds.server().closed();
            closed.ids.iter().for_each(|&worker| self.suspicion.look(worker, false));
            let refused = closed.refused.iter().filter(|refusal| refusal.reason.proves_hostile());
            refused.for_each(|refusal| self.suspicion.look(refusal.worker, true));
            return;
        };
        let records = self.rounds.server().evidence();
        self.suspicion.weigh(&records);
        let text: String = records.iter().map(|record| evidence::line(record) + "\n").collect();
        if let Err(error) = file.write_all(text.as_bytes()) {
            print::note(&format!("warning: evidence is not kept any more: {error}"));
            self.evidence = None;
        }
    }
}

impl Run for Stepping {
    fn step(&self) -> u64 {
        self.rounds.server().step()
    }

    fn advance(&mut self) -> Option<Advance<'_>> {
        let Some((loss, rate, _)) = self.rounds.advance() else { return Some(Advance::Waiting) };
        self.note();
        let Stepping { rounds, hostile, metrics, .. } = self;
        let closed = rounds.server().closed();
        if let Some(metrics) = metrics {
            metrics.step(closed.step, closed.n, closed.skipped.is_some(), closed.refused.len());
        }
        let losses = usize::from(loss.is_finite());
        Some(Advance::Step(StepRecord { loss, losses, rate, hostile, closed, study: None }))
    }

    fn wants_saving(&mut self) -> bool {
        let step = self.step();
        let ordered = self.rounds.wants_saving();
        if let Some(metrics) = &self.metrics {
            metrics.workers(self.rounds.tallies());
        }
        self.saving.is_due(step, ordered)
    }

    fn is_stopped(&self) -> bool {
        if let Some(trouble) = self.rounds.trouble() {
            print::note(&format!("stopped: {trouble}"));
        }
        self.rounds.is_stopped()
    }

    fn attendance(&mut self) -> Option<Attendance> {
        let by = if self.evidence.is_some() { "evidence" } else { "refusals" };
        let shares = self.suspicion.shares();
        let seen = stand(self.rounds.tallies(), self.rounds.revoked(), by, shares);
        Some(Attendance { longest: self.longest.take(), ..seen })
    }

    fn evaluate(&mut self) -> Evaluation {
        let Stepping { rounds, bench, .. } = self;
        let server = rounds.server();
        let _span = tracing::info_span!("evaluate", step = server.step() as i64).entered();
        bench.evaluate(server.step(), server.params(), server.statistics())
    }

    fn evaluate_at(&mut self, step: u64, params: &[f32], statistics: &[f32]) -> Evaluation {
        self.bench.evaluate(step, params, statistics)
    }

    fn seconds(&self) -> Option<f64> {
        Some(self.rounds.seconds())
    }

    fn params(&self) -> &[f32] {
        self.rounds.server().params()
    }

    fn statistics(&self) -> &[f32] {
        self.rounds.server().statistics()
    }

    fn save(&self) -> Option<Memory> {
        let _span = tracing::info_span!("checkpoint", step = self.step() as i64).entered();
        Some(self.rounds.save())
    }

    fn load(&mut self, memory: &Memory) -> Result<(), SpecError> {
        self.rounds.load(memory)?;
        self.saving.last = self.step();
        Ok(())
    }

    fn end(&mut self) {
        self.rounds.finish();
    }
}

/// A run whose messages are judged one by one.
pub(super) struct Judging {
    arrivals: Arrivals,
    bench: Bench,
    hostile: Vec<u32>,
    saving: Saving,
    fates: [Fates; 2],
    staleness: f64,
    metrics: Option<Metrics>,
    suspicion: Suspicion,
}

impl Judging {
    pub(super) fn new(
        arrivals: Arrivals,
        bench: Bench,
        hostile: Vec<u32>,
        every: u64,
        metrics: Option<SocketAddr>,
    ) -> Result<Self, SpecError> {
        let metrics = metrics.map(Metrics::serve).transpose()?;
        let suspicion = Suspicion::of(arrivals.tallies().len());
        let (saving, fates) = (Saving { every, last: 0 }, [Fates::default(); 2]);
        let staleness = 0.0;
        Ok(Judging { arrivals, bench, hostile, saving, fates, staleness, metrics, suspicion })
    }

    fn tallies(&self) -> &[Tally] {
        self.arrivals.tallies()
    }
}

impl Run for Judging {
    fn step(&self) -> u64 {
        self.arrivals.queue().judged()
    }

    fn advance(&mut self) -> Option<Advance<'_>> {
        let Some(judged) = self.arrivals.advance() else { return Some(Advance::Waiting) };
        let (outcome, loss) = (judged.outcome, judged.loss);
        let hostile = self.hostile.binary_search(&outcome.worker).is_ok();
        let fates = &mut self.fates[usize::from(hostile)];
        match outcome.fate {
            Fate::Step => fates.stepped += 1,
            Fate::Hold => fates.held += 1,
            Fate::Reject(_) | Fate::NotFinite => fates.rejected += 1,
            Fate::Refused => fates.refused += 1,
        }
        self.staleness += outcome.staleness as f64;
        self.suspicion.look(outcome.worker, !matches!(outcome.fate, Fate::Step | Fate::Hold));
        if let Some(metrics) = &mut self.metrics {
            let refused = usize::from(outcome.fate == Fate::Refused);
            metrics.step(outcome.arrival, 1, false, refused);
        }
        let time = self.arrivals.seconds();
        Some(Advance::Arrival(ArrivalRecord { time, loss, hostile, outcome }))
    }

    fn wants_saving(&mut self) -> bool {
        let (step, ordered) = (self.step(), self.arrivals.wants_saving());
        if let Some(metrics) = &self.metrics {
            metrics.workers(self.tallies());
        }
        self.saving.is_due(step, ordered)
    }

    fn is_stopped(&self) -> bool {
        if let Some(trouble) = self.arrivals.trouble() {
            print::note(&format!("stopped: {trouble}"));
        }
        self.arrivals.is_stopped()
    }

    fn attendance(&mut self) -> Option<Attendance> {
        let shares = self.suspicion.shares();
        Some(stand(self.tallies(), self.arrivals.revoked(), "verdicts", shares))
    }

    fn evaluate(&mut self) -> Evaluation {
        let Judging { arrivals, bench, .. } = self;
        let queue = arrivals.queue();
        let _span = tracing::info_span!("evaluate", arrival = queue.judged() as i64).entered();
        bench.evaluate(queue.judged(), queue.params(), queue.statistics())
    }

    fn evaluate_at(&mut self, step: u64, params: &[f32], statistics: &[f32]) -> Evaluation {
        self.bench.evaluate(step, params, statistics)
    }

    fn seconds(&self) -> Option<f64> {
        Some(self.arrivals.seconds())
    }

    fn arrivals(&self) -> Option<Counts> {
        let [honest, hostile] = self.fates;
        Some(Counts { honest, hostile, staleness: self.staleness })
    }

    fn params(&self) -> &[f32] {
        self.arrivals.queue().params()
    }

    fn statistics(&self) -> &[f32] {
        self.arrivals.queue().statistics()
    }

    fn save(&self) -> Option<Memory> {
        let mut memory = self.arrivals.save();
        let counts = self
            .fates
            .iter()
            .flat_map(|fates| [fates.stepped, fates.held, fates.rejected, fates.refused]);
        memory.put("served/fates", varangian_base::Value::Integers(counts.collect()));
        memory.put("served/staleness", varangian_base::Value::Doubles(vec![self.staleness]));
        Some(memory)
    }

    fn load(&mut self, memory: &Memory) -> Result<(), SpecError> {
        self.arrivals.load(memory)?;
        if let ([a, b], [staleness]) = (
            memory.integers("served/fates")?.as_chunks::<4>().0,
            memory.doubles("served/staleness")?,
        ) {
            let fates = |&[stepped, held, rejected, refused]: &[u64; 4]| Fates {
                stepped,
                held,
                rejected,
                refused,
            };
            self.fates = [fates(a), fates(b)];
            self.staleness = *staleness;
        }
        self.saving.last = self.step();
        Ok(())
    }

    fn end(&mut self) {
        self.arrivals.finish();
    }
}
