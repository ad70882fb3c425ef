//! `varangian aggregate`: one aggregation of rows from any language.

use crate::{Failure, arrays, evidence, print};
use arrays::Values;
use serde_json::json;
use std::path::PathBuf;
use varangian_base::Seed;
use varangian_rules::{Bound, Evidence, Pipeline, Round, Verdict, exact};

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
    /// Print one JSON object: what was refused, the weight of each row (null where the rule tells
    /// none), the evidence of each row, the aggregate
    #[arg(long)]
    json: bool,
    /// Write what was found of each row (length, distance, share, verdict, reason), one JSON object
    /// a line; "-" is standard output, which then holds nothing else. docs/evidence.md has the
    /// fields
    #[arg(long, value_name = "FILE")]
    evidence: Option<PathBuf>,
}

/// An aggregate in the width in which it was computed.
enum Answer {
    Single(Vec<f32>),
    Double(Vec<f64>),
}

/// Reads, refuses what is not finite, aggregates, writes.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let alone = args.evidence.as_deref().is_some_and(evidence::is_stdout);
    if alone && args.json {
        let text = "--json and --evidence - both want standard output; name a file for one of them";
        return Err(Failure::refused(text));
    }
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
    let judge = args.json || args.evidence.is_some();
    let (answer, found) =
        answer(&mut rule, &rows, f, weights.as_deref(), seed, judge, &mut verdict)?;
    let found = evidence::with_refused(found, rule.spec(), f, 0, &rows);
    match (&args.output, &answer) {
        (Some(path), Answer::Single(out)) => arrays::write_vector(path, out)?,
        (Some(path), Answer::Double(out)) => arrays::write_vector(path, out)?,
        (None, _) => {}
    }
    if let Some(path) = &args.evidence {
        evidence::write(path, &found)?;
    }
    let done = Done { f, answer, verdict, found };
    tell(&rule, &rows, &done, args.json);
    match (args.json, alone) {
        (true, _) => print::line(&object(args, &rule, &rows, &done).to_string()),
        (false, true) => {}
        (false, false) if args.output.is_some() => {}
        (false, false) => show(&done.answer),
    }
    Ok(())
}

/// What came of it.
struct Done {
    /// Hostile rows that the rule reckoned with.
    f: usize,
    answer: Answer,
    verdict: Verdict,
    found: Vec<Evidence>,
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

/// The aggregate, and the evidence of the rows that it was made of where `judge` asks for it.
fn answer(
    rule: &mut Pipeline,
    rows: &arrays::Rows,
    f: usize,
    weights: Option<&[f64]>,
    seed: Seed,
    judge: bool,
    verdict: &mut Verdict,
) -> Result<(Answer, Vec<Evidence>), Failure> {
    match &rows.finite {
        Values::Single(matrix) => {
            let mut out = vec![0.0; rows.d];
            let view = matrix.rows().with_ids(&rows.ids);
            let mut round = Round { seed, weights, ..Round::of(view, f) };
            rule.aggregate(&mut round, &mut out, verdict);
            let found = judge.then(|| verdict.evidence(rule, &round, &out));
            Ok((Answer::Single(out), found.unwrap_or_default()))
        }
        Values::Double(finite) => {
            let round =
                exact::Round { rows: finite, ids: &rows.ids, f, weights, step: 0, seed, stage: 0 };
            let out = rule.exact(&round, verdict)?;
            let found = judge.then(|| verdict.exact_evidence(rule, &round, &out));
            Ok((Answer::Double(out), found.unwrap_or_default()))
        }
    }
}

/// What one matrix cannot show of a rule that learns from earlier rounds, as a line.
pub(crate) fn note(rule: &Pipeline) -> Option<String> {
    let (name, text) = rule.first_round()?;
    Some(format!("{name} needs history, and one matrix is a first round: {text}"))
}

/// Says on standard error what is no part of the answer; what the JSON object holds it does not
/// repeat.
fn tell(rule: &Pipeline, rows: &arrays::Rows, done: &Done, json: bool) {
    if let Some(note) = note(rule) {
        print::note(&note);
    }
    if json {
        return;
    }
    if !rows.refused.is_empty() {
        print::note(&format!(
            "refused, not finite: rows {}; {} rows and f = {} are left",
            list(&rows.refused),
            rows.ids.len(),
            done.f
        ));
    }
    if let Some(event) = &done.verdict.event {
        print::note(event);
    }
}

/// All of it as one object.
fn object(args: &Args, rule: &Pipeline, rows: &arrays::Rows, done: &Done) -> serde_json::Value {
    let mut weights = vec![serde_json::Value::Null; rows.total()];
    for (&id, &weight) in rows.ids.iter().zip(&done.verdict.weights) {
        weights[id as usize] = json!(weight);
    }
    let told = !done.verdict.weights.is_empty();
    let mut value = json!({
        "rule": rule.spec(), "n": weights.len(), "f": args.f,
        "input": rows.kind, "computed_in": rows.width(),
        "refused": rows.refused, "rows_used": rows.ids.len(), "f_used": done.f,
        "event": done.verdict.event, "note": note(rule),
        "weights": told.then_some(weights), "evidence": done.found,
    });
    if args.output.is_none() {
        value["aggregate"] = match &done.answer {
            Answer::Single(out) => json!(out),
            Answer::Double(out) => json!(out),
        };
    }
    value
}

/// The aggregate, a number a line.
fn show(answer: &Answer) {
    match answer {
        Answer::Single(out) => out.iter().for_each(|x| print::line(&x.to_string())),
        Answer::Double(out) => out.iter().for_each(|x| print::line(&format!("{x:?}"))),
    }
}

/// "0, 4, 7".
pub(crate) fn list(ids: &[u32]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
