//! The search for a factor: how far along a direction does the rule follow?

use crate::trial::Trial;
use crate::{Sees, View};
use varangian_base::spec::Args;
use varangian_base::{Kind, Param, SpecError};

/// The parameter that says whether to search.
pub(crate) const SEARCH: Param = Param {
    name: "search",
    kind: Kind::Choice(&["off", "on", "reference", "byzfl"]),
    default: "off",
    help: "try factors on the rule and send the one that moves it farthest from the honest mean: on tries both signs; reference is the one-sided line search of distributed-momentum's code, byzfl that of ByzFL's optimal attacks",
};

/// The parameter that says how often to ask the rule.
pub(crate) const EVALUATIONS: Param = Param {
    name: "evaluations",
    kind: Kind::Count { min: 1, max: 100_000 },
    default: "auto",
    help: "the number of trial aggregations of a search; auto is 16 (search=byzfl: 20)",
};

/// Whether and how a factor is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Search {
    Off,
    On(usize),
    Reference(usize),
    Byzfl(usize),
}

impl Search {
    /// As the parameters say; a search and a given `factor` exclude each other.
    pub(crate) fn of(args: &Args, factor: &str) -> Result<Self, SpecError> {
        let given = args.count("evaluations");
        let search = match args.text("search") {
            "on" => Search::On(given.unwrap_or(16)),
            "reference" => Search::Reference(given.unwrap_or(16)),
            "byzfl" => Search::Byzfl(given.unwrap_or(20)),
            _ => Search::Off,
        };
        if search == Search::Off && args.is_given("evaluations") {
            return Err(SpecError::new("evaluations needs a search: search=on"));
        }
        if search != Search::Off && args.is_given(factor) {
            let why =
                format!("{factor} is what a search looks for; give {factor} or search, not both");
            return Err(SpecError::new(why));
        }
        Ok(search)
    }

    pub(crate) fn sees(self) -> Sees {
        Sees { rule: self != Search::Off, ..Sees::NOTHING }
    }

    /// The factor x ≥ 0 (of either sign for `On`) that moves the rule farthest from the honest mean
    /// when all hostile workers send what `write(x, row)` writes.
    pub(crate) fn run(
        self,
        view: &mut View<'_>,
        trial: &mut Trial,
        write: impl Fn(f64, &mut [f32]),
    ) -> f64 {
        trial.begin(view);
        let mut harm = |x: f64| {
            trial.colluders(|row| write(x, row));
            trial.distance2(view.probe)
        };
        match self {
            Search::Off => 0.0,
            Search::On(evaluations) => both_signs(&mut harm, evaluations),
            Search::Reference(evaluations) => one_sided(&mut harm, evaluations),
            Search::Byzfl(evaluations) => forwards(&mut harm, evaluations),
        }
    }
}

/// The line search of distributed-momentum's code: start 0, step 1, expansion by 2 while strictly
/// better, then contraction by 0.8. NaN never improves.
pub(crate) fn one_sided(harm: &mut dyn FnMut(f64) -> f64, evaluations: usize) -> f64 {
    let (mut best, mut best_harm, mut step) = (0.0, harm(0.0), 1.0);
    let mut left = evaluations - 1;
    let mut x = best;
    while left > 0 {
        x = best + step;
        left -= 1;
        let found = harm(x);
        if found > best_harm {
            (best, best_harm, step) = (x, found, step * 2.0);
        } else {
            step *= 0.8;
            break;
        }
    }
    while left > 0 {
        left -= 1;
        if x < best {
            x += step;
        } else {
            let previous = x;
            x -= step;
            while x < 0.0 {
                x = (x + previous) / 2.0;
            }
        }
        let found = harm(x);
        if found > best_harm {
            (best, best_harm) = (x, found);
        }
        step *= 0.8;
    }
    best
}

/// The line search of ByzFL's code: start 0, step 10, expansion by 2 while strictly better; from
/// then on steps up from the best, each 0.8 of the last. It never looks below the best. NaN never
/// improves.
fn forwards(harm: &mut dyn FnMut(f64) -> f64, evaluations: usize) -> f64 {
    let (mut best, mut best_harm, mut step) = (0.0, harm(0.0), 10.0);
    let mut expanding = true;
    for _ in 1..evaluations {
        let x = best + step;
        let found = harm(x);
        let better = found > best_harm;
        if better {
            (best, best_harm) = (x, found);
        }
        expanding &= better;
        step *= if expanding { 2.0 } else { 0.8 };
    }
    best
}

/// The first points of the search over both signs: a quarter to 8, signs in turn.
const COARSE: [f64; 10] = [1.0, -1.0, 2.0, -2.0, 0.5, -0.5, 4.0, -4.0, 0.25, -0.25];

