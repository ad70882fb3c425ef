//! Zeno++ (Xie, Koyejo & Gupta, ICML 2020, arXiv 1903.07020): what its test lets through, and a
//! bound that follows from the test alone.
//!
//! V = ∇f_s at the model of the last refresh, g the received gradient at length ‖V‖. Accepted, x ←
//! x − γg, if γ⟨V, g⟩ − ρ‖g‖² ≥ −γε. V is renewed after k received gradients.
//!
//! *Differs:* the paper's theorems were not at hand and are not here. [`Test::bound`] is proved in
//! their place, for one validation loss f_s, L-smooth, the same at every refresh. It holds whoever
//! sends what, and counts accepted gradients: nothing says that any will be.

use crate::theory::{Sheet, VacuousBound};
use varangian_lab::Failure;

/// The test of Zeno++.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Test {
    /// γ > 0.
    pub gamma: f64,
    /// ρ > 0.
    pub rho: f64,
    /// ε ≥ 0.
    pub epsilon: f64,
    /// k ≥ 1: at most this many accepted gradients meet the same V.
    pub refresh: u64,
}

impl Test {
    /// The cosine with V from which a gradient is accepted: ρ/γ − ε/‖V‖². Above 1 nothing is, at −1
    /// or below everything.
    pub fn cosine(&self, norm: f64) -> f64 {
        self.rho / self.gamma - self.epsilon / (norm * norm)
    }

    /// √(ε/(1 + ρ/γ)): where ‖V‖ is at most this, every gradient is accepted, −V too.
    pub fn open_below(&self) -> f64 {
        (self.epsilon / (1.0 + self.rho / self.gamma)).sqrt()
    }

    /// 2ρ/(γ²k): the smoothness from which the bound says nothing.
    pub fn largest_smoothness(&self) -> f64 {
        2.0 * self.rho / (self.gamma * self.gamma * self.refresh as f64)
    }

    /// The authors' code takes ρ‖·‖² on the gradient as it was sent: what it rejects of honest ones
    /// of this cosine is what is longer than √(γ·cosine/ρ)·‖V‖ (ε = 0).
    ///
    /// The same form has no least cosine: it asks for (ρ/γ)·(length/‖V‖)², which a sender brings as
    /// close to 0 as it likes by sending less. No bound of the kind below holds for it.
    pub fn longest_raw(&self, cosine: f64) -> f64 {
        (self.gamma * cosine.max(0.0) / self.rho).sqrt()
    }

    /// Mean of ‖V‖² over the first A accepted gradients ≤ (gap/A + γε)/(ρ − Lγ²k/2).
    ///
    /// K ≤ k accepted gradients from one V move x by γΣg, ‖Σg‖ ≤ K‖V‖, and the test gives γ⟨V, Σg⟩
    /// ≥ K(ρ‖V‖² − γε). So f_s falls by K(ρ − Lγ²K/2)‖V‖² − Kγε at least; sum over the refreshes.
    /// `gap` is f_s(x₀) − f_s* ≥ 0.
    ///
    /// # Errors
    /// Unless 0 ≤ L < 2ρ/(γ²k) and A ≥ 1.
    pub fn bound(&self, gap: f64, smoothness: f64, accepted: f64) -> Result<f64, VacuousBound> {
        let most = self.largest_smoothness();
        if !(0.0..most).contains(&smoothness) || accepted.is_nan() || accepted < 1.0 {
            let found = format!("L = {smoothness}, A = {accepted}, 2ρ/(γ²k) = {most:.4}");
            return Err(VacuousBound::new("the bound", "0 ≤ L < 2ρ/(γ²k) and A ≥ 1", found));
        }
        let k = self.refresh as f64;
        let fall = self.rho - smoothness * self.gamma * self.gamma * k / 2.0;
        Ok((gap / accepted + self.gamma * self.epsilon) / fall)
    }

    /// The same test of the cosine at γ = (ρ/γ)/(Lk), which makes the bound least where ε = 0: 2Lk
    /// gap/(A·(ρ/γ)²). Keeps ρ/γ.
    pub fn at_best_step(&self, smoothness: f64) -> Test {
        let cosine = self.rho / self.gamma;
        let gamma = cosine / (smoothness * self.refresh as f64);
        Test { gamma, rho: cosine * gamma, ..*self }
    }
}

/// The numbers that the table is of.
#[derive(Clone, Debug)]
pub struct Numbers {
    /// γ.
    pub gamma: f64,
    /// Values of ρ.
    pub rho: Vec<f64>,
    /// ε.
    pub epsilon: f64,
    /// k.
    pub refresh: u64,
    /// L.
    pub smoothness: f64,
    /// f_s(x₀) − f_s*.
    pub gap: f64,
    /// A.
    pub accepted: u64,
}

