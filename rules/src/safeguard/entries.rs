//! What the double and the single safeguard say about themselves.

use super::{Mode, Safeguard, Window};
use crate::{Bound, Claims, Family, Kappa, RuleEntry, RuleFacts, Stage};
use varangian_base::{Args, Kind, Param, SpecError};

const PAPER: &str = "Allen-Zhu, Ebrahimianghazani, Li & Alistarh, Byzantine-Resilient Non-Convex Stochastic Gradient Descent, ICLR 2021, arXiv 2012.14368, algorithms 1 and 2";

const DIFFERS: &[&str] = &[
    "The default finds thresholds from the sums themselves (mode=empirical); those of algorithm 1 have no default that transfers (mode=fixed, th0, th1).",
    "An empirical window judges only when it is patience steps old: the first sums after a restart are single gradients, whose heavy tails would expel honest workers.",
    "Any good worker with a majority around it may be the vector median; here it is the one of lowest id.",
    "Where no vector median exists, or the two windows would together expel everyone, nobody is expelled and the round has an event.",
    "A good worker that sent nothing in a round is credited with the mean of that round, so that silence neither expels nor hides.",
    "With mode=theory the printed thresholds are about m times too wide for the printed sums; norm=unnormalised divides them by m.",
    "drop-immediately leaves a worker out of the step in which it is caught, and reset-every lets everyone in again; the paper has neither.",
];

const WHOLE: Kind = Kind::Count { min: 1, max: 1 << 40 };
const POSITIVE: Kind = Kind::Real { min: 0.0, max: 1e30 };

macro_rules! params {
    ($($window:expr),*) => {
        &[
            $($window,)*
            Param {
                name: "mode",
                kind: Kind::Choice(&["empirical", "fixed", "calibrated", "theory"]),
                default: "empirical",
                help: "where thresholds come from: each step anew, given, a run-in without expelling, the theorem",
            },
            Param {
                name: "mult",
                kind: Kind::Real { min: 0.5, max: 1e6 },
                default: "1.5",
                help: "empirical and calibrated: the threshold in units of the distance within which the most central worker has a majority",
            },
            Param {
                name: "floor",
                kind: POSITIVE,
                default: "0",
                help: "empirical: the least such distance",
            },
            Param {
                name: "patience",
                kind: Kind::Count { min: 0, max: 1 << 40 },
                default: "auto",
                help: "empirical: steps of a window before it judges; auto is a quarter of the window, at most 50",
            },
            Param {
                name: "calibration",
                kind: WHOLE,
                default: "auto",
                help: "calibrated: steps of the run-in; auto is 20 short windows",
            },
            Param {
                name: "p",
                kind: Kind::Real { min: 1e-12, max: 1.0 },
                default: "0.01",
                help: "theory: probability of ever expelling an honest worker",
            },
            Param {
                name: "v",
                kind: POSITIVE,
                default: "1",
                help: "theory: the largest distance of an honest gradient from the true one",
            },
            Param {
                name: "norm",
                kind: Kind::Choice(&["per-good", "unnormalised"]),
                default: "per-good",
                help: "theory: thresholds as printed, or divided by m to fit the normalised sums",
            },
            Param {
                name: "nu",
                kind: POSITIVE,
                default: "0",
                help: "standard deviation a coordinate of the noise added to each step",
            },
            Param {
                name: "drop-immediately",
                kind: Kind::Flag,
                default: "false",
                help: "leave a worker out of the very step in which it is caught",
            },
            Param {
                name: "reset-every",
                kind: WHOLE,
                default: "auto",
                help: "steps after which everyone is let in again; auto is never",
            },
        ]
    };
}

const fn steps(name: &'static str, default: &'static str, help: &'static str) -> Param {
    Param { name, kind: WHOLE, default, help }
}

const fn threshold(name: &'static str, help: &'static str) -> Param {
    Param { name, kind: POSITIVE, default: "auto", help }
}

const FACTS: RuleFacts = RuleFacts {
    weights: true,
    excluded: "its sums over a window are far from the median",
    weighted: false,
    whole_rows: "it keeps sums of whole rows of its own",
    family: Family::Rule,
    bound: Bound {
        text: "n ≥ 2f + 1", least: |f| 2 * f + 1, source: "Allen-Zhu et al. 2021, §2"
    },
    // Of a first round, which nobody has left yet: the mean. What history adds is tested apart.
    claims: Claims {
        permutation: true,
        ties: false,
        translation: true,
        scale: true,
        rotation: true,
        coordinate_wise: false,
        honest_box: false,
        bounded: false,
        majority: false,
    },
    variants: &[],
    needs_oracle: false,
    has_memory: true,
    kappa: Kappa::Open("none: it is not a function of the rows alone"),
    variance_norm: None,
};

