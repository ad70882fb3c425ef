//! `--certificate`: what is certain of the aggregate, whichever f of the rows are hostile.

use super::{Answer, Args, arrays};
use crate::Failure;
use arrays::Values;
use serde_json::{Value, json};
use varangian_base::Matrix;
use varangian_rules::{Certificate, Certifier, Effort, Pipeline, certify_exact};

/// Rows that count differently have none.
///
/// # Errors
/// If one is asked for with weights.
pub(super) fn check(args: &Args) -> Result<(), Failure> {
    match args.certificate && !args.weights.is_empty() {
        true => Err(Failure::refused(
            "--certificate is of rows that count alike; leave it out, or --weights",
        )),
        false => Ok(()),
    }
}

/// The certificate of the answer, where it is asked for; by the path on which it was computed.
///
/// # Errors
/// If f64 rows, whose answer is f32, cannot be read as such.
pub(super) fn of(
    args: &Args,
    rule: &Pipeline,
    rows: &arrays::Rows,
    f: usize,
    answer: &Answer,
) -> Result<Option<Certificate>, Failure> {
    if !args.certificate {
        return Ok(None);
    }
    let kappa = rule.kappa(rows.ids.len(), f);
    let single = |matrix: &Matrix, out: &[f32]| {
        Certifier::new(Effort::Sharp).certify(matrix.rows(), out, f, kappa)
    };
    let certificate = match (answer, &rows.finite) {
        (Answer::Single(out), Values::Single(matrix)) => single(matrix, out),
        (Answer::Single(out), Values::Double(_)) => {
            single(&rows.narrow(&args.input, "the certificate is computed")?, out)
        }
        (Answer::Double(out), Values::Double(finite)) => certify_exact(finite, out, f, kappa),
        (Answer::Double(out), Values::Single(matrix)) => {
            let wide = |row: &[f32]| row.iter().map(|&x| f64::from(x)).collect();
            let finite: Vec<Vec<f64>> = matrix.rows().iter().map(wide).collect();
            certify_exact(&finite, out, f, kappa)
        }
    };
    // The exact path keeps no distances.
    let margin = if let Answer::Single(_) = answer { rule.margin(f) } else { None };
    Ok(certificate.map(|certificate| Certificate { margin, ..certificate }))
}

/// The certificate as one object; what is beyond f64 is null.
pub(super) fn object(certificate: &Certificate) -> Value {
    let Certificate { radius, attained, promised, descent, length, margin } = *certificate;
    json!({
        "radius": radius, "attained": attained, "promised": promised, "descent": descent,
        "length": length, "margin": margin,
    })
}

/// The certificate in a sentence, of n rows of which f may be hostile.
pub(super) fn sentence(certificate: &Certificate, (n, f): (usize, usize)) -> String {
    let Certificate { radius, attained, promised, descent, length, margin } = *certificate;
    let margin = margin.map_or_else(String::new, |by| match by {
        0.0 => "; the least move may select others".to_owned(),
        _ => {
            let by = shown(by);
            format!("; rows that move by less than {by} each leave the same ones selected")
        }
    });
    let attained = if attained { ", which some choice of them attains" } else { "" };
    let promised = promised.map_or_else(String::new, |far| format!("; κ promises {}", shown(far)));
    let (radius, length) = (shown(radius), shown(length));
    let descent = match descent {
        Some(most) => format!("a direction of descent with up to {most} hostile rows"),
        None => "no certain direction of descent even if no row is hostile".to_owned(),
    };
    format!(
        "whichever f = {f} of the {n} rows are hostile, the aggregate is within {radius} of the \
         mean of the others{attained}{promised}; it is {length} long, and {descent}{margin}"
    )
}

/// A length with six digits behind the point, or as a power of ten where those would say nothing.
fn shown(length: f64) -> String {
    match length == 0.0 || (1e-3..1e9).contains(&length) {
        true => format!("{length:.6}"),
        false => format!("{length:.6e}"),
    }
}
