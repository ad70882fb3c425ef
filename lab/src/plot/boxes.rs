//! Box plots: how runs spread over rules and seeds.

use super::frame::{Frame, framed};
use super::{Picture, style};
use kuva::plot::BoxPlot;
use kuva::render::annotations::ReferenceLine;
use kuva::render::layout::{Layout, TickFormat};
use kuva::render::plots::Plot;
use kuva::render::render::render_multiple;

/// One box.
pub struct BoxGroup {
    /// Its label below the axis.
    pub label: String,
    /// Its place in the style: sets its colour.
    pub line: usize,
    /// Its values: shares of 1.
    pub values: Vec<f64>,
}

/// Draws boxes with every value as a dot, and a dashed line at `reference`, where there is one:
/// what it is stands below the picture with the notes.
pub fn boxes(
    title: &str,
    y_label: &str,
    groups: Vec<BoxGroup>,
    reference: Option<(f64, &str)>,
    notes: Vec<String>,
) -> Picture {
    let (count, mut colours) = (groups.len(), Vec::new());
    let longest = groups.iter().map(|group| group.label.chars().count()).max().unwrap_or(0);
    let mut plot = BoxPlot::new()
        .with_width(0.6)
        .with_strip(0.25)
        .with_overlay_color("rgba(0,0,0,0.55)")
        .with_overlay_size(2.4);
    for group in groups {
        colours.push(style::colour(group.line));
        let values: Vec<f64> = group.values.into_iter().filter(|value| value.is_finite()).collect();
        plot = plot.with_group(group.label, values);
    }
    let plots: Vec<Plot> = vec![plot.with_group_colors(colours).into()];
    let mut layout = Layout::auto_from_plots(&plots)
        .with_label_size(13)
        .with_tick_size(11)
        .with_y_label(y_label)
        .with_y_axis_min(-0.03)
        .with_y_axis_max(1.05)
        .with_y_tick_step(0.2)
        .with_width(160.0 + (if count > 8 { 60.0 } else { 110.0 }) * count as f64)
        .with_height(400.0)
        .with_y_tick_format(TickFormat::Custom(std::sync::Arc::new(|x| {
            format!("{:.0} %", 100.0 * x)
        })));
    if count > 6 || longest > 16 {
        layout = layout.with_x_tick_rotate(-45.0).with_height(400.0 + 5.0 * longest as f64);
    }
    let mut lines = Vec::new();
    if let Some((value, label)) = reference {
        lines.push(format!("Dashed line: {label}, {:.1} %", 100.0 * value));
        layout = layout.with_reference_line(ReferenceLine::horizontal(value).with_color("#000000"));
    }
    lines.extend(notes);
    let frame = Frame { title: title.into(), notes: lines, ..Frame::default() };
    Picture::of(framed(render_multiple(plots, layout), &frame))
}
