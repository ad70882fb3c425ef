//! How often a vote on one coordinate fails: exactly, and by the chain of bounds behind the
//! theorems.
//!
//! M workers vote, f of them hostile, α = f/M. Each honest worker sends the true sign with
//! probability p, independently. A tie counts as failure.

use crate::theory::VacuousBound;
use statrs::function::factorial::ln_binomial;

/// A vote on one coordinate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ballot {
    /// M ≥ 1 workers.
    pub workers: u64,
    /// f ≤ M hostile workers.
    pub hostile: u64,
    /// p, the probability that an honest worker sends the true sign.
    pub p: f64,
}

impl Ballot {
    /// α = f/M.
    pub fn alpha(&self) -> f64 {
        self.hostile as f64 / self.workers as f64
    }

    fn honest(&self) -> u64 {
        self.workers - self.hostile
    }

    /// The drift of the honest vote beyond one half when all hostile workers oppose: p(1 − α) − ½.
    ///
    /// # Errors
    /// If it is not positive: then the hostile workers win in expectation.
    fn drift(&self) -> Result<f64, VacuousBound> {
        let drift = self.p * (1.0 - self.alpha()) - 0.5;
        if drift > 0.0 {
            return Ok(drift);
        }
        let found = format!("α = {}, p = {}", self.alpha(), self.p);
        Err(VacuousBound::new("the vote-failure chain", "α < 1 − 1/(2p)", found))
    }

    /// P[Z ≤ M/2] with Z ~ Binomial(M − f, p): all hostile workers oppose the true sign. Exact.
    pub fn opposed(&self) -> f64 {
        let pmf = binomial(self.honest(), self.p);
        pmf.iter().take(self.workers as usize / 2 + 1).sum::<f64>().min(1.0)
    }

    /// P[Z ≤ M/2] with Z ~ Binomial(M − f, p) + Binomial(f, 1 − p): hostile workers invert their
    /// own sign without knowing the others'. Exact. Cost O(M·f).
    pub fn blind(&self) -> f64 {
        let honest = binomial(self.honest(), self.p);
        let hostile = binomial(self.hostile, 1.0 - self.p);
        let half = self.workers as usize / 2;
        let mut below = 0.0;
        for (i, &a) in honest.iter().enumerate().take(half + 1) {
            below += a * hostile.iter().take(half - i + 1).sum::<f64>();
        }
        below.min(1.0)
    }

    /// Cantelli on [`Ballot::opposed`]: 1/(1 + (M(p(1 − α) − ½))²/(h·p(1 − p))).
    ///
    /// # Errors
    /// If α ≥ 1 − 1/(2p).
    pub fn cantelli(&self) -> Result<f64, VacuousBound> {
        let lead = self.workers as f64 * self.drift()?;
        Ok(one_sided(lead, self.honest() as f64 * self.p * (1.0 - self.p)))
    }

    /// 1/(1 + x²) ≤ 1/(2x) on the last: ½·√(p(1 − p)(1 − α))/((p(1 − α) − ½)·√M).
    ///
    /// # Errors
    /// If α ≥ 1 − 1/(2p).
    pub fn half(&self) -> Result<f64, VacuousBound> {
        let spread = (self.p * (1.0 - self.p) * (1.0 - self.alpha())).sqrt();
        Ok(0.5 * spread / (self.drift()? * (self.workers as f64).sqrt()))
    }

    /// The last without p and 1 − α under the root: ½·√(1 − p)/((p(1 − α) − ½)·√M).
    ///
    /// # Errors
    /// If α ≥ 1 − 1/(2p).
    pub fn rough(&self) -> Result<f64, VacuousBound> {
        Ok(0.5 * (1.0 - self.p).sqrt() / (self.drift()? * (self.workers as f64).sqrt()))
    }

