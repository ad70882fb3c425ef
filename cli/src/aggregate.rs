//! `varangian aggregate`: one aggregation of rows from any language.

mod certificate;
mod oracle;
mod stages;
mod state;

use crate::{Failure, arrays, evidence, print};
use arrays::Values;
use oracle::Given;
use serde_json::json;
use std::path::PathBuf;
use varangian_base::{Matrix, Seed, SpecError};
use varangian_rules::{
    Bound, Certificate, Evidence, Oracle, Pipeline, Round, Stages, Verdict, exact,
};

/// What stands below the help.
const EXAMPLES: &str = "Examples:
  varangian aggregate --rule \"nnm | krum\" --f 2 --input rows.npy
  varangian aggregate --rule krum --f 2 --input rows.npy --output mean.npy --json
  varangian aggregate --rule krum --f 2 --input rows.npy --evidence -    # a line a row
  varangian aggregate --rule krum --f 2 --input rows.npy --certificate   # how far it may be off
  varangian aggregate --rule nnm --f 2 --input rows.npy                  # the mixed rows
  varangian aggregate --rule safeguard --f 2 --input rows.npy --state memory.json";

/// Arguments of `varangian aggregate`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The rule, with stages around it: "krum", "nnm | trimmed-mean"; or stages alone, "nnm", for
    /// the rows that a rule would see
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
    /// Refuse the whole round where a row is not finite; by default the row is left out and counts
    /// as one of the f
    #[arg(long)]
    all_finite: bool,
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
    /// What a rule with a memory remembers between calls: read if it is there, then written whole;
    /// each call is the next step of the same rule, f, seed and shape of rows
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// For fltrust: the server's own gradient, a vector of coordinates
    #[arg(long, value_name = "G.npy")]
    server_gradient: Option<PathBuf>,
    /// For zeno: the loss on the server's data after a step along each row, a vector of as many
    /// numbers as rows
    #[arg(long, value_name = "L.npy")]
    losses: Option<PathBuf>,
    /// For zeno, in place of losses: the loss is ‖x − X‖²/2, X a vector of coordinates
    #[arg(long, value_name = "X.npy")]
    minimum: Option<PathBuf>,
    /// For zeno: the parameters at which the rows were taken, a vector of coordinates [default:
    /// zeros]
    #[arg(long, value_name = "P.npy")]
    params: Option<PathBuf>,
    /// For zeno: the length of the step along a row, above 0 [default: 1]
    #[arg(long, value_name = "RATE")]
    learning_rate: Option<f32>,
    /// Print one JSON object: what was refused, the weight of each row (null where the rule tells
    /// none), the evidence of each row, the aggregate
    #[arg(long)]
    json: bool,
    /// Write what was found of each row (length, distance, share, verdict, reason), one JSON object
    /// a line; "-" is standard output, which then holds nothing else. docs/evidence.md has the
    /// fields
    #[arg(long, value_name = "FILE")]
    evidence: Option<PathBuf>,
    /// Say what is certain of the aggregate whichever f of the rows are hostile: how far it is from
    /// the mean of the others at most, and with how many hostile rows it is still a direction of
    /// descent; with --json as `certificate`
    #[arg(long)]
    certificate: bool,
}

/// An aggregate in the width in which it was computed.
enum Answer {
    Single(Vec<f32>),
    Double(Vec<f64>),
}

impl Answer {
    fn width(&self) -> &'static str {
        match self {
            Answer::Single(_) => "f32",
            Answer::Double(_) => "f64",
        }
    }
}

