//! A metric against the step: one panel an attack, one line a rule, bands over seeds.

use super::axis::Axis;
use super::frame::{self, Frame, framed};
use super::{Picture, style};
use kuva::plot::LinePlot;
use kuva::plot::scatter::{MarkerShape, ScatterPlot};
use kuva::render::figure::Figure;
use kuva::render::layout::{Layout, TickFormat};
use kuva::render::plots::Plot;
use std::sync::Arc;

/// The width of a panel, in pixels.
const WIDTH: f64 = 380.0;
/// The height of a panel, in pixels.
const HEIGHT: f64 = 280.0;
/// The least width of a panel of a picture whose width is given, in pixels.
const NARROW: f64 = 230.0;
/// Markers on a line.
const MARKERS: usize = 5;
/// The letters of an axis's numbers, in pixels.
const TICKS: u32 = 11;
/// The letters of a panel's title, in pixels, and how many fit into its width.
const TITLE: u32 = 13;
const LETTERS: usize = 38;

/// A value at a step with its band; NaN ends: no band.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    /// The step.
    pub step: f64,
    /// The band's lower end.
    pub low: f64,
    /// The value.
    pub mean: f64,
    /// The band's upper end.
    pub high: f64,
}

/// One line.
pub struct Curve {
    /// Which line of the style it is, from 0: sets colour, marker and dashes.
    pub line: usize,
    /// Its points, by step.
    pub points: Vec<Spread>,
}

/// One panel.
pub struct Panel {
    /// What all its lines share: the attack.
    pub title: String,
    /// Its lines.
    pub curves: Vec<Curve>,
}

/// Panels on one scale, with one legend.
pub struct Sheet {
    /// Above all panels; wrapped, never cut.
    pub title: String,
    /// What the horizontal axes show.
    pub x_label: String,
    /// What the vertical axes show.
    pub y_label: String,
    /// The lines by their place in the style, with their names.
    pub legend: Vec<(usize, String)>,
    /// The panels.
    pub panels: Vec<Panel>,
    /// Values are shares, drawn as percent on 0 to 100; else the scale is that of the values.
    pub percent: bool,
    /// What stands below, a paragraph each.
    pub notes: Vec<String>,
    /// The width of all panels together in pixels of the picture's letters, where it is given, and
    /// the height of a panel as a share of its width.
    pub wide: Option<(f64, f64)>,
    /// Names of the places 0, 1, … of the horizontal axis, where it has names and no numbers.
    pub x_names: Vec<String>,
}

/// Draws panels on one scale, with one legend. `percent`: values are shares, drawn as percent on
/// 0 to 100; else the scale is that of the values.
pub fn curves(
    title: &str,
    y_label: &str,
    legend: &[String],
    panels: Vec<Panel>,
    percent: bool,
) -> Picture {
    curves_over("step", title, y_label, legend, panels, percent)
}

/// As [`curves`] against something else than the step.
pub fn curves_over(
    x_label: &str,
    title: &str,
    y_label: &str,
    legend: &[String],
    panels: Vec<Panel>,
    percent: bool,
) -> Picture {
    let (title, x_label, y_label) = (title.into(), x_label.into(), y_label.into());
    let legend = legend.iter().cloned().enumerate().collect();
    let (notes, wide, x_names) = (Vec::new(), None, Vec::new());
    Sheet { title, x_label, y_label, legend, panels, percent, notes, wide, x_names }.draw()
}

impl Sheet {
    /// The picture. Where a line leaves the finite numbers stands a large cross.
    pub fn draw(self) -> Picture {
        let Sheet {
            title,
            x_label,
            y_label,
            legend,
            panels,
            percent,
            mut notes,
            wide,
            mut x_names,
        } = self;
        let columns = match (panels.len(), wide) {
            (count, Some((wide, _))) => ((wide / NARROW) as usize).clamp(1, count.max(1)),
            (count @ 0..=3, None) => count.max(1),
            (4, None) => 2,
            _ => 3,
        };
        let (width, height) = match wide {
            None => (WIDTH, HEIGHT),
            Some((wide, aspect)) => (wide / columns as f64, wide / columns as f64 * aspect),
        };
        notes.splice(0..0, numbered(&mut x_names, &x_label, width));
        let rows = panels.len().div_ceil(columns).max(1);
        let points = || panels.iter().flat_map(|p| &p.curves).flat_map(|c| &c.points);
        let values = points().map(|point| point.mean);
        let axis = if percent { Axis::percent(values) } else { Axis::of(values) };
        let end = points().map(|point| point.step).fold(1.0, f64::max);
        if points().any(|point| !point.mean.is_finite()) {
            notes.push(
                "✕ in a line's colour: from this step on its value is not finite (NaN or infinite) \
                 or was not measured, for at least one seed"
                    .into(),
            );
        }
        notes.extend(axis.note());
        let y_label = format!("{y_label}{}", axis.suffix());
        let (mut plots, mut layouts) = (Vec::new(), Vec::new());
        for (k, panel) in panels.into_iter().enumerate() {
            plots.push(draw(&panel.curves, &axis));
            let mut layout = layout(panel.title, &axis, end, width).with_x_label(x_label.as_str());
            if !x_names.is_empty() {
                let names = x_names.clone();
                let name = move |place: f64| {
                    let whole = (place - place.round()).abs() < 1e-9 && place > -0.5;
                    whole.then(|| names.get(place.round() as usize).cloned()).flatten()
                };
                let format = move |place| name(place).unwrap_or_default();
                layout = layout
                    .with_x_tick_step(1.0)
                    .with_x_tick_format(TickFormat::Custom(Arc::new(format)));
            }
            if k % columns == 0 {
                layout = layout.with_y_label(y_label.as_str());
            }
            layouts.push(layout);
        }
        let figure = Figure::new(rows, columns)
            .with_cell_size(width, height)
            .with_plots(plots)
            .with_layouts(layouts);
        Picture::of(framed(
            figure.render(),
            &Frame { title, legend, notes, narrow: wide.is_some() },
        ))
    }
}

