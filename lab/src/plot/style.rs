//! Colours, dashes and markers that tell lines apart without colour vision and without colour.

use kuva::plot::LineStyle;
use kuva::plot::scatter::MarkerShape;

/// Okabe and Ito's palette (2008) without black and yellow, which are faint or heavy as lines,
/// then black: told apart under every common colour vision deficiency.
const COLOURS: [&str; 7] =
    ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000"];

const MARKERS: [MarkerShape; 6] = [
    MarkerShape::Circle,
    MarkerShape::Square,
    MarkerShape::Triangle,
    MarkerShape::Diamond,
    MarkerShape::TriangleDown,
    MarkerShape::Cross,
];

const DASHES: [&str; 5] = ["", "7 3", "2 3", "9 3 2 3", "4 2 1 2 1 2"];

/// The colour of line k.
pub fn colour(k: usize) -> &'static str {
    COLOURS[k % COLOURS.len()]
}

/// The marker of line k; the period differs from the colours', so that pairs repeat late.
pub(crate) fn marker(k: usize) -> MarkerShape {
    MARKERS[k % MARKERS.len()]
}

/// The marker of line k as a word.
pub fn mark(k: usize) -> &'static str {
    match marker(k) {
        MarkerShape::Square => "square",
        MarkerShape::Triangle => "triangle",
        MarkerShape::Diamond => "diamond",
        MarkerShape::TriangleDown => "triangle-down",
        MarkerShape::Cross => "cross",
        _ => "circle",
    }
}

/// The dashes of line k as SVG writes them; empty: solid.
pub fn dashes(k: usize) -> &'static str {
    DASHES[k % DASHES.len()]
}

/// The stroke of line k.
pub(crate) fn stroke(k: usize) -> LineStyle {
    match dashes(k) {
        "" => LineStyle::Solid,
        dashes => LineStyle::Custom(dashes.to_owned()),
    }
}
