//! Learning-rate schedules, written as text: `constant`, `inverse`, `steps`, `decay`.
//!
//! ```
//! use varangian_learn::optim::Schedule;
//! let schedule = Schedule::parse("inverse time=167 every=1500").unwrap();
//! assert_eq!(schedule.rate(0.01, 1499, 1.0), 0.01);
//! assert!((schedule.rate(0.01, 1500, 1.0) - 0.001_001_8).abs() < 1e-9);
//! ```

use varangian_base::{Kind, Param, SpecError, spec};

/// How the learning rate changes with the step.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Schedule {
    /// α₀ throughout.
    #[default]
    Constant,
    /// α₀/(s/T + 1) with s the last multiple of `every` (El-Mhamdi et al. 2021's code).
    Inverse {
        /// T > 0, in steps.
        time: f64,
        /// Steps between changes.
        every: u64,
    },
    /// α₀, then each rate from its step on; steps ascend.
    Steps(Vec<(u64, f64)>),
    /// α₀·rate^⌊epoch/every⌋, with the epoch counted from 0.
    Decay {
        /// The factor.
        rate: f64,
        /// Epochs between changes.
        every: f64,
    },
}

const INVERSE: &[Param] = &[
    Param {
        name: "time",
        kind: Kind::Real { min: 1e-9, max: f64::INFINITY },
        default: "5000",
        help: "T, in steps: at step T the rate has halved",
    },
    Param {
        name: "every",
        kind: Kind::Count { min: 1, max: usize::MAX },
        default: "1",
        help: "steps between changes",
    },
];
const STEPS: &[Param] = &[Param {
    name: "at",
    kind: Kind::Text,
    default: "",
    help: "step:rate pairs with commas between them: 8000:0.004,16000:0.0008",
}];
const DECAY: &[Param] = &[
    Param {
        name: "rate",
        kind: Kind::Real { min: 0.0, max: 1.0 },
        default: "0.1",
        help: "the factor",
    },
    Param {
        name: "every",
        kind: Kind::Real { min: 1e-9, max: f64::INFINITY },
        default: "30",
        help: "epochs between changes",
    },
];

/// The schedules by name, with a summary and parameters each, for help.
pub static SCHEDULES: &[(&str, &str, &[Param])] = &[
    ("constant", "the same rate throughout", &[]),
    ("inverse", "α₀/(s/time + 1), with s the last multiple of every", INVERSE),
    ("steps", "another rate from each of these steps on", STEPS),
    ("decay", "the rate times a factor every so many epochs", DECAY),
];

impl Schedule {
    /// Reads `constant`, `inverse time=T every=S`, `steps at=s1:r1,s2:r2` or `decay rate=R
    /// every=E`.
    ///
    /// # Errors
    /// If the name or a parameter is unknown or malformed.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        let spec = spec::parse(text)?;
        match spec.name.as_str() {
            "constant" => spec.args(&[]).map(|_| Schedule::Constant),
            "inverse" => {
                let args = spec.args(INVERSE)?;
                let (time, every) = (args.real("time"), args.count("every"));
                let every = every.expect("has a default") as u64;
                Ok(Schedule::Inverse { time: time.expect("has a default"), every })
            }
            "steps" => Ok(Schedule::Steps(pairs(spec.args(STEPS)?.text("at"))?)),
            "decay" => {
                let args = spec.args(DECAY)?;
                let (rate, every) = (args.real("rate"), args.real("every"));
                let every = every.expect("has a default");
                Ok(Schedule::Decay { rate: rate.expect("has a default"), every })
            }
            other => {
                let known = ["constant", "inverse", "steps", "decay"];
                Err(SpecError::unknown("learning-rate schedule", other, &known))
            }
        }
    }

    /// The rate at `step` for the initial rate `initial` and epochs of `steps_per_epoch` steps.
    pub fn rate(&self, initial: f64, step: u64, steps_per_epoch: f64) -> f64 {
        match self {
            Schedule::Constant => initial,
            Schedule::Inverse { time, every } => {
                initial / ((step / every * every) as f64 / time + 1.0)
            }
            Schedule::Steps(changes) => {
                changes.iter().rev().find(|(at, _)| *at <= step).map_or(initial, |(_, rate)| *rate)
            }
            Schedule::Decay { rate, every } => {
                let epoch = (step as f64 / steps_per_epoch.max(1.0)).floor();
                initial * rate.powi((epoch / every).floor() as i32)
            }
        }
    }
}

fn pairs(text: &str) -> Result<Vec<(u64, f64)>, SpecError> {
    let bad = |what: &str| {
        SpecError::new(format!("steps: at takes ascending step:rate pairs; found \"{what}\""))
    };
    let mut changes: Vec<(u64, f64)> = Vec::new();
    for part in text.split(',') {
        let (step, rate) = part.trim().split_once(':').ok_or_else(|| bad(part))?;
        let step: u64 = step.parse().map_err(|_| bad(part))?;
        let rate: f64 = rate.parse().map_err(|_| bad(part))?;
        let ascends = changes.last().is_none_or(|(last, _)| *last < step);
        if !ascends || !rate.is_finite() || rate <= 0.0 {
            return Err(bad(part));
        }
        changes.push((step, rate));
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_gives_the_published_rates() {
        let steps = Schedule::parse("steps at=8000:0.004,16000:0.0008").unwrap();
        let rates: Vec<f64> =
            [0, 7999, 8000, 20_000].iter().map(|&s| steps.rate(0.02, s, 1.0)).collect();
        assert_eq!(rates, [0.02, 0.02, 0.004, 0.0008]);
        let decay = Schedule::parse("decay every=30").unwrap();
        let of_epoch = |e: u64| decay.rate(1e-3, e * 67 + 66, 67.0);
        assert_eq!(of_epoch(29), 1e-3);
        assert!((of_epoch(30) - 1e-4).abs() < 1e-12 && (of_epoch(79) - 1e-5).abs() < 1e-12);
        assert_eq!(Schedule::parse("constant").unwrap().rate(0.5, 9, 1.0), 0.5);
    }

    #[test]
    fn malformed_schedules_are_named() {
        let error = |text| Schedule::parse(text).unwrap_err().to_string();
        assert!(error("inverze").contains("did you mean \"inverse\""));
        assert!(error("steps at=5:0.1,5:0.2").contains("ascending"));
        assert!(error("steps at=5").contains("step:rate"));
        assert!(error("decay rate=2").contains("from 0 to 1"));
    }
}
