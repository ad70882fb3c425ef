//! What a seed makes: a run, its workers, and what goes wrong.

use crate::draw::Draw;
use varangian_base::Seed;
use varangian_learn::optim::{Compression, Message, Momentum, Optimiser, Placement};
use varangian_net::Terms;
use varangian_rules::{Pipeline, build_filter};
use varangian_train::wire::Codec;
use varangian_train::{Queue, QueueSettings, Server, Settings};

use crate::model::{D, Valley};
use varangian_learn::Model;

/// The server's port.
pub const PORT: u16 = 7070;

/// A mistake that is planted, whether in the server or in how it is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// One that the server's code makes.
    Bug(varangian_net::sim::Bug),
    /// A silent worker counts as hostile.
    SilenceIsHostile,
}

/// What a worker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// It does what it should.
    Honest,
    /// It is there and never answers.
    Silent,
    /// Its rows hold what is not finite.
    NotFinite,
    /// It sends two different rows for one step.
    Equivocal,
    /// Its messages are too short, or too long.
    Misshapen,
    /// It answers steps that are over or not yet open, and earlier starts of the server.
    Untimely,
    /// Its messages end before their end, at every second step.
    Cutting,
    /// It sends each message three times.
    Repeating,
    /// It begins a message, and goes on after the server's patience.
    Slow,
}

impl Nature {
    /// Those that are not honest.
    pub const HOSTILE: &'static [Nature] = &[
        Nature::Silent,
        Nature::NotFinite,
        Nature::Equivocal,
        Nature::Misshapen,
        Nature::Untimely,
        Nature::Cutting,
        Nature::Repeating,
        Nature::Slow,
    ];
}

/// What goes wrong, and where.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// This worker's link takes so many seconds one way.
    Latency(u32, f64),
    /// Nothing goes through between this worker and the server.
    Partition(u32),
    /// Nothing goes from this worker to the server.
    OneWay(u32),
    /// What is sent between them waits, and then arrives.
    Hold(u32),
    /// Each write is lost with this probability, in hundredths, and its connection from there on.
    Loss(u32, u64),
    /// The next few writes on this worker's connections break them.
    Reset(u32),
    /// This worker's process is killed, and started again when the fault ends.
    WorkerCrash(u32),
    /// The server is killed when it is at this point for the n-th time, and started again.
    ServerCrash(&'static str, u64),
    /// The server's clock is an hour later, as after a machine was asleep.
    ClockJump,
    /// So many checkpoints in a row find no room.
    DiskFull(u64),
    /// The server is killed while it writes a checkpoint, of which a part is there.
    TornCheckpoint,
    /// This worker's identity is taken from it.
    Revoke(u32),
    /// The server opens no round until the fault ends.
    Pause,
}

impl Fault {
    /// Its kind, in reports.
    pub fn kind(&self) -> &'static str {
        match self {
            Fault::Latency(..) => "latency",
            Fault::Partition(_) => "partition",
            Fault::OneWay(_) => "one-way partition",
            Fault::Hold(_) => "hold",
            Fault::Loss(..) => "loss",
            Fault::Reset(_) => "reset",
            Fault::WorkerCrash(_) => "worker crash",
            Fault::ServerCrash(..) => "server crash",
            Fault::ClockJump => "clock jump",
            Fault::DiskFull(_) => "disk full",
            Fault::TornCheckpoint => "torn checkpoint",
            Fault::Revoke(_) => "revocation",
            Fault::Pause => "pause",
        }
    }

    /// The worker that it keeps from the server, if it is one of these.
    pub fn keeps_away(&self) -> Option<u32> {
        match *self {
            Fault::Latency(worker, _)
            | Fault::Partition(worker)
            | Fault::OneWay(worker)
            | Fault::Hold(worker)
            | Fault::Loss(worker, _)
            | Fault::Reset(worker)
            | Fault::WorkerCrash(worker)
            | Fault::Revoke(worker) => Some(worker),
            _ => None,
        }
    }
}

/// A fault with its time.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// Seconds from the beginning.
    pub at: f64,
    /// Seconds that it lasts at least; it ends when it has shown, too.
    pub lasts: f64,
    /// What it is.
    pub fault: Fault,
}

