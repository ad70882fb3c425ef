//! A run's beginning where its workers come over a network.

use super::machines;
use super::run::{Judging, Stepping};
use crate::print;
use std::net::SocketAddr;
use std::path::PathBuf;
use varangian_base::SpecError;
use varangian_lab::config::Settings;
use varangian_lab::run::World;
use varangian_net::{Arrivals, Doors, Rounds, Terms};
use varangian_sim::swarm::AsyncPlan;
use varangian_sim::{Course, Plan, Run};
use varangian_train::wire::Codec;

/// How a run is served.
pub(super) struct Options {
    pub(super) doors: Doors,
    pub(super) codec: String,
    pub(super) checkpoint_steps: u64,
    pub(super) metrics: Option<SocketAddr>,
    /// Where what was found of each worker goes.
    pub(super) evidence: Option<PathBuf>,
    /// Whether it says where it listens.
    pub(super) says: bool,
}

/// From this many workers on a rule whose time grows with n² is remarked upon.
const MANY: usize = 256;

/// The world outside.
pub(super) struct Network {
    options: Options,
}

impl Network {
    pub(super) fn new(options: Options) -> Self {
        Network { options }
    }

    /// Says where the server is, once it is there.
    fn say(&self, address: SocketAddr, n: usize) {
        if self.options.says {
            let how = if self.options.doors.keys.is_some() { "mutual TLS" } else { "no TLS" };
            let admin = self.options.doors.admin.clone().unwrap_or_default();
            print::note(&format!(
                "serving {n} workers at {address} ({how}); `varangian top {}` shows it",
                admin.display()
            ));
        }
    }

    fn rounds(&self, settings: &Settings, plan: Plan) -> Result<Box<dyn Run>, SpecError> {
        let options = &self.options;
        if plan.study.is_some() {
            return Err(SpecError::new(
                "study looks at gradients before they are sent; it is for runs in one process",
            ));
        }
        plan.check()?;
        let codec = Codec::parse(&options.codec, &plan.optimiser, plan.model.dim(), plan.seed)?;
        let ((_, f), least) = (plan.round(), plan.least());
        let text = toml::to_string(settings).map_err(|error| SpecError::new(error.to_string()))?;
        let about = (plan.n, text);
        let model = plan.model.as_ref();
        let terms = Terms::of(about, model, &plan.optimiser, codec, Some(&plan.rule));
        let slow = plan.rule.entries().into_iter().find(|entry| entry.cost.contains("n²"));
        if let Some(entry) = slow.filter(|_| plan.n >= MANY && options.says) {
            let (name, cost, n) = (entry.name, entry.cost, plan.n);
            print::note(&format!(
                "note: {name} takes {cost}, which is much at n = {n}: docs/scale.md has its seconds"
            ));
        }
        let hostile = plan.hostile_ids();
        let decay = plan.optimiser.weight_decay;
        let (server, bench) = machines::server(plan, codec)?;
        let n = terms.n;
        let rounds = Rounds::open(server, terms, &options.doors, (f, least), decay);
        let rounds = rounds.map_err(|trouble| SpecError::new(trouble.to_string()))?;
        self.say(rounds.address(), n);
        let every = options.checkpoint_steps;
        let evidence = options.evidence.as_deref();
        let stepping = Stepping::new(rounds, bench, hostile, every, options.metrics)?;
        Ok(Box::new(stepping.with_evidence(evidence)?))
    }

    fn arrivals(&self, settings: &Settings, plan: AsyncPlan) -> Result<Box<dyn Run>, SpecError> {
        let options = &self.options;
        if options.evidence.is_some() {
            return Err(SpecError::new(
                "evidence is of rounds; a filter judges messages one by one, and --audit logs \
                 each one's fate",
            ));
        }
        plan.check()?;
        let codec = Codec::parse(&options.codec, &plan.optimiser, plan.model.dim(), plan.seed)?;
        let text = toml::to_string(settings).map_err(|error| SpecError::new(error.to_string()))?;
        let model = plan.model.as_ref();
        let terms = Terms::of((plan.n, text), model, &plan.optimiser, codec, None);
        let hostile = plan.hostile_ids();
        let (f, n) = (plan.f, plan.n);
        let (queue, bench) = machines::queue(plan)?;
        let about = (f, settings.rule.as_str());
        let arrivals = Arrivals::open(queue, terms, &options.doors, about);
        let arrivals = arrivals.map_err(|trouble| SpecError::new(trouble.to_string()))?;
        self.say(arrivals.address(), n);
        let every = options.checkpoint_steps;
        Ok(Box::new(Judging::new(arrivals, bench, hostile, every, options.metrics)?))
    }
}

impl World for Network {
    fn begin(&self, settings: &Settings, course: Course) -> Result<Box<dyn Run>, SpecError> {
        match course {
            Course::Lockstep(plan) | Course::Rounds(plan, _) => self.rounds(settings, *plan),
            Course::Swarm(plan) => self.arrivals(settings, *plan),
            Course::Gossip(..) => Err(SpecError::new(
                "network=\"gossip\" is without a server, so that none can be started for it",
            )),
        }
    }

    fn keeps_checkpoints(&self) -> bool {
        true
    }
}
