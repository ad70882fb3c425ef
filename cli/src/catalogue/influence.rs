//! How far two colluders of eleven move a rule's answer, as a picture: the rule itself is asked.

use varangian_base::Matrix;
use varangian_rules::{Family, Round, RuleEntry, Verdict, build};

/// What nine honest workers send: two coordinates with mean (0, 0) and unit standard deviation.
pub(super) const HONEST: [[f32; 2]; 9] = [
    [-1.6, 0.3],
    [-1.1, -1.1],
    [-0.7, 1.2],
    [-0.3, -0.5],
    [0.1, 1.5],
    [0.5, -1.6],
    [0.8, 0.6],
    [1.0, -0.7],
    [1.3, 0.3],
];
/// How many rows are hostile.
pub(super) const HOSTILE: usize = 2;
/// The farthest that they stand from the honest mean, in the spread of honest coordinates.
const FARTHEST: f32 = 20.0;
/// Where the answer is looked at, from 0 to the farthest.
const POINTS: usize = 80;
/// The top of the picture: a mean is moved by 2/11 of the distance.
const HIGHEST: f64 = 4.0;
/// Rules whose answer is no estimate of the honest mean.
const NO_ESTIMATE: [&str; 4] = ["sum", "majority", "rsa", "draco"];

/// A rule as a pipeline that can be asked by itself: a stage gets the rule that it is named with.
fn pipeline(entry: &RuleEntry) -> String {
    match entry.facts.family {
        Family::PreAggregation => format!("{} | average", entry.name),
        Family::Rule => entry.name.to_owned(),
        Family::MetaAggregation => format!("median | {}", entry.name),
    }
}

/// By how much the answer misses the honest mean when both colluders stand at `distance` from it.
fn missed(spec: &str, distance: f32) -> Option<f64> {
    let mut rows = HONEST.to_vec();
    rows.extend([[distance, 0.0]; HOSTILE]);
    let rows = Matrix::from_rows(&rows);
    let mut rule = build(spec, rows.n(), HOSTILE).ok()?;
    let mut out = [0.0_f32; 2];
    rule.aggregate(&mut Round::of(rows.rows(), HOSTILE), &mut out, &mut Verdict::default());
    Some(f64::from(out[0]).hypot(f64::from(out[1])))
}

/// The points (distance, miss) of a rule's curve; nothing where eleven rows are too few, where the
/// rule asks for a loss, or where its answer is no estimate of the mean.
pub(super) fn curve(entry: &RuleEntry) -> Option<Vec<(f64, f64)>> {
    if entry.facts.needs_oracle || NO_ESTIMATE.contains(&entry.name) {
        return None;
    }
    let spec = pipeline(entry);
    let at = |i: usize| FARTHEST * i as f32 / POINTS as f32;
    (0..=POINTS).map(|i| Some((f64::from(at(i)), missed(&spec, at(i))?))).collect()
}

/// The curve as an SVG that takes the page's own colour, beside the plain mean's.
pub(super) fn picture(entry: &RuleEntry) -> Option<String> {
    let points = curve(entry)?;
    let x = |distance: f64| 56.0 + distance / f64::from(FARTHEST) * 560.0;
    let y = |miss: f64| 216.0 - miss.min(HIGHEST) / HIGHEST * 190.0;
    let path = |points: &[(f64, f64)]| {
        let each = points.iter().map(|&(a, b)| format!("{:.1},{:.1}", x(a), y(b)));
        each.collect::<Vec<_>>().join(" ")
    };
    let mean: Vec<(f64, f64)> = points.iter().map(|&(a, _)| (a, a * 2.0 / 11.0)).collect();
    let last = points[points.len() - 1].1;
    let spec = pipeline(entry);
    let mut out = format!(
        "<svg class=\"drawn\" viewBox=\"0 0 640 270\" role=\"img\" aria-label=\"{spec}: distance \
         of the answer from the honest mean against the distance of two colluders of eleven; at \
         {FARTHEST} it is {last:.2}, the plain mean's 3.64\">\n"
    );
    for tick in 0..=4 {
        let (value, here) = (f64::from(tick), y(f64::from(tick)));
        out.push_str(&format!(
            "<path d=\"M56 {here:.1}H616\" stroke=\"currentColor\" opacity=\".15\"/>\
             <text x=\"46\" y=\"{:.1}\" text-anchor=\"end\">{value}</text>\n",
            here + 4.5
        ));
    }
    for tick in [0.0, 5.0, 10.0, 15.0, 20.0] {
        let here = x(tick);
        out.push_str(&format!(
            "<text x=\"{here:.1}\" y=\"236\" text-anchor=\"middle\">{tick}</text>\n"
        ));
    }
    out.push_str(&format!(
        "<text x=\"336\" y=\"260\" text-anchor=\"middle\">distance of the two colluders from the \
         honest mean, in honest standard deviations</text>\n\
         <text x=\"56\" y=\"14\">distance of the answer from the honest mean</text>\n\
         <polyline points=\"{}\" fill=\"none\" stroke=\"currentColor\" opacity=\".55\" \
         stroke-width=\"2\" stroke-dasharray=\"6 5\"/>\n\
         <text x=\"610\" y=\"36\" text-anchor=\"end\" opacity=\".8\">average</text>\n\
         <polyline points=\"{}\" fill=\"none\" stroke=\"#2f7fd6\" stroke-width=\"3\"/>\n</svg>\n",
        path(&mean),
        path(&points)
    ));
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use varangian_rules::ALL;

    fn of(name: &str) -> Vec<(f64, f64)> {
        curve(ALL.iter().find(|entry| entry.name == name).unwrap()).unwrap()
    }

    #[test]
    fn the_honest_rows_are_as_they_are_said_to_be() {
        for k in 0..2 {
            let column = HONEST.iter().map(|row| f64::from(row[k]));
            let mean = column.clone().sum::<f64>() / 9.0;
            let spread = (column.map(|x| (x - mean).powi(2)).sum::<f64>() / 8.0).sqrt();
            assert!(mean.abs() < 1e-6 && (0.9..1.1).contains(&spread), "{mean} {spread}");
        }
    }

    #[test]
    fn the_mean_follows_the_colluders_and_robust_rules_do_not() {
        let mean = of("average");
        assert!((mean[POINTS].1 - 40.0 / 11.0).abs() < 1e-5, "{mean:?}");
        for name in ["median", "trimmed-mean", "krum", "geometric-median", "ctma", "bulyan"] {
            let points = of(name);
            assert_eq!(points.len(), POINTS + 1);
            assert!(points[POINTS].1 < 1.2, "{name}: {:?}", points[POINTS]);
        }
        assert!(ALL.iter().filter(|entry| curve(entry).is_some()).count() >= 28);
    }
}
