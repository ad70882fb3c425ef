//! A simulated network: how long workers compute, how long messages take, what is lost, doubled or
//! reordered, who crashes and returns. Every draw has its address (`Domain::Network`, worker,
//! message).

use std::sync::Arc;
use varangian_base::{Domain, Kind, Param, Seed, SpecError, Stream, lanes::network as lanes, spec};

/// A distribution of durations, in seconds of virtual time.
#[derive(Clone, Debug, PartialEq)]
pub enum Delay {
    /// Always this.
    Constant(f64),
    /// Exponential with this mean.
    Exponential(f64),
    /// exp(N(ln median, sigma²)).
    LogNormal {
        /// The median.
        median: f64,
        /// The standard deviation of the logarithm.
        sigma: f64,
    },
    /// Measured durations, drawn with replacement.
    Trace(Arc<[f64]>),
}

const fn seconds(name: &'static str, default: &'static str) -> Param {
    let kind = Kind::Real { min: 0.0, max: 1e12 };
    Param { name, kind, default, help: "seconds of virtual time" }
}

const CONSTANT: &[Param] = &[seconds("t", "1")];
const EXPONENTIAL: &[Param] = &[seconds("mean", "1")];
const LOG_NORMAL: &[Param] = &[
    seconds("median", "1"),
    Param {
        name: "sigma",
        kind: Kind::Real { min: 0.0, max: 1e12 },
        default: "0.5",
        help: "the standard deviation of the logarithm",
    },
];
const TRACE: &[Param] =
    &[Param { name: "file", kind: Kind::Text, default: "", help: "one number a line, in seconds" }];

/// The delays by name, with a summary and parameters each, for help.
pub static DELAYS: &[(&str, &str, &[Param])] = &[
    ("constant", "always the same", CONSTANT),
    ("exponential", "exponential with this mean", EXPONENTIAL),
    ("log-normal", "exp(N(ln median, sigma²))", LOG_NORMAL),
    ("trace", "measured durations, drawn with replacement", TRACE),
];

impl Delay {
    /// Reads `constant t=1`, `exponential mean=1`, `log-normal median=1 sigma=0.5` or
    /// `trace file=PATH` (one number a line, in seconds).
    ///
    /// # Errors
    /// If the name or a parameter is unknown or malformed, or the file cannot be read.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        let spec = spec::parse(text)?;
        match spec.name.as_str() {
            "constant" => Ok(Delay::Constant(spec.args(CONSTANT)?.real("t").expect("default"))),
            "exponential" => {
                Ok(Delay::Exponential(spec.args(EXPONENTIAL)?.real("mean").expect("default")))
            }
            "log-normal" => {
                let args = spec.args(LOG_NORMAL)?;
                let median = args.real("median").expect("has a default");
                Ok(Delay::LogNormal { median, sigma: args.real("sigma").expect("has a default") })
            }
            "trace" => trace(spec.args(TRACE)?.text("file")),
            other => {
                let known = ["constant", "exponential", "log-normal", "trace"];
                Err(SpecError::unknown("delay", other, &known))
            }
        }
    }

    /// One duration.
    pub fn draw(&self, stream: &mut Stream) -> f64 {
        match self {
            Delay::Constant(t) => *t,
            Delay::Exponential(mean) => -mean * (1.0 - stream.uniform_f64()).ln(),
            Delay::LogNormal { median, sigma } => median * (sigma * stream.normal()).exp(),
            Delay::Trace(durations) => durations[stream.below(durations.len())],
        }
    }
}

fn trace(path: &str) -> Result<Delay, SpecError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| SpecError::new(format!("trace: cannot read \"{path}\": {error}")))?;
    let mut durations = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let duration = line.trim().parse().ok().filter(|t: &f64| t.is_finite() && *t >= 0.0);
        durations.push(duration.ok_or_else(|| {
            let number = number + 1;
            SpecError::new(format!(
                "trace: line {number} of \"{path}\" should be a number of seconds; found \"{line}\""
            ))
        })?);
    }
    if durations.is_empty() {
        return Err(SpecError::new(format!("trace: \"{path}\" holds no duration")));
    }
    Ok(Delay::Trace(durations.into()))
}

