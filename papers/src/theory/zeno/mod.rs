//! Zeno (Xie, Koyejo & Gupta, ICML 2019, arXiv 1805.10032): the bound on a step, its sum over a
//! run, the lemma behind both, and what is false or loose in them.
//!
//! n workers, q of them hostile, the b lowest scores dropped; F the training loss, f_r the loss on
//! the server's samples. Score(u) = f_r(x) − f_r(x − γu) − ρ‖u‖².
//!
//! *Differs:* the paper's text was not at hand. The bound on a step is as it is remembered, the
//! bound on a run as its slides have it, which say O(·) and no constants.

mod lemma;

pub use lemma::{Orders, count_orders};

use crate::theory::{Sheet, VacuousBound};
use varangian_base::Seed;
use varangian_lab::Failure;

/// What the bounds know of a problem and of the step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Problem {
    /// F(x₀) − F* ≥ 0.
    pub gap: f64,
    /// L > 0: every loss is L-smooth.
    pub smoothness: f64,
    /// μ ≤ L: f(y) ≥ f(x) + ⟨∇f(x), y − x⟩ + (μ/2)‖y − x‖². Below 0 where f is not convex.
    pub curvature: f64,
    /// V ≥ E‖v − ∇F‖² of an honest gradient v.
    pub variance: f64,
    /// G ≥ E‖v‖².
    pub square: f64,
}

/// How many there are, how many are hostile, how many are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crowd {
    /// n ≥ 1.
    pub workers: u64,
    /// q.
    pub hostile: u64,
    /// b.
    pub trimmed: u64,
}

impl Crowd {
    fn check(self) -> Result<(f64, f64, f64), VacuousBound> {
        let Crowd { workers: n, hostile: q, trimmed: b } = self;
        if b < q || n <= b {
            let found = format!("q = {q}, b = {b}, n = {n}");
            return Err(VacuousBound::new("Theorem 1", "q ≤ b < n", found));
        }
        Ok((n as f64, q as f64, b as f64))
    }

    /// (b − q + 1)(n − q)/(n − b)²: what Theorem 1 multiplies V by.
    ///
    /// # Errors
    /// Unless q ≤ b < n.
    pub fn variance_factor(self) -> Result<f64, VacuousBound> {
        let (n, q, b) = self.check()?;
        Ok((b - q + 1.0) * (n - q) / (n - b).powi(2))
    }

    /// (n − q)/(n − b): E‖mean of any n − b honest gradients − ∇F‖² ≤ this·V, whoever chooses them,
    /// as the squares of a part are at most those of all. Below Theorem 1's where 2b > n + q − 1.
    ///
    /// # Errors
    /// Unless q ≤ b < n.
    pub fn any_choice(self) -> Result<f64, VacuousBound> {
        let (n, q, b) = self.check()?;
        Ok((n - q) / (n - b))
    }
}

impl Problem {
    /// β: 0 where μ ≥ 0, else |μ|; the theorem takes ρ = βγ²/2.
    pub fn beta(&self) -> f64 {
        (-self.curvature).max(0.0)
    }

    /// γ = 1/(L√T), the step of the slides.
    pub fn step(&self, steps: f64) -> f64 {
        1.0 / (self.smoothness * steps.sqrt())
    }

    /// Theorem 1: E\[F(x − γ·Zeno)\] − F(x) ≤ −(γ/2)‖∇F‖² + γ(b − q + 1)(n − q)V/(n − b)² + (L +
    /// β)γ²G/2, with ρ = βγ²/2 and E\[f_r\] = F. `slope` is ‖∇F(x)‖².
    ///
    /// False where f_r is drawn anew each step and is not F: [`noisy_validation`].
    ///
    /// # Errors
    /// Unless q ≤ b < n and 0 < γ ≤ 1/L.
    pub fn theorem_1(&self, crowd: Crowd, gamma: f64, slope: f64) -> Result<f64, VacuousBound> {
        let factor = crowd.variance_factor()?;
        if !(gamma > 0.0 && gamma * self.smoothness <= 1.0 + 1e-12) {
            let found = format!("γ = {gamma}, L = {}", self.smoothness);
            return Err(VacuousBound::new("Theorem 1", "0 < γ ≤ 1/L", found));
        }
        Ok(-gamma / 2.0 * slope + gamma * factor * self.variance + self.growth(gamma))
    }

