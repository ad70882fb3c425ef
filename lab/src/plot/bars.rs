//! Bars: a length for each of some named things, those that are meant in another colour.

use super::Picture;
use super::frame::{Frame, framed, wide};
use super::style;
use kuva::render::render::{Primitive, Scene, TextAnchor};

const TEXT: u32 = 12;
/// A bar with its gap, and the longest bar, in pixels.
const ROW: f64 = 22.0;
const LONGEST: f64 = 420.0;

/// One bar.
#[derive(Clone, Debug)]
pub struct Bar {
    /// What it is of.
    pub name: String,
    /// Its length; NaN where there is none.
    pub value: f64,
    /// What stands behind it.
    pub told: String,
    /// Whether it is meant.
    pub marked: bool,
}

/// Draws the bars below one another, from 0; one beyond `cut` is broken off there.
pub fn bars(title: &str, label: &str, bars: &[Bar], cut: f64, notes: Vec<String>) -> Picture {
    let names = bars.iter().map(|bar| wide(&bar.name, TEXT)).fold(40.0, f64::max);
    let told = bars.iter().map(|bar| wide(&bar.told, TEXT)).fold(0.0, f64::max);
    let left = names + 24.0;
    let longest = bars.iter().map(|bar| bar.value).filter(|x| x.is_finite()).fold(0.0, f64::max);
    let scale = LONGEST / longest.min(cut).max(f64::MIN_POSITIVE);
    let mut scene = Scene::new(left + LONGEST + told + 36.0, 0.0);
    scene.font_family = Some("DejaVu Sans, Verdana, Liberation Sans, Arial, sans-serif".into());
    scene.add(text(left, 18.0, label.to_owned(), TextAnchor::Start));
    for (k, bar) in bars.iter().enumerate() {
        let y = 28.0 + ROW * k as f64;
        scene.add(text(left - 10.0, y + 14.0, bar.name.clone(), TextAnchor::End));
        let width = if bar.value.is_finite() { bar.value.min(cut) * scale } else { 0.0 };
        scene.add(Primitive::Rect {
            x: left,
            y: y + 3.0,
            width,
            height: ROW - 7.0,
            fill: style::colour(usize::from(bar.marked)).into(),
            stroke: None,
            stroke_width: None,
            opacity: None,
        });
        let beyond = bar.value > cut;
        let told = if beyond { format!("▶ {}", bar.told) } else { bar.told.clone() };
        scene.add(text(left + width + 8.0, y + 14.0, told, TextAnchor::Start));
    }
    scene.height = 34.0 + ROW * bars.len() as f64;
    Picture::of(framed(scene, &Frame { title: title.into(), notes, ..Frame::default() }))
}

fn text(x: f64, y: f64, content: String, anchor: TextAnchor) -> Primitive {
    Primitive::Text { x, y, content, size: TEXT, anchor, rotate: None, bold: false, color: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_beyond_the_cut_is_broken_off_and_one_without_a_length_has_none() {
        let bar = |name: &str, value: f64| Bar {
            name: name.into(),
            value,
            told: value.to_string(),
            marked: value > 5.0,
        };
        let all = [bar("worker 0", 1.0), bar("worker 1", 1e30), bar("worker 2", f64::NAN)];
        let svg = bars("how far off", "distance", &all, 4.0, Vec::new()).svg();
        assert!(svg.contains("▶ 1000000000000000000000000000000"), "{svg}");
        assert!(svg.contains("width=\"420\"") && svg.contains("width=\"105\""), "{svg}");
        assert_eq!(svg.matches(&style::colour(1).to_lowercase()).count(), 1);
        // Nothing to show is no division by zero.
        bars("", "", &[bar("worker 0", 0.0)], 0.0, Vec::new()).svg();
    }
}