const SOURCES: &str = "\
Zeno++: Xie, Koyejo & Gupta, ICML 2020, arXiv 1903.07020. Its theorems were not at hand: the bound
is proved here from the test alone, for one validation loss f_s, the same at every refresh, and
holds whoever sends what. V: the validation gradient; g: a gradient at length ‖V‖, accepted if γ⟨V,
g⟩ − ρ‖g‖² ≥ −γε; k: received gradients a V; A: accepted ones; L: smoothness of f_s.
";

const READING: &str = "\
least cosine: of an accepted gradient with V, at ε = 0. open below: the ‖V‖ up to which even −V is
accepted. raw, longest: with the authors' penalty on the gradient as sent, honest ones along V that
are longer than this times ‖V‖ are rejected; that form has no least cosine and no bound.
says nothing from L: 2ρ/(γ²k). best step: ρ/γ kept, γ = (ρ/γ)/(Lk).
";

impl Numbers {
    /// What the test lets through and the bound, for every ρ.
    ///
    /// # Errors
    /// If a number is outside its range.
    pub fn tables(&self) -> Result<Sheet, Failure> {
        self.check()?;
        let cell = |bound: Result<f64, VacuousBound>| {
            bound.map_or_else(|_| "vacuous".to_owned(), |x| format!("{x:.6}"))
        };
        let accepted = self.accepted as f64;
        let row = |&rho: &f64| {
            let (gamma, epsilon, refresh) = (self.gamma, self.epsilon, self.refresh);
            let test = Test { gamma, rho, epsilon, refresh };
            let best = test.at_best_step(self.smoothness);
            vec![
                rho.to_string(),
                format!("{:.4}", test.rho / test.gamma),
                format!("{:.4}", test.open_below()),
                format!("{:.2}", test.longest_raw(1.0)),
                format!("{:.4}", test.largest_smoothness()),
                cell(test.bound(self.gap, self.smoothness, accepted)),
                format!("{:.2e}", best.gamma),
                cell(best.bound(self.gap, self.smoothness, accepted)),
            ]
        };
        let rows: Vec<Vec<String>> = self.rho.iter().map(row).collect();
        let head = [
            "ρ",
            "least cosine",
            "open below",
            "raw, longest",
            "says nothing from L",
            "bound",
            "best step",
            "bound there",
        ];
        let (gamma, k, l) = (self.gamma, self.refresh, self.smoothness);
        Ok(Sheet::default()
            .words(SOURCES)
            .words(format!(
                "\nMean of ‖V‖² over A = {accepted} accepted: γ = {gamma}, k = {k}, L = {l}\n"
            ))
            .table("bounds", &head, rows, &[true; 8])
            .words(format!("\n{READING}")))
    }

