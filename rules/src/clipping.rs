//! Clipping of rows to a norm: static, and adaptive (ARC, Allouah et al. 2025, algorithm 2).
//!
//! A row longer than the threshold is scaled down to it. With `c=median` the threshold is the
//! median norm of the round (of even n the lower one; rows count alike, whatever their weights), so
//! that a majority of honest rows bounds it: the clipping of volunteer training, by block with
//! [`per-block`](crate::Blocks). ARC's threshold is the (k+1)-th largest norm of the round,
//! k = ⌊2·(f/n)·(n − f)⌋.
//!
//! ```
//! # use varangian_base::Matrix;
//! # use varangian_rules::{Round, Verdict, build};
//! let rows = Matrix::from_rows(&[[1.0], [2.0], [3.0], [4.0], [90.0]]);
//! let mut out = [0.0];
//! let mut answer = |spec| {
//!     build(spec, 5, 1).unwrap()
//!         .aggregate(&mut Round::of(rows.rows(), 1), &mut out, &mut Verdict::default());
//!     out
//! };
//! assert_eq!(answer("clipping c=2 | average"), [1.8]);
//! assert_eq!(answer("clipping c=median | average"), [2.4]); // 4 and 90 are cut to 3
//! assert_eq!(answer("arc | average"), [2.8]); // k = 1: 90 is cut to 4
//! ```

use crate::{Bound, Family, Kappa, Mixing, Pre, Round, RuleEntry, RuleFacts, Stage, exact};
use varangian_base::kernels::norms;
use varangian_base::{Kind, Param, SpecError};

pub(crate) static ENTRY: RuleEntry = RuleEntry {
    name: "clipping",
    summary: "rows longer than c are scaled down to length c",
    paper: "folklore; ByzFL's static clipping",
    differs: &[],
    params: &[Param {
        name: "c",
        kind: Kind::Text,
        default: "2",
        help: "the greatest norm: a number from 0, or median for the median norm of the round",
    }],
    cost: "O(n·d)",
    facts: FACTS,
    build: |args| {
        let c = match args.text("c") {
            "median" => Threshold::Median,
            text => match text.parse::<f64>() {
                Ok(c) if c.is_finite() && c >= 0.0 => Threshold::Given(c),
                _ => {
                    let why = "c takes a number from 0, or median; found";
                    return Err(SpecError::new(format!("{why} \"{text}\"")));
                }
            },
        };
        Ok(Box::new(Stage::Pre(Box::new(Clipping { c, ..Clipping::default() }))))
    },
};

pub(crate) static ARC: RuleEntry = RuleEntry {
    name: "arc",
    summary: "adaptive robust clipping: the ⌊2(f/n)(n − f)⌋ longest rows are cut to the next one's length",
    paper: "Allouah, Guerraoui, Gupta, Jellouli, Rizk & Stephan, Adaptive Gradient Clipping for Robust Federated Learning, ICLR 2025, arXiv 2405.14432, algorithm 2",
    differs: &[],
    params: &[],
    cost: "O(n·d)",
    facts: RuleFacts {
        bound: Bound::majority("Allouah et al. 2025"),
        kappa: Kappa::Through(
            |n, f, kappa| kappa + 2.0 * f as f64 / (n - 2 * f) as f64,
            "κ + 2f/(n−2f) (Allouah et al. 2025)",
        ),
        ..FACTS
    },
    build: |_| Ok(Box::new(Stage::Pre(Box::new(Clipping::default())))),
};

const FACTS: RuleFacts = RuleFacts {
    family: Family::PreAggregation,
    weighted: true,
    weights: true,
    kappa: Kappa::Open("none for a threshold given by hand, or from the median norm"),
    whole_rows: "",
    ..RuleFacts::RULE
};

/// Where a length comes from.
#[derive(Clone, Copy, Default)]
enum Threshold {
    Given(f64),
    Median,
    #[default]
    Adaptive,
}

impl Threshold {
    /// The length, of n lengths or their squares in descending order; those come through `root`.
    fn of<T: Copy + From<f64>>(self, sorted: &[T], f: usize, root: impl Fn(T) -> T) -> T {
        let n = sorted.len();
        match self {
            Threshold::Given(c) => c.into(),
            Threshold::Median => root(sorted[n / 2]),
            Threshold::Adaptive => root(sorted[2 * f * (n - f) / n]),
        }
    }
}

#[derive(Clone, Default)]
struct Clipping {
    c: Threshold,
    squared: Vec<f64>,
    sorted: Vec<f64>,
}

impl Pre for Clipping {
    fn mix(&mut self, round: &mut Round<'_>, mixing: &mut Mixing) {
        let (n, f) = (round.rows.n(), round.f);
        norms::rows_norm2(round.rows, &mut self.squared);
        self.sorted.clone_from(&self.squared);
        self.sorted.sort_unstable_by(|a, b| b.total_cmp(a));
        let c = self.c.of(&self.sorted, f, f64::sqrt);
        mixing.resize(n, n);
        for (i, s) in self.squared.iter().enumerate() {
            let norm = s.sqrt();
            mixing.coefficients[i * n + i] = if norm > c { c / norm } else { 1.0 };
        }
    }

    fn cut(&self, norms: &[f64], f: usize) -> Option<f64> {
        let mut sorted = norms.to_vec();
        sorted.sort_unstable_by(|a, b| b.total_cmp(a));
        (!sorted.is_empty()).then(|| self.c.of(&sorted, f, |length| length))
    }

    fn exact(&self, round: &exact::Round<'_>) -> Result<Vec<exact::Blend>, String> {
        let (n, f) = (round.n(), round.f);
        let lengths: Vec<_> = round.rows.iter().map(|row| exact::norm2(row).sqrt()).collect();
        let mut sorted = lengths.clone();
        sorted.sort_unstable_by(|a, b| b.cmp(a));
        let c = self.c.of(&sorted, f, |length| length);
        let one = exact::Wide::from(1.0);
        let cut = |(i, &length): (usize, &exact::Wide)| {
            let mut parts = vec![exact::Wide::ZERO; n];
            parts[i] = if length > c { c / length } else { one };
            exact::Blend::wide(parts, one)
        };
        Ok(lengths.iter().enumerate().map(cut).collect())
    }

    fn fork(&self) -> Box<dyn Pre> {
        Box::new(self.clone())
    }
}
