//! Krum and Multi-Krum (Blanchard et al. 2017, §3 and §5), and the three variants in circulation.
//!
//! The score of row i is the sum of ‖xᵢ − xⱼ‖² over its n − f − 2 nearest other rows. Krum answers
//! the row of least score; Multi-Krum the mean of the m rows of least score. Ties go to the lower
//! id. Weights of rows count in that mean, not in the scores.
//!
//! With `below-bound=allow` fewer rows are taken, down to n = 2f + 1: the proof is void there, and
//! f colluders near each other may win. Where n − f − 2 is 0, a score sums over the nearest row.
//!
//! ```
//! # use varangian_base::Matrix;
//! # use varangian_rules::{Round, Verdict, build};
//! let rows = Matrix::from_rows(&[[0.0], [1.0], [2.0], [3.0], [10.0]]);
//! let mut out = [0.0];
//! let mut answer = |spec| {
//!     build(spec, 5, 1).unwrap()
//!         .aggregate(&mut Round::of(rows.rows(), 1), &mut out, &mut Verdict::default());
//!     out
//! };
//! assert_eq!(answer("krum"), [1.0]); // scores 5, 2, 2, 5, 113: a tie of ids 1 and 2
//! assert_eq!(answer("multi-krum m=2"), [1.5]);
//! ```

use crate::select::{Weigh, by_distances, mean_of, sort_by_key};
use crate::{Bound, Claims, Kappa, RuleEntry, RuleFacts, Stage, exact, margin};
use varangian_base::kernels::distances::Pairs;
use varangian_base::{Args, Kind, Param, SpecError};

const PAPER: &str = "Blanchard, El Mhamdi, Guerraoui & Stainer, Machine Learning with Adversaries, NeurIPS 2017, arXiv 1703.02757, §3";
const BOUND: Bound =
    Bound { text: "n ≥ 2f + 3", least: |f| 2 * f + 3, source: "Blanchard et al. 2017, §3" };
const DIFFERS: &[&str] = &[
    "variant = byzfl sums over n − f − 1 neighbours and averages n − f rows by default, as ByzFL and ByzPy do",
    "variant = distributed-momentum sums unsquared distances over n − f − 1 neighbours, as that paper's code does",
    "variant = bucketing sums the squares of squared distances, as the code of Karimireddy et al. 2022 does",
    "below-bound = allow takes n ≥ 2f + 1 rows, as ByzFL does, and counts at least one neighbour, as Flower does; the paper proves nothing there",
];
const VARIANT: Param = Param {
    name: "variant",
    kind: Kind::Choice(&["blanchard", "byzfl", "distributed-momentum", "bucketing"]),
    default: "blanchard",
    help: "which distances a score sums: the n − f − 2 least squared, n − f − 1 squared, n − f − 1 as they are, or n − f − 2 to the fourth power",
};

const BELOW: Param = Param {
    name: "below-bound",
    kind: Kind::Choice(&["refuse", "allow"]),
    default: "refuse",
    help: "whether fewer than 2f + 3 rows are taken, down to 2f + 1, without any proof",
};
const ALLOWED: Bound =
    Bound { text: "n ≥ 2f + 1", least: |f| 2 * f + 1, source: "below-bound = allow" };

pub(crate) static ENTRY: RuleEntry = RuleEntry {
    name: "krum",
    summary: "the row whose n − f − 2 nearest others are nearest, by squared distance",
    paper: PAPER,
    differs: DIFFERS,
    params: &[VARIANT, BELOW],
    cost: "O(n²·d)",
    facts: RuleFacts {
        excluded: "not the row of least score",
        kappa: Kappa::Bound(
            |n, f| 6.0 * (1.0 + f as f64 / (n - 2 * f) as f64),
            "6·(1 + f/(n−2f)) (Allouah et al. 2023)",
        ),
        ..FACTS
    },
    build: |args| build(args, M::One),
};

pub(crate) static MULTI: RuleEntry = RuleEntry {
    name: "multi-krum",
    summary: "mean of the m rows of least Krum score",
    paper: PAPER,
    differs: DIFFERS,
    params: &[
        VARIANT,
        Param {
            name: "m",
            kind: Kind::Count { min: 1, max: usize::MAX },
            default: "auto",
            help: "rows averaged; auto is n − f − 2 (variant = byzfl: n − f)",
        },
        BELOW,
    ],
    cost: "O(n²·d)",
    facts: FACTS,
    build: |args| build(args, args.count("m").map_or(M::Auto, M::Given)),
};

const FACTS: RuleFacts = RuleFacts {
    bound: BOUND,
    claims: Claims::GEOMETRIC,
    // One neighbour a score: two rows nearest to each other are always tied, and so do colluders
    // win.
    variants: &[(
        "below-bound=allow",
        Claims {
            permutation: false,
            ties: false,
            bounded: false,
            majority: false,
            ..Claims::GEOMETRIC
        },
    )],
    weights: true,
    excluded: "not among the {k} rows of least score",
    weighted: true,
    kappa: Kappa::Open(
        "proven by Bareilles et al. 2026 (arXiv 2602.03899); at least 4f/(n−2f), as of every mean of the n − f most compact rows",
    ),
    variance_norm: Some((variance_norm, VARIANCE_NORM)),
    whole_rows: "",
    ..RuleFacts::RULE
};

/// The formula of [`variance_norm`].
pub(crate) const VARIANCE_NORM: &str =
    "1/√(2·(n−f + f·(n + f·(n−f−2) − 2)/(n−2f−2))) (Blanchard et al. 2017, proposition 1)";