/// A run and what goes wrong in it.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The seed that it is drawn from.
    pub seed: u64,
    /// Whether messages are judged one by one.
    pub asynchronous: bool,
    /// Workers.
    pub n: usize,
    /// How many of them the rule is told are hostile.
    pub f: usize,
    /// The rule or filter.
    pub rule: &'static str,
    /// How rows travel.
    pub codec: Codec,
    /// Momentum, messages, rates.
    pub optimiser: Optimiser,
    /// By worker.
    pub natures: Vec<Nature>,
    /// Steps, or judged messages, after which the run may end.
    pub steps: u64,
    /// Steps between two checkpoints.
    pub every: u64,
    /// Seconds of a round.
    pub deadline: f64,
    /// Messages under way, in bytes: more than hostile workers can hold.
    pub memory: usize,
    /// Milliseconds that a message takes: the least and the most.
    pub latency: (u64, u64),
    /// Asynchronous: the most steps between a message's model and the newest.
    pub staleness: u64,
    /// What goes wrong, by time.
    pub faults: Vec<Planned>,
    /// The mistake that is planted, if any.
    pub plant: Option<Plant>,
}

const RULES: &[&str] = &["median", "trimmed-mean", "krum", "average", "geometric-median"];
const FILTERS: &[&str] = &["async-sgd", "kardam", "basgd", "weighted"];

impl Scenario {
    /// The scenario of a seed.
    pub fn draw(seed: u64, plant: Option<Plant>) -> Self {
        let draw = &mut Draw::new(seed, "scenario");
        let asynchronous = draw.chance(0.3);
        let mut f = draw.within(0..=2) as usize;
        let signs = draw.chance(0.25);
        let rule = match (asynchronous, signs) {
            (true, _) => *draw.pick(FILTERS),
            (false, true) => "majority",
            (false, false) => *draw.pick(RULES),
        };
        if rule == "average" {
            f = 0;
        }
        // Enough for every rule at f, and so many more that the rest suffices without f of them.
        let n = 3 * f + 3 + draw.within(0..=1) as usize;
        let optimiser = optimiser(draw, signs && !asynchronous, asynchronous);
        let exact = Codec::of(&optimiser, D, Seed(0));
        let codec = match exact {
            Codec::F32 => *draw.pick(&[Codec::F32, Codec::F32, Codec::Bf16, Codec::F16]),
            exact => exact,
        };
        let mut natures = vec![Nature::Honest; n];
        for _ in 0..f {
            let at = draw.within(0..=n as u64 - 1) as usize;
            natures[at] = *draw.pick(Nature::HOSTILE);
        }
        let hostile = natures.iter().filter(|nature| **nature != Nature::Honest).count();
        let least = draw.within(1..=20);
        let mut scenario = Scenario {
            seed,
            asynchronous,
            n,
            f,
            rule,
            codec,
            optimiser,
            natures,
            steps: if asynchronous { 40 } else { 10 + draw.within(0..=15) },
            every: draw.within(1..=6),
            deadline: draw.between(1.0, 4.0),
            // Taken by the kilobyte, of which no message has more.
            memory: 1024 * (hostile + draw.within(1..=3) as usize),
            latency: (least, least + draw.within(0..=40)),
            staleness: draw.within(0..=12),
            faults: Vec::new(),
            plant,
        };
        for _ in 0..draw.within(1..=4) {
            let planned = scenario.planned(draw);
            // One thing at a time keeps a worker away, so that each can be seen to end.
            let whom = planned.fault.keeps_away();
            let is_free = |other: &Planned| whom.is_none() || other.fault.keeps_away() != whom;
            if scenario.faults.iter().all(is_free) && scenario.spares(&planned.fault) {
                scenario.faults.push(planned);
            }
        }
        scenario.faults.sort_by(|a, b| a.at.total_cmp(&b.at));
        scenario
    }

    /// Whether enough workers stay for the rule, whoever is revoked: else it waits for ever.
    fn spares(&self, fault: &Fault) -> bool {
        let is_one = |fault: &Fault| matches!(fault, Fault::Revoke(_));
        let revoked = self.faults.iter().filter(|planned| is_one(&planned.fault)).count();
        self.asynchronous || !is_one(fault) || self.n > self.least() + revoked
    }

