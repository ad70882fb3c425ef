//! A hash of what a pipeline answers, which says of two entries whether the same code was judged.
//!
//! It is not of the source: code that was moved or made faster keeps its hash, and code that
//! answers otherwise has another, wherever in the program the change was made.

use super::Entry;
use crate::Failure;
use crate::config::Own;
use varangian_base::{Domain, Matrix, Seed};
use varangian_rules::{Oracle, Round, Verdict};

/// Rows and declared hostile ones.
const SHAPES: [(usize, usize); 3] = [(7, 1), (11, 2), (11, 4)];
/// Coordinates, with every kind of rows.
const FEW: [usize; 2] = [1, 17];
/// Coordinates of one kind of rows: kernels take another way for so many.
const MANY: usize = 9000;
/// Rounds one after the other, for rules that remember.
const ROUNDS: u64 = 3;
/// Kinds of rows, see [`value`].
const KINDS: u64 = 4;

/// The hash of a pipeline's answers.
///
/// # Errors
/// If there is no such pipeline.
pub(super) fn of(rule: &str, own: &Own) -> Result<String, Failure> {
    let mut hash = blake3::Hasher::new();
    for (n, f) in SHAPES {
        for kind in 0..KINDS {
            for d in FEW {
                answers(rule, own, (n, f, d), kind, &mut hash)?;
            }
        }
        answers(rule, own, (n, f, MANY), 0, &mut hash)?;
    }
    Ok(hash.finalize().to_hex()[..16].to_owned())
}

/// Adds the bits of the answers to some rounds; a shape that the bound leaves out is one word.
fn answers(
    rule: &str,
    own: &Own,
    (n, f, d): (usize, usize, usize),
    kind: u64,
    hash: &mut blake3::Hasher,
) -> Result<(), Failure> {
    let mut pipeline = own.pipeline(rule)?;
    if pipeline.check(n, f).is_err() {
        hash.update(b"refused");
        return Ok(());
    }
    let (mut rows, params) = (Matrix::zeros(n, d), vec![0.5f32; d]);
    let (mut out, mut verdict) = (vec![0.0f32; d], Verdict::default());
    for step in 0..ROUNDS {
        for i in 0..n {
            let mut stream = Seed(kind).stream(Domain::Test, i as u32, step);
            let hostile = i >= n - f;
            rows.row_mut(i).fill_with(|| value(kind, hostile, stream.normal()));
        }
        let mut bowl = Bowl;
        let oracle = pipeline.needs_oracle().then_some(&mut bowl as &mut dyn Oracle);
        let mut round = Round {
            step,
            params: &params,
            learning_rate: 0.1,
            oracle,
            seed: Seed(kind),
            ..Round::of(rows.rows(), f)
        };
        pipeline.aggregate(&mut round, &mut out, &mut verdict);
        out.iter().for_each(|x| _ = hash.update(&x.to_le_bytes()));
    }
    Ok(())
}

/// A coordinate of a row: hostile rows far off, opposite, alike and full of ties, of any size.
fn value(kind: u64, hostile: bool, drawn: f64) -> f32 {
    let x = match (kind, hostile) {
        (0, false) => drawn,
        (0, true) => 1e6 * drawn,
        (1, false) => 1.0 + drawn,
        (1, true) => -2.0 + 0.1 * drawn,
        (2, _) => (2.0 * drawn).round() / 2.0,
        (_, false) => 1e30 * drawn,
        (_, true) => 1e-30 * drawn,
    };
    x as f32
}

/// ‖θ − 1‖²/2 as the server's loss.
struct Bowl;

impl Oracle for Bowl {
    fn refresh(&mut self) {}

    fn loss(&mut self, params: &[f32]) -> f64 {
        params.iter().map(|&x| (f64::from(x) - 1.0).powi(2)).sum::<f64>() / 2.0
    }

    fn gradient(&mut self, params: &[f32], out: &mut [f32]) -> f64 {
        out.iter_mut().zip(params).for_each(|(out, x)| *out = x - 1.0);
        self.loss(params)
    }
}

/// Of entries of another version of this program those whose pipeline answers otherwise here, as
/// far as this program has it: "krum, by 0.1.0".
pub(super) fn strangers(entries: &[Entry]) -> Vec<String> {
    let other = |entry: &&Entry| entry.program != env!("CARGO_PKG_VERSION") && !entry.own;
    let differs = |entry: &&Entry| {
        let here = of(&entry.rule, &Own::default()).ok();
        entry.code.is_some() && here.is_some() && entry.code != here
    };
    let named = |entry: &Entry| format!("{}, by {}", entry.rule, entry.program);
    entries.iter().filter(other).filter(differs).map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Board;
    use super::super::judge::tests::entry;
    use super::*;
    use std::path::Path;

    fn code(rule: &str) -> String {
        of(rule, &Own::default()).unwrap()
    }

    #[test]
    fn what_answers_otherwise_has_another_hash_at_any_number_of_threads() {
        let all = ["median", "krum", "multi-krum", "multi-krum m=2", "safeguard", "zeno b=2"];
        let codes = all.map(code);
        for (i, one) in codes.iter().enumerate() {
            assert!(codes[..i].iter().all(|other| other != one), "{}", all[i]);
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        assert_eq!(pool.install(|| all.map(code)), codes);
        assert!(of("nothing", &Own::default()).is_err());
    }

    #[test]
    fn an_entry_of_another_version_whose_rule_answers_otherwise_is_named() {
        let made = |program: &str, code: Option<String>| {
            let program = program.to_owned();
            Entry { program, code, ..entry("median", 0.9) }
        };
        let here = env!("CARGO_PKG_VERSION");
        assert_eq!(entry("median", 0.9).code, Some(code("median")));
        let (old, same) = (Some("0".repeat(16)), Some(code("median")));
        let own = Entry { own: true, ..made("0.0.1", old.clone()) };
        let entries = [made("0.0.1", same), made("0.0.1", None), made(here, old.clone()), own];
        assert!(strangers(&entries).is_empty());
        assert_eq!(strangers(&[made("0.0.1", old)]), ["median, by 0.0.1"]);
    }

    #[test]
    fn shipped_entries_are_of_this_code() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/benchmark/small-v1");
        for entry in Board::entries(&folder).unwrap() {
            let here = Some(code(&entry.rule));
            assert!(entry.code == here, "{} answers otherwise now: judge it again", entry.rule);
        }
    }
}
