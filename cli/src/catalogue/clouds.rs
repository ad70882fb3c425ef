//! What two hostile workers of eleven send, and what it makes of the mean, as a picture: the attack
//! itself writes the rows, and the rules themselves answer.

use super::influence::{HONEST, HOSTILE};
use varangian_attacks::{AttackEntry, Ground, View};
use varangian_base::{Matrix, Seed};
use varangian_rules::{Pipeline, Round, Verdict, build};
use varangian_train::{TrialRule, named};

/// Where the honest mean stands: away from 0, as a gradient does before the end of a training.
const MEAN: [f32; 2] = [2.0, 1.0];
/// How far from the honest mean a point may be to be drawn where it is.
const NEAR: f64 = 7.0;
/// The drawn part of the picture: left, top, width, height.
const BOX: [f64; 4] = [16.0, 16.0, 330.0, 238.0];
const BLUE: &str = "#2f7fd6";
const RED: &str = "#e0533d";
const GREY: &str = "#8a94a0";

/// A point of the picture.
type Point = [f64; 2];

/// Everything that a picture shows.
pub(super) struct Cloud {
    honest: Vec<Point>,
    hostile: Vec<Point>,
    /// The honest mean, the mean of all rows, and the trimmed mean of all rows.
    means: [Point; 3],
}

fn wide(row: &[f32]) -> Point {
    [f64::from(row[0]), f64::from(row[1])]
}

/// What a rule answers to the rows.
fn answer(rule: &str, rows: &[[f32; 2]], f: usize) -> Option<Point> {
    let rows = Matrix::from_rows(rows);
    let mut rule = build(rule, rows.n(), f).ok()?;
    let mut out = [0.0; 2];
    rule.aggregate(&mut Round::of(rows.rows(), f), &mut out, &mut Verdict::default());
    Some(wide(&out))
}

/// The rows of an attack in its first step with seed 0, as `varangian forge` writes them: a hostile
/// worker would have sent what the honest one of its number sends, and an attack that tries rows
/// tries them on the trimmed mean. Nothing for attacks on labels, for those that cannot act here,
/// and for those that send what is not finite.
pub(super) fn cloud(entry: &AttackEntry) -> Option<Cloud> {
    if entry.facts.poisons {
        return None;
    }
    let honest: Vec<[f32; 2]> = HONEST.map(|[a, b]| [a + MEAN[0], b + MEAN[1]]).to_vec();
    let n = honest.len() + HOSTILE;
    let mut attack = varangian_attacks::build(entry.name).ok()?;
    let ids: Vec<u32> = (0..honest.len() as u32).collect();
    attack.fits(Ground { honest: &ids, d: 2, classes: None, image: None }).ok()?;
    attack.check(honest.len(), HOSTILE, HOSTILE).ok()?;
    let rule = match named(attack.as_ref(), (n, HOSTILE)).ok()? {
        Some(named) => named,
        None => Pipeline::parse("trimmed-mean").ok()?,
    };
    let (rows, own) = (Matrix::from_rows(&honest), Matrix::from_rows(&honest[..HOSTILE]));
    let (mut probe, mut sent) = (TrialRule::new(rule, HOSTILE), Matrix::zeros(HOSTILE, 2));
    let mut view = View {
        n,
        f: HOSTILE,
        seed: Seed(0),
        ..View::of(rows.rows(), own.rows(), &[0.0; 2], &mut probe)
    };
    attack.forge(&mut view, sent.rows_mut());
    let hostile: Vec<[f32; 2]> = (0..HOSTILE).map(|i| [sent.row(i)[0], sent.row(i)[1]]).collect();
    if hostile.iter().flatten().any(|x| !x.is_finite()) {
        return None;
    }
    let all = [&honest[..], &hostile].concat();
    let means = [
        answer("average", &honest, 0)?,
        answer("average", &all, 0)?,
        answer("trimmed-mean", &all, HOSTILE)?,
    ];
    let points = |rows: &[[f32; 2]]| rows.iter().map(|row| wide(row)).collect();
    Some(Cloud { honest: points(&honest), hostile: points(&hostile), means })
}

/// "(2.00, −1.50)".
fn told(point: Point) -> String {
    let number = |x: f64| match x.abs() {
        0.0..1e4 => format!("{:.2}", x + 0.0),
        _ => format!("{x:.1e}"),
    };
    format!("({}, {})", number(point[0]), number(point[1])).replace('-', "−")
}

