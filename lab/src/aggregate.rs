//! `varangian aggregate`: one aggregation of rows from any language.

use crate::{Failure, arrays, print};
use serde_json::json;
use std::path::PathBuf;
use varangian_base::Seed;
use varangian_rules::{Pipeline, Round, Verdict};

/// Arguments of `varangian aggregate`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The rule, with stages around it: "krum", "nnm | trimmed-mean"
    #[arg(long, value_name = "SPEC")]
    rule: String,
    /// The number of rows that may be hostile
    #[arg(long)]
    f: usize,
    /// Rows: an .npy matrix, workers × coordinates, f32 or f64
    #[arg(long, value_name = "ROWS.npy")]
    input: PathBuf,
    /// Where the aggregate goes, in the input's type; printed if absent
    #[arg(long, value_name = "OUT.npy")]
    output: Option<PathBuf>,
    /// Seed of rules that draw
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Print JSON: what was refused, the weight of each row, the aggregate
    #[arg(long)]
    json: bool,
}

/// Reads, refuses what is not finite, aggregates, writes.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let mut rule = Pipeline::parse(&args.rule)?;
    if rule.needs_oracle() {
        let text = format!("{} asks for the loss on data; rows alone have none", rule.spec());
        return Err(Failure::refused(text));
    }
    let rows = arrays::read(&args.input)?;
    let refused = rows.refused.len();
    if refused > args.f {
        return Err(Failure::refused(format!(
            "at most f = {} rows may be hostile; {refused} are not finite: {}",
            args.f,
            list(&rows.refused)
        )));
    }
    let f = args.f - refused;
    rule.check(rows.finite.n(), f).map_err(|error| match refused {
        0 => error,
        _ => error.at(format!("without rows {} that are not finite", list(&rows.refused))),
    })?;
    let view = rows.finite.rows().with_ids(&rows.ids);
    let (mut out, mut verdict) = (vec![0.0; view.d()], Verdict::default());
    let mut round = Round { seed: Seed(args.seed), ..Round::of(view, f) };
    rule.aggregate(&mut round, &mut out, &mut verdict);
    if let Some(path) = &args.output {
        arrays::write_vector(path, &out, rows.double)?;
    }
    report(args, &rule, &rows, f, &out, &verdict);
    Ok(())
}

fn report(
    args: &Args,
    rule: &Pipeline,
    rows: &arrays::Rows,
    f: usize,
    out: &[f32],
    verdict: &Verdict,
) {
    if args.json {
        let mut weights = vec![serde_json::Value::Null; rows.ids.len() + rows.refused.len()];
        for (&id, &weight) in rows.ids.iter().zip(&verdict.weights) {
            weights[id as usize] = json!(weight);
        }
        let mut value = json!({
            "rule": rule.spec(), "n": weights.len(), "f": args.f,
            "refused": rows.refused, "rows_used": rows.ids.len(), "f_used": f,
            "event": verdict.event,
        });
        if !verdict.weights.is_empty() {
            value["weights"] = json!(weights);
        }
        if args.output.is_none() {
            value["aggregate"] = json!(out);
        }
        print::line(&value.to_string());
        return;
    }
    if !rows.refused.is_empty() {
        eprintln!(
            "refused, not finite: rows {}; {} rows and f = {f} are left",
            list(&rows.refused),
            rows.ids.len()
        );
    }
    if args.output.is_none() {
        out.iter().for_each(|x| print::line(&x.to_string()));
    }
}

/// "0, 4, 7".
pub(crate) fn list(ids: &[u32]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