    /// The end of Theorem 2bis's chain: 1/(2√2)/((p(1 − α) − ½)·S·√M), through Lemma 1bis.
    ///
    /// # Errors
    /// If α ≥ 1 − 1/(2p).
    pub fn by_ratio(&self, snr: f64) -> Result<f64, VacuousBound> {
        let factor = 1.0 / (2.0 * std::f64::consts::SQRT_2);
        Ok(factor / (self.drift()? * snr * (self.workers as f64).sqrt()))
    }

    /// Cantelli on [`Ballot::blind`]: Z has mean M/2 + M(1 − 2α)(p − ½) and variance M·p(1 − p).
    ///
    /// # Errors
    /// If α ≥ ½ or p ≤ ½.
    pub fn blind_cantelli(&self) -> Result<f64, VacuousBound> {
        let lead = self.workers as f64 * self.blind_drift()?;
        Ok(one_sided(lead, self.workers as f64 * self.p * (1.0 - self.p)))
    }

    /// ½·√(1/(4ε²) − 1)/((1 − 2α)·√M) with ε = p − ½ (Bernstein et al. 2019, Theorem 2's proof).
    ///
    /// # Errors
    /// If α ≥ ½ or p ≤ ½.
    pub fn blind_half(&self) -> Result<f64, VacuousBound> {
        self.blind_drift()?;
        let excess = self.p - 0.5;
        let spread = (1.0 / (4.0 * excess * excess) - 1.0).max(0.0).sqrt();
        Ok(0.5 * spread / ((1.0 - 2.0 * self.alpha()) * (self.workers as f64).sqrt()))
    }

    fn blind_drift(&self) -> Result<f64, VacuousBound> {
        if self.alpha() < 0.5 && self.p > 0.5 {
            return Ok((1.0 - 2.0 * self.alpha()) * (self.p - 0.5));
        }
        let found = format!("α = {}, p = {}", self.alpha(), self.p);
        Err(VacuousBound::new("the blind vote-failure chain", "α < 1/2 and p > 1/2", found))
    }
}

/// Cantelli: P[Z ≤ E Z − lead] ≤ 1/(1 + lead²/variance).
fn one_sided(lead: f64, variance: f64) -> f64 {
    if variance > 0.0 { 1.0 / (1.0 + lead * lead / variance) } else { 0.0 }
}

/// The probabilities of 0 to n successes.
fn binomial(n: u64, p: f64) -> Vec<f64> {
    let term = |k: u64| {
        if p <= 0.0 || p >= 1.0 {
            return f64::from(u8::from(k == if p >= 1.0 { n } else { 0 }));
        }
        let (k_, rest) = (k as f64, (n - k) as f64);
        (ln_binomial(n, k) + k_ * p.ln() + rest * (-p).ln_1p()).exp()
    };
    (0..=n).map(term).collect()
}

