//! Pictures: curves, boxes, heatmaps, as SVG and PNG. The only place that knows the plotting crate.

mod boxes;
mod curves;
mod heatmap;
mod style;

pub(crate) use boxes::{BoxGroup, boxes};
pub(crate) use curves::{Curve, Panel, Spread, curves, curves_over};
pub(crate) use heatmap::{Grid, heatmap};

use crate::{Failure, files};
use kuva::backend::png::PngBackend;
use kuva::backend::svg::SvgBackend;
use kuva::render::render::Scene;
use std::path::{Path, PathBuf};

/// A picture, ready to be written.
pub(crate) struct Picture(Scene);

impl Picture {
    /// The picture as SVG.
    pub(crate) fn svg(&self) -> String {
        SvgBackend::new().render_scene(&self.0)
    }

    /// Writes `path` with the endings svg and png.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub(crate) fn write(&self, path: &Path) -> Result<(), Failure> {
        // Names may hold points, as in "rate=0.5": an extension is added, never put for another.
        let name = |extension: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(extension);
            PathBuf::from(name)
        };
        files::write(&name(".svg"), self.svg().as_bytes())?;
        let png = PngBackend::new().render_scene(&self.0);
        let png = png.map_err(|error| Failure::file("draw", path, &error))?;
        files::write(&name(".png"), &png)
    }
}
