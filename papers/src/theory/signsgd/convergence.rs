//! Convergence bounds of sign descent with majority vote, each with its conditions.
//!
//! A1 f ≥ f*; A2 coordinate smoothness Lᵢ; A3 unbiased gradients of coordinate variance σᵢ²; A4
//! noise unimodal and symmetric. K steps; M workers; N gradient calls a worker; α the hostile
//! share. Theorems with batches of K need N = K².

use crate::theory::VacuousBound;

/// What the bounds know of a problem.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Problem {
    /// f(x₀) − f* ≥ 0.
    pub gap: f64,
    /// ‖L‖₁ = Σ Lᵢ > 0.
    pub smoothness: f64,
    /// ‖σ‖₁ = Σ σᵢ ≥ 0, of one sample.
    pub noise: f64,
}

/// How much a vote loses to its hostile workers: the factor c in Theorem 2's form.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Opposition {
    /// Hostile workers invert their own sign: c = 1/(1 − 2α) (Bernstein et al. 2019 and Akoun &
    /// Meyer 2022, Theorem 2). A1 to A4, no momentum, no decay.
    Blind,
    /// Colluding workers that know all votes: c = 1/(2√2)/(p(1 − α) − ½) (Akoun & Meyer 2022,
    /// Theorem 2bis). Claims A1 to A3, yet rests on Lemma 1bis, which fails without symmetry.
    Byzantine,
    /// The same with ½ for 1/(2√2): Cantelli in place of Lemma 1bis. A1 to A3; p must bound every
    /// coordinate and step from below.
    ByzantineCorrected,
}

impl Opposition {
    /// c at hostile share α; p is the least probability of an honest worker's right sign (unused
    /// where blind).
    ///
    /// # Errors
    /// If α is not in [0, ½) (blind) or [0, 1 − 1/(2p)).
    pub fn factor(self, alpha: f64, p: f64) -> Result<f64, VacuousBound> {
        let drift = p * (1.0 - alpha) - 0.5;
        let found = format!("α = {alpha}, p = {p}");
        match self {
            Opposition::Blind if (0.0..0.5).contains(&alpha) => Ok(1.0 / (1.0 - 2.0 * alpha)),
            Opposition::Blind => {
                Err(VacuousBound::new("Theorem 2", "0 ≤ α < 1/2", format!("α = {alpha}")))
            }
            _ if alpha < 0.0 || drift <= 0.0 || p > 1.0 || p.is_nan() || drift.is_nan() => {
                Err(VacuousBound::new("Theorem 2bis", "0 ≤ α < 1 − 1/(2p) with p ≤ 1", found))
            }
            Opposition::Byzantine => Ok(1.0 / (2.0 * std::f64::consts::SQRT_2) / drift),
            Opposition::ByzantineCorrected => Ok(0.5 / drift),
        }
    }
}

/// The largest α that colluders may reach at p: 1 − 1/(2p).
pub fn largest_share(p: f64) -> f64 {
    1.0 - 1.0 / (2.0 * p)
}

impl Problem {
    /// η = √((f₀ − f*)/(‖L‖₁·K)): the step of Theorems 1 and 2 of the majority-vote paper.
    pub fn step(&self, steps: f64) -> f64 {
        (self.gap / (self.smoothness * steps)).sqrt()
    }

    /// η = 1/√(‖L‖₁·K): the step of signSGD's first paper.
    pub fn first_step(&self, steps: f64) -> f64 {
        1.0 / (self.smoothness * steps).sqrt()
    }

    /// Bernstein et al. 2018, Theorem 1 and Theorem 2a: E[(1/K)Σ‖g_k‖₁]² ≤ (1/√N)·(√‖L‖₁(f₀ − f*
    /// + ½) + 2‖σ‖₁)² with batches of K. A1 to A3.
    pub fn large_batch(&self, calls: f64) -> f64 {
        self.first_form(calls, self.noise)
    }

    /// Bernstein et al. 2018, Theorem 2b: as Theorem 1 with ‖σ‖₁/√M. A1 to A4, no hostile worker.
    pub fn vote_without_hostile(&self, calls: f64, workers: f64) -> f64 {
        self.first_form(calls, self.noise / workers.sqrt())
    }

    fn first_form(&self, calls: f64, noise: f64) -> f64 {
        let inner = self.smoothness.sqrt() * (self.gap + 0.5) + 2.0 * noise;
        inner * inner / calls.sqrt()
    }

    /// Bernstein et al. 2019, Theorem 1, batches of 1, N = K: (1/K)Σ E[Σ_{S>2/√3}|gᵢ| +
    /// Σ_{else}gᵢ²/σᵢ] ≤ 3·√(‖L‖₁(f₀ − f*)/N). A1 to A4.
    pub fn small_batch(&self, calls: f64) -> f64 {
        3.0 * (self.smoothness * self.gap / calls).sqrt()
    }