/// The share of coordinates whose vote fails with probability below `level` against f workers that
/// oppose, given each coordinate's S: the coordinates that are safely decided.
pub fn safely_decided(
    snr: &[f64],
    noise: super::Noise,
    workers: u64,
    hostile: u64,
    level: f64,
) -> f64 {
    let safe = |&&s: &&f64| {
        let p = 1.0 - noise.error(s.abs());
        Ballot { workers, hostile, p }.opposed() < level
    };
    snr.iter().filter(safe).count() as f64 / snr.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use varangian_base::{Domain, Seed};

    #[test]
    fn the_published_probabilities() {
        let table = [
            (10, 0, 0.9, 0.001634937, 0.053254438, 0.118585412, 0.001634937),
            (10, 2, 0.9, 0.038091790, 0.129496403, 0.192847304, 0.031763049),
            (10, 4, 0.9, 0.468559000, 0.771428571, 0.918558654, 0.341516121),
            (11, 4, 0.9, 0.149694400, 0.496062992, 0.496078371, 0.105839354),
            (27, 8, 0.8, 0.163062304, 0.512647555, 0.512811640, 0.057927363),
            (101, 40, 0.9, 0.038094762, 0.220925553, 0.266258512, 0.003279600),
        ];
        for (workers, hostile, p, opposed, cantelli, half, blind) in table {
            let ballot = Ballot { workers, hostile, p };
            let found = [
                ballot.opposed(),
                ballot.cantelli().unwrap(),
                ballot.half().unwrap(),
                ballot.blind(),
            ];
            for (found, expected) in found.iter().zip([opposed, cantelli, half, blind]) {
                assert!((found - expected).abs() < 1e-9, "{ballot:?}: {found} for {expected}");
            }
        }
    }

    fn ballots() -> impl Iterator<Item = Ballot> {
        let sizes = [(1, 0), (7, 2), (10, 3), (27, 8), (101, 40), (1000, 300)];
        sizes.into_iter().flat_map(|(workers, hostile)| {
            [0.75, 0.85, 0.95, 0.999].map(|p| Ballot { workers, hostile, p })
        })
    }

    #[test]
    fn each_link_of_the_chains_bounds_the_one_before() {
        let mut checked = 0;
        for ballot in ballots() {
            let snr = (0.5 / (1.0 - ballot.p)).sqrt();
            if let Ok(cantelli) = ballot.cantelli() {
                checked += 1;
                let (half, rough) = (ballot.half().unwrap(), ballot.rough().unwrap());
                let chain =
                    [ballot.opposed(), cantelli, half, rough, ballot.by_ratio(snr).unwrap()];
                assert!(
                    chain.windows(2).all(|w| w[0] <= w[1] * (1.0 + 1e-9)),
                    "{ballot:?} {chain:?}"
                );
            }
            let blind =
                [ballot.blind(), ballot.blind_cantelli().unwrap(), ballot.blind_half().unwrap()];
            assert!(blind.windows(2).all(|w| w[0] <= w[1] * (1.0 + 1e-9)), "{ballot:?} {blind:?}");
            assert!(ballot.blind() <= ballot.opposed() + 1e-12, "{ballot:?}");
        }
        assert!(checked > 15);
    }

    #[test]
    fn failures_rise_with_the_hostile_and_fall_with_p() {
        let at = |hostile, p| Ballot { workers: 25, hostile, p }.opposed();
        assert!((0..12).all(|f| at(f, 0.8) <= at(f + 1, 0.8)));
        assert!((50..99).all(|p| at(5, f64::from(p) / 100.0) >= at(5, f64::from(p + 1) / 100.0)));
        assert_eq!((at(12, 1.0), at(13, 1.0)), (0.0, 1.0));
    }

    #[test]
    fn votes_that_were_held_fail_as_often_as_computed() {
        let mut stream = Seed(3).stream(Domain::Test, 0, 0);
        for (workers, hostile) in [(10, 2), (11, 4)] {
            let ballot = Ballot { workers, hostile, p: 0.9 };
            let mut count = |right: f64| {
                let fails = |_: &u32| {
                    let honest = (0..workers - hostile).filter(|_| stream.coin(0.9)).count();
                    let others = (0..hostile).filter(|_| stream.coin(right)).count();
                    2 * (honest + others) as u64 <= workers
                };
                (0..40_000u32).filter(fails).count() as f64 / 4e4
            };
            assert!((count(0.0) - ballot.opposed()).abs() < 0.01);
            assert!((count(0.1) - ballot.blind()).abs() < 0.01);
        }
    }

    #[test]
    fn a_lost_vote_is_vacuous_and_says_why() {
        let lost = Ballot { workers: 10, hostile: 5, p: 0.9 };
        assert_eq!(
            lost.cantelli().unwrap_err().to_string(),
            "the vote-failure chain needs α < 1 − 1/(2p); got α = 0.5, p = 0.9"
        );
        assert!(lost.blind_half().is_err());
        assert_eq!(
            safely_decided(&[0.1, 5.0], crate::theory::signsgd::Noise::Gaussian, 11, 2, 0.01),
            0.5
        );
    }
}
