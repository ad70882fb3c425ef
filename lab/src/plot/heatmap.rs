//! Heatmaps: a share for each pair of two things that vary.

use super::Picture;
use super::frame::{Frame, framed, wide, wrapped};
use kuva::render::render::{Primitive, Scene, TextAnchor};

/// The letters of names and values, in pixels, and the height of a line of them.
const TEXT: u32 = 12;
const LINE: f64 = 15.0;
/// A cell's least width and height, in pixels.
const CELL: (f64, f64) = (92.0, 34.0);
/// The most room for the rows' names, in pixels; longer ones are wrapped.
const NAMES: f64 = 380.0;

/// A matrix of values with names.
pub struct Grid {
    /// Rows, from the top.
    pub rows: Vec<String>,
    /// Columns, from the left.
    pub columns: Vec<String>,
    /// Shares of 1, one list a row; NaN where nothing was run.
    pub values: Vec<Vec<f64>>,
}

/// Draws the matrix with its values in percent in the cells, columns named above them. A colour
/// means the same value in every picture; what was not run is a grey cell without a figure.
pub fn heatmap(
    title: &str,
    x_label: &str,
    y_label: &str,
    grid: Grid,
    notes: Vec<String>,
) -> Picture {
    let names: Vec<Vec<String>> = grid.rows.iter().map(|row| wrapped(row, TEXT, NAMES)).collect();
    let widest = names.iter().flatten().map(|line| wide(line, TEXT)).fold(60.0, f64::max);
    let across = (4.2 * CELL.0 / grid.columns.len().max(1) as f64).max(CELL.0);
    let heads: Vec<Vec<String>> =
        grid.columns.iter().map(|column| wrapped(column, TEXT, across - 8.0)).collect();
    let head = LINE * heads.iter().map(Vec::len).max().unwrap_or(0) as f64;
    let (left, mut y) = (widest + 24.0, 30.0 + head);
    let mut scene = Scene::new(left + across * grid.columns.len() as f64 + 14.0, 0.0);
    scene.font_family = Some("DejaVu Sans, Verdana, Liberation Sans, Arial, sans-serif".into());
    let middle = left + across * grid.columns.len() as f64 / 2.0;
    scene.add(text(middle, 18.0, x_label.into(), TextAnchor::Middle));
    scene.add(text(left - 10.0, 18.0, format!("{y_label} ↓"), TextAnchor::End));
    for (k, lines) in heads.into_iter().enumerate() {
        lettered(
            &mut scene,
            lines,
            left + (k as f64 + 0.5) * across,
            y - 6.0 - head,
            TextAnchor::Middle,
        );
    }
    for (lines, values) in names.into_iter().zip(&grid.values) {
        let high = CELL.1.max(LINE * lines.len() as f64 + 8.0);
        let top = y + (high - LINE * lines.len() as f64) / 2.0 - 2.0;
        lettered(&mut scene, lines, left - 10.0, top, TextAnchor::End);
        for (k, value) in values.iter().enumerate() {
            cell(&mut scene, (left + k as f64 * across, y), (across, high), *value);
        }
        y += high;
    }
    scene.height = y + 10.0;
    Picture::of(framed(scene, &Frame { title: title.into(), notes, ..Frame::default() }))
}

fn cell(scene: &mut Scene, (x, y): (f64, f64), (width, height): (f64, f64), value: f64) {
    scene.add(Primitive::Rect {
        x,
        y,
        width,
        height,
        fill: shade(value).into(),
        stroke: Some("#ffffff".into()),
        stroke_width: Some(1.0),
        opacity: None,
    });
    if value.is_finite() {
        let figure = format!("{:.1}", 100.0 * value);
        scene.add(text(x + width / 2.0, y + height / 2.0 + 4.0, figure, TextAnchor::Middle));
    }
}

/// Lines below one another, the first below `top`.
fn lettered(scene: &mut Scene, lines: Vec<String>, x: f64, top: f64, anchor: TextAnchor) {
    for (k, line) in lines.into_iter().enumerate() {
        scene.add(text(x, top + LINE * (k + 1) as f64 - 1.0, line, anchor));
    }
}

