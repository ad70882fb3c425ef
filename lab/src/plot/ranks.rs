//! Mean ranks on a line, with what is not told apart tied together.

use super::frame::{Frame, framed, wide};
use super::{Picture, style};
use kuva::render::render::{Primitive, Scene, TextAnchor};

/// The letters, in pixels, and the height of a line of them.
const TEXT: u32 = 12;
const LINE: f64 = 20.0;
/// The length of the axis, in pixels.
const AXIS: f64 = 360.0;

/// Draws mean ranks, the best (1) on the left: `names` with their places in the style and ranks, in
/// the order of ranks. Contenders whose ranks differ by less than `critical` are tied by a bar.
pub fn ranks(
    title: &str,
    names: &[(String, usize)],
    means: &[f64],
    critical: f64,
    notes: Vec<String>,
) -> Picture {
    let count = means.len();
    let half = count.div_ceil(2);
    let side = names.iter().map(|one| wide(&one.0, TEXT)).fold(60.0, f64::max) + 60.0;
    let ties = if critical.is_finite() { tied(means, critical) } else { Vec::new() };
    let top = 60.0;
    let below = top + 12.0 + 7.0 * ties.len() as f64;
    let mut scene = Scene::new(AXIS + 2.0 * side, below + LINE * (half as f64 + 1.0));
    scene.font_family = Some("DejaVu Sans, Verdana, Liberation Sans, Arial, sans-serif".into());
    let last = count.max(2) as f64;
    let x = |rank: f64| side + AXIS * (rank - 1.0) / (last - 1.0);
    line(&mut scene, (x(1.0), top), (x(last), top), "#000000", 1.0);
    for rank in 1..=count {
        let at = x(rank as f64);
        line(&mut scene, (at, top - 5.0), (at, top), "#000000", 1.0);
        text(&mut scene, (at, top - 9.0), rank.to_string(), TextAnchor::Middle);
    }
    if critical.is_finite() {
        let end = x((1.0 + critical).min(last));
        for at in [x(1.0), end] {
            line(&mut scene, (at, 16.0), (at, 24.0), "#000000", 1.0);
        }
        line(&mut scene, (x(1.0), 20.0), (end, 20.0), "#000000", 1.0);
        let words = format!("critical difference {critical:.2}");
        text(&mut scene, (end + 6.0, 24.0), words, TextAnchor::Start);
    }
    for (k, ((name, place), mean)) in names.iter().zip(means).enumerate() {
        let left = k < half;
        let row = if left { k } else { count - 1 - k };
        let (y, at) = (below + LINE * (row as f64 + 1.0), x(*mean));
        let end = if left { side - 8.0 } else { side + AXIS + 8.0 };
        let colour = style::colour(*place);
        line(&mut scene, (at, top), (at, y), colour, 1.6);
        line(&mut scene, (at, y), (end, y), colour, 1.6);
        let (shift, anchor) = match left {
            true => (-4.0, TextAnchor::End),
            false => (4.0, TextAnchor::Start),
        };
        text(&mut scene, (end + shift, y + 4.0), format!("{name} ({mean:.2})"), anchor);
    }
    for (k, (from, to)) in ties.iter().enumerate() {
        let y = top + 8.0 + 7.0 * k as f64;
        let ends = (x(means[*from]) - 3.0, x(means[*to]) + 3.0);
        line(&mut scene, (ends.0, y), (ends.1, y), "#000000", 3.5);
    }
    Picture::of(framed(scene, &Frame { title: title.into(), notes, ..Frame::default() }))
}

/// The largest stretches of sorted ranks that lie within the critical difference.
fn tied(means: &[f64], critical: f64) -> Vec<(usize, usize)> {
    let mut out: Vec<(usize, usize)> = Vec::new();
    for from in 0..means.len() {
        let to = (from..means.len()).take_while(|to| means[*to] - means[from] < critical).last();
        let to = to.unwrap_or(from);
        if to > from && out.last().is_none_or(|last| to > last.1) {
            out.push((from, to));
        }
    }
    out
}

fn line(scene: &mut Scene, from: (f64, f64), to: (f64, f64), stroke: &str, stroke_width: f64) {
    let ((x1, y1), (x2, y2), stroke) = (from, to, stroke.into());
    scene.add(Primitive::Line { x1, y1, x2, y2, stroke, stroke_width, stroke_dasharray: None });
}

fn text(scene: &mut Scene, (x, y): (f64, f64), content: String, anchor: TextAnchor) {
    let (size, rotate, color) = (TEXT, None, None);
    scene.add(Primitive::Text { x, y, content, size, anchor, rotate, bold: false, color });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_within_the_critical_difference_is_tied_once() {
        assert_eq!(tied(&[1.0, 1.5, 2.2, 4.0], 1.0), [(0, 1), (1, 2)]);
        assert_eq!(tied(&[1.0, 1.5, 1.9], 1.0), [(0, 2)]);
        assert!(tied(&[1.0, 3.0], 1.0).is_empty());
    }

    #[test]
    fn the_picture_names_everyone_with_his_rank() {
        let names: Vec<(String, usize)> = (0..5).map(|k| (format!("rule-{k}"), k)).collect();
        let svg = ranks("r", &names, &[1.2, 1.9, 3.0, 4.0, 4.9], 1.25, Vec::new()).svg();
        for wanted in ["rule-0 (1.20)", "rule-4 (4.90)", "critical difference 1.25"] {
            assert!(svg.contains(wanted), "{wanted}");
        }
        assert!(!ranks("r", &names[..2], &[1.5, 1.5], f64::NAN, Vec::new()).svg().contains("NaN"));
    }
}
