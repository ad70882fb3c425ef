//! SafeguardSGD (Allen-Zhu, Ebrahimianghazani, Li & Alistarh, ICLR 2021, arXiv 2012.14368): steps
//! until a point is nearly stationary, when hostile workers cost no speed-up, and how far its
//! thresholds reach.
//!
//! m workers, at most α·m hostile, α < ½. Assumed: f is L-smooth with L₂-Lipschitz Hessian, honest
//! gradients are unbiased and ‖v − ∇f‖ ≤ V always; units in which L = L₂ = V = 1.
//!
//! *Differs:* the paper's Õ and Θ̃ hide constants and logarithms that it does not print; here each
//! stands for 1 times its content. Ratios of two such numbers mean something, they alone do not.

mod curvature;
mod saddle;

pub use curvature::Search;

use crate::theory::{Sheet, VacuousBound};
use varangian_lab::Failure;
use varangian_lab::plot::Picture;
use varangian_rules::theory_threshold;

/// How many workers, and which share of them is hostile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Crowd {
    /// m ≥ 1.
    pub workers: u64,
    /// α in [0, ½).
    pub share: f64,
}

/// The parameters of Theorem 2.3.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// η = ε²/(d·C₃).
    pub eta: f64,
    /// ν² = C₃.
    pub nu2: f64,
    /// T₀ = 1/η: the short window.
    pub short: f64,
    /// T₁ = 1/(η√ε): the long window.
    pub long: f64,
}

impl Crowd {
    /// C₃ = α² + 1/m: what hostile workers and noise leave of an honest gradient's variance.
    ///
    /// # Errors
    /// Unless 0 ≤ α < ½ and m ≥ 1.
    pub fn c3(self) -> Result<f64, VacuousBound> {
        if !(0.0..0.5).contains(&self.share) || self.workers == 0 {
            let found = format!("α = {}, m = {}", self.share, self.workers);
            return Err(VacuousBound::new("Theorem 2.3", "0 ≤ α < 1/2 and m ≥ 1", found));
        }
        Ok(self.share.powi(2) + 1.0 / self.workers as f64)
    }

    /// 1/C₃: steps of one honest worker for one step of these, to the same ε. m where nobody
    /// is hostile; at least m/2 while α ≤ 1/√m; 1/α² at most, however many there are.
    ///
    /// # Errors
    /// As [`Crowd::c3`].
    pub fn speed_up(self) -> Result<f64, VacuousBound> {
        Ok(1.0 / self.c3()?)
    }

    /// 1/√m: up to this share the speed-up is linear in m, within a factor of 2.
    pub fn linear_up_to(self) -> f64 {
        1.0 / (self.workers as f64).sqrt()
    }

    /// One window, ν = 0: gap·C₃/ε⁴ steps until a constant part of all x_t has ‖∇f‖ ≤ ε.
    ///
    /// # Errors
    /// As [`Crowd::c3`], or unless 0 < ε ≤ 1.
    pub fn first_order(self, gap: f64, epsilon: f64) -> Result<f64, VacuousBound> {
        Ok(gap * self.c3()? / check_epsilon(epsilon)?.powi(4))
    }

    /// Theorem 2.3, two windows and ν > 0: gap·d·C₃/ε⁴ steps until a constant part of all x_t also
    /// has ∇²f ⪰ −√ε·I.
    ///
    /// # Errors
    /// As [`Crowd::first_order`].
    pub fn second_order(self, gap: f64, d: f64, epsilon: f64) -> Result<f64, VacuousBound> {
        Ok(d * self.first_order(gap, epsilon)?)
    }

    /// What Theorem 2.3 runs with.
    ///
    /// # Errors
    /// As [`Crowd::first_order`].
    pub fn schedule(self, d: f64, epsilon: f64) -> Result<Schedule, VacuousBound> {
        let (nu2, epsilon) = (self.c3()?, check_epsilon(epsilon)?);
        let eta = epsilon * epsilon / (d * nu2);
        Ok(Schedule { eta, nu2, short: 1.0 / eta, long: 1.0 / (eta * epsilon.sqrt()) })
    }

    /// The steps after which a worker that is `deviation`·V off at every step, always the same way,
    /// is beyond 2·Th in a window that never ends; p is the probability that honest ones are too.
    ///
    /// Th = 8√(T·ln(16mT/p)) is printed for sums that the algorithm divides by the number of good
    /// workers: they part by `deviation`·T/m, so that T = 256·m²·ln(16mT/p)/deviation².
    /// `per_worker` divides Th by m as well, and m² goes.
    ///
    /// # Errors
    /// Unless 0 < deviation ≤ 1 and 0 < p < 1.
    pub fn caught_after(
        self,
        deviation: f64,
        p: f64,
        per_worker: bool,
    ) -> Result<f64, VacuousBound> {
        let open = |x: f64, most: f64| x > 0.0 && x <= most;
        if !open(deviation, 1.0) || !open(p, 1.0 - f64::EPSILON) || self.workers == 0 {
            let found = format!("deviation = {deviation}, p = {p}, m = {}", self.workers);
            let wants = "0 < deviation ≤ 1, 0 < p < 1 and m ≥ 1";
            return Err(VacuousBound::new("the time to be caught", wants, found));
        }
        let m = self.workers as f64;
        let scale = 256.0 * if per_worker { 1.0 } else { m * m } / deviation.powi(2);
        // A fixed point of a map that grows like a logarithm: a hundred rounds are plenty.
        Ok((0..100).fold(scale, |t: f64, _| scale * (16.0 * m * t / p).ln()))
    }
}

