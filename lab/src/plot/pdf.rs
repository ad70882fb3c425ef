//! SVG to PDF: lines and areas as vectors, letters as their outlines, so that the page needs no
//! font and looks as the PNG does.

use flate2::Compression;
use flate2::write::ZlibEncoder;
use resvg::tiny_skia::{Path, PathSegment, Transform};
use resvg::usvg::{Fill, FillRule, Group, LineCap, LineJoin, Node, Paint, Stroke, Tree};
use std::collections::BTreeSet;
use std::io::Write;

/// Points of a PDF in a pixel of an SVG.
const POINT: f32 = 0.75;

/// The picture as a PDF of one page.
///
/// # Errors
/// If it holds what this cannot draw: pictures of pixels, gradients.
pub(super) fn pdf(tree: &Tree) -> Result<Vec<u8>, String> {
    let (width, height) = (POINT * tree.size().width(), POINT * tree.size().height());
    let mut page = Page::default();
    page.content += &format!("{POINT} 0 0 -{POINT} 0 {height} cm\n");
    page.group(tree.root(), 1.0)?;
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::default());
    packed.write_all(page.content.as_bytes()).map_err(|error| error.to_string())?;
    let packed = packed.finish().map_err(|error| error.to_string())?;
    let states: String = page
        .opacities
        .iter()
        .map(|part| {
            let share = f64::from(*part) / 1000.0;
            format!("/a{part} << /ca {share} /CA {share} >> ")
        })
        .collect();
    let head = format!("<< /Length {} /Filter /FlateDecode >>\nstream\n", packed.len());
    let objects: [Vec<u8>; 4] = [
        b"<< /Type /Catalog /Pages 2 0 R >>".to_vec(),
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_vec(),
        format!(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {width} {height}] /Contents 4 0 R \
             /Resources << /ExtGState << {states}>> >> >>"
        )
        .into_bytes(),
        [head.as_bytes(), &packed, b"\nendstream"].concat(),
    ];
    Ok(file(&objects))
}

/// Objects with the table that finds them.
fn file(objects: &[Vec<u8>]) -> Vec<u8> {
    let mut out = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n".to_vec();
    let mut places = String::new();
    for (k, object) in objects.iter().enumerate() {
        places += &format!("{:010} 00000 n \n", out.len());
        out.extend(format!("{} 0 obj\n", k + 1).into_bytes());
        out.extend(object);
        out.extend(b"\nendobj\n");
    }
    let (start, count) = (out.len(), objects.len() + 1);
    out.extend(
        format!(
            "xref\n0 {count}\n0000000000 65535 f \n{places}trailer\n<< /Size {count} /Root 1 0 R \
             >>\nstartxref\n{start}\n%%EOF\n"
        )
        .into_bytes(),
    );
    out
}

/// What is drawn so far, and the opacities that it needs, in thousandths.
#[derive(Default)]
struct Page {
    content: String,
    opacities: BTreeSet<u32>,
}

impl Page {
    /// A group. Its opacity is that of each of its parts: what is drawn here overlaps in none that
    /// has one.
    fn group(&mut self, group: &Group, above: f32) -> Result<(), String> {
        let opacity = above * group.opacity().get();
        if let Some(clip) = group.clip_path() {
            self.content += "q\n";
            for node in clip.root().children() {
                if let Node::Path(path) = node {
                    let to = group.abs_transform().pre_concat(clip.transform());
                    self.shape(path.data(), to.pre_concat(path.abs_transform()));
                }
            }
            self.content += "W n\n";
        }
        for node in group.children() {
            match node {
                Node::Group(inner) => self.group(inner, opacity)?,
                Node::Text(text) => self.group(text.flattened(), opacity)?,
                Node::Path(path) if path.is_visible() => {
                    if let Some(fill) = path.fill() {
                        self.fill(path.data(), path.abs_transform(), fill, opacity)?;
                    }
                    if let Some(stroke) = path.stroke() {
                        self.stroke(path.data(), path.abs_transform(), stroke, opacity)?;
                    }
                }
                Node::Path(_) => {}
                Node::Image(_) => return Err("a picture of pixels has no place in it".into()),
            }
        }
        if group.clip_path().is_some() {
            self.content += "Q\n";
        }
        Ok(())
    }

    fn fill(&mut self, data: &Path, to: Transform, fill: &Fill, above: f32) -> Result<(), String> {
        let colour = colour(fill.paint())?;
        self.opacity(above * fill.opacity().get());
        self.content += &format!("{colour} rg\n");
        self.shape(data, to);
        self.content += if fill.rule() == FillRule::EvenOdd { "f*\nQ\n" } else { "f\nQ\n" };
        Ok(())
    }

