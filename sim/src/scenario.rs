//! Networks as text: `network up=(exponential mean=0.1) loss=0.05`, `uniform max-delay=10`.

use crate::network::{Delay, Network};
use crate::swarm::Staleness;
use varangian_base::{Args, Kind, Param, SpecError, spec};

/// When and how messages arrive, and which of them an attack leaves alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// Where staleness comes from.
    pub staleness: Staleness,
    /// Asynchronous: arrivals before the attack begins.
    pub clean: u64,
    /// Asynchronous: models that the server keeps, the newest included.
    pub keep: usize,
}

const fn delay(name: &'static str, default: &'static str, help: &'static str) -> Param {
    Param { name, kind: Kind::Text, default, help }
}

const fn chance(name: &'static str, help: &'static str) -> Param {
    Param { name, kind: Kind::Real { min: 0.0, max: 0.999 }, default: "0", help }
}

const fn count(name: &'static str, default: &'static str, help: &'static str) -> Param {
    Param { name, kind: Kind::Count { min: 0, max: 1 << 40 }, default, help }
}

const CLEAN: Param = count("clean", "0", "arrivals before the attack begins");
const KEEP: Param = Param {
    name: "keep",
    kind: Kind::Count { min: 1, max: 1 << 20 },
    default: "20",
    help: "models that the server keeps, the newest included",
};

/// What `network` takes.
pub static NETWORK: &[Param] = &[
    delay(
        "compute",
        "constant t=1",
        "time to compute a gradient: constant, exponential, log-normal, trace",
    ),
    delay("down", "constant t=0", "time from the server to a worker"),
    delay("up", "constant t=0", "time from a worker to the server"),
    chance("loss", "probability that a message is lost"),
    chance("duplication", "probability that a message arrives twice"),
    chance("reordering", "probability that a message is held up and overtaken"),
    chance("crash", "probability that a worker crashes while it computes"),
    delay("downtime", "constant t=10", "how long a crashed worker stays away"),
    count("slow", "0", "how many workers compute slower"),
    Param {
        name: "slowdown",
        kind: Kind::Real { min: 1.0, max: 1e9 },
        default: "10",
        help: "by which factor",
    },
    count("silent", "0", "how many other workers never send"),
    Param {
        name: "haste",
        kind: Kind::Real { min: 1.0, max: 1e6 },
        default: "1",
        help: "how many times faster than others a hostile worker computes; those of f_real, attack or none",
    },
    Param {
        name: "deadline",
        kind: Kind::Real { min: 1e-9, max: 1e12 },
        default: "1000000",
        help: "seconds that a round stays open, or after which a worker whose message was lost asks again",
    },
    CLEAN,
    KEEP,
];

/// What `uniform` takes.
pub static UNIFORM: &[Param] = &[
    count("max-delay", "10", "the largest age of the model of a gradient, in steps"),
    CLEAN,
    KEEP,
];

impl Scenario {
    /// Reads `network …` or `uniform …`.
    ///
    /// # Errors
    /// If the name, a parameter or a delay is unknown or malformed, or a trace cannot be read.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        let spec = spec::parse(text)?;
        let (staleness, args) = match spec.name.as_str() {
            "network" => {
                let args = spec.args(NETWORK)?;
                (Staleness::Network(network(&args)?), args)
            }
            "uniform" => {
                let args = spec.args(UNIFORM)?;
                let max_delay = args.count("max-delay").expect("has a default");
                (Staleness::Uniform { max_delay }, args)
            }
            other => {
                return Err(SpecError::unknown(
                    "network",
                    other,
                    &["network", "uniform", "gossip"],
                ));
            }
        };
        let number = |name| args.count(name).expect("has a default");
        Ok(Scenario { staleness, clean: number("clean") as u64, keep: number("keep") })
    }
}

fn network(args: &Args) -> Result<Network, SpecError> {
    let delay = |name| Delay::parse(args.text(name)).map_err(|error| error.at(name));
    let real = |name| args.real(name).expect("has a default");
    let count = |name| args.count(name).expect("has a default");
    Ok(Network {
        compute: delay("compute")?,
        down: delay("down")?,
        up: delay("up")?,
        loss: real("loss"),
        duplication: real("duplication"),
        reordering: real("reordering"),
        crash: real("crash"),
        downtime: delay("downtime")?,
        slow: count("slow"),
        slowdown: real("slowdown"),
        silent: count("silent"),
        haste: real("haste"),
        deadline: real("deadline"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_and_mistakes_named() {
        let text = "network up=(exponential mean=0.1) loss=0.05 slow=2 keep=5 clean=7";
        let scenario = Scenario::parse(text).unwrap();
        let Staleness::Network(network) = &scenario.staleness else { panic!("a network") };
        assert_eq!((&network.up, network.loss), (&Delay::Exponential(0.1), 0.05));
        assert_eq!((network.slow, scenario.keep, scenario.clean), (2, 5, 7));
        let uniform = Scenario::parse("uniform max-delay=3").unwrap();
        assert_eq!(uniform.staleness, Staleness::Uniform { max_delay: 3 });
        let error = |text| Scenario::parse(text).unwrap_err().to_string();
        assert_eq!(
            error("network los=1"),
            "unknown parameter of network \"los\"; did you mean \"loss\"?"
        );
        assert!(error("network up=(gauss)").starts_with("up: unknown delay \"gauss\""));
        assert!(error("lan").starts_with("unknown network \"lan\""));
    }
}
