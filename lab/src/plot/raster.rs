//! SVG to PNG, with the letters that the plotting crate measures by: no system font is asked for.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};
use kuva::backend::svg::SvgBackend;
use kuva::render::render::Scene;
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};
use std::sync::{Arc, LazyLock};

/// Letters from a file.
#[derive(Clone)]
pub(super) struct Font {
    /// What the file calls them.
    pub(super) family: String,
    fonts: Arc<fontdb::Database>,
}

impl Font {
    /// The first face of a file's bytes; nothing where it holds none.
    pub(super) fn of(bytes: Vec<u8>) -> Option<Self> {
        let mut fonts = fontdb::Database::new();
        fonts.load_font_data(bytes);
        let family = fonts.faces().next()?.families.first()?.0.clone();
        fonts.set_sans_serif_family(family.as_str());
        Some(Font { family, fonts: Arc::new(fonts) })
    }
}

/// The parts of a picture with its letters found.
///
/// # Errors
/// If the text is no SVG.
pub(super) fn tree(svg: &str, font: Option<&Font>) -> Result<Tree, String> {
    let (fontdb, font_family) = match font {
        None => (FONTS.clone(), "DejaVu Sans".to_owned()),
        Some(font) => (font.fonts.clone(), font.family.clone()),
    };
    let options = Options { fontdb, font_family, ..Options::default() };
    Tree::from_str(svg, &options).map_err(|error| error.to_string())
}

/// The picture as PNG, `scale` pixels for each of its own.
///
/// # Errors
/// If a picture so large cannot be held.
pub(super) fn png(tree: &Tree, scale: f32) -> Result<Vec<u8>, String> {
    let size = tree.size().scale_by(scale).ok_or("the picture is empty")?.to_int_size();
    let pixels = Pixmap::new(size.width(), size.height());
    let mut pixels = pixels.ok_or("the picture is too large")?;
    resvg::render(tree, Transform::from_scale(scale, scale), &mut pixels.as_mut());
    let mut out = Vec::new();
    // The background is opaque: premultiplied colours are the colours.
    let colours: Vec<u8> =
        pixels.data().chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
    PngEncoder::new_with_quality(&mut out, CompressionType::Default, FilterType::Adaptive)
        .write_image(&colours, size.width(), size.height(), ExtendedColorType::Rgb8)
        .map_err(|error| error.to_string())?;
    Ok(out)
}

/// DejaVu Sans. The plotting crate carries it and hands it out only inside an SVG, in base 64.
static FONTS: LazyLock<Arc<fontdb::Database>> = LazyLock::new(|| {
    let empty = SvgBackend::new().with_embedded_font(true).render_scene(&Scene::new(1.0, 1.0));
    let mut fonts = fontdb::Database::new();
    for part in empty.split("base64,").skip(1) {
        let text = part.split('\'').next().unwrap_or_default();
        // The tests read letters: a font that does not unpack is seen there.
        fonts.load_font_data(STANDARD.decode(text).unwrap_or_default());
    }
    fonts.set_sans_serif_family("DejaVu Sans");
    Arc::new(fonts)
});

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(inside: &str) -> image::RgbaImage {
        let svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"60\" height=\"20\">\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>{inside}</svg>"
        );
        image::load_from_memory(&png(&tree(&svg, None).unwrap(), 2.0).unwrap()).unwrap().to_rgba8()
    }

    fn dark(picture: &image::RgbaImage) -> usize {
        picture.pixels().filter(|pixel| pixel[0] < 200).count()
    }

    #[test]
    fn the_png_keeps_dashes_transparent_points_and_letters() {
        let line = |dashes: &str| {
            let line =
                format!("<line x1=\"0\" y1=\"10\" x2=\"60\" y2=\"10\" stroke=\"black\" {dashes}/>");
            dark(&drawn(&line))
        };
        assert!(line("stroke-dasharray=\"7 3\"") < line("") * 4 / 5);
        let point = drawn("<circle cx=\"30\" cy=\"10\" r=\"5\" fill=\"rgba(0,0,0,0.55)\"/>");
        assert_eq!(point.get_pixel(60, 20).0, [115, 115, 115, 255]);
        assert_eq!(point.dimensions(), (120, 40));
        let word = |family: &str| {
            drawn(&format!("<text x=\"5\" y=\"15\" font-size=\"12\" {family}>krum ±✕</text>"))
        };
        assert!(dark(&word("")) > 100);
        assert_eq!(word(""), word("font-family=\"DejaVu Sans, Verdana, sans-serif\""));
        assert!(tree("no picture", None).is_err());
    }
}