    fn check(&self) -> Result<(), Failure> {
        let refuse = |what: &str, wants: &str, found: String| {
            Err(Failure::refused(format!("--{what} takes {wants}; found {found}")))
        };
        let above = |x: f64| x.is_finite() && x > 0.0;
        if let Some(rho) = self.rho.iter().find(|&&rho| !above(rho)) {
            return refuse("rho", "numbers above 0", rho.to_string());
        }
        for (what, x) in [("gamma", self.gamma), ("smoothness", self.smoothness)] {
            if !above(x) {
                return refuse(what, "a number above 0", x.to_string());
            }
        }
        for (what, x) in [("epsilon", self.epsilon), ("gap", self.gap)] {
            if !x.is_finite() || x < 0.0 {
                return refuse(what, "a number from 0", x.to_string());
            }
        }
        for (what, x) in [("refresh", self.refresh), ("accepted", self.accepted)] {
            if x == 0 {
                return refuse(what, "1 or more", x.to_string());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use varangian_base::{Domain, Seed};

    const TEST: Test = Test { gamma: 0.1, rho: 0.002, epsilon: 0.0, refresh: 10 };

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-9 * (1.0 + b.abs())
    }

    #[test]
    fn what_the_test_lets_through_worked_out_by_hand() {
        assert!(close(TEST.cosine(3.0), 0.02));
        // With ε: 0.02 − 0.1/4 < 0 at ‖V‖ = 2.
        let loose = Test { epsilon: 0.1, ..TEST };
        assert!(close(loose.cosine(2.0), -0.005));
        assert!(close(loose.cosine(loose.open_below()), -1.0));
        assert_eq!(TEST.open_below(), 0.0);
        // 2·0.002/(0.01·10); √(0.1/0.002) = √50.
        assert!(close(TEST.largest_smoothness(), 0.04));
        assert!(close(TEST.longest_raw(1.0), 50f64.sqrt()));
        assert_eq!(TEST.longest_raw(-0.5), 0.0);
        // (2/100 + 0)/(0.002 − 0.02·0.01·10/2) = 0.02/0.001.
        assert!(close(TEST.bound(2.0, 0.02, 100.0).unwrap(), 20.0));
        assert!(close(loose.bound(2.0, 0.02, 100.0).unwrap(), 30.0));
        assert!(TEST.bound(2.0, 0.04, 100.0).is_err() && TEST.bound(2.0, 0.02, 0.5).is_err());
        // γ = 0.02/(4·10); 2·4·10·2/(100·0.0004) = 4000.
        let best = TEST.at_best_step(4.0);
        assert!(close(best.gamma, 0.0005) && close(best.cosine(1.0), 0.02));
        assert!(close(best.bound(2.0, 4.0, 100.0).unwrap(), 4000.0));
    }

    #[test]
    fn the_bound_grows_with_smoothness_staleness_and_epsilon_and_falls_with_what_was_accepted() {
        let bound = |test: Test, l, a| test.bound(2.0, l, a).unwrap();
        let base = bound(TEST, 0.01, 100.0);
        assert!(bound(TEST, 0.02, 100.0) > base && bound(TEST, 0.01, 200.0) < base);
        assert!(bound(Test { refresh: 20, ..TEST }, 0.01, 100.0) > base);
        assert!(bound(Test { epsilon: 0.1, ..TEST }, 0.01, 100.0) > base);
        for scale in [0.5, 0.9, 1.1, 1.9] {
            let best = TEST.at_best_step(4.0);
            let other = Test { gamma: best.gamma * scale, rho: best.rho * scale, ..best };
            assert!(bound(other, 4.0, 100.0) > bound(best, 4.0, 100.0), "{scale}");
        }
    }

    /// Runs the test on f = ½Σλⱼxⱼ², where the sender knows V: (gap down to the last model, mean of
    /// ‖V‖² over the accepted, their number).
    fn attacked(
        test: Test,
        curvatures: &[f64],
        mut send: impl FnMut(&[f64]) -> Vec<f64>,
    ) -> (f64, f64, f64) {
        let loss =
            |x: &[f64]| -> f64 { x.iter().zip(curvatures).map(|(x, l)| l * x * x / 2.0).sum() };
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let mut x = vec![1.0; curvatures.len()];
        let (start, mut squares, mut accepted) = (loss(&x), 0.0, 0.0);
        for _ in 0..20 {
            let v: Vec<f64> = x.iter().zip(curvatures).map(|(x, l)| l * x).collect();
            for _ in 0..test.refresh {
                let sent = send(&v);
                let scale = (dot(&v, &v) / dot(&sent, &sent)).sqrt();
                let g: Vec<f64> = sent.iter().map(|g| scale * g).collect();
                let score = test.gamma * dot(&v, &g) - test.rho * dot(&g, &g);
                if score >= -test.gamma * test.epsilon - 1e-12 * dot(&v, &v) {
                    x.iter_mut().zip(&g).for_each(|(x, g)| *x -= test.gamma * g);
                    squares += dot(&v, &v);
                    accepted += 1.0;
                }
            }
        }
        (start - loss(&x), squares / accepted, accepted)
    }

    /// The vector of this cosine with v, in two dimensions.
    fn turned(v: &[f64], cosine: f64) -> Vec<f64> {
        let sine = (1.0 - cosine * cosine).sqrt();
        vec![cosine * v[0] - sine * v[1], sine * v[0] + cosine * v[1]]
    }

    #[test]
    fn it_is_attained_where_all_send_the_worst_that_passes() {
        let test = Test { gamma: 0.05, rho: 0.01, epsilon: 0.0, refresh: 4 };
        let (gap, mean, accepted) = attacked(test, &[0.8, 0.8], |v| turned(v, 0.2));
        assert_eq!(accepted, 80.0);
        let bound = test.bound(gap, 0.8, accepted).unwrap();
        assert!((mean / bound - 1.0).abs() < 1e-9, "{mean} {bound}");
        // Just below the threshold nothing passes.
        let (_, _, none) = attacked(test, &[0.8, 0.8], |v| turned(v, 0.199));
        assert_eq!(none, 0.0);
    }

    #[test]
    fn it_holds_whatever_is_sent() {
        for trial in 0..300u32 {
            let mut stream = Seed(3).stream(Domain::Test, trial, 0);
            let curvatures: Vec<f64> = (0..4).map(|_| 0.9 * stream.uniform_f64()).collect();
            let epsilon = if trial % 2 == 0 { 0.0 } else { 0.05 };
            let refresh = 1 + u64::from(trial % 5);
            let test = Test { gamma: 0.05, rho: 0.01, epsilon, refresh };
            let (gap, mean, accepted) = attacked(test, &curvatures, |v| {
                let noise = 3.0 * stream.uniform_f64();
                v.iter().map(|v| v + noise * stream.normal()).collect()
            });
            if accepted > 0.0 {
                let bound = test.bound(gap.max(0.0), 0.9, accepted).unwrap();
                assert!(mean <= bound * (1.0 + 1e-9), "trial {trial}: {mean} > {bound}");
            }
        }
    }
}
