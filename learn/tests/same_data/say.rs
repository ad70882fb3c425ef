//! The data of these tests, and ways to say them: one small table, one small set of images.

use std::io::Write;
use varangian_base::{Domain, Seed};
use varangian_learn::data::{Dataset, Shape, Split, load};
use varangian_learn::{Batch, Targets};

/// Files by name.
pub(crate) type Files = Vec<(String, Vec<u8>)>;

/// What a model sees of a split: inputs, targets, classes and the shape of a sample.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) inputs: Vec<f32>,
    pub(crate) targets: Targets,
    pub(crate) classes: usize,
    pub(crate) shape: Shape,
}

/// Both splits of what `spec` loads from a folder of these files; errors name no folder.
pub(crate) fn seen(spec: &str, files: &Files) -> Result<[Seen; 2], String> {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let clean = |text: String| text.replace(&format!("{}/", folder.path().display()), "");
    let split = load(spec, Some(folder.path().into()), Seed(7));
    split.map(|split| both(&split)).map_err(|error| clean(error.to_string()))
}

/// Both splits as a model sees them.
fn both(split: &Split) -> [Seen; 2] {
    let one = |set: &dyn Dataset| {
        let mut batch = Batch::default();
        let indices: Vec<u32> = (0..set.len() as u32).collect();
        set.fill(&indices, &mut Seed(0).stream(Domain::Augment, 0, 0), &mut batch);
        let (classes, shape) = (set.classes(), set.shape());
        Seen { inputs: batch.inputs, targets: batch.targets, classes, shape }
    };
    [one(split.train.as_ref()), one(split.test.as_ref())]
}

/// One file.
pub(crate) fn file(name: &str, bytes: impl Into<Vec<u8>>) -> (String, Vec<u8>) {
    (name.to_owned(), bytes.into())
}

/// Whether both say the same within rounding.
pub(crate) fn near(a: &[Seen; 2], b: &[Seen; 2], most: f32) -> bool {
    let one = |a: &Seen, b: &Seen| {
        let close = |(x, y): (&f32, &f32)| (x - y).abs() <= most;
        (&a.targets, a.classes, a.shape) == (&b.targets, b.classes, b.shape)
            && a.inputs.len() == b.inputs.len()
            && a.inputs.iter().zip(&b.inputs).all(close)
    };
    one(&a[0], &b[0]) && one(&a[1], &b[1])
}

/// Sample i of the table: three features, whole quarters, so that every format holds them exactly.
pub(crate) fn features(i: usize) -> [f64; 3] {
    let quarter = |k: usize| ((i * k * k + 3 * i + k) % 23) as f64 * 0.25 - 2.0;
    [quarter(2), quarter(3), quarter(5)]
}

/// Its class, 0 to 2.
pub(crate) fn class(i: usize) -> usize {
    (i * i + i / 2) % 3
}

/// Training samples, then test samples.
pub(crate) const TRAIN: std::ops::Range<usize> = 0..24;
/// Test samples.
pub(crate) const TEST: std::ops::Range<usize> = 24..32;

/// The bytes packed by gzip.
pub(crate) fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

/// A .npy file.
pub(crate) fn npy(kind: &str, fortran: bool, shape: &[usize], data: &[u8]) -> Vec<u8> {
    let order = if fortran { "True" } else { "False" };
    let sizes: String = shape.iter().map(|size| format!("{size}, ")).collect();
    let text = format!("{{'descr': '{kind}', 'fortran_order': {order}, 'shape': ({sizes}), }}\n");
    let length = (text.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], text.as_bytes(), data].concat()
}

/// An archive of these files.
pub(crate) fn zip(files: &Files, deflate: bool) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let method = match deflate {
        true => zip::CompressionMethod::Deflated,
        false => zip::CompressionMethod::Stored,
    };
    let options = zip::write::SimpleFileOptions::default().compression_method(method);
    for (name, bytes) in files {
        archive.start_file(name.as_str(), options).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// A picture of `side` × `side` pixels, all different, of grey or of three colours.
pub(crate) fn picture(side: u32, which: u8, grey: bool) -> image::DynamicImage {
    let value = |x: u32, y: u32, c: u32| ((x * 31 + y * 17 + c * 5) as u8).wrapping_add(which);
    match grey {
        true => image::GrayImage::from_fn(side, side, |x, y| image::Luma([value(x, y, 0)])).into(),
        false => {
            let pixel = |x, y| image::Rgb([value(x, y, 0), value(x, y, 1), value(x, y, 2)]);
            image::RgbImage::from_fn(side, side, pixel).into()
        }
    }
}

/// The picture as a file.
pub(crate) fn encode(picture: &image::DynamicImage, format: image::ImageFormat) -> Vec<u8> {
    let mut out = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut out, format).unwrap();
    out.into_inner()
}

/// The JPEG or PNG with an EXIF tag that says how it is turned, 1 to 8.
pub(crate) fn oriented(bytes: &[u8], orientation: u8) -> Vec<u8> {
    let tiff = [
        b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".as_slice(),
        &[orientation, 0, 0, 0],
        &[0; 4],
    ]
    .concat();
    if bytes[0] == 0xff {
        let data = [b"Exif\0\0".as_slice(), &tiff].concat();
        let length = (data.len() as u16 + 2).to_be_bytes();
        return [&bytes[..2], &[0xff, 0xe1], &length, &data, &bytes[2..]].concat();
    }
    let body = [b"eXIf".as_slice(), &tiff].concat();
    let mut sum = flate2::Crc::new();
    sum.update(&body);
    let length = (tiff.len() as u32).to_be_bytes();
    // After the signature and the header chunk.
    [&bytes[..33], &length, &body, &sum.sum().to_be_bytes(), &bytes[33..]].concat()
}
