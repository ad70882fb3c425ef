//! How many workers to draw a round so that the hostile ones among them stay below what the rule
//! bears, in all rounds, with a given chance (Allouah, Farhadkhani, Guerraoui, Gupta, Pinot, Rizk &
//! Voitovych 2024, Byzantine-Robust Federated Learning: Impact of Client Subsampling and Local
//! Updates, arXiv 2402.12780, Lemma 1 and the choice of n̂ and b̂ after it).
//!
//! Of n̂ workers drawn from n without replacement, b of the n hostile, the number of hostile ones
//! is hypergeometric. A sample is bearable if b̂ < n̂/2 hostile ones are reckoned with and more
//! come in any of T rounds with a chance of at most p: by the union over rounds T·P[H > b̂] ≤ p,
//! exactly 1 − (1 − P[H > b̂])^T ≤ p as rounds are drawn independently.
//!
//! *Differs:* the paper bounds the tail by exponentials in the relative entropy D(½, b/n), as
//! remembered; that bound follows from Hoeffding 1963, Theorem 4, and stands beside the exact tail.

use super::Sheet;
use varangian_base::SpecError;

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Numbers {
    /// n, all workers.
    pub workers: u64,
    /// b, the hostile ones among them: one table a number.
    pub hostile: Vec<u64>,
    /// T ≥ 1, rounds.
    pub rounds: u64,
    /// p in (0, 1): the chance that some round holds more hostile ones than are reckoned with.
    pub risk: f64,
    /// Sizes of samples to look at; empty: some from the least to n.
    pub samples: Vec<u64>,
}

/// The most workers: the least sample is found in up to n·b steps.
const MOST: u64 = 20_000;

/// The hypergeometric tails of samples from n workers of whom b are hostile. Cost O(n) to make, and
/// O(b) a tail.
pub struct Tails {
    n: usize,
    b: usize,
    /// ln k! for k up to n.
    ln: Vec<f64>,
}

impl Tails {
    /// Of n workers, b of them hostile.
    ///
    /// # Panics
    /// If b > n.
    pub fn new(n: usize, b: usize) -> Self {
        assert!(b <= n, "{b} of {n}");
        let mut ln = vec![0.0; n + 1];
        for k in 1..=n {
            ln[k] = ln[k - 1] + (k as f64).ln();
        }
        Tails { n, b, ln }
    }

    /// The chance that of `drawn` workers exactly h are hostile.
    pub fn chance(&self, drawn: usize, h: usize) -> f64 {
        let Tails { n, b, .. } = *self;
        if h > b || h > drawn || drawn - h > n - b {
            return 0.0;
        }
        let choose = |n: usize, k: usize| self.ln[n] - self.ln[k] - self.ln[n - k];
        (choose(b, h) + choose(n - b, drawn - h) - choose(n, drawn)).exp()
    }

    /// The chance that of `drawn` workers more than `reckoned` are hostile.
    pub fn above(&self, drawn: usize, reckoned: usize) -> f64 {
        // From the small terms up.
        (reckoned + 1..=self.b.min(drawn)).rev().map(|h| self.chance(drawn, h)).sum()
    }

    /// The least b̂ such that more come in any of `rounds` with a chance of at most `risk`.
    pub fn reckoned(&self, drawn: usize, rounds: u64, risk: f64) -> usize {
        let mut tail = 0.0;
        for h in (0..=self.b.min(drawn)).rev() {
            tail += self.chance(drawn, h);
            if ever(tail, rounds) > risk {
                return h;
            }
        }
        0
    }

    /// The least sample whose b̂ is below its half, if there is one: n̂ and b̂. Cost O(n̂·b).
    pub fn least(&self, rounds: u64, risk: f64) -> Option<(usize, usize)> {
        let all = (1..=self.n).map(|drawn| (drawn, self.reckoned(drawn, rounds, risk)));
        all.into_iter().find(|&(drawn, reckoned)| 2 * reckoned < drawn)
    }
}

