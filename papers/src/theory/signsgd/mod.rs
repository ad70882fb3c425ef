//! Sign descent with majority vote: the closed forms of Bernstein et al. 2018 (arXiv 1802.04434)
//! and 2019 (1810.05291), of Akoun & Meyer 2022 (2202.02085), and what is wrong with the last.

mod convergence;
mod error;
mod failure;
mod honest;
mod measured;

pub use convergence::{Opposition, Problem, largest_share, warm_up};
pub use error::{Noise, TwoPoint, cantelli, crude, gaussian, lemma_1, lemma_1bis, stochastic_sign};
pub use failure::{Ballot, safely_decided};

use crate::theory::{Sheet, VacuousBound};
use varangian_lab::Failure;
use varangian_lab::plot::Picture;

/// The numbers that the tables are of.
#[derive(Clone, Debug)]
pub struct Numbers {
    /// Signal-to-noise ratios S = |g|/σ for the table of sign errors.
    pub snr: Vec<f64>,
    /// M, the number of workers.
    pub workers: u64,
    /// f, numbers of hostile workers.
    pub hostile: Vec<u64>,
    /// p, the probability that an honest worker sends the true sign of a coordinate.
    pub p: f64,
    /// K, the number of steps; batches are K and N = K².
    pub steps: u64,
    /// f(x₀) − f*.
    pub gap: f64,
    /// ‖L‖₁.
    pub smoothness: f64,
    /// ‖σ‖₁ of one sample.
    pub sigma: f64,
    /// β of Signum, for the warm-up of its theorem.
    pub beta: f64,
}

/// Which papers the names below are of, and what the symbols mean.
const SOURCES: &str = "\
Theorems 1 to 3 (2018): Bernstein et al., signSGD, arXiv 1802.04434; (2019): Bernstein et al.,
signSGD with majority vote, arXiv 1810.05291. Lemmas and theorems with bis and those without a
year: Akoun & Meyer, SIGNSGD: Fault-Tolerance to Blind and Byzantine Adversaries, 2022, arXiv
2202.02085. g: the gradient; σ: the noise of one sample of it; S = |g|/σ: its signal-to-noise ratio
on a coordinate; p: the probability that an honest worker sends the true sign; M: workers; f:
hostile ones; α = f/M; K: steps; η: the step size; N: gradients in all; L: smoothness; β: momentum.
";

impl Numbers {
    /// Three tables: sign errors, vote failures, convergence.
    ///
    /// # Errors
    /// If a number is outside its range.
    pub fn tables(&self) -> Result<Sheet, Failure> {
        check(self)?;
        let (m, p, k) = (self.workers, self.p, self.steps);
        let problem = Problem { gap: self.gap, smoothness: self.smoothness, noise: self.sigma };
        let eta = problem.step(k as f64);
        let calls = (k as f64).powi(2);
        let single = problem.large_batch(calls);
        let clean = problem.vote_without_hostile(calls, m as f64);
        let small = problem.small_batch(k as f64);
        let warm = warm_up(self.beta).map_err(|vacuous| Failure::refused(vacuous.to_string()))?;
        Ok(Sheet::default()
            .words(SOURCES)
            .words("\nSign errors: 1 − p at S = |g|/σ\n")
            .and(errors(&self.snr))
            .words(
                "\nLemma 1bis fails without symmetric noise where S > 1: it lies below Cantelli, \
                 which is attained.\n",
            )
            .words(format!(
                "\nVote failures on one coordinate: M = {m}, p = {p}; ties count as failure\n"
            ))
            .and(failures(self))
            .words(format!("\nBounds on [(1/K)Σ E‖g‖₁]²: K = {k} steps of η = {eta:.6}\n"))
            .and(bounds(self, &problem))
            .words(format!("\none worker (2018, Theorem 1): {single:.6}\n"))
            .words(format!("vote without hostile workers (2018, Theorem 2b): {clean:.6}\n"))
            .words(format!("batches of 1, mixed norm, N = K (2019, Theorem 1): {small:.6}\n"))
            .words(format!(
                "warm-up of Signum at β = {}: {warm} steps (2018, Theorem 3)",
                self.beta
            ))
            .number("eta", eta)
            .number("one_worker", single)
            .number("vote_without_hostile", clean)
            .number("mixed_norm", small)
            .number("warm_up", warm as f64))
    }

