//! Stages alone: the rows that a rule would see.

use super::{Args, admit, list, spread};
use crate::{Failure, arrays, print};
use arrays::Values;
use serde_json::json;
use varangian_base::Seed;
use varangian_rules::{Bound, Round, Stages, exact};

/// Reads, refuses what is not finite, mixes, writes.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let mut stages = Stages::parse(&args.rule)?;
    demand_no_rule(args, &stages)?;
    let rows = arrays::read(&args.input)?;
    Bound::declared(stages.spec(), rows.total(), args.f)?;
    let f = admit(&rows, args)?;
    stages.check(rows.ids.len(), f).map_err(|error| spread(error, &rows))?;
    let mixed = mix(&mut stages, &rows, f, Seed(args.seed))?;
    if let Some(path) = &args.output {
        match &mixed {
            Values::Single(matrix) => {
                arrays::write(path, &matrix.rows().iter().collect::<Vec<_>>())?;
            }
            Values::Double(rows) => {
                arrays::write(path, &rows.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
            }
        }
    }
    if args.json {
        print::line(&object(args, &stages, &rows, f, &mixed).to_string());
        return Ok(());
    }
    if !rows.refused.is_empty() {
        let (refused, left) = (list(&rows.refused), rows.ids.len());
        print::note(&format!(
            "refused, not finite: rows {refused}; {left} rows and f = {f} are left"
        ));
    }
    if args.output.is_none() {
        show(&mixed);
    }
    Ok(())
}

/// The rows that come out, in the width in which they went in.
fn mix(stages: &mut Stages, rows: &arrays::Rows, f: usize, seed: Seed) -> Result<Values, Failure> {
    Ok(match &rows.finite {
        Values::Single(matrix) => {
            let view = matrix.rows().with_ids(&rows.ids);
            Values::Single(stages.rows(&mut Round { seed, ..Round::of(view, f) }))
        }
        Values::Double(finite) => {
            let (rows, ids) = (finite, &rows.ids);
            let round = exact::Round { rows, ids, f, weights: None, step: 0, seed, stage: 0 };
            Values::Double(stages.exact(&round)?)
        }
    })
}

/// All of it as one object.
fn object(
    args: &Args,
    stages: &Stages,
    rows: &arrays::Rows,
    f: usize,
    mixed: &Values,
) -> serde_json::Value {
    let written = match (&args.output, mixed) {
        (Some(_), _) => serde_json::Value::Null,
        (None, Values::Single(matrix)) => json!(matrix.rows().iter().collect::<Vec<_>>()),
        (None, Values::Double(rows)) => json!(rows),
    };
    json!({
        "stages": stages.spec(), "n": rows.total(), "f": args.f,
        "input": rows.kind, "computed_in": rows.width(),
        "refused": rows.refused, "reasons": rows.reasons,
        "rows_used": rows.ids.len(), "f_used": f, "rows": written,
    })
}

/// A row a line.
fn show(mixed: &Values) {
    let line = |row: Vec<String>| print::line(&row.join(" "));
    match mixed {
        Values::Single(matrix) => {
            matrix.rows().iter().for_each(|row| line(row.iter().map(ToString::to_string).collect()))
        }
        Values::Double(rows) => {
            rows.iter().for_each(|row| line(row.iter().map(|x| format!("{x:?}")).collect()));
        }
    }
}

/// # Errors
/// If an option is given that only a rule can use.
fn demand_no_rule(args: &Args, stages: &Stages) -> Result<(), Failure> {
    let options = [
        ("--evidence", args.evidence.is_some()),
        ("--certificate", args.certificate),
        ("--weights", !args.weights.is_empty()),
        ("--state", args.state.is_some()),
        ("--server-gradient", args.server_gradient.is_some()),
        ("--losses", args.losses.is_some()),
        ("--minimum", args.minimum.is_some()),
        ("--params", args.params.is_some()),
        ("--learning-rate", args.learning_rate.is_some()),
    ];
    if let Some((option, _)) = options.iter().find(|(_, given)| *given) {
        return Err(Failure::refused(format!(
            "{option} is for a rule; \"{}\" is stages alone, which make rows of rows",
            stages.spec()
        )));
    }
    Ok(())
}