/// The chance that what happens with this chance in a round happens in any of them.
fn ever(chance: f64, rounds: u64) -> f64 {
    (-(rounds as f64 * (-chance.min(1.0)).ln_1p()).exp_m1()).max(0.0) + 0.0
}

/// D(½, β), the relative entropy of fair coins to coins that fall with chance β.
fn entropy(beta: f64) -> f64 {
    0.5 * (0.5 / beta).ln() + 0.5 * (0.5 / (1.0 - beta)).ln()
}

impl Numbers {
    /// The tables.
    ///
    /// # Errors
    /// If a number is out of its range.
    pub fn tables(&self) -> Result<Sheet, SpecError> {
        let Numbers { workers, rounds, risk, .. } = *self;
        let demand = |holds: bool, condition: &str, found: &dyn std::fmt::Display| match holds {
            true => Ok(()),
            false => {
                let text = format!("the size of samples needs {condition}; got {found}");
                Err(SpecError::new(text))
            }
        };
        demand((1..=MOST).contains(&workers), "1 to 20000 workers", &workers)?;
        demand(rounds >= 1, "a round", &rounds)?;
        demand(risk > 0.0 && risk < 1.0, "a risk between 0 and 1", &risk)?;
        for &b in &self.hostile {
            demand(2 * b < workers, "fewer than half of the workers to be hostile", &b)?;
        }
        for &drawn in &self.samples {
            demand((1..=workers).contains(&drawn), "samples of 1 to all workers", &drawn)?;
        }
        let between = |sheet: Sheet, k: usize| if k == 0 { sheet } else { sheet.words("\n") };
        let all = self.hostile.iter().enumerate();
        Ok(all.fold(Sheet::default(), |sheet, (k, &b)| between(sheet, k).and(self.table(b))))
    }

    fn table(&self, b: u64) -> Sheet {
        let Numbers { workers, rounds, risk, .. } = *self;
        let tails = Tails::new(workers as usize, b as usize);
        let least = tails.least(rounds, risk);
        let head = match least {
            Some((drawn, reckoned)) => format!(
                "n = {workers}, b = {b}: the least sample is n̂ = {drawn} with b̂ = {reckoned}: more \
                 come in any of {rounds} rounds with a chance of {:.2e}",
                ever(tails.above(drawn, reckoned), rounds)
            ),
            None => format!("n = {workers}, b = {b}: no sample is enough"),
        };
        let bound = match b {
            0 => 1,
            b => {
                let needed = (rounds as f64 / risk).ln() / entropy(b as f64 / workers as f64);
                (needed.ceil() as u64).min(workers)
            }
        };
        let mut drawn = match self.samples.is_empty() {
            true => some(least.map_or(1, |(least, _)| least as u64), workers),
            false => self.samples.clone(),
        };
        drawn.sort_unstable();
        drawn.dedup();
        let row = |&drawn: &u64| {
            let reckoned = tails.reckoned(drawn as usize, rounds, risk);
            let chance = ever(tails.above(drawn as usize, reckoned), rounds);
            let half = (drawn as usize).div_ceil(2).saturating_sub(1);
            let lost = ever(tails.above(drawn as usize, half), rounds);
            let borne = if 2 * reckoned < drawn as usize { "yes" } else { "no" };
            let numbers = [format!("{chance:.2e}"), format!("{lost:.2e}")];
            let [chance, lost] = numbers;
            vec![drawn.to_string(), reckoned.to_string(), chance, lost, borne.to_owned()]
        };
        let rows: Vec<Vec<String>> = drawn.iter().map(row).collect();
        let columns =
            ["n̂", "b̂", "a round with more than b̂", "a round with half or more", "b̂ < n̂/2"];
        Sheet::default().words(format!("{head}; Hoeffding's bound asks for {bound}\n\n")).table(
            format!("b = {b}"),
            &columns,
            rows,
            &[true, true, true, true, false],
        )
    }
}

