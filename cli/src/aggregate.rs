//! `varangian aggregate`: one aggregation of rows from any language.

use crate::{Failure, arrays, print};
use arrays::Values;
use serde_json::json;
use std::path::PathBuf;
use varangian_base::Seed;
use varangian_rules::{Bound, Pipeline, Round, Verdict, exact};

/// Arguments of `varangian aggregate`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The rule, with stages around it: "krum", "nnm | trimmed-mean"
    #[arg(long, value_name = "SPEC")]
    rule: String,
    /// The number of rows that may be hostile
    #[arg(long)]
    f: usize,
    /// Rows: an .npy matrix, workers × coordinates; "-" is standard input. f32, and f16 and bf16
    /// widened to it, are aggregated in f32; f64 and whole numbers in f64, exactly and ten to a
    /// hundred times slower
    #[arg(long, value_name = "ROWS.npy")]
    input: PathBuf,
    /// How much each row counts, one number above 0 a row with commas between them, for rules with
    /// a weighted form: a server's own records, such as sizes of sites
    #[arg(long, value_name = "W,W,…", value_delimiter = ',')]
    weights: Vec<f64>,
    /// Where the aggregate goes, as f32 or f64 as it was computed; printed if absent
    #[arg(long, value_name = "OUT.npy")]
    output: Option<PathBuf>,
    /// Seed of rules that draw
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Print JSON: what was refused, the weight of each row (null where the rule tells none), the
    /// aggregate
    #[arg(long)]
    json: bool,
}

/// An aggregate in the width in which it was computed.
enum Answer {
    Single(Vec<f32>),
    Double(Vec<f64>),
}

/// Reads, refuses what is not finite, aggregates, writes.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let mut rule = Pipeline::parse(&args.rule)?;
    demand_no_oracle(&rule)?;
    let rows = arrays::read(&args.input)?;
    Bound::declared(rule.spec(), rows.total(), args.f)?;
    let refused = rows.refused.len();
    if refused > args.f {
        return Err(Failure::refused(format!(
            "at most f = {} rows may be hostile; {refused} are not finite: {}",
            args.f,
            list(&rows.refused)
        )));
    }
    let f = args.f - refused;
    rule.check(rows.ids.len(), f).map_err(|error| match refused {
        0 => error,
        _ => error.at(format!("without rows {} that are not finite", list(&rows.refused))),
    })?;
    rule.fits(rows.total(), args.f)?;
    let weights = weights(&rule, &rows, &args.weights, f)?;
    let mut verdict = Verdict::default();
    let seed = Seed(args.seed);
    let answer = answer(&mut rule, &rows, f, weights.as_deref(), seed, &mut verdict)?;
    match (&args.output, &answer) {
        (Some(path), Answer::Single(out)) => arrays::write_vector(path, out)?,
        (Some(path), Answer::Double(out)) => arrays::write_vector(path, out)?,
        (None, _) => {}
    }
    report(args, &rule, &rows, f, &answer, &verdict);
    Ok(())
}

/// Rows alone have no loss: a rule that asks for one cannot be tried on them.
pub(crate) fn demand_no_oracle(rule: &Pipeline) -> Result<(), Failure> {
    match rule.needs_oracle() {
        true => Err(Failure::refused(format!(
            "{} asks for the loss on data; rows alone have none",
            rule.spec()
        ))),
        false => Ok(()),
    }
}

/// The weights of the finite rows, where any are given, checked.
fn weights(
    rule: &Pipeline,
    rows: &arrays::Rows,
    given: &[f64],
    f: usize,
) -> Result<Option<Vec<f64>>, Failure> {
    if given.is_empty() {
        return Ok(None);
    }
    if given.len() != rows.total() {
        let (found, n) = (given.len(), rows.total());
        return Err(Failure::refused(format!("--weights: one a row; got {found} for {n} rows")));
    }
    let kept: Vec<f64> = rows.ids.iter().map(|&id| given[id as usize]).collect();
    rule.check_weights(&kept, kept.len(), f).map_err(|error| error.at("--weights"))?;
    Ok(Some(kept))
}

fn answer(
    rule: &mut Pipeline,
    rows: &arrays::Rows,
    f: usize,
    weights: Option<&[f64]>,
    seed: Seed,
    verdict: &mut Verdict,
) -> Result<Answer, Failure> {
    match &rows.finite {
        Values::Single(matrix) => {
            let mut out = vec![0.0; rows.d];
            let view = matrix.rows().with_ids(&rows.ids);
            let mut round = Round { seed, weights, ..Round::of(view, f) };
            rule.aggregate(&mut round, &mut out, verdict);
            Ok(Answer::Single(out))
        }
        Values::Double(finite) => {
            let round =
                exact::Round { rows: finite, ids: &rows.ids, f, weights, step: 0, seed, stage: 0 };
            Ok(Answer::Double(rule.exact(&round, verdict)?))
        }
    }
}

/// What one matrix cannot show of a rule that learns from earlier rounds, as a line.
pub(crate) fn note(rule: &Pipeline) -> Option<String> {
    let (name, text) = rule.first_round()?;
    Some(format!("{name} needs history, and one matrix is a first round: {text}"))
}

fn report(
    args: &Args,
    rule: &Pipeline,
    rows: &arrays::Rows,
    f: usize,
    answer: &Answer,
    verdict: &Verdict,
) {
    let note = note(rule);
    if let Some(note) = &note {
        print::note(note);
    }
    if args.json {
        let mut weights = vec![serde_json::Value::Null; rows.total()];
        for (&id, &weight) in rows.ids.iter().zip(&verdict.weights) {
            weights[id as usize] = json!(weight);
        }
        let told = !verdict.weights.is_empty();
        let mut value = json!({
            "rule": rule.spec(), "n": weights.len(), "f": args.f,
            "input": rows.kind, "computed_in": rows.width(),
            "refused": rows.refused, "rows_used": rows.ids.len(), "f_used": f,
            "event": verdict.event, "note": note,
            "weights": told.then_some(weights),
        });
        if args.output.is_none() {
            value["aggregate"] = match answer {
                Answer::Single(out) => json!(out),
                Answer::Double(out) => json!(out),
            };
        }
        print::line(&value.to_string());
        return;
    }
    if !rows.refused.is_empty() {
        print::note(&format!(
            "refused, not finite: rows {}; {} rows and f = {f} are left",
            list(&rows.refused),
            rows.ids.len()
        ));
    }
    if let Some(event) = &verdict.event {
        print::note(event);
    }
    match (&args.output, answer) {
        (Some(_), _) => {}
        (None, Answer::Single(out)) => out.iter().for_each(|x| print::line(&x.to_string())),
        (None, Answer::Double(out)) => out.iter().for_each(|x| print::line(&format!("{x:?}"))),
    }
}

/// "0, 4, 7".
pub(crate) fn list(ids: &[u32]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