    /// What replaces it where f_r = F: −γ‖∇F‖² + (L + β)γ²G/2, for every q ≤ b < n and every γ.
    ///
    /// The best n − b received scores have a mean of at least that of the honest scores, as each
    /// is at least the honest one of its rank and dropping the lowest raises a mean; so f_r(x −
    /// γ·Zeno) ≤ (1/(n − q))Σ(f_r(x − γvᵢ) + ρ‖vᵢ‖²) over the honest, draw by draw. No term in V
    /// is left, and the slope counts twice as much. Who is hostile must not depend on the draws.
    pub fn ours(&self, gamma: f64, slope: f64) -> f64 {
        -gamma * slope + self.growth(gamma)
    }

    /// (L + β)γ²G/2.
    fn growth(&self, gamma: f64) -> f64 {
        (self.smoothness + self.beta()) * gamma * gamma * self.square / 2.0
    }

    /// Theorem 1 summed over T steps of γ = 1/(L√T): (1/T)ΣE‖∇F‖² ≤ (2L(F(x₀) − F*) + (1 +
    /// β/L)G)/√T + 2(b − q + 1)(n − q)V/(n − b)².
    ///
    /// # Errors
    /// As [`Problem::theorem_1`], or if T < 1.
    pub fn run(&self, crowd: Crowd, steps: f64) -> Result<f64, VacuousBound> {
        let gamma = self.step(check_steps(steps)?);
        let each = self.theorem_1(crowd, gamma, 0.0)?;
        Ok(2.0 * self.gap / (gamma * steps) + 2.0 * each / gamma)
    }

    /// [`Problem::ours`] summed likewise where the server's loss is the same at every step and
    /// ‖∇f_r − ∇F‖² ≤ e + c‖∇F‖²: the slides' first and third term with their constants,
    /// (1/T)ΣE‖∇F‖² ≤ \[(2L·gap + (1 + β/L)G)/√T + e\]/(1 − c), and half the first
    /// where f_r = F (e = c = 0). The gap is that of f_r.
    ///
    /// # Errors
    /// Unless e ≥ 0, 0 ≤ c < 1 and T ≥ 1.
    pub fn our_run(&self, steps: f64, e: f64, c: f64) -> Result<f64, VacuousBound> {
        check_dissimilarity(e, c)?;
        let gamma = self.step(check_steps(steps)?);
        let first = self.gap / (gamma * steps) + self.growth(gamma) / gamma;
        Ok(if e == 0.0 && c == 0.0 { first } else { (2.0 * first + e) / (1.0 - c) })
    }

    /// The expression of the slides, each O(·) taken as 1 times its content: 1/((1 − c)√T) + (b − q
    /// + 1)(n − q)/(n − b)² + e/(1 − c). Says how the terms grow, not how large they are.
    ///
    /// # Errors
    /// Unless q ≤ b < n, e ≥ 0, 0 ≤ c < 1 and T ≥ 1.
    pub fn slides(&self, crowd: Crowd, steps: f64, e: f64, c: f64) -> Result<f64, VacuousBound> {
        check_dissimilarity(e, c)?;
        let first = 1.0 / ((1.0 - c) * check_steps(steps)?.sqrt());
        Ok(first + crowd.variance_factor()? + e / (1.0 - c))
    }
}

fn check_steps(steps: f64) -> Result<f64, VacuousBound> {
    let enough = steps >= 1.0;
    enough.then_some(steps).ok_or_else(|| VacuousBound::new("the bound on a run", "T ≥ 1", steps))
}