/// A search over both signs: about half the evaluations on a grid of powers of two, the rest on
/// moves of ever smaller ratio around the best. NaN never improves.
pub(crate) fn both_signs(harm: &mut dyn FnMut(f64) -> f64, evaluations: usize) -> f64 {
    let coarse = COARSE.len().min(evaluations.div_ceil(2));
    let mut best = COARSE[0];
    let mut best_harm = f64::NEG_INFINITY;
    let mut ask = |x: f64, best: &mut f64| {
        let found = harm(x);
        let better = found > best_harm;
        if better {
            (*best, best_harm) = (x, found);
        }
        better
    };
    for &x in &COARSE[..coarse] {
        ask(x, &mut best);
    }
    let mut left = evaluations - coarse;
    let mut ratio = 2.0f64;
    while left > 0 {
        // Upwards in doubling strides while it helps, then one look downwards, then finer.
        left -= 1;
        if ask(best * ratio, &mut best) {
            continue;
        }
        if left == 0 {
            break;
        }
        left -= 1;
        if !ask(best / ratio, &mut best) {
            ratio = ratio.sqrt();
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    type Line = fn(&mut dyn FnMut(f64) -> f64, usize) -> f64;

    /// The points that a line search asks of, and its answer.
    fn trace_of(line: Line, harm: impl Fn(f64) -> f64, evaluations: usize) -> (Vec<f64>, f64) {
        let mut asked = Vec::new();
        let best = line(
            &mut |x| {
                asked.push(x);
                harm(x)
            },
            evaluations,
        );
        (asked, best)
    }

    fn trace(harm: impl Fn(f64) -> f64, evaluations: usize) -> (Vec<f64>, f64) {
        trace_of(one_sided, harm, evaluations)
    }

    fn close(found: &[f64], wanted: &[f64]) {
        for (a, b) in found.iter().zip(wanted) {
            assert!((a - b).abs() <= 1e-12 * b.abs().max(1.0), "{found:?} against {wanted:?}");
        }
    }

    #[test]
    fn the_line_search_has_the_traces_of_the_reference() {
        let (asked, best) = trace(|x| -(x - 5.0) * (x - 5.0), 16);
        close(&asked, &[0.0, 1.0, 3.0, 7.0, 3.8, 1.24, 3.288, 4.9264, 3.61568, 4.664256]);
        close(&[best], &[4.939_402_342_4]);
        let (asked, best) = trace(|x| if x <= 3.3 { x } else { 0.0 }, 16);
        close(&asked, &[0.0, 1.0, 3.0, 7.0, 3.8, 1.24, 3.288, 1.6496, 2.96032, 4.008896]);
        close(&[best], &[3.288]);
        let (asked, best) = trace(|_| 1.0, 16);
        close(&asked, &[0.0, 1.0, 0.2, 0.04, 0.008, 0.0016]);
        assert_eq!(best, 0.0);
        let (asked, best) = trace(|x| x, 16);
        close(&asked, &[0.0, 1.0, 3.0, 7.0, 15.0, 31.0, 63.0, 127.0, 255.0, 511.0]);
        assert_eq!((best, asked.len()), (32767.0, 16));
    }

    #[test]
    fn the_line_search_forwards_has_the_traces_of_byzfl() {
        let check = |harm: fn(f64) -> f64, points: &[f64], answer: f64| {
            let (asked, best) = trace_of(forwards, harm, 20);
            assert_eq!(asked.len(), 20);
            close(&asked, points);
            close(&[best], &[answer]);
        };
        let peak = [0.0, 10.0, 8.0, 14.4, 13.12, 12.096, 11.2768, 10.62144, 10.097152, 9.6777216];
        check(|x| -(x - 5.0) * (x - 5.0), &peak, 8.0);
        let cliff = [0.0, 10.0, 30.0, 70.0, 62.0, 55.6, 50.48, 46.384, 43.1072, 40.48576];
        check(|x| if x <= 33.0 { x } else { 0.0 }, &cliff, 32.748_779_069_44);
        let flat = [0.0, 10.0, 8.0, 6.4, 5.12, 4.096, 3.2768, 2.62144, 2.097152, 1.6777216];
        check(|_| 1.0, &flat, 0.0);
        check(|x| x, &[0.0, 10.0, 30.0, 70.0, 150.0, 310.0, 630.0, 1270.0], 5_242_870.0);
        let nan = [0.0, 10.0, 8.0, 6.4, 5.12, 4.096, 3.2768, 5.89824, 5.373952, 4.9545216];
        check(|x| if x > 4.0 { f64::NAN } else { x }, &nan, 3.963_994_767_36);
        assert_eq!(trace_of(forwards, |x| x, 1), (vec![0.0], 0.0));
    }

    #[test]
    fn not_a_number_never_improves_and_the_budget_is_kept() {
        for evaluations in 1..40 {
            let (asked, best) = trace(|x| if x > 2.0 { f64::NAN } else { x }, evaluations);
            assert_eq!(asked.len(), evaluations);
            assert!(best <= 2.0);
            let mut count = 0;
            both_signs(
                &mut |x| {
                    count += 1;
                    if x > 2.0 { f64::NAN } else { x }
                },
                evaluations,
            );
            assert_eq!(count, evaluations);
        }
    }

    #[test]
    fn both_signs_find_what_one_side_misses() {
        let shapes: [fn(f64) -> f64; 5] = [
            |x| if (-3.3..=0.0).contains(&x) { -x } else { 0.0 },
            |x| if (0.0..=3.3).contains(&x) { x } else { 0.1 },
            |x| if (0.0..=0.7).contains(&x) { x } else { 0.0 },
            |x| if (-6.0..=3.5).contains(&x) { x.abs() } else { 0.0 },
            |x| -(x - 5.0) * (x - 5.0),
        ];
        let mut gained = 0;
        for shape in shapes {
            let one = shape(one_sided(&mut |x| shape(x), 16));
            let both = shape(both_signs(&mut |x| shape(x), 16));
            let peak = (-4000..4000).map(|k| shape(f64::from(k) / 100.0)).fold(f64::MIN, f64::max);
            assert!(both >= 0.9 * peak - 0.1, "{both} of {peak}");
            gained += usize::from(both > one);
        }
        assert!(gained >= 2, "{gained}");
    }
}