/// Reads, refuses what is not finite, aggregates, writes.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let alone = args.evidence.as_deref().is_some_and(evidence::is_stdout);
    if alone && args.json {
        let text = "--json and --evidence - both want standard output; name a file for one of them";
        return Err(Failure::refused(text));
    }
    certificate::check(args)?;
    if Stages::are(&args.rule) {
        return stages::run(args);
    }
    let mut rule = Pipeline::parse(&args.rule)?;
    let rows = arrays::read(&args.input)?;
    Bound::declared(rule.spec(), rows.total(), args.f)?;
    let f = admit(&rows, args)?;
    rule.check(rows.ids.len(), f).map_err(|error| spread(error, &rows))?;
    rule.fits(rows.total(), args.f)?;
    let weights = weights(&rule, &rows, &args.weights, f)?;
    let owner = owner(args, &rule, &rows)?;
    let mut given = Given::read(args, &rule, &rows.ids, (rows.total(), rows.d))?;
    let step = match &args.state {
        Some(path) => state::load(path, &mut rule, &owner)?,
        None => 0,
    };
    let judge = args.json || args.evidence.is_some();
    let weights = weights.as_deref();
    let seed = Seed(args.seed);
    let mut order = Order { f, weights, step, seed, judge, given: given.as_mut(), args };
    let (answer, verdict, found) = answer(&mut rule, &rows, &mut order)?;
    let certificate = certificate::of(args, &rule, &rows, f, &answer)?;
    let found = evidence::with_refused(found, rule.spec(), f, step, &rows);
    match (&args.output, &answer) {
        (Some(path), Answer::Single(out)) => arrays::write_vector(path, out)?,
        (Some(path), Answer::Double(out)) => arrays::write_vector(path, out)?,
        (None, _) => {}
    }
    if let Some(path) = &args.evidence {
        evidence::write(path, &found)?;
    }
    if let Some(path) = &args.state {
        state::save(path, &rule, &owner, step + 1)?;
    }
    let done = Done { f, step, answer, verdict, found, certificate };
    tell(args, &rule, &rows, &done);
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
    step: u64,
    answer: Answer,
    verdict: Verdict,
    found: Vec<Evidence>,
    certificate: Option<Certificate>,
}

/// How many of the rows that are left may be hostile.
///
/// # Errors
/// If more rows than f are not finite; or one is, where all must be.
fn admit(rows: &arrays::Rows, args: &Args) -> Result<usize, Failure> {
    let (refused, f) = (rows.refused.len(), args.f);
    if args.all_finite && refused > 0 {
        let text = format!("--all-finite: {refused} are not: {}", list(&rows.refused));
        return Err(Failure::refused(text));
    }
    f.checked_sub(refused).ok_or_else(|| {
        Failure::refused(format!(
            "at most f = {f} rows may be hostile; {refused} are not finite: {}",
            list(&rows.refused)
        ))
    })
}

/// The error, with why there are fewer rows than were sent.
fn spread(error: SpecError, rows: &arrays::Rows) -> SpecError {
    match rows.refused.is_empty() {
        true => error,
        false => error.at(format!("without rows {} that are not finite", list(&rows.refused))),
    }
}

/// Whom a state is of.
///
/// # Errors
/// If one is asked for and the rule remembers nothing.
fn owner(args: &Args, rule: &Pipeline, rows: &arrays::Rows) -> Result<state::Owner, Failure> {
    if args.state.is_some() && !rule.has_memory() {
        let text = format!("--state: {} remembers nothing from call to call", rule.spec());
        return Err(Failure::refused(text));
    }
    let shape = (rows.total(), args.f, rows.d);
    Ok(state::Owner { rule: rule.spec().to_owned(), shape, seed: args.seed })
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

/// How the rows are to be aggregated.
struct Order<'a> {
    f: usize,
    weights: Option<&'a [f64]>,
    step: u64,
    seed: Seed,
    /// Whether evidence is asked for.
    judge: bool,
    given: Option<&'a mut Given>,
    args: &'a Args,
}

