//! Fall of Empires (Xie, Koyejo & Gupta, UAI 2019, arXiv 1903.03936): its two theorems as
//! experiments on the rules themselves, with the statements as they hold.
//!
//! A rule is tolerant if ⟨g, E\[F\]⟩ ≥ 0. Theorem 1 breaks the median where n − 2q = 1; as printed
//! it uses E\[min\] ≤ g − σ/√(N − 1), which holds for the empirical deviation of each draw but not
//! in expectation for every distribution. Theorem 2 makes Krum choose −ε·v̄ where n − 2q = 3 and n
//! − q is large.

use super::Sheet;
use varangian_attacks::{Probe, View};
use varangian_base::kernels::norms;
use varangian_base::{Domain, Matrix, Rows, Seed};
use varangian_rules::{Round, Verdict, build};

/// All experiments: `draws` draws stand behind each expectation.
pub fn tables(draws: usize, seed: Seed) -> Sheet {
    let mut medians = Vec::new();
    for (n, q) in [(5, 2), (9, 4), (25, 12)] {
        let shift = median_shift(n, q, draws, seed);
        let promised = 1.0 / ((n - q - 1) as f64).sqrt();
        let cell = |x: f64| format!("{x:.4}");
        medians.push(vec![n.to_string(), q.to_string(), cell(shift), cell(promised)]);
    }
    let simplices = [4, 5, 8, 18].map(simplex).iter().map(Simplex::cells).collect();
    let limit = |n: f64, q: f64| format!("{:.3} at n = {n}, q = {q}", (n - q) / q);
    Sheet::default()
        .words("Toy cases: what hostile rows of −ε·(honest mean) do\n")
        .table(
            "toy cases",
            &["case", "rule", "honest mean", "answer", "sign kept"],
            toys(),
            &[false, false, true, true, false],
        )
        .words(
            "\nTheorem 1: all hostile rows below; the median of n rows is the least honest one\n",
        )
        .table(
            "theorem 1",
            &["n", "q", "E[median] − g", "broken for g below, by the theorem"],
            medians,
            &[true; 4],
        )
        .words(COIN)
        .words("\nTheorem 2: honest rows e₀ + eᵢ, hostile rows −v̄ (ε = 1), n − 2q = 3\n")
        .table(
            "theorem 2",
            &["n", "q", "score of hostile", "score of honest", "Krum chooses", "theorem applies"],
            simplices,
            &[true, true, true, true, false, false],
        )
        .words("\nThe mean changes sign if and only if ε > (n − q)/q: ")
        .words(format!("{}; {}", limit(25.0, 12.0), limit(25.0, 11.0)))
}

const COIN: &str = "\
As printed the theorem is false: v ∈ {0, 1} with P(1) = 0.1 and N = 2 has g = 0.1 < σ/√1 = 0.3,
yet the median lies in [0, 1] whatever the hostile rows are. It holds draw by draw with the
empirical deviation.
";

/// What `rule` answers to one-coordinate rows.
fn answer(rule: &str, rows: &[f32], f: usize) -> f32 {
    let rows: Vec<[f32; 1]> = rows.iter().map(|&x| [x]).collect();
    let mut out = [0.0];
    let x = Matrix::from_rows(&rows);
    let mut rule = build(rule, rows.len(), f).expect("a rule that takes these rows");
    rule.aggregate(&mut Round::of(x.rows(), f), &mut out, &mut Verdict::default());
    out[0]
}

/// What `attack` sends beside one-coordinate honest rows, once for each of q hostile workers.
fn forged(attack: &str, honest: &[f32], q: usize) -> Vec<f32> {
    let rows: Vec<[f32; 1]> = honest.iter().map(|&x| [x]).collect();
    let (honest, own) = (Matrix::from_rows(&rows), Matrix::zeros(q, 1));
    let mut out = Matrix::zeros(q, 1);
    let mut probe = Blind;
    let mut view = View::of(honest.rows(), own.rows(), &[0.0], &mut probe);
    let mut attack = varangian_attacks::build(attack).expect("a known attack");
    attack.forge(&mut view, out.rows_mut());
    (0..q).map(|i| out.row(i)[0]).collect()
}

/// Inner-product manipulation looks at no rule.
struct Blind;

impl Probe for Blind {
    fn aggregate(&mut self, _: Rows<'_>, _: &mut [f32]) {
        unreachable!("the attack does not see the rule")
    }
}

