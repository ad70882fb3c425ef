//! Which workers take part in a round: all, a sample of them drawn anew each round, or each by a
//! coin of its own.
//!
//! How many of a sample are hostile is chance. The number that the rule reckons with is given, or
//! the least for which the chance that any round of the run holds more is at most a given risk
//! (Allouah et al. 2024, Byzantine-Robust Federated Learning: Impact of Client Subsampling and
//! Local Updates, arXiv 2402.12780, Lemma 1, by the exact tail instead of its bound).

use varangian_base::{Domain, Kind, Param, Seed, SpecError, spec};

/// Some of the workers a round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Participation {
    /// Who takes part.
    pub who: Who,
    /// Hostile workers that the rule reckons with: in a sample; or, where `who` is by chance or the
    /// server caches, among all workers.
    pub f: usize,
    /// Whether the rule combines the last messages of those who do not take part too, as delayed
    /// momentum aggregation does (DeMoA; Otsuka, Yamada & Takezawa 2026, arXiv 2509.02970).
    pub caches: bool,
}

/// How those are drawn that take part in a round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Who {
    /// So many, without replacement.
    Sample(usize),
    /// Each with this chance, independently.
    Chance(f64),
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
    CACHE,
];

const CACHE: Param = Param {
    name: "cache",
    kind: Kind::Flag,
    default: "false",
    help: "whether the rule combines the last messages of the other workers too, with f of all n",
};

const CHANCE: &[Param] = &[
    Param {
        name: "p",
        kind: Kind::Real { min: 1e-9, max: 1.0 },
        default: "0.1",
        help: "the chance of a worker to take part; of m the rule takes ⌈m·f/n⌉ to be hostile",
    },
    CACHE,
];

impl Participation {
    /// The names.
    pub const NAMES: &'static [&'static str] = &["all", "sample", "chance"];

    /// The parameters of `name`, none where it is unknown.
    pub fn params(name: &str) -> &'static [Param] {
        match name {
            "sample" => SAMPLE,
            "chance" => CHANCE,
            _ => &[],
        }
    }

    /// So many workers a round, of which f are taken to be hostile.
    pub fn of(workers: usize, f: usize) -> Self {
        Participation { who: Who::Sample(workers), f, caches: false }
    }

    /// Reads `all`, which is `None`, `sample workers=8 f=2` or `chance p=0.1 cache=true` for a run
    /// of `steps` rounds of n workers of which f are declared hostile.
    ///
    /// # Errors
    /// If the name or a parameter is unknown or out of range.
    pub fn parse(text: &str, n: usize, f: usize, steps: u64) -> Result<Option<Self>, SpecError> {
        let spec = spec::parse(text)?;
        match spec.name.as_str() {
            "all" => return spec.args(&[]).map(|_| None),
            "chance" => {
                let args = spec.args(CHANCE)?;
                let p = args.real("p").expect("has a default");
                let caches = args.flag("cache");
                return Ok(Some(Participation { who: Who::Chance(p), f, caches }));
            }
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
        if args.flag("cache") {
            if args.count("f").is_some_and(|given| given != f) {
                return Err(SpecError::new(format!(
                    "participation: with cache=true the rule combines all n workers, of whom f = \
                     {f} are hostile; leave out f=…"
                )));
            }
            return Ok(Some(Participation { who: Who::Sample(workers), f, caches: true }));
        }
        let risk = args.real("risk").expect("has a default");
        let reckoned = args.count("f").unwrap_or_else(|| least(n, f, workers, risk / steps as f64));
        if reckoned > f.min(workers) {
            return Err(SpecError::new(format!(
                "participation: f is at most that of all workers and of the sample; got f = \
                 {reckoned} in a sample of {workers}, f = {f} of all"
            )));
        }
        Ok(Some(Participation::of(workers, reckoned)))
    }

    /// How many of n workers take part in a round; by chance, on average.
    pub fn workers(&self, n: usize) -> f64 {
        match self.who {
            Who::Sample(workers) => workers as f64,
            Who::Chance(p) => p * n as f64,
        }
    }

    /// How many rows a round has at most and with how many hostile ones the rule reckons then.
    pub fn round(&self, n: usize) -> (usize, usize) {
        match self.who {
            Who::Sample(workers) if !self.caches => (workers, self.f),
            _ => (n, self.f),
        }
    }

    /// With how many hostile rows the rule reckons in a round in which `drawn` of n workers take
    /// part.
    pub fn reckoned(&self, n: usize, drawn: usize) -> usize {
        match self.who {
            Who::Chance(_) if !self.caches => (drawn * self.f).div_ceil(n.max(1)),
            _ => self.f,
        }
    }

    /// The workers of round `step`, ascending: a function of the seed and the step alone. By chance
    /// there may be none.
    pub fn draw(&self, n: usize, seed: Seed, step: u64) -> Vec<u32> {
        let mut stream = seed.stream(Domain::Participation, 0, step);
        match self.who {
            Who::Sample(workers) => {
                let mut order = stream.permutation(n);
                order.truncate(workers);
                order.sort_unstable();
                order
            }
            Who::Chance(p) => (0..n as u32).filter(|_| stream.coin(p)).collect(),
        }
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
        assert_eq!(auto, Participation::of(5, 4));
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
        let sample = Participation::of(3, 0);
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
    fn coins_draw_each_worker_as_often_as_they_say_and_the_rule_reckons_with_its_share() {
        let chance = Participation::parse("chance p=0.1", 50, 10, 1).unwrap().unwrap();
        assert_eq!((chance.round(50), chance.workers(50)), ((50, 10), 5.0));
        assert_eq!([0, 1, 5, 6, 50].map(|m| chance.reckoned(50, m)), [0, 1, 1, 2, 10]);
        let drawn: Vec<usize> =
            (0..2000).map(|step| chance.draw(50, Seed(1), step).len()).collect();
        let mean = drawn.iter().sum::<usize>() as f64 / 2000.0;
        let square = drawn.iter().map(|&m| (m as f64 - mean).powi(2)).sum::<f64>() / 2000.0;
        assert!((mean - 5.0).abs() < 0.2 && (square - 4.5).abs() < 0.5, "{mean} {square}");
        let all = Participation::parse("chance p=0.1 cache=true", 50, 10, 1).unwrap().unwrap();
        assert_eq!((all.round(50), all.reckoned(50, 3)), ((50, 10), 10));
        let all = Participation::parse("sample workers=5 cache=true", 50, 10, 1).unwrap().unwrap();
        assert_eq!((all.round(50), all.draw(50, Seed(1), 0).len()), ((50, 10), 5));
        let error = Participation::parse("sample workers=5 f=2 cache=true", 50, 10, 1);
        assert!(error.unwrap_err().to_string().contains("leave out f="));
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
