//! Pictures: curves, boxes, bars, heatmaps, as SVG and PNG. The only place that knows the plotting
//! crate.

mod axis;
mod bars;
mod boxes;
mod curves;
mod frame;
mod heatmap;
mod raster;
mod style;

pub use axis::compact;
pub use bars::{Bar, bars};
pub use boxes::{BoxGroup, boxes};
pub use curves::{Curve, Panel, Sheet, Spread, curves, curves_over};
pub use heatmap::{Grid, heatmap};
pub use style::{colour, dashes, mark};

use crate::{Failure, files};
use kuva::backend::svg::SvgBackend;
use kuva::render::render::Scene;
use std::path::{Path, PathBuf};

/// A picture, ready to be written.
pub struct Picture(Scene);

impl Picture {
    /// The picture as SVG: the same bytes for the same picture.
    pub fn svg(&self) -> String {
        let mut svg = SvgBackend::new().render_scene(&self.0);
        // The crate numbers clips over the whole process.
        let ids: Vec<String> = svg
            .split(" id=\"kuva-clip-")
            .skip(1)
            .filter_map(|part| Some(part.split_once('"')?.0.to_owned()))
            .collect();
        for (k, id) in ids.iter().enumerate() {
            svg = svg
                .replace(&format!("\"kuva-clip-{id}\""), &format!("\"clip{k}\""))
                .replace(&format!("#kuva-clip-{id})"), &format!("#clip{k})"));
        }
        svg
    }

    /// Writes `path` with the endings svg and png.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Failure> {
        // Names may hold points, as in "rate=0.5": an extension is added, never put for another.
        let name = |extension: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(extension);
            PathBuf::from(name)
        };
        let svg = self.svg();
        files::write(&name(".svg"), svg.as_bytes())?;
        // The PNG is the SVG, rendered: they cannot differ.
        let png = raster::png(&svg)
            .map_err(|error| Failure::failed(format!("cannot draw {}: {error}", path.display())))?;
        files::write(&name(".png"), &png)
    }
}