/// The three worked cases: slides (median and mean), paper (median), paper (Krum).
fn toys() -> Vec<Vec<String>> {
    let slides = [vec![-0.3, 1.0, 2.0], forged("ipm epsilon=1", &[-0.3, 1.0, 2.0], 2)].concat();
    let paper = vec![-0.1, 0.1, 0.3, -4.0, -2.0];
    let krum = vec![0.0, 0.02, 0.14, 0.26, 0.38, 0.5, -0.1, -0.1, -0.1];
    let cases = [
        ("slides, q = 2 of 5", "median", 3, slides.clone(), 2),
        ("slides, q = 2 of 5", "average", 3, slides, 2),
        ("paper, q = 2 of 5", "median", 3, paper, 2),
        ("paper, q = 3 of 9", "krum", 6, krum, 3),
    ];
    let row = |(case, rule, honest, rows, f): (&str, &str, usize, Vec<f32>, usize)| {
        let mean = rows[..honest].iter().map(|&x| f64::from(x)).sum::<f64>() / honest as f64;
        let found = f64::from(answer(rule, &rows, f));
        let kept = if found * mean >= 0.0 { "yes" } else { "no" };
        vec![case.into(), rule.into(), format!("{mean:.4}"), format!("{found:.4}"), kept.into()]
    };
    cases.into_iter().map(row).collect()
}

/// E[median] − g for n − q standard normal rows and q rows at −10⁶, over `draws` coordinates.
pub(crate) fn median_shift(n: usize, q: usize, draws: usize, seed: Seed) -> f64 {
    let mut x = Matrix::zeros(n, draws);
    for i in 0..n {
        let mut stream = seed.stream(Domain::Evaluation, i as u32, n as u64);
        let hostile = i >= n - q;
        for value in x.row_mut(i) {
            *value = if hostile { -1e6 } else { stream.normal() as f32 };
        }
    }
    let mut out = vec![0.0; draws];
    let mut rule = build("median", n, q).expect("2q < n");
    rule.aggregate(&mut Round::of(x.rows(), q), &mut out, &mut Verdict::default());
    out.iter().map(|&x| f64::from(x)).sum::<f64>() / draws as f64
}

/// Theorem 2 at n − 2q = 3 on the simplex.
pub(crate) struct Simplex {
    n: usize,
    q: usize,
    hostile_score: f64,
    honest_score: f64,
    chooses_hostile: bool,
    applies: bool,
}

impl Simplex {
    fn cells(&self) -> Vec<String> {
        let choice = if self.chooses_hostile { "hostile" } else { "honest" };
        let applies = if self.applies { "yes" } else { "no" };
        let score = |x: f64| format!("{x:.4}");
        let (hostile, honest) = (score(self.hostile_score), score(self.honest_score));
        vec![self.n.to_string(), self.q.to_string(), hostile, honest, choice.into(), applies.into()]
    }
}

/// Honest rows e₀ + eᵢ in R^(N+1), N = n − q, and q rows −v̄; scores by the definition, the choice
/// by the rule.
pub(crate) fn simplex(q: usize) -> Simplex {
    let n = 2 * q + 3;
    let honest = n - q;
    let mut x = Matrix::zeros(n, honest + 1);
    for i in 0..n {
        let row = x.row_mut(i);
        if i < honest {
            (row[0], row[i + 1]) = (1.0, 1.0);
        } else {
            row.fill(-1.0 / honest as f32);
            row[0] = -1.0;
        }
    }
    let score = |i: usize| {
        let others = (0..n).filter(|&j| j != i);
        let mut gaps: Vec<f64> = others.map(|j| norms::distance2(x.row(i), x.row(j))).collect();
        gaps.sort_unstable_by(f64::total_cmp);
        gaps[..n - q - 2].iter().sum::<f64>()
    };
    let (mut out, mut verdict) = (vec![0.0; honest + 1], Verdict::default());
    let mut rule = build("krum", n, q).expect("n = 2q + 3");
    rule.aggregate(&mut Round::of(x.rows(), q), &mut out, &mut verdict);
    Simplex {
        n,
        q,
        hostile_score: score(n - 1),
        honest_score: score(0),
        chooses_hostile: out[0] < 0.0,
        applies: theorem_2_applies(n, q, 1.0),
    }
}

