//! Bulyan (El Mhamdi, Guerraoui & Rouault 2018): repeated Krum selects a set S of vectors, then a
//! coordinate-wise mean of the values of S nearest to their median defends each coordinate.
//!
//! `rescored`, as El-Mhamdi et al. 2021 describe it: θ = n − 2f − 2 rounds; each scores the rows
//! that remain, adds the Multi-Krum mean of them to S, and removes the row of least score; then the
//! mean of the β = θ − 2f values nearest to the median. `classic`: θ = n − 2f single Krum rows, β =
//! n − 4f. `reference`, as their code does: distances unsquared, scores never computed again.
//! `one-shot`, as Flower does: the θ = n − 2f rows of least Krum score, scored once; β = n − 4f.
//!
//! ```
//! # use varangian_base::Matrix;
//! # use varangian_rules::{Round, Verdict, build};
//! let rows = Matrix::from_rows(&[[0.0], [1.0], [2.0], [4.0], [7.0], [11.0], [-50.0]]);
//! let mut out = [0.0];
//! build("bulyan", 7, 1).unwrap().aggregate(&mut Round::of(rows.rows(), 1), &mut out, &mut Verdict::default());
//! assert_eq!(out, [1.75]);
//! ```

use crate::krum::{Power, VARIANCE_NORM, exact_score, score, variance_norm};
use crate::median::Middle;
use crate::select::sort_by_key;
use crate::{Bound, Claims, Kappa, Round, Rule, RuleEntry, RuleFacts, Stage, Verdict, exact};
use varangian_base::kernels::columns;
use varangian_base::kernels::distances::Pairs;
use varangian_base::{Kind, Mixed, Param, Recipe, SpecError};

pub(crate) static ENTRY: RuleEntry = RuleEntry {
    name: "bulyan",
    summary: "repeated Krum selections, then a coordinate-wise mean around their median",
    paper: "El Mhamdi, Guerraoui & Rouault, The Hidden Vulnerability of Distributed Learning in Byzantium, ICML 2018, arXiv 1802.07927, §4",
    differs: &[
        "variant = rescored averages by Multi-Krum in each round, as Distributed Momentum (ICLR 2021) describes it; classic is the paper's",
        "a score sums over at least one neighbour, also where classic leaves f + 2 rows or fewer",
        "variant = reference keeps the first scores, of unsquared distances, as the code of Distributed Momentum does",
        "variant = one-shot keeps the first scores too, of squared distances, as Flower's strategy does",
    ],
    params: &[
        Param {
            name: "variant",
            kind: Kind::Choice(&["rescored", "classic", "reference", "one-shot"]),
            default: "rescored",
            help: "how the first stage selects",
        },
        Param {
            name: "m",
            kind: Kind::Count { min: 1, max: usize::MAX },
            default: "auto",
            help: "rows averaged in the first round, one less each time rows run short; auto is n − f − 2 (classic and one-shot: 1)",
        },
    ],
    cost: "O(n²·d + n³·log n)",
    facts: RuleFacts {
        bound: Bound {
            text: "n ≥ 4f + 3", least: |f| 4 * f + 3, source: "El Mhamdi et al. 2018"
        },
        claims: Claims { rotation: false, ..Claims::GEOMETRIC },
        // Its last scores sum one distance each: two rows nearest to each other are always tied.
        variants: &[(
            "variant=classic",
            Claims { rotation: false, permutation: false, ties: false, ..Claims::GEOMETRIC },
        )],
        kappa: Kappa::Open("none known"),
        variance_norm: Some((variance_norm, VARIANCE_NORM)),
        whole_rows: "",
        ..RuleFacts::RULE
    },
    build: |args| {
        let variant = match args.text("variant") {
            "rescored" => Variant::Rescored,
            "classic" => Variant::Classic,
            "reference" => Variant::Reference,
            _ => Variant::OneShot,
        };
        if variant == Variant::OneShot && args.is_given("m") {
            return Err(SpecError::new("variant=one-shot selects single rows; m is of no use"));
        }
        let rule = Bulyan { variant, m: args.count("m"), ..Bulyan::default() };
        Ok(Box::new(Stage::Rule(Box::new(rule))))
    },
};

#[derive(Clone, Copy, Default, PartialEq)]
enum Variant {
    #[default]
    Rescored,
    Classic,
    Reference,
    OneShot,
}

#[derive(Clone, Default)]
struct Bulyan {
    variant: Variant,
    m: Option<usize>,
    pairs: Pairs,
    alive: Vec<usize>,
    nearest: Vec<f64>,
    scores: Vec<f64>,
    order: Vec<usize>,
    coefficients: Vec<f64>,
    selected: Recipe,
}

impl Bulyan {
    /// The number θ of selections.
    fn theta(&self, n: usize, f: usize) -> usize {
        match self.variant {
            Variant::Classic | Variant::OneShot => n - 2 * f,
            Variant::Rescored | Variant::Reference => n - 2 * f - 2,
        }
    }

