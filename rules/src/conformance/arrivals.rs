//! What every filter is held to: arrivals of all sizes, from every worker, at every age.

use super::families::FAMILIES;
use super::{Knows, truth};
use crate::{Arrival, Decision, Filter, FilterFacts, Oracle};
use varangian_base::{Matrix, Report, Seed};

type Outcome = Result<(), String>;
type Make<'a> = &'a dyn Fn() -> Box<dyn Filter>;

/// Workers of the trials, how many of them are declared hostile, and coordinates.
const SHAPE: (usize, usize, usize) = (9, 1, 5);

/// Tries the filter that `make` makes, afresh for each trial, with 9 workers of which 1 is declared
/// hostile: what it steps along is finite whatever arrives, the same arrivals get the same
/// decisions and bits, and a fork or a filter that loads what was saved goes on alike. A panic is a
/// failure of that check.
///
/// ```
/// use varangian_rules::{FILTERS, build_filter, conformance};
/// let facts = &FILTERS[0].facts;
/// let report = conformance::check_filter(|| build_filter("async-sgd", 9, 1).unwrap(), facts);
/// assert!(report.passed(), "{report}");
/// ```
///
/// Cost: some thousand arrivals of five coordinates.
pub fn check_filter(make: impl Fn() -> Box<dyn Filter>, facts: &FilterFacts) -> Report {
    let make: Make<'_> = &make;
    let mut report = Report::default();
    report.run("finite", || finite(make));
    report.run("again", || again(make));
    report.run("memory", || memory(make, facts.has_memory));
    report
}

/// What becomes of the t-th arrival of a sequence, and what is stepped along, in bits.
type Judged = (Decision, Vec<u32>);

/// Offers the t-th row of `rows`; a step must be finite.
fn offer(filter: &mut dyn Filter, rows: &Matrix, t: usize) -> Result<Judged, String> {
    let (n, f, d) = SHAPE;
    let (now, worker) = (3 + t as u64, (t * 5 % n) as u32);
    let params: Vec<f32> = (0..d).map(|k| 1.0 / (t + k + 1) as f32).collect();
    let stale: Vec<f32> = params.iter().map(|x| x + 0.125).collect();
    let (mut out, mut oracle) = (vec![f32::NAN; d], Knows(truth));
    let mut arrival = Arrival {
        gradient: rows.row(t % rows.n()),
        worker,
        version: now - (t % 4) as u64,
        now,
        params: &params,
        // A model that is too old is no longer kept.
        stale: (t % 7 != 6).then_some(&stale),
        learning_rate: 0.1,
        n,
        f,
        oracle: Some(&mut oracle as &mut dyn Oracle),
        seed: Seed(1),
    };
    let decision = filter.offer(&mut arrival, &mut out);
    if decision != Decision::Step {
        return Ok((decision, Vec::new()));
    }
    match out.iter().position(|x| !x.is_finite()) {
        None => Ok((decision, out.iter().map(|x| x.to_bits()).collect())),
        Some(k) => Err(format!("arrival {t}: it steps along {} at coordinate {k}", out[k])),
    }
}

fn finite(make: Make<'_>) -> Outcome {
    for (name, family) in FAMILIES {
        let (rows, mut filter) = (family(20, SHAPE.2, 3), make());
        for t in 0..60 {
            offer(filter.as_mut(), &rows, t).map_err(|what| format!("{name}: {what}"))?;
        }
    }
    Ok(())
}

fn again(make: Make<'_>) -> Outcome {
    let rows = FAMILIES[0].1(40, SHAPE.2, 5);
    let (mut one, mut other) = (make(), make());
    for t in 0..80 {
        if offer(one.as_mut(), &rows, t)? != offer(other.as_mut(), &rows, t)? {
            return Err(format!("the same arrivals get other answers at arrival {t}"));
        }
    }
    Ok(())
}

fn memory(make: Make<'_>, remembers: bool) -> Outcome {
    let rows = FAMILIES[0].1(40, SHAPE.2, 7);
    let mut first = make();
    for t in 0..40 {
        offer(first.as_mut(), &rows, t)?;
    }
    let saved = first.save();
    if saved.values.is_empty() == remembers {
        let facts = if remembers { "has memory" } else { "has no memory" };
        let found = saved.values.len();
        return Err(format!("its facts say that it {facts}; it saves {found} values"));
    }
    let (mut fork, mut loaded) = (first.fork(), make());
    loaded.load(&saved).map_err(|error| error.to_string())?;
    for t in 40..80 {
        let judged = offer(first.as_mut(), &rows, t)?;
        for (who, other) in [("a fork", &mut fork), ("what was saved", &mut loaded)] {
            if offer(other.as_mut(), &rows, t)? != judged {
                return Err(format!("{who} goes on otherwise at arrival {t}"));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bound, FILTERS, build_filter};

    #[test]
    fn every_filter_holds_to_the_suite() {
        for entry in FILTERS {
            let make = || build_filter(entry.name, SHAPE.0, SHAPE.1).unwrap();
            let report = check_filter(make, &entry.facts);
            assert!(report.passed(), "{}: {report}", entry.name);
        }
    }

    /// Steps along the square of what came, counts, and saves nothing.
    struct Faulty(f32);

    impl Filter for Faulty {
        fn offer(&mut self, arrival: &mut Arrival<'_>, out: &mut [f32]) -> Decision {
            self.0 += 1.0;
            let square = |(out, x): (&mut f32, &f32)| *out = self.0 * x * x;
            out.iter_mut().zip(arrival.gradient).for_each(square);
            Decision::Step
        }

        fn fork(&self) -> Box<dyn Filter> {
            Box::new(Faulty(self.0))
        }
    }

    #[test]
    fn faults_are_found_by_their_checks() {
        let bound = Bound::ANY;
        let facts =
            FilterFacts { bound, needs_oracle: false, needs_stale: false, has_memory: false };
        let report = check_filter(|| Box::new(Faulty(0.0)), &facts);
        let failed: Vec<&str> = report.failures.iter().map(|failure| failure.check).collect();
        assert_eq!(failed, ["finite", "memory"], "{report}");
    }
}