fn check_dissimilarity(e: f64, c: f64) -> Result<(), VacuousBound> {
    let apart = e >= 0.0 && (0.0..1.0).contains(&c);
    let found = format!("e = {e}, c = {c}");
    apart
        .then_some(())
        .ok_or_else(|| VacuousBound::new("the bound on a run", "e ≥ 0, 0 ≤ c < 1", found))
}

/// Theorem 1 against validation noise, in one dimension: what a step changes F by, and what the
/// theorem allows.
///
/// F(x) = x²/2 at x = 0, f_r(x) = x²/2 + ξx with ξ = ±s by a fair coin, two workers, one of them
/// honest with v = 0, b = q = 1 and ρ = 0 (μ = 1). The hostile one sends M = 2sω/γ with ω < 1 and
/// scores γMξ − (γM)²/2, which is above 0 whenever ξ = s. Then F rises by (γM)²/2 = 2s²ω²; with V =
/// G = s², so that f_r's own noise is within the theorem's variance, it allows γs² + γ²s²/2.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NoisyValidation {
    /// E\[F(x − γ·Zeno)\] − F(x).
    pub change: f64,
    /// Theorem 1's bound on it.
    pub allowed: f64,
}

/// The counterexample at step γ and noise s, with ω = 0.999.
///
/// # Errors
/// Unless 0 < γ ≤ 1.
pub fn noisy_validation(gamma: f64, s: f64) -> Result<NoisyValidation, VacuousBound> {
    let problem =
        Problem { gap: 0.0, smoothness: 1.0, curvature: 1.0, variance: s * s, square: s * s };
    let crowd = Crowd { workers: 2, hostile: 1, trimmed: 1 };
    let allowed = problem.theorem_1(crowd, gamma, 0.0)?;
    let sent = 2.0 * s * 0.999 / gamma;
    let loss = |x: f64, xi: f64| x * x / 2.0 + xi * x;
    let change = |xi: f64| {
        let score = |u: f64| loss(0.0, xi) - loss(-gamma * u, xi);
        let chosen = if score(sent) > score(0.0) { sent } else { 0.0 };
        loss(-gamma * chosen, 0.0)
    };
    Ok(NoisyValidation { change: (change(s) + change(-s)) / 2.0, allowed })
}

/// The numbers that the tables are of.
#[derive(Clone, Debug)]
pub struct Numbers {
    /// n.
    pub workers: u64,
    /// Values of q.
    pub hostile: Vec<u64>,
    /// Values of b.
    pub trimmed: Vec<u64>,
    /// T.
    pub steps: u64,
    /// The problem.
    pub problem: Problem,
    /// e and c of the server's samples.
    pub dissimilarity: (f64, f64),
    /// Trials of the lemma.
    pub trials: u32,
    /// Their seed.
    pub seed: Seed,
}

const SOURCES: &str = "\
Zeno: Xie, Koyejo & Gupta, ICML 2019, arXiv 1805.10032. Theorem 1 as it is remembered, the bound on
a run as on the slides; the paper's text was not at hand. n: workers; q: hostile; b: dropped; F:
training loss; f_r: the server's; γ = 1/(L√T): the step; ρ = βγ²/2: the penalty, β = max(−μ, 0); V,
G: E‖v − ∇F‖², E‖v‖² of an honest gradient; ‖∇f_r − ∇F‖² ≤ e + c‖∇F‖².
";

