//! Pictures: curves, boxes, bars, heatmaps, as SVG and PNG. The only place that knows the plotting
//! crate.

mod axis;
mod bars;
mod boxes;
mod curves;
mod frame;
mod heatmap;
mod pdf;
mod ranks;
mod raster;
mod style;

pub use axis::compact;
pub use bars::{Bar, bars};
pub use boxes::{BoxGroup, boxes};
pub use curves::{Curve, Panel, Sheet, Spread, curves, curves_over};
pub use heatmap::{Grid, heatmap};
pub use ranks::ranks;
pub use style::{colour, dashes, mark};

use crate::{Failure, files};
use kuva::backend::svg::SvgBackend;
use kuva::render::render::Scene;
use std::path::{Path, PathBuf};

/// A picture, ready to be written.
pub struct Picture {
    scene: Scene,
    look: Look,
}

/// How large a picture is, and in which letters; by default as it is drawn, in DejaVu Sans.
#[derive(Clone, Default)]
pub struct Look {
    inches: Option<f64>,
    font: Option<raster::Font>,
}

/// Pixels of a PNG for each pixel of the picture, where no size is given; and dots an inch where
/// one is.
const SCALE: f32 = 2.0;
const DOTS: f32 = 300.0;

impl Look {
    /// A picture as wide as this, its letters from this file's bytes.
    ///
    /// # Errors
    /// If the width is none, or the file holds no letters.
    pub fn of(inches: Option<f64>, font: Option<Vec<u8>>) -> Result<Self, Failure> {
        if let Some(odd) = inches.filter(|inches| !(0.5..=100.0).contains(inches)) {
            let text = format!("a figure is 0.5 to 100 inches wide; found {odd}");
            return Err(Failure::refused(text));
        }
        let read = |bytes| {
            raster::Font::of(bytes).ok_or_else(|| {
                Failure::refused("a font is a TrueType or OpenType file; found none")
            })
        };
        Ok(Look { inches, font: font.map(read).transpose()? })
    }
}

impl Picture {
    /// A picture as it is drawn.
    pub(crate) fn of(scene: Scene) -> Self {
        Picture { scene, look: Look::default() }
    }

    /// The same picture in another size and other letters.
    pub fn looking(self, look: Look) -> Self {
        Picture { look, ..self }
    }

    /// The picture as SVG: the same bytes for the same picture.
    pub fn svg(&self) -> String {
        let mut svg = SvgBackend::new().render_scene(&self.scene);
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
        if let Some(font) = &self.look.font {
            let family: String = font.family.chars().filter(|c| !"\"'<>&,".contains(*c)).collect();
            svg = svg.replace("DejaVu Sans,", &format!("{family}, DejaVu Sans,"));
        }
        match self.look.inches {
            None => svg,
            Some(inches) => sized(&svg, inches),
        }
    }

    /// The picture as the bytes of a file with this ending: svg, png or pdf. All three are the SVG:
    /// they cannot differ.
    ///
    /// # Errors
    /// If there is no such kind of file, or it cannot be drawn.
    pub fn bytes(&self, ending: &str) -> Result<Vec<u8>, Failure> {
        let svg = self.svg();
        if ending == "svg" {
            return Ok(svg.into_bytes());
        }
        let font = self.look.font.as_ref();
        let scale = if self.look.inches.is_some() { DOTS / 96.0 } else { SCALE };
        let drawn = raster::tree(&svg, font).and_then(|tree| match ending {
            "png" => raster::png(&tree, scale),
            "pdf" => pdf::pdf(&tree),
            odd => Err(format!("a figure is written as svg, png or pdf; found {odd}")),
        });
        drawn.map_err(Failure::failed)
    }

    /// Writes `path` with the endings svg and png.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Failure> {
        self.write_as(path, &["svg", "png"])
    }

    /// Writes `path` with these endings.
    ///
    /// # Errors
    /// If a file cannot be drawn or written.
    pub fn write_as(&self, path: &Path, endings: &[&str]) -> Result<(), Failure> {
        for ending in endings {
            let bytes = self.bytes(ending).map_err(|error| {
                Failure::failed(format!("cannot draw {}: {error}", path.display()))
            })?;
            // Names may hold points, as in "rate=0.5": an extension is added, never put for another.
            let mut name = path.as_os_str().to_owned();
            name.push(format!(".{ending}"));
            files::write(&PathBuf::from(name), &bytes)?;
        }
        Ok(())
    }
}

/// The picture scaled to a width in inches.
fn sized(svg: &str, inches: f64) -> String {
    let Some(start) = svg.find("<svg") else { return svg.to_owned() };
    let Some(end) = svg[start..].find('>').map(|end| start + end) else { return svg.to_owned() };
    let head = &svg[start..end];
    let of = |name: &str| -> Option<f64> {
        head.split(&format!(" {name}=\"")).nth(1)?.split('"').next()?.parse().ok()
    };
    let (Some(width), Some(height)) = (of("width"), of("height")) else { return svg.to_owned() };
    let high = inches * height / width;
    let mut new = head
        .replacen(&format!(" width=\"{width}\""), &format!(" width=\"{inches}in\""), 1)
        .replacen(&format!(" height=\"{height}\""), &format!(" height=\"{high:.4}in\""), 1);
    if !head.contains(" viewBox=") {
        new = new.replacen("<svg", &format!("<svg viewBox=\"0 0 {width} {height}\""), 1);
    }
    format!("{}{new}{}", &svg[..start], &svg[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_in_inches_is_that_of_all_three_files() {
        let look = Look::of(Some(3.5), None).unwrap();
        let picture = curves("t", "y", &["a".into()], Vec::new(), true).looking(look);
        let svg = picture.svg();
        assert!(svg.contains(" width=\"3.5in\"") && svg.contains(" viewBox=\"0 0 "), "{svg}");
        let png = image::load_from_memory(&picture.bytes("png").unwrap()).unwrap();
        assert_eq!(png.width(), 1050);
        let pdf = picture.bytes("pdf").unwrap();
        assert!(String::from_utf8_lossy(&pdf).contains("/MediaBox [0 0 252 "));
        let why = picture.bytes("gif").unwrap_err().to_string();
        assert_eq!(why, "a figure is written as svg, png or pdf; found gif");
        assert!(Look::of(Some(0.0), None).is_err() && Look::of(None, Some(vec![1])).is_err());
    }
}