    /// Theorems 2 and 2bis, batches of K: [(1/K)Σ E‖g_k‖₁]² ≤ (4/√N)·(c‖σ‖₁/√M + √(‖L‖₁(f₀ −
    /// f*)))².
    ///
    /// # Errors
    /// As [`Opposition::factor`].
    pub fn vote(
        &self,
        calls: f64,
        workers: f64,
        alpha: f64,
        p: f64,
        opposition: Opposition,
    ) -> Result<f64, VacuousBound> {
        let c = opposition.factor(alpha, p)?;
        let inner = c * self.noise / workers.sqrt() + (self.smoothness * self.gap).sqrt();
        Ok(4.0 * inner * inner / calls.sqrt())
    }

    /// The tighter right-hand side before the theorems round up: (1/K)Σ E‖g_k‖₁ ≤
    /// (1/√K)·((3/2)√(‖L‖₁(f₀ − f*)) + 2c‖σ‖₁/√M). Not squared. Holds for any c with
    /// P[vote fails on i] ≤ c/(S′ᵢ·√M), S′ᵢ = |gᵢ|·√K/σᵢ.
    pub fn telescoped(&self, steps: f64, workers: f64, c: f64) -> f64 {
        let inner =
            1.5 * (self.smoothness * self.gap).sqrt() + 2.0 * c * self.noise / workers.sqrt();
        inner / steps.sqrt()
    }

    /// The expression under O(·) in Bernstein et al. 2018, Theorem 3 (Signum, η_k = δ/√(k + 1),
    /// batches of k + 1, after [`warm_up`] steps): (1/√N)·((f_C − f*)/δ + (1 + ln N)(δ‖L‖₁/(1 −
    /// β) + ‖σ‖₁/√(1 − β)))². The constant is not published; `gap` is taken at step C.
    pub fn momentum_rate(&self, calls: f64, delta: f64, beta: f64) -> f64 {
        let growth = delta * self.smoothness / (1.0 - beta) + self.noise / (1.0 - beta).sqrt();
        let inner = self.gap / delta + (1.0 + calls.ln()) * growth;
        inner * inner / calls.sqrt()
    }
}

/// C(β) of Bernstein et al. 2018, Theorem 3: the least C ≥ 1 with (C/2)·β^C ≤ 1/((1 − β²)(C + 1))
/// and β^(C+1) ≤ ½: steps for which sg(g) is sent while the momentum fills.
///
/// # Errors
/// If β is not in [0, 1).
pub fn warm_up(beta: f64) -> Result<u64, VacuousBound> {
    if !(0.0..1.0).contains(&beta) {
        let found = format!("β = {beta}");
        return Err(VacuousBound::new("the warm-up of Theorem 3", "0 ≤ β < 1", found));
    }
    let faded = |c: u64| beta.powf(c as f64 + 1.0) <= 0.5;
    let small = |c: u64| {
        let c = c as f64;
        c / 2.0 * beta.powf(c) <= 1.0 / ((1.0 - beta * beta) * (c + 1.0))
    };
    let half = least(1, faded);
    if small(half) {
        return Ok(half);
    }
    // C(C + 1)·β^C grows up to C = 2β/(1 − β) and falls from there: if it is too large where the
    // momentum has faded by half, it is so until it falls.
    let top = (2.0 * beta / (1.0 - beta)) as u64;
    Ok(least(half.max(top), small))
}