impl Numbers {
    /// The bounds for every q and b, the lemma's trials, and the counterexample to Theorem 1.
    ///
    /// # Errors
    /// If a number is outside its range.
    pub fn tables(&self) -> Result<Sheet, Failure> {
        self.check()?;
        let refused = |vacuous: VacuousBound| Failure::refused(vacuous.to_string());
        let (steps, (e, c)) = (self.steps as f64, self.dissimilarity);
        let gamma = self.problem.step(steps);
        let same = self.problem.our_run(steps, 0.0, 0.0).map_err(refused)?;
        let apart = self.problem.our_run(steps, e, c).map_err(refused)?;
        let noisy = noisy_validation(0.1, 1.0).map_err(refused)?;
        let orders = count_orders(self.trials, self.seed);
        let shares = |count: u32| f64::from(count) / f64::from(orders.trials);
        Ok(Sheet::default()
            .words(SOURCES)
            .words(format!("\nBounds on (1/T)Σ E‖∇F‖²: T = {steps} steps of γ = {gamma:.6}\n"))
            .and(self.bounds())
            .words(format!(
                "\nwithout the variance term, for every q ≤ b < n: {same:.6} where f_r = F\n"
            ))
            .words(format!("  and {apart:.6} at e = {e}, c = {c}, f_r the same at every step\n\n"))
            .words(orders.text())
            .words(
                "\nTheorem 1 is false where f_r is drawn anew: F = x²/2 at 0, f_r = x²/2 ± x, n = 2, \
                 b = q = 1,\n",
            )
            .words(format!(
                "γ = 0.1: F changes by {:.4} in expectation, the theorem allows {:.4}",
                noisy.change, noisy.allowed
            ))
            .number("gamma", gamma)
            .number("without_variance", same)
            .number("without_variance_apart", apart)
            .number("lemma_fails_as_on_slides", shares(orders.slides))
            .number("lemma_fails_over_kept", shares(orders.kept))
            .number("lemma_fails_shifted", shares(orders.shifted))
            .number("changes_by", noisy.change)
            .number("theorem_allows", noisy.allowed))
    }

    fn bounds(&self) -> Sheet {
        let (e, c) = self.dissimilarity;
        let cell = |bound: Result<f64, VacuousBound>| {
            bound.map_or_else(|_| "vacuous".to_owned(), |x| format!("{x:.6}"))
        };
        let mut rows = Vec::new();
        for &q in &self.hostile {
            for &b in &self.trimmed {
                let crowd = Crowd { workers: self.workers, hostile: q, trimmed: b };
                rows.push(vec![
                    q.to_string(),
                    b.to_string(),
                    cell(crowd.variance_factor()),
                    cell(crowd.any_choice()),
                    cell(self.problem.run(crowd, self.steps as f64)),
                    cell(self.problem.slides(crowd, self.steps as f64, e, c)),
                ]);
            }
        }
        let head =
            ["q", "b", "factor of V", "of any choice", "Theorem 1, summed", "slides, O(·) = 1"];
        Sheet::default()
            .table("bounds", &head, rows, &[true; 6])
            .words("vacuous: Theorem 1 needs q ≤ b < n\n")
    }

    fn check(&self) -> Result<(), Failure> {
        let refuse = |what: &str, wants: &str, found: String| {
            Err(Failure::refused(format!("--{what} takes {wants}; found {found}")))
        };
        let p = &self.problem;
        if self.workers == 0 || self.workers > 1_000_000 {
            return refuse("workers", "1 to 1000000", self.workers.to_string());
        }
        if self.steps == 0 {
            return refuse("steps", "1 or more", self.steps.to_string());
        }
        if !(p.smoothness.is_finite() && p.smoothness > 0.0) {
            return refuse("smoothness", "a number above 0", p.smoothness.to_string());
        }
        if !p.curvature.is_finite() || p.curvature.abs() > p.smoothness {
            return refuse("curvature", "a number from −L to L", p.curvature.to_string());
        }
        for (what, x) in [("gap", p.gap), ("variance", p.variance), ("square", p.square)] {
            if !x.is_finite() || x < 0.0 {
                return refuse(what, "a number from 0", x.to_string());
            }
        }
        if p.square < p.variance {
            return refuse("square", "at least the variance", p.square.to_string());
        }
        let (e, c) = self.dissimilarity;
        if !(e.is_finite() && e >= 0.0) {
            return refuse("e", "a number from 0", e.to_string());
        }
        if !(0.0..1.0).contains(&c) {
            return refuse("c", "a number from 0 to below 1", c.to_string());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
