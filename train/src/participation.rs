//! Which workers take part in a round: all, or a sample of them drawn anew each round.
//!
//! How many of a sample are hostile is chance. The number that the rule reckons with is given, or
//! the least for which the chance that any round of the run holds more is at most a given risk
//! (Allouah et al. 2024, Byzantine-Robust Federated Learning: Impact of Client Subsampling and
//! Local Updates, arXiv 2402.12780, Lemma 1, by the exact tail instead of its bound).

use varangian_base::{Domain, Kind, Param, Seed, SpecError, spec};

/// A sample of workers a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Participation {
    /// Workers that take part in a round.
    pub workers: usize,
    /// Hostile workers among them that the rule reckons with.
    pub f: usize,
}

const SAMPLE: &[Param] = &[
    Param {
        name: "workers",
        kind: Kind::Count { min: 1, max: usize::MAX },
        default: "auto",
        help: "workers a round, at most n, drawn without replacement",
    },
    Param {
        name: "f",
        kind: Kind::Count { min: 0, max: usize::MAX },
        default: "auto",
        help: "hostile workers a round that the rule reckons with; auto: by the risk",
    },
    Param {
        name: "risk",
        kind: Kind::Real { min: 1e-12, max: 1.0 },
        default: "0.01",
        help: "bound on the chance that any round of the run holds more than that, where f is auto",
    },
];

impl Participation {
    /// The names.
    pub const NAMES: &'static [&'static str] = &["all", "sample"];

    /// The parameters of `name`, none where it is unknown.
    pub fn params(name: &str) -> &'static [Param] {
        if name == "sample" { SAMPLE } else { &[] }
    }

    /// Reads `all`, which is `None`, or `sample workers=8 f=2` for a run of `steps` rounds of n
    /// workers of which f are declared hostile.
    ///
    /// # Errors
    /// If the name or a parameter is unknown or out of range.
    pub fn parse(text: &str, n: usize, f: usize, steps: u64) -> Result<Option<Self>, SpecError> {
        let spec = spec::parse(text)?;
        match spec.name.as_str() {
            "all" => return spec.args(&[]).map(|_| None),
            "sample" => {}
            other => return Err(SpecError::unknown("participation", other, Self::NAMES)),
        }
        let args = spec.args(SAMPLE)?;
        let Some(workers) = args.count("workers") else {
            return Err(SpecError::new("participation=sample needs workers=…, how many a round"));
        };
        if workers > n {
            return Err(SpecError::new(format!(
                "participation: workers is at most n; got workers = {workers}, n = {n}"
            )));
        }
        let risk = args.real("risk").expect("has a default");
        let reckoned = args.count("f").unwrap_or_else(|| least(n, f, workers, risk / steps as f64));
        if reckoned > f.min(workers) {
            return Err(SpecError::new(format!(
                "participation: f is at most that of all workers and of the sample; got f = \
                 {reckoned} in a sample of {workers}, f = {f} of all"
            )));
        }
        Ok(Some(Participation { workers, f: reckoned }))
    }

    /// The workers of round `step`, ascending: a function of the seed and the step alone.
    pub fn draw(&self, n: usize, seed: Seed, step: u64) -> Vec<u32> {
        let mut order = seed.stream(Domain::Participation, 0, step).permutation(n);
        order.truncate(self.workers);
        order.sort_unstable();
        order
    }
}

/// The least b such that of `workers` drawn from n without replacement, f of the n hostile, more
/// than b are hostile with a chance of at most `risk`. Cost O(n).
fn least(n: usize, f: usize, workers: usize, risk: f64) -> usize {
    // ln k! for k up to n.
    let mut ln = vec![0.0; n + 1];
    for k in 1..=n {
        ln[k] = ln[k - 1] + (k as f64).ln();
    }
    let choose = |n: usize, k: usize| ln[n] - ln[k] - ln[n - k];
    let (few, most) = ((workers + f).saturating_sub(n), f.min(workers));
    let mut tail = 0.0;
    for b in (few..=most).rev() {
        let chance = choose(f, b) + choose(n - f, workers - b) - choose(n, workers);
        tail += chance.exp();
        if tail > risk {
            return b;
        }
    }
    few
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reckoned_f_is_the_exact_hypergeometric_quantile() {
        // 4 of 10 hostile, 5 drawn: P(4) = 6/252, P(3) = 60/252, P(2) = 120/252.
        assert_eq!(least(10, 4, 5, 5.9 / 252.0), 4);
        assert_eq!(least(10, 4, 5, 6.1 / 252.0), 3);
        assert_eq!(least(10, 4, 5, 66.1 / 252.0), 2);
        assert_eq!(least(10, 4, 10, 0.5), 4); // all are drawn
        assert_eq!(least(10, 0, 5, 0.01), 0);
        let auto = Participation::parse("sample workers=5", 10, 4, 1).unwrap().unwrap();
        assert_eq!(auto, Participation { workers: 5, f: 4 });
    }

    #[test]
    fn no_run_of_many_holds_more_than_reckoned_more_often_than_the_risk() {
        let (n, f, steps) = (40, 10, 50);
        let sample = Participation::parse("sample workers=12 risk=0.1", n, f, steps);
        let sample = sample.unwrap().unwrap();
        let over = |seed: u64, step: u64| {
            let drawn = sample.draw(n, Seed(seed), step);
            drawn.iter().filter(|&&worker| worker < f as u32).count() > sample.f
        };
        let bad = (0..400).filter(|&seed| (0..steps).any(|step| over(seed, step))).count();
        assert!((1..=40).contains(&bad), "{bad} of 400, f = {}", sample.f);
    }

    #[test]
    fn draws_depend_on_seed_and_step_and_every_worker_is_drawn() {
        let sample = Participation { workers: 3, f: 0 };
        assert_eq!(sample.draw(7, Seed(1), 4), sample.draw(7, Seed(1), 4));
        let mut seen = [0; 7];
        for step in 0..700 {
            let drawn = sample.draw(7, Seed(1), step);
            assert!(drawn.is_sorted() && drawn.len() == 3);
            drawn.iter().for_each(|&worker| seen[worker as usize] += 1);
        }
        assert!(seen.iter().all(|count| (250..350).contains(count)), "{seen:?}");
    }

    #[test]
    fn malformed_samples_are_named() {
        let parse = |text| Participation::parse(text, 10, 2, 100).unwrap_err().to_string();
        assert!(parse("sample").contains("workers"));
        let wanted = "participation: workers is at most n; got workers = 11, n = 10";
        assert_eq!(parse("sample workers=11"), wanted);
        assert!(parse("sample workers=4 f=3").contains("at most that of all"));
        assert_eq!(Participation::parse("all", 10, 2, 100), Ok(None));
    }
}
