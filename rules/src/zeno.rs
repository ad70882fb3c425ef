//! Zeno (Xie, Koyejo & Gupta 2019, §4, definition 2): rows are ranked by the loss that a step along
//! them would leave on the server's own data, and the mean of the n − b best is taken.
//!
//! Score(u) = f_r(x) − f_r(x − γ·u) − ρ·‖u‖², with the same fresh validation batch f_r for all
//! rows of a round and γ the learning rate. One honest row suffices: hostile rows may be the
//! majority, b ≥ f. Ties go to the lower worker id. A row whose score is not a number, or is −∞,
//! is never taken, even if fewer than n − b remain; where none remains the answer is 0 and the
//! round has an event.

use crate::oracle::SINGLE;
use crate::{
    Bound, Claims, Family, Kappa, Round, Rule, RuleEntry, RuleFacts, Stage, Verdict, exact,
};
use varangian_base::kernels::{combine, norms};
use varangian_base::{Kind, Matrix, Param, SpecError};

pub(crate) static ENTRY: RuleEntry = RuleEntry {
    name: "zeno",
    summary: "mean of the n − b rows whose step lowers the server's validation loss most",
    paper: "Xie, Koyejo & Gupta, Zeno: Distributed Stochastic Gradient Descent with Suspicion-based Fault-tolerance, ICML 2019, arXiv 1805.10032, §4",
    differs: &[
        "f_r(x) is the same for all rows of a round, so it is left out of the ranking: n forward passes instead of n + 1.",
        "Rows whose score is not finite are never selected; the authors' code sorts NaN as the best.",
        "Ties go to the lower worker id; the paper is silent and the authors' code prefers the higher.",
        "rho-ratio gives the penalty of the authors' code, rho = γ·batch/(rho-ratio·d): there ‖u‖² is a mean over coordinates of gradients summed over the batch.",
    ],
    params: &[
        Param {
            name: "b",
            kind: Kind::Count { min: 0, max: usize::MAX },
            default: "auto",
            help: "rows left out, f ≤ b < n; auto is f",
        },
        Param {
            name: "rho",
            kind: Kind::Real { min: 0.0, max: 1e30 },
            default: "0.00025",
            help: "weight of the penalty on ‖u‖²; the authors state γ/200 with γ = 0.05",
        },
        Param {
            name: "rho-ratio",
            kind: Kind::Real { min: 1e-30, max: 1e30 },
            default: "auto",
            help: "the authors' code: rho = γ·batch/(rho-ratio·d); auto uses rho",
        },
        Param {
            name: "batch",
            kind: Kind::Count { min: 1, max: usize::MAX },
            default: "auto",
            help: "the workers' batch size, for rho-ratio only",
        },
    ],
    cost: "n forward passes over the validation batch + O(n·d)",
    facts: RuleFacts {
        family: Family::Rule,
        bound: Bound { text: "n ≥ f + 1", least: |f| f + 1, source: "Xie et al. 2019, §4" },
        claims: Claims {
            permutation: true,
            ties: true,
            translation: false,
            scale: false,
            rotation: false,
            coordinate_wise: false,
            honest_box: false,
            bounded: false,
            majority: false,
        },
        needs_oracle: true,
        variants: &[],
        has_memory: false,
        weights: true,
        excluded: "not among the {k} rows whose step lowers the loss most",
        weighted: false,
        whole_rows: "it asks for losses at whole parameters",
        kappa: Kappa::Open("none: it is not a function of the rows alone"),
        variance_norm: None,
    },
    build: |args| {
        let penalty = match (args.real("rho-ratio"), args.count("batch")) {
            (None, None) => Penalty::Rho(args.real("rho").expect("has a default")),
            (Some(_), _) if args.is_given("rho") => {
                return Err(SpecError::new("rho and rho-ratio exclude each other; both are given"));
            }
            (Some(ratio), Some(batch)) => Penalty::Authors { ratio, batch },
            (Some(_), None) => {
                return Err(SpecError::new("rho-ratio needs batch, the workers' batch size"));
            }
            (None, Some(_)) => return Err(SpecError::new("batch is of use with rho-ratio only")),
        };
        Ok(Box::new(Stage::Rule(Box::new(Zeno::new(args.count("b"), penalty)))))
    },
};

/// Candidates evaluated by one call of the oracle: bounds memory at this many parameter vectors.
const CHUNK: usize = 16;

#[derive(Clone, Copy)]
enum Penalty {
    Rho(f64),
    Authors { ratio: f64, batch: usize },
}

