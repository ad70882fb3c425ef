//! Heatmaps: a share for each pair of two things that vary.

use super::Picture;
use super::frame::{Frame, framed};
use kuva::plot::{ColorMap, Heatmap};
use kuva::render::layout::Layout;
use kuva::render::plots::Plot;
use kuva::render::render::{Primitive, render_multiple};

/// A matrix of values with names.
pub(crate) struct Grid {
    /// Rows, from the top.
    pub(crate) rows: Vec<String>,
    /// Columns, from the left.
    pub(crate) columns: Vec<String>,
    /// Shares of 1, one list a row; NaN where nothing was run.
    pub(crate) values: Vec<Vec<f64>>,
}

/// Draws the matrix with its values in the cells.
pub(crate) fn heatmap(
    title: &str,
    x_label: &str,
    y_label: &str,
    grid: Grid,
    notes: Vec<String>,
) -> Picture {
    let (rows, columns) = (grid.rows.len(), grid.columns.len());
    // The crate draws the first row at the bottom.
    let upwards: Vec<Vec<f64>> = grid.values.iter().rev().cloned().collect();
    let names: Vec<String> = grid.rows.iter().rev().cloned().collect();
    let plot = Heatmap::new()
        .with_data(upwards)
        .with_labels(names.clone(), grid.columns.clone())
        .with_color_map(ColorMap::Custom(std::sync::Arc::new(shade)))
        .with_values();
    let plots: Vec<Plot> = vec![plot.into()];
    let widest = grid.rows.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let mut layout = Layout::auto_from_plots(&plots)
        .with_label_size(13)
        .with_tick_size(11)
        .with_x_label(x_label)
        .with_y_label(y_label)
        .with_x_categories(grid.columns.clone())
        .with_y_categories(names)
        .with_width(220.0 + 7.0 * widest as f64 + 80.0 * columns as f64)
        .with_height(150.0 + 34.0 * rows as f64);
    if grid.columns.iter().any(|name| name.chars().count() > 10) {
        layout = layout.with_x_tick_rotate(-30.0);
    }
    let mut scene = render_multiple(plots, layout);
    // What was not run is a grey cell without a figure.
    let is_figure = |element: &Primitive| !matches!(element, Primitive::Text { content, .. } if content == "NaN");
    scene.elements.retain(is_figure);
    Picture(framed(scene, &Frame { title: title.into(), legend: Vec::new(), notes }))
}

/// From orange (low) over white to blue (high), light enough for black figures on every cell, and
/// told apart under every common colour vision deficiency.
fn shade(share: f64) -> String {
    if !share.is_finite() {
        return "#dddddd".into();
    }
    let (low, middle, high) = ([235.0, 165.0, 60.0], [250.0, 250.0, 245.0], [100.0, 180.0, 235.0]);
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

    /// Draws one of each; set VARANGIAN_PICTURES to a folder to look at them.
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
