//! The checks of [`check`], each a function of how the rule is made.

mod claims;

#[cfg(test)]
pub(super) use claims::ignores_ties;

use super::families::{FAMILIES, random, ties};
use super::{Knows, draws, truth, wide};
use crate::{Claims, Pipeline, Round, Verdict, exact};
use varangian_base::{Matrix, Report, Rows, Seed};

type Outcome = Result<(), String>;

/// A rule under test: how a fresh one is made, and what it says of itself.
pub(super) struct Subject<'a> {
    pub(super) make: &'a dyn Fn() -> Pipeline,
    pub(super) claims: Claims,
}

/// Tries the rule that `make` makes, afresh for each trial: bounds, finite answers on hostile rows,
/// the same bits at any number of threads, forks and saved memory, the verdict's weights, the exact
/// path where there is one, and each claim of its entry. A panic is a failure of that check.
///
/// Cost: some ten thousand aggregations of a few rows, and three of 9 rows of 40,000.
pub fn check(make: impl Fn() -> Pipeline) -> Report {
    let mut report = Report::default();
    let made = make();
    let alone = made.entries().len() == 1;
    let spec = varangian_base::spec::parse(made.spec()).ok().filter(|_| alone);
    let chosen = spec.map_or_else(Vec::new, |spec| {
        spec.pairs.iter().map(|(name, value)| format!("{name}={value}")).collect()
    });
    let claims = if alone { made.entry().facts.claims_with(&chosen) } else { Claims::NONE };
    let subject = Subject { make: &make, claims };
    for (name, applies, check) in CHECKS {
        if !applies(&subject) {
            continue;
        }
        report.run(name, || check(&subject));
    }
    report
}