/// Sizes to look at: some below the least, it, and about twice as many each.
fn some(least: u64, workers: u64) -> Vec<u64> {
    let mut out = vec![(least / 2).max(1), (3 * least / 4).max(1), least, workers];
    let mut next = 2 * least;
    while next < workers {
        out.push(next);
        next *= 2;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By looking at every sample: how many have more than `reckoned` hostile ones, of how many.
    fn counted(n: usize, b: usize, drawn: usize, reckoned: usize) -> (u64, u64) {
        let (mut above, mut all) = (0, 0);
        for set in 0u32..1 << n {
            if set.count_ones() as usize == drawn {
                all += 1;
                above += u64::from((set & ((1 << b) - 1)).count_ones() as usize > reckoned);
            }
        }
        (above, all)
    }

    #[test]
    fn tails_are_those_counted_over_every_sample() {
        for n in [1, 5, 9, 13] {
            for b in 0..=n / 2 {
                let tails = Tails::new(n, b);
                for drawn in 1..=n {
                    for reckoned in 0..=drawn {
                        let (above, all) = counted(n, b, drawn, reckoned);
                        let wanted = above as f64 / all as f64;
                        let found = tails.above(drawn, reckoned);
                        assert!((found - wanted).abs() < 1e-12, "{n} {b} {drawn} {reckoned}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_least_sample_is_the_first_that_is_borne() {
        let (n, b, rounds, risk) = (13, 3, 20, 0.2);
        let tails = Tails::new(n, b);
        let borne = |drawn: usize| {
            (0..drawn.div_ceil(2)).any(|reckoned| {
                let (above, all) = counted(n, b, drawn, reckoned);
                1.0 - (1.0 - above as f64 / all as f64).powi(rounds as i32) <= risk
            })
        };
        let wanted = (1..=n).find(|&drawn| borne(drawn)).unwrap();
        assert_eq!(tails.least(rounds, risk).unwrap().0, wanted);
        assert!(wanted > 3 && wanted < n, "{wanted}");
        // What a run reckons with by itself is the same, by the union over its rounds.
        let spelt = format!("sample workers={wanted} risk={risk}");
        let run = varangian_train::Participation::parse(&spelt, n, b, rounds).unwrap().unwrap();
        assert_eq!(run.f, tails.least(rounds, risk).unwrap().1);
    }

    #[test]
    fn hoeffding_asks_for_no_fewer_and_odd_numbers_are_refused() {
        for (n, b) in [(100, 10), (1000, 200), (50, 20)] {
            let tails = Tails::new(n, b);
            for rounds in [1, 500] {
                let least = tails.least(rounds, 0.01).unwrap().0;
                let needed = (rounds as f64 / 0.01).ln() / entropy(b as f64 / n as f64);
                assert!(least as f64 <= needed.ceil().min(n as f64), "{n} {b}: {least} {needed}");
            }
        }
        let ask = |hostile: u64, risk: f64, samples: Vec<u64>| {
            let hostile = vec![hostile];
            Numbers { workers: 40, hostile, rounds: 100, risk, samples }.tables()
        };
        assert!(ask(10, 0.01, vec![]).unwrap().text().contains("the least sample is n̂ = "));
        assert!(ask(0, 0.01, vec![3]).unwrap().text().contains("n̂ = 1 with b̂ = 0"));
        for (hostile, risk, samples, why) in [
            (20, 0.01, vec![], "fewer than half of the workers to be hostile; got 20"),
            (1, 1.0, vec![], "a risk between 0 and 1; got 1"),
            (1, 0.1, vec![41], "samples of 1 to all workers; got 41"),
        ] {
            let error = ask(hostile, risk, samples).unwrap_err().to_string();
            assert!(error.ends_with(why), "{error}");
        }
    }
}
