//! A metric against the step: one panel an attack, one line a rule, bands over seeds.

use super::{Picture, style};
use kuva::plot::LinePlot;
use kuva::plot::legend::{LegendEntry, LegendShape};
use kuva::plot::scatter::ScatterPlot;
use kuva::render::figure::Figure;
use kuva::render::layout::{Layout, TickFormat};
use kuva::render::plots::Plot;

/// The width of a panel, in pixels.
const WIDTH: f64 = 380.0;
/// The height of a panel, in pixels.
const HEIGHT: f64 = 280.0;
/// Markers on a line.
const MARKERS: usize = 5;

/// A value at a step with its band; NaN ends: no band.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    /// The step.
    pub(crate) step: f64,
    /// The band's lower end.
    pub(crate) low: f64,
    /// The value.
    pub(crate) mean: f64,
    /// The band's upper end.
    pub(crate) high: f64,
}

/// One line.
pub(crate) struct Curve {
    /// Which line of the legend it is, from 0: sets colour, marker and dashes.
    pub(crate) line: usize,
    /// Its points, by step.
    pub(crate) points: Vec<Spread>,
}

/// One panel.
pub(crate) struct Panel {
    /// What all its lines share: the attack.
    pub(crate) title: String,
    /// Its lines.
    pub(crate) curves: Vec<Curve>,
}

/// Draws panels on one scale, with one legend. `percent`: values are shares, drawn as percent on
/// 0 to 100; else the scale is that of the values.
pub(crate) fn curves(
    title: &str,
    y_label: &str,
    legend: &[String],
    panels: Vec<Panel>,
    percent: bool,
) -> Picture {
    curves_over("step", title, y_label, legend, panels, percent)
}

/// As [`curves`] against something else than the step.
pub(crate) fn curves_over(
    x_label: &str,
    title: &str,
    y_label: &str,
    legend: &[String],
    panels: Vec<Panel>,
    percent: bool,
) -> Picture {
    let columns = match panels.len() {
        0..=3 => panels.len().max(1),
        4 => 2,
        _ => 3,
    };
    let rows = panels.len().div_ceil(columns).max(1);
    let (low, high) = if percent { (0.0, 1.0) } else { range(&panels) };
    let end = panels.iter().flat_map(|p| &p.curves).flat_map(|c| &c.points).map(|p| p.step);
    let end = end.fold(1.0, f64::max);
    let (mut plots, mut layouts) = (Vec::new(), Vec::new());
    for (k, panel) in panels.into_iter().enumerate() {
        let drawn = draw(&panel.curves, low, high);
        let mut layout = Layout::new((0.0, end), (low, high))
            .with_title(panel.title)
            .with_title_size(14)
            .with_label_size(13)
            .with_tick_size(11)
            .with_x_axis_min(0.0)
            .with_x_axis_max(end)
            .with_y_axis_min(low)
            .with_y_axis_max(high)
            .with_x_label(x_label)
            .with_ticks(5);
        if k % columns == 0 {
            layout = layout.with_y_label(y_label);
        }
        if percent {
            layout = layout.with_y_tick_step(0.2).with_y_tick_format(TickFormat::Custom(
                std::sync::Arc::new(|x| format!("{:.0} %", 100.0 * x)),
            ));
        }
        plots.push(drawn);
        layouts.push(layout);
    }
    let figure = Figure::new(rows, columns)
        .with_title(title)
        .with_title_size(17)
        .with_cell_size(WIDTH, HEIGHT)
        .with_plots(plots)
        .with_layouts(layouts)
        .with_shared_legend_right_middle()
        .with_shared_legend_entries(legend_entries(legend));
    Picture(figure.render())
}

/// Lines first, bands below them, a few markers on top.
fn draw(curves: &[Curve], low: f64, high: f64) -> Vec<Plot> {
    let mut plots = Vec::new();
    for curve in curves {
        let whole: Vec<_> = curve.points.iter().filter(|point| point.mean.is_finite()).collect();
        if whole.is_empty() {
            continue;
        }
        let colour = style::colour(curve.line);
        let clamp = |x: f64| x.clamp(low, high);
        let mut line = LinePlot::new()
            .with_data(whole.iter().map(|point| (point.step, clamp(point.mean))))
            .with_color(colour)
            .with_stroke_width(1.8)
            .with_line_style(style::stroke(curve.line));
        if whole.iter().all(|point| point.low.is_finite() && point.high.is_finite()) {
            let low = whole.iter().map(|point| clamp(point.low));
            let high = whole.iter().map(|point| clamp(point.high));
            line = line.with_band(low, high);
            line.band = line.band.map(|band| band.with_opacity(0.15));
        }
        plots.push(line.into());
        let stride = whole.len().div_ceil(MARKERS).max(1);
        // Lines that lie on one another still show a marker each.
        let first = curve.line % stride;
        let marks = whole.iter().skip(first).step_by(stride);
        let marks = ScatterPlot::new()
            .with_data(marks.map(|point| (point.step, clamp(point.mean))).collect::<Vec<_>>())
            .with_color(colour)
            .with_size(3.6)
            .with_marker(style::marker(curve.line));
        plots.push(marks.into());
    }
    plots
}

fn legend_entries(legend: &[String]) -> Vec<LegendEntry> {
    let entry = |(k, label): (usize, &String)| LegendEntry {
        label: label.clone(),
        color: style::colour(k).into(),
        shape: LegendShape::Marker(style::marker(k)),
        dasharray: None,
    };
    legend.iter().enumerate().map(entry).collect()
}

/// The range of finite values; from 0 where they are not negative.
fn range(panels: &[Panel]) -> (f64, f64) {
    let values = panels.iter().flat_map(|p| &p.curves).flat_map(|c| &c.points).map(|p| p.mean);
    let finite: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    // A run that diverges must not flatten all others: nine tenths of the values are shown.
    let high = crate::results::quantile(&finite, 0.98);
    let low = finite.iter().copied().fold(0.0, f64::min).max(-high.abs() * 10.0);
    if high.is_finite() && high > low { (low, high * 1.05) } else { (0.0, 1.0) }
}