fn text(x: f64, y: f64, content: String, anchor: TextAnchor) -> Primitive {
    Primitive::Text { x, y, content, size: TEXT, anchor, rotate: None, bold: false, color: None }
}

/// From orange (low) over white to blue (high), light enough for black figures on every cell, and
/// told apart under every common colour vision deficiency.
fn shade(share: f64) -> String {
    if !share.is_finite() {
        return "#dddddd".into();
    }
    let (low, middle, high) = ([235.0, 165.0, 60.0], [250.0, 250.0, 245.0], [100.0, 180.0, 235.0]);
    let share = share.clamp(0.0, 1.0);
    let (from, to, part) = match share < 0.5 {
        true => (low, middle, 2.0 * share),
        false => (middle, high, 2.0 * share - 1.0),
    };
    let channel = |k: usize| (from[k] + part * (to[k] - from[k])) as u8;
    format!("#{:02x}{:02x}{:02x}", channel(0), channel(1), channel(2))
}

#[cfg(test)]
mod tests {
    use super::super::{BoxGroup, Curve, Panel, Spread, boxes, curves};
    use super::*;
    use std::path::Path;

    #[test]
    fn a_name_with_a_point_keeps_all_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let grid =
            || Grid { rows: vec!["a".into()], columns: vec!["b".into()], values: vec![vec![0.5]] };
        for name in ["rate=0.5", "rate=0.5, seed=1"] {
            heatmap("t", "x", "y", grid(), Vec::new()).write(&dir.path().join(name)).unwrap();
        }
        let mut names: Vec<String> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let wanted =
            ["rate=0.5, seed=1.png", "rate=0.5, seed=1.svg", "rate=0.5.png", "rate=0.5.svg"];
        assert_eq!(names, wanted);
    }

    /// Draws one of each; set VARANGIAN_PICTURES to a folder to look at them.
    #[test]
    fn each_picture_names_what_it_shows() {
        let legend: Vec<String> = (0..6).map(|k| format!("rule-{k}")).collect();
        let spread = |line: usize, k: i32| {
            let mean = 0.9 - 0.8 * (-f64::from(k) / (3.0 + line as f64)).exp();
            let (low, high) = (mean - 0.03, mean + 0.03);
            Spread { step: 10.0 * f64::from(k), low, mean, high }
        };
        let curve =
            |line: usize| Curve { line, points: (0..21).map(|k| spread(line, k)).collect() };
        let panel =
            |title: &str| Panel { title: title.into(), curves: (0..6).map(curve).collect() };
        let names = ["none", "sign-flip", "alie z=1.5", "ipm scale=1.1", "gaussian"];
        let panels = names.map(panel).into_iter().collect();
        let group = |label: &str, base: f64| BoxGroup {
            label: label.into(),
            line: 0,
            values: (0..25).map(|k| base + 0.01 * k as f64).collect(),
        };
        let groups = vec![group("update", 0.5), group("worker", 0.7)];
        let grid = Grid {
            rows: legend.clone(),
            columns: names.map(String::from).to_vec(),
            values: (0..6)
                .map(|i| (0..5).map(|j| (10 * i + 7 * j) as f64 / 100.0).collect())
                .map(|row: Vec<f64>| {
                    row.iter().map(|&x| if x < 0.03 { f64::NAN } else { x }).collect()
                })
                .collect(),
        };
        let pictures = [
            ("curves", curves("first", "test accuracy", &legend, panels, true), "sign-flip"),
            (
                "boxes",
                boxes("overview", "accuracy", groups, Some((0.97, "no attack")), Vec::new()),
                "worker",
            ),
            ("heatmap", heatmap("worst", "attack", "rule", grid, Vec::new()), "rule-5"),
        ];
        for (name, picture, wanted) in pictures {
            assert!(picture.svg().contains(wanted), "{name}");
            assert!(!picture.svg().contains("NaN"), "{name}");
            if let Some(folder) = std::env::var_os("VARANGIAN_PICTURES") {
                picture.write(&Path::new(&folder).join(name)).unwrap();
            }
        }
    }
}