fn check_epsilon(epsilon: f64) -> Result<f64, VacuousBound> {
    let fits = epsilon > 0.0 && epsilon <= 1.0;
    let vacuous = || VacuousBound::new("Theorem 2.3", "0 < ε ≤ 1", format!("ε = {epsilon}"));
    fits.then_some(epsilon).ok_or_else(vacuous)
}

/// The numbers that the tables are of.
#[derive(Clone, Debug)]
pub struct Numbers {
    /// m.
    pub workers: u64,
    /// Values of α.
    pub shares: Vec<f64>,
    /// d.
    pub dimension: u64,
    /// ε.
    pub epsilon: f64,
    /// f(x₀) − min f.
    pub gap: f64,
    /// p.
    pub p: f64,
    /// T of the threshold.
    pub steps: u64,
}

const SOURCES: &str = "\
SafeguardSGD: Allen-Zhu, Ebrahimianghazani, Li & Alistarh, ICLR 2021, arXiv 2012.14368, Theorem 2.3.
Units in which L = L₂ = V = 1; Õ and Θ̃ as 1 times their content: compare rows, not with a run. m:
workers; α: hostile share; C₃ = α² + 1/m; first order: ‖∇f‖ ≤ ε; second: and ∇²f ⪰ −√ε·I.
";

impl Numbers {
    /// Steps and speed-up for every share, the theorem's parameters, and its threshold.
    ///
    /// # Errors
    /// If a number is outside its range.
    pub fn tables(&self) -> Result<Sheet, Failure> {
        self.check()?;
        let refused = |vacuous: VacuousBound| Failure::refused(vacuous.to_string());
        let (m, d) = (self.workers, self.dimension as f64);
        let mut rows = Vec::new();
        for &share in &self.shares {
            let crowd = Crowd { workers: m, share };
            let schedule = crowd.schedule(d, self.epsilon).map_err(refused)?;
            let first = crowd.first_order(self.gap, self.epsilon).map_err(refused)?;
            let second = crowd.second_order(self.gap, d, self.epsilon).map_err(refused)?;
            rows.push(vec![
                share.to_string(),
                format!("{:.4}", schedule.nu2),
                format!("{:.2}", crowd.speed_up().map_err(refused)?),
                format!("{first:.3e}"),
                format!("{second:.3e}"),
                format!("{:.2e}", schedule.eta),
                format!("{:.2e}", schedule.short),
                format!("{:.2e}", schedule.long),
            ]);
        }
        let head = ["α", "C₃ = ν²", "speed-up", "first order", "second order", "η", "T₀", "T₁"];
        let any = Crowd { workers: m, share: 0.0 };
        let threshold = |divided| theory_threshold(self.steps, m as usize, self.p, 1.0, divided);
        let caught = |divided| any.caught_after(1.0, self.p, divided).map_err(refused);
        let (printed, divided) = (threshold(false), threshold(true));
        let (late, early) = (caught(false)?, caught(true)?);
        let linear = any.linear_up_to();
        Ok(Sheet::default()
            .words(SOURCES)
            .words(format!(
                "\nSteps T: m = {m}, d = {d}, ε = {}, f(x₀) − min f = {}\n",
                self.epsilon, self.gap
            ))
            .table("steps", &head, rows, &[true; 8])
            .words(format!(
                "\nspeed-up of m/2 or more up to α = 1/√m = {linear:.4}; it is below 1/α²\n"
            ))
            .words(format!("\nThreshold of one window: T = {}, p = {}\n", self.steps, self.p))
            .words(format!("as printed, for plain sums: {printed:.2}\n"))
            .words(format!(
                "  the algorithm's sums are divided by the good workers: one that is V off at \
                 every step is beyond 2·Th after {late:.3e} steps\n"
            ))
            .words(format!("divided by m as the sums are: {divided:.2}\n"))
            .words(format!("  beyond 2·Th after {early:.3e} steps"))
            .number("linear_up_to", linear)
            .number("threshold_as_printed", printed)
            .number("caught_after_as_printed", late)
            .number("threshold_divided", divided)
            .number("caught_after_divided", early))
    }

    /// Runs SafeguardSGD from a saddle, without noise and with two amounts of it, without and with
    /// hostile workers: what became of the loss and of the Hessian's least eigenvalue, as a table
    /// and as a picture. `steps`: other than the experiment's.
    ///
    /// # Errors
    /// If a run cannot be made.
    pub fn measured(steps: Option<u64>) -> Result<(String, Picture), Failure> {
        saddle::measure(steps)
    }