type Applies = fn(&Subject<'_>) -> bool;
type Check = fn(&Subject<'_>) -> Outcome;

const ALWAYS: Applies = |_| true;

/// Every check by name, and whether it applies.
const CHECKS: &[(&str, Applies, Check)] = &[
    ("bound", ALWAYS, bound),
    ("finite", ALWAYS, finite),
    ("threads", ALWAYS, threads),
    ("memory", ALWAYS, memory),
    ("weights", |s| s.all(|entry| entry.facts.weights), weights),
    ("exact path", |s| s.has_exact(), exact_path),
    ("permutation", |s| s.claims.permutation, claims::permutation),
    ("ties", |s| s.claims.permutation && !s.claims.ties, claims::tied),
    ("translation", |s| s.claims.translation, claims::translation),
    ("scale", |s| s.claims.scale, claims::scale),
    ("rotation", |s| s.claims.rotation, claims::rotation),
    ("coordinate-wise", |s| s.claims.coordinate_wise, claims::coordinate_wise),
    ("honest box", |s| s.claims.honest_box, claims::honest_box),
    ("bounded", |s| s.claims.bounded, claims::bounded),
    ("majority", |s| s.claims.majority, claims::majority),
];

/// Coordinates of the rows of most checks.
const D: usize = 6;

impl Subject<'_> {
    fn all(&self, holds: impl Fn(&crate::RuleEntry) -> bool) -> bool {
        (self.make)().entries().iter().all(|entry| holds(entry))
    }

    fn has_exact(&self) -> bool {
        let Ok(shapes) = self.shapes() else { return false };
        let (n, f) = shapes[0];
        self.exactly(&wide(random(n, 2, 1).rows()), f).is_ok()
    }

    /// (n, f) at the bound and above it.
    fn shapes(&self) -> Result<Vec<(usize, usize)>, String> {
        let rule = (self.make)();
        let mut shapes = Vec::new();
        for f in [0, 1, 2] {
            let none = || format!("no n below 1000 suffices at f = {f}");
            let least = rule.least(f).ok_or_else(none)?;
            shapes.extend([(least, f), (least + 4, f)]);
        }
        // Somebody is honest.
        shapes.retain(|&(n, f)| n > f && rule.fits(n, f).is_ok());
        match shapes.is_empty() {
            true => Err("its parameters fit no n near the bound at f = 0, 1, 2".into()),
            false => Ok(shapes),
        }
    }

    /// A fresh rule's answer to one round.
    fn answer(&self, rows: Rows<'_>, f: usize) -> Result<Vec<f32>, String> {
        Ok(again(&mut (self.make)(), rows, f)?.0)
    }

    fn exactly(&self, rows: &[Vec<f64>], f: usize) -> Result<Vec<f64>, String> {
        let ids: Vec<u32> = (0..rows.len() as u32).collect();
        let round =
            exact::Round { rows, ids: &ids, f, weights: None, step: 0, seed: Seed(0), stage: 0 };
        let answer = (self.make)().exact(&round, &mut Verdict::default());
        answer.map_err(|error| error.to_string())
    }

    /// `trial` at every shape.
    fn each(&self, trial: impl Fn(usize, usize) -> Outcome) -> Outcome {
        let at = |(n, f)| trial(n, f).map_err(|what| format!("n = {n}, f = {f}: {what}"));
        self.shapes()?.into_iter().try_for_each(at)
    }
}

/// One more round with the same rule; every coordinate must be written and finite.
fn again(rule: &mut Pipeline, rows: Rows<'_>, f: usize) -> Result<(Vec<f32>, Verdict), String> {
    let (mut out, mut verdict) = (vec![f32::NAN; rows.d()], Verdict::default());
    let mut oracle = Knows(truth);
    let params = vec![0.0; rows.d()];
    let round = Round { params: &params, oracle: Some(&mut oracle), ..Round::of(rows, f) };
    rule.aggregate(&mut { round }, &mut out, &mut verdict);
    match out.iter().position(|x| !x.is_finite()) {
        Some(k) => Err(format!("coordinate {k} of the answer is {}", out[k])),
        None => Ok((out, verdict)),
    }
}

fn near(found: &[f32], expected: &[f64], tolerance: f64) -> Outcome {
    let off = |(x, y): (&f32, &f64)| (f64::from(*x) - y).abs() > tolerance;
    match found.iter().zip(expected).any(off) {
        true => Err(format!("the answer is {found:?}; it should be {expected:?}")),
        false => Ok(()),
    }
}

fn doubles(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

fn map(matrix: &Matrix, entry: impl Fn(usize, usize, f64) -> f64) -> Matrix {
    let mut result = matrix.clone();
    for i in 0..matrix.n() {
        for k in 0..matrix.d() {
            result.row_mut(i)[k] = entry(i, k, f64::from(matrix.row(i)[k])) as f32;
        }
    }
    result
}

fn bound(subject: &Subject<'_>) -> Outcome {
    let rule = (subject.make)();
    if rule.check(0, 0).is_ok() {
        return Err("no rows are taken; at least one is needed".into());
    }
    for f in 0..4 {
        let Some(least) = rule.least(f) else {
            return Err(format!("no n below 1000 suffices at f = {f}"));
        };
        if let Some(n) = (least..least + 8).find(|&n| rule.check(n, f).is_err()) {
            return Err(format!("n = {least} suffices at f = {f}, and n = {n} does not"));
        }
    }
    Ok(())
}

fn finite(subject: &Subject<'_>) -> Outcome {
    subject.each(|n, f| {
        for (lane, (family, generate)) in FAMILIES.iter().enumerate() {
            for d in [1, 2, 17] {
                let rows = generate(n, d, (100 * lane + n + d) as u64);
                let at = |what| format!("on {family} rows of {d}: {what}");
                subject.answer(rows.rows(), f).map_err(at)?;
            }
        }
        for kind in 0..KINDS {
            let rows = hostile(&random(n - f, D, n as u64), f, kind);
            let at = |what| format!("beside honest rows, {}: {what}", SENDS[kind]);
            subject.answer(rows.rows(), f).map_err(at)?;
        }
        Ok(())
    })
}

fn threads(subject: &Subject<'_>) -> Outcome {
    let (n, f) = *subject.shapes()?.last().expect("there are shapes");
    let matrix = random(n, 40_000, 5); // three blocks
    let bits = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = pool.map_err(|error| format!("cannot start threads: {error}"))?;
        let mut rule = (subject.make)();
        let (out, verdict) = pool.install(|| again(&mut rule, matrix.rows(), f))?;
        let out: Vec<u32> = out.iter().map(|x| x.to_bits()).collect();
        Ok::<_, String>((out, verdict.weights.iter().map(|w| w.to_bits()).collect::<Vec<_>>()))
    };
    let one = bits(1)?;
    match one == bits(2)? && one == bits(8)? {
        true => Ok(()),
        false => Err("1, 2 and 8 threads give different bits".into()),
    }
}

fn memory(subject: &Subject<'_>) -> Outcome {
    let shapes = subject.shapes()?;
    let &(n, f) = shapes.iter().rfind(|(_, f)| *f == 1).unwrap_or(&shapes[0]);
    let (a, b, c) = (random(n, 5, 1), ties(n, 5, 2), random(n, 5, 3));
    let (mut control, mut forked) = ((subject.make)(), (subject.make)());
    again(&mut control, a.rows(), f)?;
    again(&mut forked, a.rows(), f)?;
    let mut fork = forked.fork();
    again(&mut fork, b.rows(), f)?;
    again(&mut fork, b.rows(), f)?;
    let mut restored = (subject.make)();
    restored.load(&control.save()).map_err(|error| error.to_string())?;
    let expected = again(&mut control, c.rows(), f)?.0;
    if again(&mut forked, c.rows(), f)?.0 != expected {
        return Err("rounds of a fork change the answers of the rule that was forked".into());
    }
    if again(&mut restored, c.rows(), f)?.0 != expected || restored.save() != control.save() {
        return Err("what save returned and load took does not give the same answers".into());
    }
    Ok(())
}

fn weights(subject: &Subject<'_>) -> Outcome {
    subject.each(|n, f| {
        let matrix = random(n, D, 4);
        let (out, verdict) = again(&mut (subject.make)(), matrix.rows(), f)?;
        if verdict.weights.len() != n {
            return Err(format!("{} weights are told of {n} rows", verdict.weights.len()));
        }
        // What is missing to 1 is the weight of something else, such as where the rule began.
        if (verdict.weights.iter().sum::<f64>() - 1.0).abs() > 1e-6 {
            return Ok(());
        }
        let rows = || verdict.weights.iter().enumerate();
        let sum = |k| rows().map(|(i, w)| w * f64::from(matrix.row(i)[k])).sum::<f64>();
        near(&out, &(0..D).map(sum).collect::<Vec<_>>(), 1e-5)
    })
}

/// As far as rounding lets them; ties that rounding decides are left out.
fn exact_path(subject: &Subject<'_>) -> Outcome {
    subject.each(|n, f| {
        for lane in 0..4 {
            let rows = random(n, D, lane);
            let expected = subject.exactly(&wide(rows.rows()), f)?;
            near(&subject.answer(rows.rows(), f)?, &expected, 1e-5)?;
        }
        Ok(())
    })
}

/// What hostile rows hold, by kind.
const SENDS: [&str; KINDS] = [
    "normal numbers times 1e20",
    "3e38",
    "the largest floats of either sign",
    "a million away from the honest mean",
    "one coordinate up to 1e20",
    "minus four times the honest mean",
    "the honest mean plus 2",
    "zeros",
    "copies of honest rows",
];

/// The kinds of hostile rows.
const KINDS: usize = 9;

/// f rows of a kind before the honest ones.
fn hostile(honest: &Matrix, f: usize, kind: usize) -> Matrix {
    let (h, d) = (honest.n(), honest.d());
    let mut draws = draws(kind as u64 + 50);
    let centre: Vec<f32> =
        (0..d).map(|k| (0..h).map(|i| honest.row(i)[k]).sum::<f32>() / h as f32).collect();
    let mut rows = Matrix::zeros(h + f, d);
    for i in 0..h {
        rows.row_mut(i + f).copy_from_slice(honest.row(i));
    }
    for j in 0..f {
        for k in 0..d {
            let noise = draws.normal() as f32;
            rows.row_mut(j)[k] = match kind {
                0 => 1e20 * noise,
                1 => 3e38,
                2 => f32::MAX * if j % 2 == 0 { 1.0 } else { -1.0 },
                3 => centre[k] + (1u32 << 20) as f32 * noise,
                4 => [1e20f32, 1e10, 1e5, 1e2][j % 4] * if k == j { 1.0 } else { 0.0 },
                5 => -4.0 * centre[k],
                6 => centre[k] + 2.0,
                7 => 0.0,
                _ => honest.row(j % h)[k],
            };
        }
    }
    rows
}