/// The least number from `from` on that `holds`, where all beyond it do.
fn least(from: u64, holds: impl Fn(u64) -> bool) -> u64 {
    let mut above = from.max(1);
    while !holds(above) {
        above = above.saturating_mul(2);
    }
    let mut below = from;
    while below < above {
        let middle = below + (above - below) / 2;
        if holds(middle) { above = middle } else { below = middle + 1 }
    }
    above
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOY: Problem = Problem { gap: 2.0, smoothness: 4.0, noise: 3.0 };

    fn vote(alpha: f64, workers: f64, opposition: Opposition) -> f64 {
        TOY.vote(1e4, workers, alpha, 0.9, opposition).unwrap()
    }

    #[test]
    fn the_theorems_on_the_toy_problem() {
        let table = [
            (0.0, 0.570662526, 0.537861660, 0.644578157),
            (0.1, 0.644578157, 0.611647719, 0.759882326),
            (0.2, 0.777770876, 0.757950951, 0.993819790),
            (0.3, 1.081656315, 1.170077296, 1.678169478),
            (0.4, 2.293312629, 5.029866596, 8.628281573),
        ];
        for (alpha, blind, byzantine, corrected) in table {
            let found = [
                vote(alpha, 10.0, Opposition::Blind),
                vote(alpha, 10.0, Opposition::Byzantine),
                vote(alpha, 10.0, Opposition::ByzantineCorrected),
            ];
            for (found, expected) in found.iter().zip([blind, byzantine, corrected]) {
                assert!((found - expected).abs() < 1e-8, "α = {alpha}: {found} for {expected}");
            }
        }
        assert!((TOY.step(100.0) - 0.0707106781).abs() < 1e-10);
        assert!((TOY.first_step(100.0) - 0.05).abs() < 1e-12);
        assert!((TOY.large_batch(1e4) - 1.21).abs() < 1e-12);
        assert!((TOY.vote_without_hostile(1e4, 10.0) - 0.475736660).abs() < 1e-9);
        assert!((TOY.small_batch(1e4) - 3.0 * 8f64.sqrt() / 100.0).abs() < 1e-12);
        assert!((largest_share(0.9) - 0.444_444_444_4).abs() < 1e-9);
    }

    #[test]
    fn bounds_rise_with_alpha_and_fall_with_workers_and_calls() {
        for opposition in [Opposition::Blind, Opposition::Byzantine, Opposition::ByzantineCorrected]
        {
            let by_alpha: Vec<f64> =
                (0..44).map(|i| vote(f64::from(i) / 100.0, 10.0, opposition)).collect();
            assert!(by_alpha.windows(2).all(|w| w[0] < w[1]), "{opposition:?}");
            assert!(
                (1..50).all(|m| vote(0.2, f64::from(m), opposition)
                    > vote(0.2, f64::from(m + 1), opposition))
            );
            let looser = vote(0.2, 10.0, opposition).sqrt();
            let c = opposition.factor(0.2, 0.9).unwrap();
            assert!(TOY.telescoped(100.0, 10.0, c) <= looser + 1e-12);
        }
        assert!(TOY.momentum_rate(1e8, 1.0, 0.9) < TOY.momentum_rate(1e6, 1.0, 0.9));
    }

    #[test]
    fn vacuous_bounds_say_which_condition_failed() {
        let error = |alpha, p, o: Opposition| o.factor(alpha, p).unwrap_err().to_string();
        assert_eq!(error(0.5, 1.0, Opposition::Blind), "Theorem 2 needs 0 ≤ α < 1/2; got α = 0.5");
        assert_eq!(
            error(0.45, 0.9, Opposition::Byzantine),
            "Theorem 2bis needs 0 ≤ α < 1 − 1/(2p) with p ≤ 1; got α = 0.45, p = 0.9"
        );
        assert!(Opposition::ByzantineCorrected.factor(0.0, 0.5).is_err());
        assert!(warm_up(1.0).is_err());
    }

    #[test]
    fn warm_ups_of_the_paper() {
        assert_eq!([0.0, 0.5, 0.9, 0.99].map(|beta| warm_up(beta).unwrap()), [1, 1, 54, 894]);
    }

    #[test]
    fn a_warm_up_is_the_first_step_that_satisfies_both_conditions() {
        for k in 0..2000 {
            let beta = f64::from(k) / 2000.0;
            let holds = |c: &u64| {
                let c = *c as f64;
                let first = c / 2.0 * beta.powf(c) <= 1.0 / ((1.0 - beta * beta) * (c + 1.0));
                first && beta.powf(c + 1.0) <= 0.5
            };
            assert_eq!(warm_up(beta).unwrap(), (1..).find(holds).unwrap(), "β = {beta}");
        }
        // Next to 1 the first step is too far away to be counted up to.
        let far = warm_up(1.0 - f64::EPSILON).unwrap();
        assert!(far > 1 << 55, "{far}");
    }

    /// Sign descent with a vote on a noisy quadratic stays below Theorem 2's right-hand side.
    #[test]
    fn a_run_stays_below_its_bound() {
        use varangian_base::{Domain, Seed};
        let (d, steps, workers, blind) = (20, 60u64, 9, 2);
        // f(x) = ½‖x‖²: L = 1 each, f* = 0; noise σ = 0.5 each, batches of K.
        let mut x = vec![1.0f64; d];
        let problem = Problem { gap: d as f64 / 2.0, smoothness: d as f64, noise: 0.5 * d as f64 };
        let (eta, sigma) = (problem.step(steps as f64), 0.5 / (steps as f64).sqrt());
        let mut total = 0.0;
        for step in 0..steps {
            total += x.iter().map(|x| x.abs()).sum::<f64>();
            let mut votes = vec![0.0; d];
            for worker in 0..workers {
                let mut stream = Seed(4).stream(Domain::Test, worker, step);
                let side = if worker < blind { -1.0 } else { 1.0 };
                votes.iter_mut().zip(&x).for_each(|(v, x)| {
                    *v += side * (x + sigma * stream.normal()).signum();
                });
            }
            x.iter_mut().zip(&votes).for_each(|(x, v)| *x -= eta * v.signum());
        }
        let measured = total / steps as f64;
        let alpha = f64::from(blind) / f64::from(workers);
        let calls = (steps * steps) as f64;
        let bound = problem.vote(calls, f64::from(workers), alpha, 1.0, Opposition::Blind).unwrap();
        assert!(measured * measured <= bound, "{measured}² against {bound}");
        assert!(measured > 0.0);
    }
}
