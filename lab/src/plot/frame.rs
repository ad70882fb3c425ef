//! What stands around a picture: a title that is never cut, a legend that shows every entry as it
//! is drawn, and notes.

use super::style;
use kuva::plot::scatter::MarkerShape;
use kuva::render::render::{PathData, Primitive, Scene, TextAnchor};

/// Sizes of letters, in pixels.
const TITLE: u32 = 16;
const TEXT: u32 = 12;
/// From the edge of the picture, in pixels.
const EDGE: f64 = 14.0;
/// The least width of a picture, in pixels: notes want room.
const LEAST: f64 = 620.0;
/// The drawn sample of a line, in pixels.
const SAMPLE: f64 = 34.0;

/// What stands around a picture.
#[derive(Clone, Debug, Default)]
pub(super) struct Frame {
    /// Above it.
    pub(super) title: String,
    /// Below it: a line's place in the style, and its name.
    pub(super) legend: Vec<(usize, String)>,
    /// Below that, a paragraph each.
    pub(super) notes: Vec<String>,
    /// Whether it may be narrower than notes want.
    pub(super) narrow: bool,
}

/// The picture inside its frame.
pub(super) fn framed(body: Scene, frame: &Frame) -> Scene {
    let width = body.width.max(if frame.narrow { 0.0 } else { LEAST }).ceil();
    let room = width - 2.0 * EDGE;
    // A long setting stands in the letters of the notes.
    let size = if wide(&frame.title, TITLE) > 2.0 * room { TEXT } else { TITLE };
    let mut scene = Scene::new(width, 0.0);
    scene.background_color = Some("#ffffff".into());
    (scene.text_color, scene.font_family) = (body.text_color, body.font_family);
    (scene.defs, scene.has_tooltips) = (body.defs, body.has_tooltips);
    let mut y = EDGE;
    for line in wrapped(&frame.title, size, room) {
        y += 1.3 * f64::from(size);
        scene.add(text(width / 2.0, y - 4.0, line, size, TextAnchor::Middle));
    }
    let shift = format!("translate({},{y})", (width - body.width) / 2.0);
    scene.add(Primitive::GroupStart { transform: Some(shift), title: None, extra_attrs: None });
    body.elements.into_iter().for_each(|element| scene.add(element));
    scene.add(Primitive::GroupEnd);
    y += body.height;
    y = legend(&mut scene, &frame.legend, room, y);
    for line in frame.notes.iter().flat_map(|note| wrapped(note, TEXT, room)) {
        y += 1.4 * f64::from(TEXT);
        scene.add(text(EDGE, y, line, TEXT, TextAnchor::Start));
    }
    // Whole pixels: the PNG has no half-covered edge.
    scene.height = (y + EDGE).ceil();
    scene
}

/// Entries in as many columns as have room, in rows; where the next thing may stand.
fn legend(scene: &mut Scene, entries: &[(usize, String)], room: f64, top: f64) -> f64 {
    let widest = entries.iter().map(|entry| wide(&entry.1, TEXT)).fold(0.0, f64::max);
    let column = (widest + SAMPLE + 26.0).min(room);
    let columns = ((room / column) as usize).clamp(1, entries.len().max(1));
    let mut y = top + if entries.is_empty() { 0.0 } else { 8.0 };
    for row in entries.chunks(columns) {
        let mut lines = 1;
        for (k, (line, name)) in row.iter().enumerate() {
            let (x, middle) = (EDGE + k as f64 * column, y + 9.0);
            sample(scene, *line, x, middle);
            let parts = wrapped(name, TEXT, column - SAMPLE - 10.0);
            lines = lines.max(parts.len());
            for (j, part) in parts.into_iter().enumerate() {
                let below = middle + 4.0 + 15.0 * j as f64;
                scene.add(text(x + SAMPLE + 8.0, below, part, TEXT, TextAnchor::Start));
            }
        }
        y += 4.0 + 15.0 * lines as f64;
    }
    y
}