/// 1/η(n, f) of Blanchard et al. 2017, proposition 1.
pub(crate) fn variance_norm(n: usize, f: usize) -> f64 {
    let (n, f) = (n as f64, f as f64);
    let eta2 = 2.0 * (n - f + f * (n + f * (n - f - 2.0) - 2.0) / (n - 2.0 * f - 2.0));
    1.0 / eta2.sqrt()
}

fn build(args: &Args, m: M) -> Result<Box<Stage>, SpecError> {
    let variant = match args.text("variant") {
        "blanchard" => Variant::Blanchard,
        "byzfl" => Variant::Byzfl,
        "bucketing" => Variant::Bucketing,
        _ => Variant::DistributedMomentum,
    };
    let below = args.text("below-bound") == "allow";
    let (nearest, scores, order) = Default::default();
    Ok(by_distances(Krum { variant, m, below, nearest, scores, order }))
}

#[derive(Clone, Copy, PartialEq)]
enum Variant {
    Blanchard,
    Byzfl,
    DistributedMomentum,
    Bucketing,
}

/// Which power of distances a score sums.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Power {
    One,
    Two,
    Four,
}

#[derive(Clone, Copy)]
enum M {
    One,
    Auto,
    Given(usize),
}

#[derive(Clone)]
struct Krum {
    variant: Variant,
    m: M,
    /// Whether fewer than 2f + 3 rows are taken.
    below: bool,
    nearest: Vec<f64>,
    scores: Vec<f64>,
    order: Vec<usize>,
}

impl Krum {
    /// The most rows that the variant may average.
    fn most(&self, n: usize, f: usize) -> (usize, &'static str) {
        match self.variant {
            Variant::Byzfl => (n - f, "n − f"),
            _ if self.below => ((n - f).saturating_sub(2).max(1), "max(1, n − f − 2)"),
            _ => (n - f - 2, "n − f − 2"),
        }
    }

    /// How many neighbours a score sums over.
    fn neighbours(&self, n: usize, f: usize) -> usize {
        let beside = match self.variant {
            Variant::Blanchard | Variant::Bucketing => 2,
            Variant::Byzfl | Variant::DistributedMomentum => 1,
        };
        (n - f).saturating_sub(beside).max(1)
    }

    fn power(&self) -> Power {
        match self.variant {
            Variant::Blanchard | Variant::Byzfl => Power::Two,
            Variant::DistributedMomentum => Power::One,
            Variant::Bucketing => Power::Four,
        }
    }

    /// How many rows are averaged.
    fn averaged(&self, n: usize, f: usize) -> usize {
        match self.m {
            M::One => 1,
            M::Auto => self.most(n, f).0,
            M::Given(m) => m,
        }
    }
}

impl Weigh for Krum {
    fn weigh(&mut self, squared: &Pairs, f: usize, weights: &mut [f64]) {
        let n = squared.n();
        let (neighbours, power) = (self.neighbours(n, f), self.power());
        self.scores.clear();
        for i in 0..n {
            self.nearest.clear();
            self.nearest.extend((0..n).filter(|&j| j != i).map(|j| squared.at(i, j)));
            self.scores.push(score(&mut self.nearest, neighbours, power));
        }
        sort_by_key(&self.scores, &mut self.order);
        mean_of(&self.order[..self.averaged(n, f)], weights);
    }

    fn exact(&self, round: &exact::Round<'_>) -> exact::Blend {
        let (n, f) = (round.n(), round.f);
        let (neighbours, power) = (self.neighbours(n, f), self.power());
        let pairs = exact::pairs(round.rows);
        let all: Vec<usize> = (0..n).collect();
        let scores: Vec<_> =
            all.iter().map(|&i| exact_score(&pairs, i, &all, neighbours, power)).collect();
        exact::Blend::selection(n, &exact::in_order(&scores)[..self.averaged(n, f)])
    }

    fn bound(&self) -> Option<Bound> {
        self.below.then_some(ALLOWED)
    }

    fn margin(&self, squared: &Pairs, f: usize) -> Option<f64> {
        let n = squared.n();
        let selected = (&*self.order, self.averaged(n, f));
        margin::of_scores(squared, selected, self.neighbours(n, f), self.power())
    }

    fn check(&self, n: usize, f: usize) -> Result<(), String> {
        let (most, text) = self.most(n, f);
        match self.m {
            M::Given(m) if m > most => Err(format!("m ≤ {text} = {most}; m = {m}")),
            _ => Ok(()),
        }
    }
}

/// The sum of the k least of these squared distances, or of another power of the distances; sorts
/// them.
pub(crate) fn score(squared: &mut [f64], k: usize, power: Power) -> f64 {
    squared.sort_unstable_by(f64::total_cmp);
    let least = squared.iter().take(k);
    match power {
        Power::One => least.map(|s| s.sqrt()).sum(),
        Power::Two => least.sum(),
        Power::Four => least.map(|s| s * s).sum(),
    }
}

/// The score of row i among the rows of `alive`, exactly.
pub(crate) fn exact_score(
    pairs: &[Vec<exact::Wide>],
    i: usize,
    alive: &[usize],
    neighbours: usize,
    power: Power,
) -> exact::Wide {
    let others = alive.iter().filter(|&&j| j != i).map(|&j| pairs[i][j]);
    let of = |squared: exact::Wide| match power {
        Power::One => squared.sqrt(),
        Power::Two => squared,
        Power::Four => squared * squared,
    };
    let mut far: Vec<_> = others.map(of).collect();
    far.sort_unstable();
    far.into_iter().take(neighbours).sum()
}