impl Penalty {
    /// ρ at this learning rate and dimension.
    fn rho(self, learning_rate: f64, d: usize) -> f64 {
        match self {
            Penalty::Rho(rho) => rho,
            Penalty::Authors { ratio, batch } => learning_rate * batch as f64 / (ratio * d as f64),
        }
    }
}

#[derive(Clone)]
struct Zeno {
    b: Option<usize>,
    penalty: Penalty,
    candidates: Matrix,
    row: Vec<f32>,
    squared: Vec<f64>,
    scores: Vec<f64>,
    order: Vec<usize>,
}

impl Zeno {
    fn new(b: Option<usize>, penalty: Penalty) -> Self {
        let (candidates, row, squared, scores, order) = Default::default();
        Zeno { b, penalty, candidates, row, squared, scores, order }
    }

    /// Sets the scores of the rows up to the constant f_r(x); −∞ where a score is no number.
    fn score(&mut self, round: &mut Round<'_>) {
        let (rows, n) = (round.rows, round.rows.n());
        let rho = self.penalty.rho(f64::from(round.learning_rate), rows.d());
        let oracle = round.oracle.as_mut().expect("aggregate saw it");
        oracle.refresh();
        self.scores.resize(n, 0.0);
        for from in (0..n).step_by(CHUNK) {
            let to = (from + CHUNK).min(n);
            self.candidates.resize(to - from, rows.d());
            for i in from..to {
                let row = rows.row(i, &mut self.row);
                let candidate = self.candidates.row_mut(i - from);
                for (k, c) in candidate.iter_mut().enumerate() {
                    *c = round.params[k] - round.learning_rate * row[k];
                }
            }
            oracle.losses(self.candidates.rows(), &mut self.scores[from..to]);
        }
        norms::rows_norm2(rows, &mut self.squared);
        for (score, squared) in self.scores.iter_mut().zip(&self.squared) {
            *score = -*score - rho * squared;
            if score.is_nan() {
                *score = f64::NEG_INFINITY;
            }
        }
    }

    /// Sets the order to the rows that may be taken, best first, at most `keep` of them.
    fn select(&mut self, keep: usize) {
        self.order.clear();
        let scores = &self.scores;
        self.order.extend((0..scores.len()).filter(|&i| scores[i] > f64::NEG_INFINITY));
        self.order.sort_unstable_by(|&i, &j| scores[j].total_cmp(&scores[i]).then(i.cmp(&j)));
        self.order.truncate(keep);
    }
}

impl Rule for Zeno {
    fn aggregate(&mut self, round: &mut Round<'_>, out: &mut [f32], verdict: &mut Verdict) {
        let n = round.rows.n();
        if round.oracle.is_none() {
            out.fill(0.0);
            verdict.uniform(n, 0.0);
            verdict.event = Some("zeno has no validation data: nothing was taken".to_owned());
            return;
        }
        assert_eq!(round.params.len(), round.rows.d(), "zeno steps from the parameters");
        self.score(round);
        let b = self.b.unwrap_or(round.f).min(n - 1);
        self.select(n - b);
        if self.order.is_empty() {
            verdict.uniform(n, 0.0);
            out.fill(0.0);
            verdict.event = Some("no row has a finite score: nothing was taken".to_owned());
            return;
        }
        verdict.selection(n, &self.order);
        combine::combine(round.rows, &verdict.weights, out);
    }

    fn exact(&self, _: &exact::Round<'_>, _: &mut Verdict) -> Result<Vec<f64>, String> {
        Err(SINGLE.to_owned())
    }

    fn fork(&self) -> Box<dyn Rule> {
        Box::new(self.clone())
    }