    fn m(&self, n: usize, f: usize) -> usize {
        match (self.variant, self.m) {
            (_, Some(m)) => m,
            (Variant::Classic | Variant::OneShot, None) => 1,
            (_, None) => n - f - 2,
        }
    }

    /// Sets the θ × n coefficients of the selected means.
    fn select(&mut self, n: usize, f: usize) {
        self.alive.clear();
        self.alive.extend(0..n);
        self.coefficients.clear();
        let most = self.m(n, f);
        for round in 0..self.theta(n, f) {
            let neighbours = self.alive.len().saturating_sub(f + 2).max(1);
            match self.variant {
                Variant::Rescored | Variant::Classic => self.score(neighbours, Power::Two),
                Variant::Reference if round == 0 => self.score(most, Power::One),
                Variant::OneShot if round == 0 => self.score(neighbours, Power::Two),
                Variant::Reference | Variant::OneShot => {}
            }
            let best = &self.order[..most.min(neighbours)];
            let row = self.coefficients.len();
            self.coefficients.resize(row + n, 0.0);
            for &at in best {
                self.coefficients[row + self.alive[at]] = 1.0 / best.len() as f64;
            }
            let at = self.order.remove(0);
            self.alive.remove(at);
            self.order.iter_mut().for_each(|other| *other -= usize::from(*other > at));
        }
    }

    /// The selected means, from the text.
    fn exact_selection(&self, round: &exact::Round<'_>) -> Vec<exact::Blend> {
        let (n, f) = (round.n(), round.f);
        let pairs = exact::pairs(round.rows);
        let most = self.m(n, f);
        let ranked = |alive: &[usize], neighbours: usize, power: Power| -> Vec<usize> {
            let score = |&i: &usize| exact_score(&pairs, i, alive, neighbours, power);
            let scores: Vec<_> = alive.iter().map(score).collect();
            exact::in_order(&scores).into_iter().map(|at| alive[at]).collect()
        };
        let mut alive: Vec<usize> = (0..n).collect();
        let mut order = match self.variant {
            Variant::Reference => ranked(&alive, most, Power::One),
            _ => ranked(&alive, n - f - 2, Power::Two),
        };
        let mut chosen = Vec::new();
        for _ in 0..self.theta(n, f) {
            let neighbours = alive.len().saturating_sub(f + 2).max(1);
            if matches!(self.variant, Variant::Rescored | Variant::Classic) {
                order = ranked(&alive, neighbours, Power::Two);
            }
            chosen.push(exact::Blend::selection(n, &order[..most.min(neighbours)]));
            let first = order.remove(0);
            alive.retain(|&i| i != first);
        }
        chosen
    }

    /// Orders the rows that remain by their score among themselves.
    fn score(&mut self, neighbours: usize, power: Power) {
        self.scores.clear();
        for &i in &self.alive {
            self.nearest.clear();
            let others = self.alive.iter().filter(|&&j| j != i);
            self.nearest.extend(others.map(|&j| self.pairs.at(i, j)));
            self.scores.push(score(&mut self.nearest, neighbours, power));
        }
        sort_by_key(&self.scores, &mut self.order);
    }
}

impl Rule for Bulyan {
    fn aggregate(&mut self, round: &mut Round<'_>, out: &mut [f32], _: &mut Verdict) {
        let (rows, n, f) = (round.rows, round.rows.n(), round.f);
        self.pairs.squared_distances(rows);
        self.select(n, f);
        let theta = self.theta(n, f);
        let beta = theta - 2 * f;
        let lower = self.variant == Variant::Reference;
        let centre = if lower { columns::Centre::LowerMedian } else { columns::Centre::Median };
        self.selected.set(&self.coefficients, theta, rows, false);
        columns::mean_around(Mixed::new(rows.sent(), &self.selected), centre, beta, out);
    }

    fn exact(&self, round: &exact::Round<'_>, _: &mut Verdict) -> Result<Vec<f64>, String> {
        let (n, f) = (round.n(), round.f);
        let theta = self.theta(n, f);
        let chosen: Vec<Vec<f64>> =
            self.exact_selection(round).iter().map(|best| best.of(round.rows)).collect();
        let which = match self.variant {
            Variant::Reference => Middle::Lower,
            _ => Middle::Mean,
        };
        Ok(exact::by_column(&chosen, |column| {
            let centre = |values: &[f64]| crate::median::middle(values, which);
            crate::phocas::around(column, theta - 2 * f, centre)
        }))
    }

    fn fork(&self) -> Box<dyn Rule> {
        Box::new(self.clone())
    }

    fn departs(&self) -> bool {
        self.variant == Variant::OneShot
    }

    fn check(&self, n: usize, f: usize) -> Result<(), String> {
        match self.m {
            Some(m) if m > n - f - 2 => Err(format!("m ≤ n − f − 2 = {}; m = {m}", n - f - 2)),
            _ => Ok(()),
        }
    }
}