    /// A fault somewhere in this run.
    fn planned(&self, draw: &mut Draw) -> Planned {
        let worker = draw.within(0..=self.n as u64 - 1) as u32;
        let at = draw.between(0.0, 4.0);
        let mut lasts = draw.between(0.2, 6.0);
        let fault = match draw.within(0..=17) {
            0 => Fault::Latency(worker, draw.between(0.05, 2.0)),
            1 | 2 => {
                lasts = draw.between(0.2, 45.0);
                Fault::Partition(worker)
            }
            3 => Fault::OneWay(worker),
            4 => Fault::Hold(worker),
            5 => Fault::Loss(worker, draw.within(1..=20)),
            6 | 7 => Fault::Reset(worker),
            8 => Fault::WorkerCrash(worker),
            9 => Fault::ClockJump,
            10 => Fault::DiskFull(draw.within(1..=3)),
            11 => Fault::TornCheckpoint,
            // The rule has to find enough without it.
            12 if self.asynchronous || self.n > self.least() => Fault::Revoke(worker),
            12 | 13 => Fault::Pause,
            _ => {
                let points = self.points();
                Fault::ServerCrash(
                    points[draw.within(0..=points.len() as u64 - 1) as usize],
                    draw.within(1..=12),
                )
            }
        };
        Planned { at, lasts, fault }
    }

    /// The points that a server of this world passes again and again.
    fn points(&self) -> Vec<&'static str> {
        let other = if self.asynchronous {
            ["round", "row ", "gath", "step"]
        } else {
            ["cand", "mode", "----", "----"]
        };
        let ours = varangian_net::sim::POINTS.iter().chain(crate::disk::POINTS);
        ours.copied()
            .filter(|point| !other.iter().any(|o| point.starts_with(o)) && *point != "joined")
            .collect()
    }

    /// Workers that are hostile or clumsy.
    pub fn hostile(&self) -> usize {
        self.natures.iter().filter(|nature| **nature != Nature::Honest).count()
    }

    /// The rows that the rule needs.
    pub fn least(&self) -> usize {
        let rule = Pipeline::parse(self.rule).expect("a rule of the list");
        rule.least(self.f).unwrap_or(self.n)
    }

    /// The terms of the run.
    pub fn terms(&self) -> Terms {
        let rule = (!self.asynchronous).then(|| Pipeline::parse(self.rule).expect("of the list"));
        let about = (self.n, format!("# simulated by seed {}\n", self.seed));
        Terms::of(about, &Valley::default(), &self.optimiser, self.codec, rule.as_ref())
    }

    /// A server in rounds at its beginning.
    pub fn server(&self) -> Server {
        self.server_for(false)
    }

    /// The same where silence counts as hostile, which over a network is a mistake.
    pub fn suspicious(&self) -> Server {
        self.server_for(true)
    }

    fn server_for(&self, silence_is_hostile: bool) -> Server {
        let seed = Seed(self.seed);
        let settings = Settings {
            n: self.n,
            f: self.f,
            weights: None,
            participation: None,
            non_finite: Default::default(),
            rule: Pipeline::parse(self.rule).expect("a rule of the list"),
            optimiser: self.optimiser.clone(),
            steps_per_epoch: 100.0,
            buffers: Vec::new(),
            seed,
            packs_votes: false,
            silence_is_hostile,
        };
        Server::new(settings, Valley::default().init(seed), None).expect("n and f fit the rule")
    }

    /// An asynchronous server at its beginning.
    pub fn queue(&self) -> Queue {
        let seed = Seed(self.seed);
        let settings = QueueSettings {
            n: self.n,
            f: self.f,
            filter: build_filter(self.rule, self.n, self.f).expect("a filter of the list"),
            optimiser: self.optimiser.clone(),
            arrivals_per_epoch: 100.0,
            keep: 4,
            buffers: Vec::new(),
            seed,
        };
        Queue::new(settings, Valley::default().init(seed), None).expect("an optimiser that fits")
    }
}

/// How workers and server step.
fn optimiser(draw: &mut Draw, signs: bool, asynchronous: bool) -> Optimiser {
    let mut optimiser = Optimiser::sgd(draw.between(0.02, 0.2));
    let placements = [Placement::Update, Placement::Server, Placement::Worker];
    if draw.chance(0.5) {
        let placement = *draw.pick(&placements[..if asynchronous { 1 } else { 3 }]);
        optimiser.momentum = Momentum { coefficient: 0.9, placement, ..Momentum::none() };
    }
    if signs {
        optimiser.message = match draw.chance(0.5) {
            true => Message::Sign(varangian_base::ZeroPolicy::PlusOne),
            false => Message::Sign(varangian_base::ZeroPolicy::Zero),
        };
    } else if draw.chance(0.15) {
        optimiser.compression = Compression::TopK { keep: 0.25, feedback: draw.chance(0.5) };
    }
    if draw.chance(0.2) {
        optimiser.weight_decay = 0.01;
    }
    optimiser
}