pub(crate) static ENTRY: RuleEntry = RuleEntry {
    name: "safeguard",
    summary: "mean of the workers whose sums over a short and a long window stay near the median",
    paper: PAPER,
    differs: DIFFERS,
    params: params![
        steps("t0", "100", "steps of the short window; the paper takes one epoch"),
        steps("t1", "auto", "steps of the long window, at least t0; auto is 6·t0, as in the paper"),
        threshold("th0", "fixed: threshold of the short window"),
        threshold("th1", "fixed: threshold of the long window")
    ],
    cost: "O(n²·d) a step; O(n·d) with fixed thresholds where honest workers cluster",
    facts: FACTS,
    build: |args| {
        let t0 = args.count("t0").expect("has a default") as u64;
        let t1 = args.count("t1").map_or(6 * t0, |t1| t1 as u64);
        if t1 < t0 {
            return Err(SpecError::new(format!("t1 ≥ t0 = {t0} is needed; t1 = {t1}")));
        }
        build(args, &[(t0, "th0"), (t1, "th1")])
    },
};

pub(crate) static SINGLE: RuleEntry = RuleEntry {
    name: "single-safeguard",
    summary: "mean of the workers whose sums over one window stay near the median",
    paper: PAPER,
    differs: DIFFERS,
    params: params![
        steps("t", "auto", "steps of the window; auto is the whole run"),
        threshold("th", "fixed: the threshold")
    ],
    cost: "O(n²·d) a step; O(n·d) with fixed thresholds where honest workers cluster",
    facts: FACTS,
    build: |args| {
        let t = args.count("t").map(|t| t as u64);
        if t.is_none() && ["theory", "calibrated"].contains(&args.text("mode")) {
            let mode = args.text("mode");
            return Err(SpecError::new(format!("mode={mode} needs t, the steps of the window")));
        }
        build(args, &[(t.unwrap_or(u64::MAX), "th")])
    },
};

fn build(args: &Args, windows: &[(u64, &str)]) -> Result<Box<Stage>, SpecError> {
    let real = |name| args.real(name).expect("has a default");
    misplaced(args)?;
    let mode = match args.text("mode") {
        "empirical" => {
            let patience = args.count("patience").map(|steps| steps as u64);
            Mode::Empirical { mult: real("mult"), floor: real("floor"), patience }
        }
        "fixed" => Mode::Fixed,
        "calibrated" => {
            let auto = windows[0].0.saturating_mul(20);
            let steps = args.count("calibration").map_or(auto, |steps| steps as u64);
            Mode::Calibrated { mult: real("mult"), steps }
        }
        _ => {
            Mode::Theory { p: real("p"), v: real("v"), per_worker: args.text("norm") != "per-good" }
        }
    };
    if let Mode::Empirical { patience: Some(patience), .. } = mode
        && let Some((length, _)) = windows.iter().find(|(length, _)| patience >= *length)
    {
        let why = format!("patience < {length}, the window's steps, or it never judges");
        return Err(SpecError::new(format!("{why}; patience = {patience}")));
    }
    let mut list = Vec::new();
    for &(length, name) in windows {
        let threshold = match (args.real(name), mode) {
            (Some(threshold), Mode::Fixed) => threshold,
            (None, Mode::Fixed) => {
                return Err(SpecError::new(format!("mode=fixed needs {name}, a threshold")));
            }
            (Some(_), _) => {
                return Err(SpecError::new(format!("{name} is of use in mode=fixed only")));
            }
            (None, _) => f64::NAN,
        };
        list.push(Window::new(length, threshold));
    }
    let mut rule = Safeguard::new(mode, list);
    rule.nu = real("nu");
    rule.drop_immediately = args.flag("drop-immediately");
    rule.reset_every = args.count("reset-every").map(|every| every as u64);
    Ok(Box::new(Stage::Rule(Box::new(rule))))
}

/// Refuses a parameter that its mode does not read.
fn misplaced(args: &Args) -> Result<(), SpecError> {
    let mode = args.text("mode");
    let readers: [(&str, &[&str]); 7] = [
        ("mult", &["empirical", "calibrated"]),
        ("floor", &["empirical"]),
        ("patience", &["empirical"]),
        ("calibration", &["calibrated"]),
        ("p", &["theory"]),
        ("v", &["theory"]),
        ("norm", &["theory"]),
    ];
    let idle = readers.iter().find(|(name, modes)| args.is_given(name) && !modes.contains(&mode));
    match idle {
        Some((name, modes)) => {
            let modes = modes.join(" or ");
            Err(SpecError::new(format!("{name} is of use in mode={modes} only; mode={mode}")))
        }
        None => Ok(()),
    }
}