/// From the plane to the picture, with one scale for both coordinates.
struct Scale {
    middle: Point,
    pixels: f64,
    /// What is farther than that from the honest mean stands at the edge.
    from: Point,
}

impl Scale {
    /// With all near points of a cloud, and the origin, inside.
    fn of(cloud: &Cloud) -> Scale {
        let from = cloud.means[0];
        let near = |p: &&Point| (p[0] - from[0]).hypot(p[1] - from[1]) <= NEAR;
        let all = cloud.honest.iter().chain(&cloud.hostile).chain(&cloud.means).chain(&[[0.0; 2]]);
        let inside: Vec<Point> = all.filter(near).copied().collect();
        let span = |k: usize| {
            let of = inside.iter().map(|point| point[k]);
            of.fold((f64::MAX, f64::MIN), |(low, high), x| (low.min(x), high.max(x)))
        };
        let ((left, right), (low, high)) = (span(0), span(1));
        let pixels = ((BOX[2] - 40.0) / (right - left)).min((BOX[3] - 40.0) / (high - low));
        Scale { middle: [(left + right) / 2.0, (low + high) / 2.0], pixels, from }
    }

    /// Where a point stands, and whether it is drawn at the edge instead.
    fn place(&self, point: Point) -> (f64, f64, bool) {
        let centre = [BOX[0] + BOX[2] / 2.0, BOX[1] + BOX[3] / 2.0];
        let half = [BOX[2] / 2.0 - 10.0, BOX[3] / 2.0 - 10.0];
        let at = |p: Point| {
            let [right, up] = [p[0] - self.middle[0], p[1] - self.middle[1]];
            [centre[0] + right * self.pixels, centre[1] - up * self.pixels]
        };
        let (start, end) = (at(self.from), at(point));
        // On the way there from the honest mean, as far as the picture goes.
        let share = (0..2).fold(1.0_f64, |share, k| {
            let way = end[k] - start[k];
            let room = half[k] - (start[k] - centre[k]) * way.signum();
            share.min(if way.abs() > room { room / way.abs() } else { 1.0 })
        });
        if share >= 1.0 {
            return (end[0], end[1], false);
        }
        let [x, y] = [0, 1].map(|k| start[k] + (end[k] - start[k]) * share);
        (x, y, true)
    }
}

/// A mark for each kind of point: no two differ by colour alone.
fn mark(kind: usize, x: f64, y: f64) -> String {
    match kind {
        0 => format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\" fill=\"{GREY}\"/>"),
        1 => format!("<path d=\"M{x:.1} {:.1}l7 7-7 7-7-7z\" fill=\"{RED}\"/>", y - 7.0),
        2 => format!(
            "<path d=\"M{:.1} {y:.1}h16M{x:.1} {:.1}v16\" stroke=\"currentColor\" \
             stroke-width=\"2.5\"/>",
            x - 8.0,
            y - 8.0
        ),
        3 => format!(
            "<path d=\"M{:.1} {:.1}l12 12m-12 0l12-12\" stroke=\"{RED}\" stroke-width=\"3\"/>",
            x - 6.0,
            y - 6.0
        ),
        _ => format!(
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"8\" fill=\"none\" stroke=\"{BLUE}\" \
             stroke-width=\"2.5\"/>"
        ),
    }
}