/// A line as it is drawn: its dashes, and its marker in the middle.
fn sample(scene: &mut Scene, line: usize, x: f64, y: f64) {
    scene.add(Primitive::Line {
        x1: x,
        y1: y,
        x2: x + SAMPLE,
        y2: y,
        stroke: style::colour(line).into(),
        stroke_width: 1.8,
        stroke_dasharray: Some(style::dashes(line).to_owned()).filter(|dashes| !dashes.is_empty()),
    });
    let (cx, r) = (x + SAMPLE / 2.0, 4.0);
    let colour = style::colour(line);
    let outline = |points: &[(f64, f64)]| {
        let at = |(dx, dy): &(f64, f64)| format!("{:.1} {:.1}", cx + r * dx, y + r * dy);
        format!("M {} Z", points.iter().map(at).collect::<Vec<_>>().join(" L "))
    };
    let (d, fill) = match style::marker(line) {
        MarkerShape::Square => {
            (outline(&[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)]), true)
        }
        MarkerShape::Triangle => (outline(&[(0.0, -1.1), (1.0, 0.8), (-1.0, 0.8)]), true),
        MarkerShape::TriangleDown => (outline(&[(0.0, 1.1), (1.0, -0.8), (-1.0, -0.8)]), true),
        MarkerShape::Diamond => {
            (outline(&[(0.0, -1.2), (1.0, 0.0), (0.0, 1.2), (-1.0, 0.0)]), true)
        }
        MarkerShape::Cross => (cross(cx, y, r), false),
        _ => {
            return scene.add(Primitive::Circle {
                cx,
                cy: y,
                r: 3.6,
                fill: colour.into(),
                fill_opacity: None,
                stroke: None,
                stroke_width: None,
            });
        }
    };
    scene.add(Primitive::Path(Box::new(PathData {
        d,
        fill: fill.then(|| colour.into()),
        stroke: colour.into(),
        stroke_width: if fill { 0.5 } else { 1.6 },
        opacity: None,
        stroke_dasharray: None,
    })));
}

/// The path of a diagonal cross.
fn cross(x: f64, y: f64, r: f64) -> String {
    let (left, right, up, down) = (x - r, x + r, y - r, y + r);
    format!("M {left:.1} {up:.1} L {right:.1} {down:.1} M {left:.1} {down:.1} L {right:.1} {up:.1}")
}

fn text(x: f64, y: f64, content: String, size: u32, anchor: TextAnchor) -> Primitive {
    Primitive::Text { x, y, content, size, anchor, rotate: None, bold: false, color: None }
}

/// An upper bound of a text's width in pixels, in the letters of DejaVu Sans.
pub(super) fn wide(text: &str, size: u32) -> f64 {
    let letter = |c: char| match c {
        'i' | 'j' | 'l' | '|' | '.' | ',' | ':' | '\'' | ' ' => 0.34,
        'm' | 'W' | 'M' | '@' | '%' => 1.0,
        'w' | 'A'..='Z' | '=' | '+' | '~' | '_' | '<' | '>' => 0.84,
        c if c.is_ascii() => 0.64,
        _ => 1.0,
    };
    f64::from(size) * text.chars().map(letter).sum::<f64>()
}

/// The text in lines of at most `room` pixels: broken at spaces, inside a word only where one is
/// wider than a line.
pub(super) fn wrapped(text: &str, size: u32, room: f64) -> Vec<String> {
    let (mut lines, mut line) = (Vec::new(), String::new());
    for word in text.split_whitespace() {
        let joined = if line.is_empty() { word.to_owned() } else { format!("{line} {word}") };
        if wide(&joined, size) <= room {
            line = joined;
            continue;
        }
        if !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        for c in word.chars() {
            line.push(c);
            if wide(&line, size) > room && line.chars().count() > 1 {
                line.pop();
                lines.push(std::mem::replace(&mut line, c.to_string()));
            }
        }
    }
    lines.extend(Some(line).filter(|line| !line.is_empty()));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_wrapped_and_never_cut() {
        let text =
            "logreg: learning_rate=0.0001, momentum=0.9, a-word-that-is-longer-than-any-line";
        let lines = wrapped(text, 12, 120.0);
        assert!(lines.iter().all(|line| wide(line, 12) <= 120.0), "{lines:?}");
        let letters = |text: &str| text.replace(' ', "");
        assert_eq!(letters(&lines.concat()), letters(text));
        assert!(wrapped("", 12, 100.0).is_empty());
    }

    #[test]
    fn every_entry_of_a_long_legend_lies_inside_the_picture() {
        let legend: Vec<(usize, String)> =
            (0..24).map(|k| (k, format!("rule number {k}"))).collect();
        let frame =
            Frame { title: "t".repeat(300), legend, notes: vec!["n ".repeat(300)], narrow: false };
        let scene = framed(Scene::new(400.0, 280.0), &frame);
        let mut names = 0;
        for element in &scene.elements {
            if let Primitive::Text { x, y, content, size, anchor, .. } = element {
                let half = wide(content, *size)
                    / if matches!(anchor, TextAnchor::Middle) { 2.0 } else { 1.0 };
                assert!(x + half <= scene.width && *y < scene.height && *y > 0.0, "{content}");
                names += usize::from(content.starts_with("rule number"));
            }
        }
        assert_eq!(names, 24);
    }
}