    fn stroke(
        &mut self,
        data: &Path,
        to: Transform,
        stroke: &Stroke,
        above: f32,
    ) -> Result<(), String> {
        let colour = colour(stroke.paint())?;
        self.opacity(above * stroke.opacity().get());
        // Lines are as wide as the transform makes them; none here is stretched in one direction.
        let scale = (to.sx * to.sy - to.kx * to.ky).abs().sqrt();
        let dashes: Vec<String> = stroke
            .dasharray()
            .unwrap_or_default()
            .iter()
            .map(|dash| (dash * scale).to_string())
            .collect();
        let cap = match stroke.linecap() {
            LineCap::Butt => 0,
            LineCap::Round => 1,
            LineCap::Square => 2,
        };
        let join = match stroke.linejoin() {
            LineJoin::Round => 1,
            LineJoin::Bevel => 2,
            _ => 0,
        };
        self.content += &format!(
            "{colour} RG {} w [{}] {} d {cap} J {join} j\n",
            stroke.width().get() * scale,
            dashes.join(" "),
            stroke.dashoffset() * scale
        );
        self.shape(data, to);
        self.content += "S\nQ\n";
        Ok(())
    }

    /// Begins a part with this opacity.
    fn opacity(&mut self, share: f32) {
        let part = (1000.0 * share).round() as u32;
        self.opacities.insert(part);
        self.content += &format!("q /a{part} gs\n");
    }

    fn shape(&mut self, data: &Path, to: Transform) {
        let Some(data) = data.clone().transform(to) else { return };
        let mut now = (0.0, 0.0);
        for part in data.segments() {
            let text = match part {
                PathSegment::MoveTo(p) => {
                    now = (p.x, p.y);
                    format!("{} {} m\n", p.x, p.y)
                }
                PathSegment::LineTo(p) => {
                    now = (p.x, p.y);
                    format!("{} {} l\n", p.x, p.y)
                }
                PathSegment::QuadTo(c, p) => {
                    // The same curve with two handles.
                    let third = |a: f32, b: f32| a + 2.0 / 3.0 * (b - a);
                    let one = (third(now.0, c.x), third(now.1, c.y));
                    let two = (third(p.x, c.x), third(p.y, c.y));
                    now = (p.x, p.y);
                    format!("{} {} {} {} {} {} c\n", one.0, one.1, two.0, two.1, p.x, p.y)
                }
                PathSegment::CubicTo(a, b, p) => {
                    now = (p.x, p.y);
                    format!("{} {} {} {} {} {} c\n", a.x, a.y, b.x, b.y, p.x, p.y)
                }
                PathSegment::Close => "h\n".into(),
            };
            self.content += &text;
        }
    }
}

fn colour(paint: &Paint) -> Result<String, String> {
    let Paint::Color(colour) = paint else { return Err("gradients have no place in it".into()) };
    let part = |x: u8| format!("{:.3}", f64::from(x) / 255.0);
    Ok([colour.red, colour.green, colour.blue].map(part).join(" "))
}

#[cfg(test)]
mod tests {
    use super::super::raster;
    use super::*;
    use std::io::Read;

    /// The commands of the page.
    fn content(bytes: &[u8]) -> String {
        let start = bytes.windows(7).position(|part| part == b"stream\n").unwrap() + 7;
        let mut out = String::new();
        flate2::read::ZlibDecoder::new(&bytes[start..]).read_to_string(&mut out).unwrap();
        out
    }

    #[test]
    fn lines_letters_and_opacity_are_vectors() {
        let svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"60\" height=\"20\">\
                   <path d=\"M0 0 L60 20\" stroke=\"#ff0000\" stroke-width=\"2\" \
                   stroke-dasharray=\"7 3\" stroke-opacity=\"0.5\"/>\
                   <text x=\"5\" y=\"15\" font-size=\"12\">krum</text></svg>";
        let bytes = pdf(&raster::tree(svg, None).unwrap()).unwrap();
        let text = content(&bytes);
        assert!(text.contains("1.000 0.000 0.000 RG 2 w [7 3] 0 d"), "{text}");
        assert!(text.contains("/a500 gs") && text.matches(" c\n").count() > 10, "{text}");
        let whole = String::from_utf8_lossy(&bytes);
        assert!(whole.contains("/MediaBox [0 0 45 15]") && whole.ends_with("%%EOF\n"));
        // The table finds each object.
        let table = whole.split("startxref\n").nth(1).unwrap().lines().next().unwrap();
        assert!(bytes[table.parse::<usize>().unwrap()..].starts_with(b"xref\n"));
    }
}