    fn check(&self, n: usize, f: usize) -> Result<(), String> {
        match self.b {
            Some(b) if b < f || b >= n => Err(format!("f ≤ b < n; b = {b}")),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::Bowl;
    use crate::{Oracle, build};
    use varangian_base::{Domain, Rows, Seed};

    fn answer(
        spec: &str,
        rows: Rows<'_>,
        f: usize,
        oracle: &mut dyn Oracle,
    ) -> (Vec<f32>, Verdict) {
        let params = [1.0, 0.0];
        let mut round = Round::of(rows, f);
        (round.params, round.learning_rate) = (&params, 0.5);
        round.oracle = Some(oracle);
        let (mut out, mut verdict) = (vec![9.0; 2], Verdict::default());
        let mut rule = build(spec, rows.n(), f).unwrap();
        rule.aggregate(&mut round, &mut out, &mut verdict);
        (out, verdict)
    }

    /// At x = (1, 0), γ = ½, ρ = ⅛, Score(u) = u₁/2 − ‖u‖²/4, exact in binary.
    const ROWS: [[f32; 2]; 6] =
        [[1.0, 0.0], [0.5, 0.0], [2.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [1.0, 1.0]];

    fn scores(rows: Rows<'_>) -> Vec<f64> {
        let mut zeno = Zeno::new(Some(3), Penalty::Rho(0.125));
        let (params, mut oracle) = ([1.0, 0.0], Bowl::default());
        let mut round = Round::of(rows, 3);
        (round.params, round.learning_rate) = (&params, 0.5);
        round.oracle = Some(&mut oracle);
        zeno.score(&mut round);
        zeno.scores.iter().map(|s| s + 0.5).collect() // f_r(x) = ½
    }

    #[test]
    fn scores_of_the_worked_example_and_the_tie_that_goes_to_the_lower_id() {
        let x = Matrix::from_rows(&ROWS);
        assert_eq!(scores(x.rows()), [0.25, 0.1875, 0.0, -0.75, -0.25, 0.0]);
        let (out, verdict) = answer("zeno b=3 rho=0.125", x.rows(), 3, &mut Bowl::default());
        assert_eq!(out, [3.5 / 3.0, 0.0]);
        assert_eq!(
            verdict.weights.iter().map(|&w| w > 0.0).collect::<Vec<_>>(),
            [true, true, true, false, false, false]
        );
    }

    #[test]
    fn scores_of_more_rows_than_are_tried_at_a_time() {
        // 2·CHUNK + 3 rows, of which the k-th is (k/64, 0): Score(u) = u₁/2 − u₁²/4.
        let rows: Vec<[f32; 2]> = (0..2 * CHUNK + 3).map(|k| [k as f32 / 64.0, 0.0]).collect();
        let x = Matrix::from_rows(&rows);
        let by_hand = rows.iter().map(|&[u, _]| f64::from(u / 2.0 - u * u / 4.0));
        assert_eq!(scores(x.rows()), by_hand.collect::<Vec<f64>>());
    }

    #[test]
    fn one_honest_row_among_four_is_enough_and_b_0_is_the_mean() {
        let x = Matrix::from_rows(&[[-1.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]]);
        assert_eq!(answer("zeno", x.rows(), 3, &mut Bowl::default()).0, [1.0, 0.0]);
        assert_eq!(answer("zeno b=0", x.rows(), 0, &mut Bowl::default()).0, [-0.5, 0.0]);
        let error = build("zeno b=4", 4, 3).err().unwrap().to_string();
        assert_eq!(error, "zeno needs f ≤ b < n; b = 4; got n = 4, f = 3");
        assert!(build("zeno", 4, 4).err().unwrap().to_string().contains("n ≥ f + 1"));
        assert!(build("zeno rho-ratio=20", 4, 1).is_err());
        assert!(build("zeno rho-ratio=20 batch=50 rho=1", 4, 1).is_err());
    }

    #[test]
    fn the_order_of_the_rows_decides_nothing_but_ties() {
        let mut stream = Seed(7).stream(Domain::Test, 0, 0);
        for _ in 0..200 {
            let mut rows = Matrix::zeros(7, 2);
            (0..7).for_each(|i| rows.row_mut(i).fill_with(|| stream.normal() as f32));
            let order = stream.permutation(7);
            let mut moved = Matrix::zeros(7, 2);
            for (to, &from) in order.iter().enumerate() {
                moved.row_mut(to).copy_from_slice(rows.row(from as usize));
            }
            let (out, verdict) = answer("zeno b=4", rows.rows(), 4, &mut Bowl::default());
            let (other, weights) = answer("zeno b=4", moved.rows(), 4, &mut Bowl::default());
            // A mean in another order of rows is the same up to rounding.
            assert!(out.iter().zip(&other).all(|(a, b)| (a - b).abs() < 1e-6));
            for (to, &from) in order.iter().enumerate() {
                assert_eq!(weights.weights[to], verdict.weights[from as usize]);
            }
        }
    }

    /// The loss of the candidate numbered `bad` is not a number.
    struct Broken {
        bad: usize,
        asked: usize,
    }

    impl Oracle for Broken {
        fn refresh(&mut self) {}

        fn loss(&mut self, _: &[f32]) -> f64 {
            self.asked += 1;
            if self.asked == self.bad + 1 { f64::NAN } else { 1.0 }
        }

        fn gradient(&mut self, _: &[f32], _: &mut [f32]) -> f64 {
            0.0
        }
    }

    #[test]
    fn a_score_that_is_no_number_is_never_selected_wherever_it_stands() {
        let x = Matrix::from_rows(&ROWS);
        for bad in 0..6 {
            for b in 0..6 {
                let mut oracle = Broken { bad, asked: 0 };
                let spec = format!("zeno b={b}");
                let (out, verdict) = answer(&spec, x.rows(), 0, &mut oracle);
                assert_eq!(verdict.weights[bad], 0.0, "b = {b}");
                assert!(out.iter().all(|x| x.is_finite()));
            }
        }
        let one = Matrix::from_rows(&[[1.0, 0.0]]);
        let (out, verdict) = answer("zeno", one.rows(), 0, &mut Broken { bad: 0, asked: 0 });
        assert_eq!(out, [0.0, 0.0]);
        assert!(verdict.event.is_some());
    }

    #[test]
    fn without_validation_data_nothing_is_taken() {
        let x = Matrix::from_rows(&ROWS);
        let (mut out, mut verdict) = ([5.0; 2], Verdict::default());
        build("zeno", 6, 3).unwrap().aggregate(&mut Round::of(x.rows(), 3), &mut out, &mut verdict);
        assert_eq!(out, [0.0, 0.0]);
        assert!(verdict.event.is_some());
    }

    #[test]
    fn on_a_convex_loss_a_row_of_positive_score_has_an_opposite_of_negative_score() {
        let mut stream = Seed(1).stream(Domain::Test, 0, 0);
        let mut oracle = Bowl::default();
        let rho = 0.01;
        for _ in 0..2_000 {
            let x = [stream.normal() as f32, stream.normal() as f32];
            let u = [stream.normal() as f32, stream.normal() as f32];
            let mut score = |sign: f32| {
                let moved = [x[0] - 0.1 * sign * u[0], x[1] - 0.1 * sign * u[1]];
                oracle.loss(&x) - oracle.loss(&moved) - rho * norms::norm2(&u)
            };
            let forth = score(1.0);
            assert!(forth <= 0.0 || score(-1.0) < 0.0);
        }
    }

    /// Lemma of the slides, as printed: the i-th best received score is at least the i-th best of
    /// *all* honest scores. False; true against the n − q honest scores that were not replaced.
    #[test]
    fn the_bounded_score_lemma_holds_for_the_rows_that_were_not_replaced_only() {
        let mut stream = Seed(2).stream(Domain::Test, 0, 0);
        let sorted = |mut x: Vec<f64>| {
            x.sort_unstable_by(|a, b| b.total_cmp(a));
            x
        };
        let mut slides_fail = 0;
        for _ in 0..10_000 {
            let n = 2 + stream.below(8);
            let q = 1 + stream.below(n - 1);
            let honest: Vec<f64> = (0..n).map(|_| 10.0 * stream.normal()).collect();
            let mut received = honest.clone();
            received[..q].iter_mut().for_each(|s| *s = 10.0 * stream.normal());
            let (best, kept) = (sorted(received), sorted(honest[q..].to_vec()));
            assert!((0..n - q).all(|i| best[i] >= kept[i]));
            let all = sorted(honest);
            assert!((0..n - q).all(|i| best[i] >= all[i + q]));
            slides_fail += usize::from((0..n - q).any(|i| best[i] < all[i]));
        }
        assert!(slides_fail > 1_000, "a counterexample is common: {slides_fail} of 10,000");
        // The smallest one: honest scores 10 and 0, the 10 replaced by −5.
        let (best, all) = (sorted(vec![-5.0, 0.0]), sorted(vec![10.0, 0.0]));
        assert!(best[0] < all[0]);
    }

    #[test]
    fn the_authors_scaling_is_the_papers_form_with_a_smaller_rho() {
        // The authors: gradient sums over the batch, γ/B, mean square over the d coordinates.
        let (gamma, batch, ratio, d) = (0.05f64, 50usize, 200.0, 3usize);
        let u = [0.3f64, -1.7, 2.4];
        let summed: Vec<f64> = u.iter().map(|x| x * batch as f64).collect();
        let step = gamma / batch as f64;
        let mean_square = summed.iter().map(|x| x * x).sum::<f64>() / d as f64;
        let theirs = step / ratio * mean_square;
        let rho = Penalty::Authors { ratio, batch }.rho(gamma, d);
        let ours = rho * u.iter().map(|x| x * x).sum::<f64>();
        assert!((ours - theirs).abs() < 1e-15 * theirs.max(1.0), "{ours} {theirs}");
        // The table of published settings, d = 1,310,922.
        let eff = |gamma, batch, ratio| Penalty::Authors { ratio, batch }.rho(gamma, 1_310_922);
        assert!((eff(0.05, 100, 200.0) - 1.91e-8).abs() < 1e-10);
        assert!((eff(0.1, 50, 20.0) - 1.91e-7).abs() < 1e-9);
        assert!((eff(0.05, 50, 200.0) - 9.5e-9).abs() < 1e-10);
    }
}