/// The picture as an SVG that takes the page's own colour.
pub(super) fn picture(entry: &AttackEntry) -> Option<String> {
    let cloud = cloud(entry)?;
    let scale = Scale::of(&cloud);
    let [honest, all, trimmed] = cloud.means;
    let mut out = format!(
        "<svg class=\"drawn\" viewBox=\"0 0 640 270\" role=\"img\" aria-label=\"{}: two hostile \
         workers send {} and {}; the mean of all rows is {}, the honest mean {}, the trimmed mean \
         {}\">\n<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"none\" \
         stroke=\"currentColor\" opacity=\".15\"/>\n",
        entry.name,
        told(cloud.hostile[0]),
        told(cloud.hostile[1]),
        told(all),
        told(honest),
        told(trimmed),
        BOX[0],
        BOX[1],
        BOX[2],
        BOX[3]
    );
    let (x, y, away) = scale.place([0.0; 2]);
    if !away {
        let (right, low) = (BOX[0] + BOX[2], BOX[1] + BOX[3]);
        out.push_str(&format!(
            "<path d=\"M{} {y:.1}H{right}M{x:.1} {}V{low}\" stroke=\"currentColor\" \
             opacity=\".25\"/><text x=\"{:.1}\" y=\"{:.1}\" opacity=\".7\">0</text>\n",
            BOX[0],
            BOX[1],
            x + 4.0,
            y + 15.0
        ));
    }
    let groups = [&cloud.honest[..], &cloud.hostile, &[honest], &[all], &[trimmed]];
    let mut is_away = false;
    for (kind, points) in groups.iter().enumerate() {
        for &point in *points {
            let (x, y, away) = scale.place(point);
            is_away |= away;
            out.push_str(&mark(kind, x, y));
        }
        out.push('\n');
    }
    let both = match cloud.hostile[0] == cloud.hostile[1] {
        true => format!("both at {}", told(cloud.hostile[0])),
        false => format!("{} {}", told(cloud.hostile[0]), told(cloud.hostile[1])),
    };
    let names =
        ["nine honest workers", "two hostile ones", "honest mean", "mean of all", "trimmed mean"];
    let numbers = [String::new(), both, told(honest), told(all), told(trimmed)];
    for (kind, (name, number)) in names.iter().zip(&numbers).enumerate() {
        let y = 38.0 + 42.0 * kind as f64;
        out.push_str(&format!(
            "{}<text x=\"386\" y=\"{:.1}\">{name}</text><text x=\"386\" y=\"{:.1}\" \
             opacity=\".8\">{number}</text>\n",
            mark(kind, 368.0, y),
            y + 4.5,
            y + 21.0
        ));
    }
    if is_away {
        out.push_str(
            "<text x=\"386\" y=\"252\" opacity=\".8\">at the edge: beyond the picture</text>\n",
        );
    }
    out.push_str("</svg>\n");
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use varangian_attacks::ALL;

    fn of(name: &str) -> Cloud {
        cloud(ALL.iter().find(|entry| entry.name == name).unwrap()).unwrap()
    }

    fn apart(a: Point, b: Point) -> f64 {
        (a[0] - b[0]).hypot(a[1] - b[1])
    }

    #[test]
    fn every_attack_on_rows_that_can_act_in_a_first_step_has_a_picture() {
        let missing = ALL.iter().filter(|entry| picture(entry).is_none());
        let missing: Vec<&str> = missing.map(|entry| entry.name).collect();
        assert_eq!(missing, ["label-flip", "backdoor", "non-finite", "mixed"], "and no others");
    }

    #[test]
    fn what_is_drawn_is_what_the_attack_says() {
        let (none, flip) = (of("none"), of("sign-flip"));
        assert_eq!(none.hostile, none.honest[..2]);
        assert!(apart(none.means[0], [2.0, 1.0]) < 1e-6);
        // Each flips its own row.
        assert!(apart(flip.hostile[0], none.hostile[0].map(|x| -x)) < 1e-6);
        // A little is enough: both stand inside of the cloud, in every coordinate.
        let alie = of("alie");
        for k in 0..2 {
            let of = alie.honest.iter().map(|point| point[k]);
            let (low, high) = of.fold((9.0_f64, -9.0_f64), |(l, h), x| (l.min(x), h.max(x)));
            assert!(alie.hostile.iter().all(|point| (low..=high).contains(&point[k])));
        }
        // The mean of all rows is theirs, whatever the picture shows.
        for entry in ALL {
            let Some(cloud) = cloud(entry) else { continue };
            let all = cloud.honest.iter().chain(&cloud.hostile);
            let sum = all.fold([0.0; 2], |sum, p| [sum[0] + p[0], sum[1] + p[1]]);
            let mean = sum.map(|x| x / 11.0);
            let size = 1.0 + mean[0].abs() + mean[1].abs();
            assert!(apart(cloud.means[1], mean) < 1e-5 * size, "{}", entry.name);
        }
    }

    #[test]
    fn no_mark_leaves_the_picture() {
        for entry in ALL {
            let Some(cloud) = cloud(entry) else { continue };
            let scale = Scale::of(&cloud);
            for &point in cloud.honest.iter().chain(&cloud.hostile).chain(&cloud.means) {
                let (x, y, _) = scale.place(point);
                let fits = x > BOX[0] && x < BOX[0] + BOX[2] && y > BOX[1] && y < BOX[1] + BOX[3];
                assert!(fits, "{}: {point:?} stands at {x}, {y}", entry.name);
                // What is far away is at the edge and not in the crowd.
                let far = apart(point, scale.from) > 2.0 * NEAR;
                let (sx, sy, _) = scale.place(scale.from);
                assert!(!far || (x - sx).hypot(y - sy) > 60.0, "{}: {point:?}", entry.name);
            }
        }
    }
}