/// What can happen between a server and its workers.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// Time to compute a gradient.
    pub compute: Delay,
    /// Time from the server to a worker.
    pub down: Delay,
    /// Time from a worker to the server.
    pub up: Delay,
    /// Probability that a message is lost on its way up.
    pub loss: f64,
    /// Probability that a message arrives twice.
    pub duplication: f64,
    /// Probability that a message is held up by a second journey, and so overtaken.
    pub reordering: f64,
    /// Probability that a worker crashes while it computes.
    pub crash: f64,
    /// How long a crashed worker stays away.
    pub downtime: Delay,
    /// How many workers, drawn from the seed, compute slower.
    pub slow: usize,
    /// By which factor.
    pub slowdown: f64,
    /// How many other workers, drawn from the seed, never send anything.
    pub silent: usize,
    /// How many times faster than others a hostile worker computes, at least 1.
    pub haste: f64,
    /// Synchronous: how long a round stays open. Asynchronous: after how long a worker whose
    /// message was lost asks again.
    pub deadline: f64,
}

impl Network {
    /// No delay but one second of computation, no fault, no end of a round before all are in.
    pub fn perfect() -> Self {
        let (none, one) = (Delay::Constant(0.0), Delay::Constant(1.0));
        Network {
            compute: one,
            down: none.clone(),
            up: none.clone(),
            loss: 0.0,
            duplication: 0.0,
            reordering: 0.0,
            crash: 0.0,
            downtime: none,
            slow: 0,
            slowdown: 1.0,
            silent: 0,
            haste: 1.0,
            deadline: 1e6,
        }
    }

    /// Whether the numbers make sense for n workers.
    ///
    /// # Errors
    /// Names the number, its range and what was found.
    pub fn check(&self, n: usize) -> Result<(), SpecError> {
        let chances = [
            ("loss", self.loss),
            ("duplication", self.duplication),
            ("reordering", self.reordering),
            ("crash", self.crash),
        ];
        for (name, p) in chances {
            if !(0.0..1.0).contains(&p) {
                return Err(SpecError::new(format!("{name} is a probability below 1; got {p}")));
            }
        }
        if self.slow + self.silent > n {
            let (slow, silent) = (self.slow, self.silent);
            return Err(SpecError::new(format!(
                "slow and silent workers are at most n = {n}; got {slow} and {silent}"
            )));
        }
        if !(self.haste >= 1.0 && self.haste.is_finite()) {
            let haste = self.haste;
            return Err(SpecError::new(format!("haste is at least 1 and finite; got {haste}")));
        }
        if self.slowdown < 1.0 || self.deadline.is_nan() || self.deadline <= 0.0 {
            return Err(SpecError::new(format!(
                "slowdown is at least 1 and the deadline above 0; got {} and {}",
                self.slowdown, self.deadline
            )));
        }
        Ok(())
    }

    /// How each of n workers fares throughout; `hostile` are those that attack, each below n.
    pub fn temperaments(&self, n: usize, seed: Seed, hostile: &[u32]) -> Vec<Temperament> {
        let order = seed.stream(Domain::Network, lanes::TEMPERAMENTS, 0).permutation(n);
        let mut out = vec![Temperament { slowdown: 1.0, silent: false }; n];
        for (rank, &worker) in order.iter().enumerate() {
            let one = &mut out[worker as usize];
            if rank < self.slow {
                one.slowdown = self.slowdown;
            } else if rank < self.slow + self.silent {
                one.silent = true;
            }
        }
        hostile.iter().for_each(|&worker| out[worker as usize].slowdown /= self.haste);
        out
    }

    /// What happens to a worker's `number`-th computation and its message.
    pub fn journey(&self, seed: Seed, worker: u32, number: u64, slowdown: f64) -> Journey {
        let lane = |lane| seed.lane(Domain::Network, worker, number, lane);
        let compute = slowdown * self.compute.draw(&mut lane(lanes::COMPUTE));
        let ready = self.down.draw(&mut lane(lanes::DOWN)) + compute;
        let mut fate = lane(lanes::FATE);
        let crashed = fate.coin(self.crash);
        let lost = fate.coin(self.loss);
        let doubled = fate.coin(self.duplication);
        let overtaken = fate.coin(self.reordering);
        let mut up = self.up.draw(&mut lane(lanes::UP));
        if overtaken {
            up += self.up.draw(&mut lane(lanes::OVERTAKEN))
                + self.compute.draw(&mut lane(lanes::MEANWHILE));
        }
        Journey {
            ready,
            back: crashed.then(|| ready + self.downtime.draw(&mut lane(lanes::DOWNTIME))),
            arrival: (!crashed && !lost).then_some(ready + up),
            again: doubled.then(|| ready + self.up.draw(&mut lane(lanes::AGAIN))),
        }
    }
}