/// Numbers names that would lie on one another in a panel of this width; what says so.
fn numbered(names: &mut Vec<String>, axis: &str, width: f64) -> Option<String> {
    let widest = names.iter().map(|name| frame::wide(name, TICKS)).fold(0.0, f64::max);
    if widest * names.len() as f64 <= width - 90.0 {
        return None;
    }
    let list = names.iter().enumerate();
    let told: Vec<String> = list.map(|(k, name)| format!("{}: {name}", k + 1)).collect();
    *names = (1..=names.len()).map(|k| k.to_string()).collect();
    Some(format!("{axis}: {}", told.join(", ")))
}

fn layout(title: String, axis: &Axis, end: f64, width: f64) -> Layout {
    let (low, high, labels) = (axis.low, axis.high, axis.clone());
    // The crate wraps by letters: narrow enough that the widest ones fit.
    let lines = frame::wrapped(&title, TITLE, width - 60.0).len();
    let letters = if lines > 1 {
        (LETTERS as f64 * width / WIDTH) as usize
    } else {
        title.chars().count().max(1)
    };
    // Room for the markers at both ends.
    let (from, to) = (-0.02 * end, 1.02 * end);
    Layout::new((from, to), (low, high))
        .with_title(title)
        .with_title_wrap(letters)
        .with_title_size(TITLE)
        .with_label_size(13)
        .with_tick_size(TICKS)
        .with_x_axis_min(from)
        .with_x_axis_max(to)
        .with_y_axis_min(low)
        .with_y_axis_max(high)
        .with_ticks(5)
        .with_y_tick_step(axis.step)
        .with_y_tick_format(TickFormat::Custom(Arc::new(move |place| labels.label(place))))
}

/// Lines with their bands, a few markers on top, and crosses where lines leave the finite numbers.
fn draw(curves: &[Curve], axis: &Axis) -> Vec<Plot> {
    let (mut plots, mut crosses) = (Vec::new(), 0);
    for curve in curves {
        let finite = |a: &Spread, b: &Spread| a.mean.is_finite() == b.mean.is_finite();
        let mut last = None;
        for part in curve.points.chunk_by(finite) {
            match part[0].mean.is_finite() {
                true => {
                    stretch(curve.line, part, axis, &mut plots);
                    last = part.last().map(|point| axis.at(point.mean));
                }
                false => {
                    let place = last.unwrap_or_else(|| top(crosses, axis));
                    crosses += usize::from(last.is_none());
                    plots.push(cross(curve.line, part[0].step, place));
                }
            }
        }
    }
    plots
}

/// A part of a line without a hole.
fn stretch(line: usize, part: &[Spread], axis: &Axis, plots: &mut Vec<Plot>) {
    let colour = style::colour(line);
    let mut drawn = LinePlot::new()
        .with_data(part.iter().map(|point| (point.step, axis.at(point.mean))))
        .with_color(colour)
        .with_stroke_width(1.8)
        .with_line_style(style::stroke(line));
    if part.iter().all(|point| point.low.is_finite() && point.high.is_finite()) {
        let low = part.iter().map(|point| axis.at(point.low));
        let high = part.iter().map(|point| axis.at(point.high));
        drawn = drawn.with_band(low, high);
        drawn.band = drawn.band.map(|band| band.with_opacity(0.15));
    }
    plots.push(drawn.into());
    let stride = part.len().div_ceil(MARKERS).max(1);
    // Lines that lie on one another still show a marker each.
    let marks = part.iter().skip(line % stride).step_by(stride);
    let marks = ScatterPlot::new()
        .with_data(marks.map(|point| (point.step, axis.at(point.mean))).collect::<Vec<_>>())
        .with_color(colour)
        .with_size(3.6)
        .with_marker(style::marker(line));
    plots.push(marks.into());
}

/// Where a line without any value before it leaves: at the top, each a little lower than the one
/// before.
fn top(before: usize, axis: &Axis) -> f64 {
    let down = 0.05 + 0.055 * (before % 16) as f64;
    axis.high - down * (axis.high - axis.low)
}

/// Where a line leaves: at its last height.
fn cross(line: usize, step: f64, place: f64) -> Plot {
    ScatterPlot::new()
        .with_data(vec![(step, place)])
        .with_color(style::colour(line))
        .with_size(7.0)
        .with_marker(MarkerShape::Cross)
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cross_stands_at_the_last_height_and_a_line_comes_back_after_it() {
        let axis = Axis::percent([0.0].into_iter());
        let points = [0.5, 0.4, f64::NAN, f64::NAN, 0.7].into_iter().enumerate();
        let points = points.map(|(k, mean)| {
            let (low, high) = (f64::NAN, f64::NAN);
            Spread { step: k as f64, low, mean, high }
        });
        let plots = draw(&[Curve { line: 1, points: points.collect() }], &axis);
        // Two stretches, each with its markers, and the cross between them.
        assert_eq!(plots.len(), 5);
        let Plot::Scatter(cross) = &plots[2] else { panic!("a cross") };
        assert_eq!((cross.data[0].x, cross.data[0].y), (2.0, 0.4));
    }
}