    fn check(&self) -> Result<(), Failure> {
        let refuse = |what: &str, wants: &str, found: String| {
            Err(Failure::refused(format!("--{what} takes {wants}; found {found}")))
        };
        if self.workers == 0 || self.workers > 1_000_000 {
            return refuse("workers", "1 to 1000000", self.workers.to_string());
        }
        if let Some(share) = self.shares.iter().find(|share| !(0.0..0.5).contains(*share)) {
            return refuse("share", "numbers from 0 to below 0.5", share.to_string());
        }
        if !(self.epsilon > 0.0 && self.epsilon <= 1.0) {
            return refuse("epsilon", "a number above 0, up to 1", self.epsilon.to_string());
        }
        if !self.gap.is_finite() || self.gap < 0.0 {
            return refuse("gap", "a number from 0", self.gap.to_string());
        }
        if !(self.p > 0.0 && self.p < 1.0) {
            return refuse("p", "a number above 0, below 1", self.p.to_string());
        }
        for (what, x) in [("dimension", self.dimension), ("steps", self.steps)] {
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

    fn crowd(workers: u64, share: f64) -> Crowd {
        Crowd { workers, share }
    }

    fn close(a: f64, b: f64) -> bool {
        (a / b - 1.0).abs() < 1e-9
    }

    #[test]
    fn steps_and_parameters_are_those_worked_out_by_hand() {
        // 0.16 + 0.1; 2·0.26/10⁻⁴.
        let ten = crowd(10, 0.4);
        assert!(close(ten.c3().unwrap(), 0.26));
        assert!(close(ten.speed_up().unwrap(), 1.0 / 0.26));
        assert!(close(ten.first_order(2.0, 0.1).unwrap(), 5200.0));
        assert!(close(ten.second_order(2.0, 50.0, 0.1).unwrap(), 260_000.0));
        // η = 0.01/(50·0.26) = 1/1300; T₁ = 1300/√0.1.
        let schedule = ten.schedule(50.0, 0.1).unwrap();
        assert!(close(schedule.eta, 1.0 / 1300.0) && close(schedule.nu2, 0.26));
        assert!(close(schedule.short, 1300.0) && close(schedule.long, 1300.0 / 0.1f64.sqrt()));
    }

    #[test]
    fn hostile_workers_cost_nothing_much_up_to_one_over_the_root_of_m() {
        for m in [1, 4, 10, 100, 10_000] {
            let edge = crowd(m, 0.0).linear_up_to();
            assert!(close(crowd(m, 0.0).speed_up().unwrap(), m as f64));
            if edge < 0.5 {
                let there = crowd(m, edge).speed_up().unwrap();
                assert!(close(there, m as f64 / 2.0), "m = {m}: {there}");
            }
            let speed = |share| crowd(m, share).speed_up().unwrap();
            assert!(speed(0.1) > speed(0.2) && speed(0.2) > speed(0.49));
            assert!(speed(0.2) < 25.0);
            assert!(crowd(m + 1, 0.2).speed_up().unwrap() > speed(0.2));
        }
        let steps = |epsilon, d| crowd(10, 0.2).second_order(1.0, d, epsilon).unwrap();
        assert!(close(steps(0.1, 7.0) / steps(0.2, 7.0), 16.0));
        assert!(close(steps(0.1, 14.0) / steps(0.1, 7.0), 2.0));
    }

    #[test]
    fn the_printed_threshold_catches_nobody_within_a_usual_run() {
        // 25600·ln(16·10·T/0.01) = T at 5.88·10⁵; without m² 256·ln(…) = T at 4.64·10³.
        let ten = crowd(10, 0.4);
        let printed = ten.caught_after(1.0, 0.01, false).unwrap();
        assert!((printed - 5.88e5).abs() < 2e3, "{printed}");
        let divided = ten.caught_after(1.0, 0.01, true).unwrap();
        assert!((divided - 4.639e3).abs() < 2.0, "{divided}");
        // At that step, not a hundredth earlier, the distance passes twice the rule's threshold.
        for (t, per_worker) in [(printed, false), (divided, true)] {
            let beyond =
                |t: f64| t / 10.0 > 2.0 * theory_threshold(t as u64, 10, 0.01, 1.0, per_worker);
            assert!(beyond(1.01 * t) && !beyond(0.99 * t));
        }
        assert!(ten.caught_after(0.5, 0.01, true).unwrap() > 4.0 * divided);
    }

    #[test]
    fn outside_its_conditions_it_says_so() {
        assert!(crowd(10, 0.5).c3().is_err() && crowd(10, -0.1).c3().is_err());
        assert!(crowd(0, 0.1).c3().is_err() && crowd(10, f64::NAN).c3().is_err());
        assert!(crowd(10, 0.1).first_order(1.0, 0.0).is_err());
        assert!(crowd(10, 0.1).schedule(5.0, 1.5).is_err());
        assert!(crowd(10, 0.1).caught_after(0.0, 0.01, true).is_err());
        assert!(crowd(10, 0.1).caught_after(1.0, 1.0, true).is_err());
    }
}