/// What a worker is like throughout a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Temperament {
    /// The factor on its computing time, below 1 for a hostile worker that hastens.
    pub slowdown: f64,
    /// Whether it never sends.
    pub silent: bool,
}

/// One computation and its message; times count from when the server sent the model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Journey {
    /// When the gradient is computed.
    pub ready: f64,
    /// When the worker is back, if it crashed on the way.
    pub back: Option<f64>,
    /// When the message arrives; never if the worker crashed or the message was lost.
    pub arrival: Option<f64>,
    /// When a second copy arrives.
    pub again: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(delay: &Delay) -> f64 {
        let mut stream = Seed(1).stream(Domain::Test, 0, 0);
        (0..20_000).map(|_| delay.draw(&mut stream)).sum::<f64>() / 2e4
    }

    #[test]
    fn delays_have_the_means_that_they_should() {
        let of = |text| mean(&Delay::parse(text).unwrap());
        assert_eq!(of("constant t=2.5"), 2.5);
        assert!((of("exponential mean=3") - 3.0).abs() < 0.1);
        assert!((of("log-normal median=2 sigma=0.5") - 2.0 * (0.125f64).exp()).abs() < 0.05);
        let dir = std::env::temp_dir().join(format!("delays-{}", std::process::id()));
        std::fs::write(&dir, "1\n\n3\n").unwrap();
        assert!((of(&format!("trace file={}", dir.display())) - 2.0).abs() < 0.05);
        std::fs::write(&dir, "1\n-3\n").unwrap();
        let error = Delay::parse(&format!("trace file={}", dir.display())).unwrap_err();
        assert!(error.to_string().contains("line 2 of"), "{error}");
        std::fs::remove_file(&dir).unwrap();
        assert!(Delay::parse("exponental").unwrap_err().to_string().contains("exponential"));
        assert!(Delay::parse("trace file=/no/such/file").is_err());
    }

    #[test]
    fn faults_come_as_often_as_asked_and_from_their_address_alone() {
        let network = Network {
            loss: 0.1,
            crash: 0.2,
            duplication: 0.05,
            up: Delay::Exponential(1.0),
            ..Network::perfect()
        };
        let all: Vec<Journey> = (0..10_000).map(|k| network.journey(Seed(2), 3, k, 1.0)).collect();
        let share =
            |test: fn(&Journey) -> bool| all.iter().filter(|j| test(j)).count() as f64 / 1e4;
        assert!((share(|j| j.back.is_some()) - 0.2).abs() < 0.02);
        assert!((share(|j| j.arrival.is_none()) - 0.28).abs() < 0.02);
        assert!((share(|j| j.again.is_some()) - 0.05).abs() < 0.01);
        assert_eq!(all[77], network.journey(Seed(2), 3, 77, 1.0));
        assert_ne!(all[77], network.journey(Seed(2), 4, 77, 1.0));
    }

    #[test]
    fn slow_and_silent_workers_are_drawn_and_checked() {
        let network = Network { slow: 3, slowdown: 4.0, silent: 2, ..Network::perfect() };
        let all = network.temperaments(10, Seed(1), &[]);
        assert_eq!(all.iter().filter(|t| t.slowdown == 4.0).count(), 3);
        assert_eq!(all.iter().filter(|t| t.silent).count(), 2);
        let hasty = Network { haste: 8.0, ..network.clone() }.temperaments(10, Seed(1), &[2, 7]);
        for (worker, (plain, hasty)) in all.iter().zip(&hasty).enumerate() {
            let times = if [2, 7].contains(&worker) { 8.0 } else { 1.0 };
            assert_eq!(hasty.slowdown * times, plain.slowdown, "worker {worker}");
        }
        assert!(Network { haste: 0.5, ..Network::perfect() }.check(4).is_err());
        let error = network.check(4).unwrap_err().to_string();
        assert_eq!(error, "slow and silent workers are at most n = 4; got 3 and 2");
        assert!(Network { loss: 1.0, ..Network::perfect() }.check(4).is_err());
        assert_eq!(network.journey(Seed(1), 0, 0, 4.0).ready, 4.0);
    }
}