/// n − q > 2(ε + 2)²/ε² + 2: the sufficient condition of theorem 2.
pub(crate) fn theorem_2_applies(n: usize, q: usize, epsilon: f64) -> bool {
    (n - q) as f64 > 2.0 * (epsilon + 2.0).powi(2) / epsilon.powi(2) + 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_toy_cases_of_slides_and_paper() {
        let sent = forged("ipm epsilon=1", &[-0.3, 1.0, 2.0], 2);
        assert!(sent.iter().all(|x| (x + 0.9).abs() < 1e-6), "{sent:?}");
        let rows = [-0.3, 1.0, 2.0, sent[0], sent[1]];
        assert_eq!(answer("median", &rows, 2), -0.3);
        assert!((answer("average", &rows, 2) - 0.18).abs() < 1e-6);
        assert_eq!(answer("median", &[-0.1, 0.1, 0.3, -4.0, -2.0], 2), -0.1);
        let nine = [-0.1, -0.1, -0.1, 0.0, 0.02, 0.14, 0.26, 0.38, 0.5];
        assert_eq!(answer("krum", &nine, 3), -0.1);
        // Four neighbours each: the scores of the paper.
        let score = |i: usize| {
            let mut gaps: Vec<f64> =
                (0..9).filter(|&j| j != i).map(|j| f64::from(nine[i] - nine[j]).powi(2)).collect();
            gaps.sort_unstable_by(f64::total_cmp);
            gaps[..4].iter().sum::<f64>()
        };
        let paper = [0.0244, 0.0244, 0.0244, 0.0304, 0.0436, 0.1060, 0.1440, 0.2160, 0.4320];
        assert!((0..9).all(|i| (score(i) - paper[i]).abs() < 1e-6));
    }

    #[test]
    fn theorem_1_by_simulation() {
        assert!((median_shift(5, 2, 200_000, Seed(1)) + 0.8463).abs() < 0.006);
        assert!((median_shift(25, 12, 50_000, Seed(1)) + 1.668).abs() < 0.01);
    }

    #[test]
    fn theorem_1_holds_draw_by_draw_with_the_empirical_deviation_and_not_in_expectation() {
        let mut stream = Seed(2).stream(Domain::Test, 0, 0);
        for trial in 0..20_000 {
            let n = 2 + trial % 12;
            let heavy = trial % 3 == 0;
            let draws = (0..n).map(|_| {
                let x = stream.normal();
                if heavy { x * x * x } else { x }
            });
            let v: Vec<f64> = draws.collect();
            let mean = v.iter().sum::<f64>() / n as f64;
            let s = (v.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64).sqrt();
            let least = v.iter().copied().fold(f64::INFINITY, f64::min);
            assert!(least <= mean - s / ((n - 1) as f64).sqrt() + 1e-12 * (1.0 + s));
        }
        // The coin: N = 2, P(1) = 0.1. E\[min\] = 0.01 > 0, and no hostile row makes a median
        // negative.
        let (g, sigma, least) = (0.1f64, 0.3f64, 0.1 * 0.1);
        assert!(g < sigma && least > g - sigma);
        for v in [[0.0, 0.0], [0.0, 1.0], [1.0, 1.0]] {
            assert!(answer("median", &[v[0], v[1], -1e6], 1) >= 0.0);
        }
    }

    #[test]
    fn theorem_2_on_the_simplex() {
        for q in [4, 5, 8, 18] {
            let found = simplex(q);
            let honest = (found.n - q) as f64;
            assert!((found.hostile_score - (10.0 + 6.0 / honest)).abs() < 1e-5);
            assert_eq!(found.honest_score, 2.0 * (honest - 2.0));
            assert_eq!(found.chooses_hostile, q >= 5, "q = {q}");
        }
        let first = (1..40).find(|&q| theorem_2_applies(2 * q + 3, q, 1.0));
        assert_eq!(first, Some(18));
        assert!(
            (1..40).all(|q| !theorem_2_applies(2 * q + 3, q, 1.0) || simplex(q).chooses_hostile)
        );
    }

    #[test]
    fn the_mean_flips_beyond_the_ratio_of_honest_to_hostile() {
        let honest = [1.0f32; 13];
        let flips = |epsilon: f64| {
            let sent = forged(&format!("ipm epsilon={epsilon}"), &honest, 12);
            answer("average", &[&honest[..], &sent[..]].concat(), 12) < 0.0
        };
        assert!(!flips(1.08) && flips(1.09));
    }
}