    /// Runs the vote on linear regression against each number of hostile workers, blind and
    /// opposing: a line a run, and the gradient's norm beside its bounds, a panel a run.
    ///
    /// # Errors
    /// If a number is outside its range or a run cannot be done.
    pub fn measured(&self) -> Result<(Vec<String>, Picture), Failure> {
        check(self)?;
        let plan = measured::Plan { workers: self.workers as usize, steps: self.steps, p: self.p };
        let mut found = Vec::new();
        for kind in [Opposition::Blind, Opposition::ByzantineCorrected] {
            for &hostile in self.hostile.iter().filter(|&&f| f < self.workers) {
                found.push(measured::measure(&plan, hostile, kind)?);
            }
        }
        let lines = found.iter().map(|found| found.text.clone()).collect();
        Ok((lines, measured::picture(found)))
    }
}

fn check(args: &Numbers) -> Result<(), Failure> {
    let refuse = |what: &str, wants: &str, found: String| {
        Err(Failure::refused(format!("--{what} takes {wants}; found {found}")))
    };
    if args.workers == 0 || args.workers > 1_000_000 {
        return refuse("workers", "1 to 1000000", args.workers.to_string());
    }
    if args.steps == 0 {
        return refuse("steps", "1 or more", args.steps.to_string());
    }
    if !(0.0..=1.0).contains(&args.p) {
        return refuse("p", "a probability", args.p.to_string());
    }
    if !(0.0..1.0).contains(&args.beta) {
        return refuse("beta", "a number from 0 to below 1", args.beta.to_string());
    }
    if let Some(f) = args.hostile.iter().find(|&&f| f > args.workers) {
        return refuse("hostile", &format!("numbers up to M = {}", args.workers), f.to_string());
    }
    if let Some(s) = args.snr.iter().find(|s| !s.is_finite() || **s < 0.0) {
        return refuse("snr", "ratios from 0", s.to_string());
    }
    for (what, x) in [("gap", args.gap), ("smoothness", args.smoothness), ("sigma", args.sigma)] {
        if !x.is_finite() || x < 0.0 {
            return refuse(what, "a number from 0", x.to_string());
        }
    }
    Ok(())
}

fn errors(snr: &[f64]) -> Sheet {
    let row = |&s: &f64| {
        let found = [lemma_1(s), lemma_1bis(s), cantelli(s), crude(s), gaussian(s)];
        let bound = |x: &f64| if *x < 1.0 { format!("{x:.6}") } else { "says nothing".to_owned() };
        std::iter::once(s.to_string()).chain(found.iter().map(bound)).collect()
    };
    let rows: Vec<Vec<String>> = snr.iter().map(row).collect();
    let header = ["S", "Lemma 1", "Lemma 1bis", "Cantelli", "1/S", "normal, exact"];
    Sheet::default().table("sign errors", &header, rows, &[true; 6])
}

fn failures(args: &Numbers) -> Sheet {
    let mut reasons = Vec::new();
    let mut row = |&hostile: &u64| {
        let ballot = Ballot { workers: args.workers, hostile, p: args.p };
        vec![
            hostile.to_string(),
            format!("{:.6}", ballot.opposed()),
            cell(ballot.cantelli(), &mut reasons),
            cell(ballot.half(), &mut reasons),
            format!("{:.6}", ballot.blind()),
            cell(ballot.blind_cantelli(), &mut reasons),
        ]
    };
    let rows: Vec<Vec<String>> = args.hostile.iter().map(&mut row).collect();
    let header = ["f", "colluding, exact", "Cantelli", "half bound", "blind, exact", "Cantelli"];
    let sheet = Sheet::default().table("vote failures", &header, rows, &[true; 6]);
    sheet.words(reasons.concat())
}

fn bounds(args: &Numbers, problem: &Problem) -> Sheet {
    let (calls, m) = ((args.steps * args.steps) as f64, args.workers as f64);
    let mut reasons = Vec::new();
    let mut row = |&hostile: &u64| {
        let alpha = hostile as f64 / m;
        let mut of = |kind| cell(problem.vote(calls, m, alpha, args.p, kind), &mut reasons);
        vec![
            format!("{alpha:.3}"),
            of(Opposition::Blind),
            of(Opposition::Byzantine),
            of(Opposition::ByzantineCorrected),
        ]
    };
    let rows: Vec<Vec<String>> = args.hostile.iter().map(&mut row).collect();
    let header = ["α", "blind (Thm 2)", "Byzantine (Thm 2bis)", "2bis corrected"];
    let sheet = Sheet::default().table("bounds", &header, rows, &[true; 4]);
    sheet.words(reasons.concat())
}

/// The bound as it prints; why there is none goes below the table, once.
fn cell(bound: Result<f64, VacuousBound>, reasons: &mut Vec<String>) -> String {
    match bound {
        Ok(x) => format!("{x:.6}"),
        Err(why) => {
            let why = format!("vacuous: {why}\n");
            if !reasons.contains(&why) {
                reasons.push(why);
            }
            "vacuous".to_owned()
        }
    }
}