/// The aggregate, what the rule said, and the evidence of the rows where that is asked for.
fn answer(
    rule: &mut Pipeline,
    rows: &arrays::Rows,
    order: &mut Order<'_>,
) -> Result<(Answer, Verdict, Vec<Evidence>), Failure> {
    // What asks for losses or remembers has no exact path.
    if order.given.is_some() || order.args.state.is_some() {
        let who = format!("{} computes", rule.entry().name);
        let matrix = rows.narrow(&order.args.input, &who)?;
        return Ok(single(rule, &matrix, &rows.ids, order));
    }
    match &rows.finite {
        Values::Single(matrix) => Ok(single(rule, matrix, &rows.ids, order)),
        Values::Double(finite) => {
            let Order { f, weights, step, seed, judge, .. } = *order;
            let round =
                exact::Round { rows: finite, ids: &rows.ids, f, weights, step, seed, stage: 0 };
            let mut verdict = Verdict::default();
            let out = rule.exact(&round, &mut verdict)?;
            let found = judge.then(|| verdict.exact_evidence(rule, &round, &out));
            Ok((Answer::Double(out), verdict, found.unwrap_or_default()))
        }
    }
}

fn single(
    rule: &mut Pipeline,
    matrix: &Matrix,
    ids: &[u32],
    order: &mut Order<'_>,
) -> (Answer, Verdict, Vec<Evidence>) {
    let Order { f, weights, step, seed, judge, args, .. } = *order;
    let (mut out, mut verdict) = (vec![0.0; matrix.d()], Verdict::default());
    let learning_rate = args.learning_rate.unwrap_or(1.0);
    let params = order.given.as_ref().map(|given| given.params.clone()).unwrap_or_default();
    let oracle = order.given.as_deref_mut().map(|given| given as &mut dyn Oracle);
    let round = Round::of(matrix.rows().with_ids(ids), f);
    let mut round = Round { seed, weights, step, params: &params, learning_rate, oracle, ..round };
    rule.aggregate(&mut round, &mut out, &mut verdict);
    let found = judge.then(|| verdict.evidence(rule, &round, &out));
    (Answer::Single(out), verdict, found.unwrap_or_default())
}

/// What one matrix cannot show of a rule that learns from earlier rounds, as a line.
pub(crate) fn note(rule: &Pipeline) -> Option<String> {
    let (name, text) = rule.first_round()?;
    Some(format!("{name} needs history, and one matrix is a first round: {text}"))
}

/// Says on standard error what is no part of the answer; what the JSON object holds it does not
/// repeat.
fn tell(args: &Args, rule: &Pipeline, rows: &arrays::Rows, done: &Done) {
    if let Some(note) = note(rule).filter(|_| args.state.is_none()) {
        print::note(&note);
    }
    if args.json {
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
    if let Some(found) = &done.certificate {
        print::note(&certificate::sentence(found, (rows.ids.len(), done.f)));
    }
}

/// All of it as one object.
fn object(args: &Args, rule: &Pipeline, rows: &arrays::Rows, done: &Done) -> serde_json::Value {
    let mut weights = vec![serde_json::Value::Null; rows.total()];
    for (&id, &weight) in rows.ids.iter().zip(&done.verdict.weights) {
        weights[id as usize] = json!(weight);
    }
    let told = !done.verdict.weights.is_empty();
    let aggregate = match (&args.output, &done.answer) {
        (Some(_), _) => serde_json::Value::Null,
        (None, Answer::Single(out)) => json!(out),
        (None, Answer::Double(out)) => json!(out),
    };
    json!({
        "rule": rule.spec(), "n": weights.len(), "f": args.f,
        "input": rows.kind, "computed_in": done.answer.width(),
        "refused": rows.refused, "rows_used": rows.ids.len(), "f_used": done.f,
        "reasons": rows.reasons, "step": done.step,
        "event": done.verdict.event, "note": note(rule).filter(|_| args.state.is_none()),
        "weights": told.then_some(weights), "evidence": done.found,
        "certificate": done.certificate.as_ref().map(certificate::object),
        "aggregate": aggregate,
    })
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
