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
    let options = [
        ("--evidence", args.evidence.is_some()),
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
    let rows = arrays::read(&args.input)?;
    Bound::declared(stages.spec(), rows.total(), args.f)?;
    let f = admit(&rows, args.f)?;
    stages.check(rows.ids.len(), f).map_err(|error| spread(error, &rows))?;
    let seed = Seed(args.seed);
    let (single, double) = match &rows.finite {
        Values::Single(matrix) => {
            let view = matrix.rows().with_ids(&rows.ids);
            (Some(stages.rows(&mut Round { seed, ..Round::of(view, f) })), Vec::new())
        }
        Values::Double(finite) => {
            let (rows, ids) = (finite, &rows.ids);
            let round = exact::Round { rows, ids, f, weights: None, step: 0, seed };
            (None, stages.exact(&round)?)
        }
    };
    let double: Vec<&[f64]> = double.iter().map(Vec::as_slice).collect();
    if let Some(path) = &args.output {
        match &single {
            Some(matrix) => arrays::write(path, &matrix.rows().iter().collect::<Vec<_>>())?,
            None => arrays::write(path, &double)?,
        }
    }
    if args.json {
        let mut value = json!({
            "stages": stages.spec(), "n": rows.total(), "f": args.f,
            "input": rows.kind, "computed_in": rows.width(),
            "refused": rows.refused, "reasons": rows.reasons,
            "rows_used": rows.ids.len(), "f_used": f,
        });
        if args.output.is_none() {
            value["rows"] = match &single {
                Some(matrix) => json!(matrix.rows().iter().collect::<Vec<_>>()),
                None => json!(double),
            };
        }
        print::line(&value.to_string());
        return Ok(());
    }
    if !rows.refused.is_empty() {
        let (refused, left) = (list(&rows.refused), rows.ids.len());
        print::note(&format!(
            "refused, not finite: rows {refused}; {left} rows and f = {f} are left"
        ));
    }
    if args.output.is_none() {
        let line = |row: Vec<String>| print::line(&row.join(" "));
        match &single {
            Some(matrix) => matrix
                .rows()
                .iter()
                .for_each(|row| line(row.iter().map(ToString::to_string).collect())),
            None => {
                double.iter().for_each(|row| line(row.iter().map(|x| format!("{x:?}")).collect()))
            }
        }
    }
    Ok(())
}
