//! Synchronous rounds over a simulated network: a round closes when all are in, or at its deadline.
//!
//! When a round closes is [`varangian_train::rounds`]'s to say. A message that misses its round
//! reaches a later one and is refused there; until then its worker takes no part. Without faults
//! and delays the bits are those of lockstep.

use crate::Plan;
use crate::events::{Agenda, Trace};
use crate::lockstep::{Evaluation, Lockstep, StepRecord};
use crate::network::{Journey, Network, Temperament};
use varangian_base::{Memory, Seed, SpecError, Value};
use varangian_train::Keeping;
use varangian_train::rounds::{Gathering, Policy};

/// A message under way.
struct Message {
    place: usize,
    step: u64,
}

/// A run in rounds over a simulated network, between rounds.
pub struct Rounds {
    run: Lockstep,
    network: Network,
    seed: Seed,
    temperaments: Vec<Temperament>,
    /// By place, when the worker is free again.
    free_at: Vec<f64>,
    agenda: Agenda<Message>,
    now: f64,
    gathering: Gathering,
    honest: usize,
    trace: Trace,
}

impl Rounds {
    /// Sets the run up at time 0.
    ///
    /// # Errors
    /// If the plan's or the network's numbers do not fit together.
    pub fn new(plan: Plan, network: Network) -> Result<Self, SpecError> {
        network.check(plan.n)?;
        if plan.keeping() == Some(Keeping::Sum) {
            return Err(SpecError::new(
                "compression=ef21 and message=dasha send differences to what the server keeps, so that \
                 every message must arrive; a network may lose one; network must be empty",
            ));
        }
        let (n, seed, honest) = (plan.n, plan.seed, plan.n - plan.f_real);
        let least = plan.least();
        let temperaments = network.temperaments(n, seed, &plan.hostile_ids());
        let policy = Policy { deadline: network.deadline, least, backs_off: false };
        let run = Lockstep::staged(plan)?;
        let (agenda, free_at) = (Agenda::default(), vec![0.0; n]);
        let trace = Trace::default();
        Ok(Rounds {
            run,
            network,
            seed,
            temperaments,
            free_at,
            agenda,
            now: 0.0,
            gathering: Gathering::new(policy, n),
            honest,
            trace,
        })
    }

