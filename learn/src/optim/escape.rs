//! ByzantinePGD (Yin, Chen, Ramchandran & Bartlett 2019, Defending Against Saddle Point Attack in
//! Byzantine-Robust Distributed Learning, arXiv 1806.05358, Algorithms 1 and 2): descent by a
//! robust aggregate that, where the aggregate is short, tries to leave.
//!
//! With A(θ) the rule's answer at θ: while ‖A(θ)‖ > ε, θ ← θ − α·A(θ). Else remember θ̃ = θ and,
//! up to Q times, start at w = θ̃ + p with p uniform in the ball of radius r and descend from
//! there for at most T steps; as soon as θ is R or more from w, it has escaped, and descent goes on
//! from where it is. If Q attempts end within R, θ̃ is the answer, and θ stays there.
//!
//! Any rule may stand for A; the paper's are the median, the trimmed mean, and iterative filtering.
//! By its Theorem 3, with rows such that ‖A − ∇F‖ ≤ Δ: ε = 3Δ, α = 1/L, r = 4·Δ^⅗·d^(3/10)/√ρ and
//! R = Δ^⅖·d^⅕/√ρ, for an L-smooth F with a ρ-Lipschitz Hessian.
//!
//! *Differs:* the full text was not at hand: the algorithm and its radii are as remembered. Where
//! minibatches are drawn, ε must also lie above the noise of their mean: the paper has none.

use varangian_base::{Args, Kind, Param};

/// The parameters of the search for a way out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Escape {
    /// ε ≥ 0: an aggregate of at most this length begins an escape.
    pub short: f64,
    /// r > 0: the radius of the ball of perturbations.
    pub radius: f64,
    /// R > 0: how far from where an attempt began it counts as an escape.
    pub away: f64,
    /// Q ≥ 1: attempts.
    pub attempts: u64,
    /// T ≥ 1: steps of an attempt.
    pub steps: u64,
}

const POSITIVE: Kind = Kind::Real { min: 1e-30, max: 1e30 };
const COUNT: Kind = Kind::Count { min: 1, max: 1 << 40 };

pub(crate) const PARAMS: &[Param] = &[
    Param {
        name: "epsilon",
        kind: Kind::Real { min: 0.0, max: 1e30 },
        default: "0.1",
        help: "ε: an aggregate of at most this length begins an escape (the paper's 3Δ)",
    },
    Param { name: "r", kind: POSITIVE, default: "1", help: "radius of the perturbation" },
    Param {
        name: "R",
        kind: POSITIVE,
        default: "1",
        help: "how far θ must come from where it was perturbed to",
    },
    Param { name: "Q", kind: COUNT, default: "10", help: "attempts before θ stays" },
    Param { name: "T", kind: COUNT, default: "100", help: "steps of an attempt" },
];

impl Escape {
    /// From checked arguments.
    pub(crate) fn of(args: &Args) -> Self {
        let real = |name| args.real(name).expect("has a default");
        let count = |name| args.count(name).expect("has a default") as u64;
        Escape {
            short: real("epsilon"),
            radius: real("r"),
            away: real("R"),
            attempts: count("Q"),
            steps: count("T"),
        }
    }
}