    /// Makes one round and says how it went.
    pub fn step(&mut self) -> StepRecord<'_> {
        let (step, rate) = (self.run.server().step(), self.run.server().broadcast().rate);
        let journeys = self.set_out(step);
        let away = self.run.not_sampled();
        let mut absent: Vec<bool> = journeys[..self.honest].iter().map(Option::is_none).collect();
        absent.extend_from_slice(away.get(self.honest..).unwrap_or_default());
        let loss = self.run.stage(&absent);
        self.receive(step, &away);
        let Rounds { run, trace, now, .. } = self;
        let record = run.close(loss, rate);
        trace.add(now.to_bits());
        record.closed.ids.iter().for_each(|&id| trace.add(u64::from(id)));
        record
    }

    /// Sends every free worker on its way; by place, the journeys of those that compute.
    fn set_out(&mut self, step: u64) -> Vec<Option<Journey>> {
        let n = self.free_at.len();
        let away = self.run.not_sampled();
        let mut journeys = Vec::with_capacity(n);
        for place in 0..n {
            let id = self.run.id_at(place);
            let temperament = self.temperaments[id as usize];
            let away = away.get(place).is_some_and(|&away| away);
            if away || temperament.silent || self.free_at[place] > self.now {
                journeys.push(None);
                continue;
            }
            let journey = self.network.journey(self.seed, id, step, temperament.slowdown);
            let again = journey.again.filter(|_| journey.arrival.is_some());
            for at in [journey.arrival, again].into_iter().flatten() {
                self.agenda.enter(self.now + at, Message { place, step });
            }
            let busy = journey.back.or(journey.arrival).unwrap_or(journey.ready);
            self.free_at[place] = self.now + busy;
            journeys.push(Some(journey).filter(|journey| journey.back.is_none()));
        }
        journeys
    }

    /// Hands messages to the server until all are in, but for those by place that are `away`, or
    /// time is up.
    fn receive(&mut self, step: u64, away: &[bool]) {
        let takes_part = |place: usize| !away.get(place).is_some_and(|&away| away);
        self.gathering.open(self.now, takes_part);
        while !self.gathering.is_complete() {
            let Some((at, message)) = self.agenda.next_until(self.gathering.end()) else {
                if self.gathering.is_over() {
                    self.now = self.gathering.end();
                    break;
                }
                continue;
            };
            self.now = self.now.max(at);
            let received = self.run.carry(message.place, message.step);
            self.trace.add(at.to_bits());
            self.trace.add(u64::from(received.is_ok()));
            match message.step == step {
                true => self.gathering.answered(message.place, received.is_ok()),
                false => self.gathering.heard(received.is_ok()),
            }
        }
        self.gathering.close();
    }

    /// Saves everything that the next round depends on. Only between rounds.
    pub fn save(&self) -> Memory {
        let mut memory = self.run.save();
        let (entries, entered) = self.agenda.entries();
        let (mut times, mut under_way) = (vec![self.now], vec![entered, self.trace.hash()]);
        for (at, number, message) in entries {
            times.push(at);
            under_way.extend([number, message.place as u64, message.step]);
        }
        memory.put("network/times", Value::Doubles(times));
        memory.put("network/under-way", Value::Integers(under_way));
        memory.put("network/free-at", Value::Doubles(self.free_at.clone()));
        memory
    }

    /// Restores what `save` returned.
    ///
    /// # Errors
    /// If the memory is of another plan.
    pub fn load(&mut self, memory: &Memory) -> Result<(), SpecError> {
        let free_at = memory.doubles("network/free-at")?;
        let (times, under_way) =
            (memory.doubles("network/times")?, memory.integers("network/under-way")?);
        let ([now, times @ ..], [entered, trace, under_way @ ..]) = (times, under_way) else {
            return Err(SpecError::new("checkpoint: the network's state is cut short"));
        };
        let n = self.free_at.len();
        if free_at.len() != n || under_way.iter().skip(1).step_by(3).any(|&p| p as usize >= n) {
            let found = free_at.len();
            return Err(SpecError::new(format!("checkpoint: workers are {n}; found {found}")));
        }
        self.run.load(memory)?;
        let message = |(at, entry): (&f64, &[u64])| {
            (*at, entry[0], Message { place: entry[1] as usize, step: entry[2] })
        };
        let entries = times.iter().zip(under_way.chunks_exact(3)).map(message);
        self.agenda = Agenda::restore(entries, *entered);
        self.free_at.copy_from_slice(free_at);
        (self.now, self.trace) = (*now, Trace::resume(*trace));
        Ok(())
    }

    /// Evaluates the current parameters on the test samples.
    pub fn evaluate(&mut self) -> Evaluation {
        self.run.evaluate()
    }

    /// Evaluates other parameters and running statistics, those of the model before `step`.
    pub fn evaluate_at(&mut self, step: u64, params: &[f32], statistics: &[f32]) -> Evaluation {
        self.run.evaluate_at(step, params, statistics)
    }

    /// Whether the plan asks for a study.
    pub(crate) fn studies(&self) -> bool {
        self.run.studies()
    }

    /// The server.
    pub fn server(&self) -> &varangian_train::Server {
        self.run.server()
    }

    /// The virtual time, in seconds.
    pub fn now(&self) -> f64 {
        self.now
    }

    /// The current parameters.
    pub fn params(&self) -> &[f32] {
        self.run.params()
    }

    /// The fingerprint of what happened and of the parameters.
    pub fn trace(&self) -> u64 {
        let mut trace = self.trace;
        trace.add_floats(self.run.params());
        trace.hash()
    }
}
