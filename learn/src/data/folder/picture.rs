//! One picture: decoded within bounds, whole, and upright.

use crate::data::{DataError, files};
use image::{DynamicImage, ImageDecoder, ImageReader, Limits};
use std::io::Cursor;

/// Decodes a PNG or JPEG whose header may not ask for more memory than a file of its length can
/// fill, nor for more than 512 MiB, nor for sides beyond 32768 or more than 64 times apart. The
/// picture is turned upright as its EXIF orientation says.
///
/// # Errors
/// If the bytes are no such picture, or end before it does.
pub fn picture(bytes: &[u8]) -> Result<DynamicImage, DataError> {
    let bad = |e: &dyn std::fmt::Display| DataError::new(format!("not a PNG or JPEG: {e}"));
    let open = || ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| bad(&e));
    let (width, height) = open()?.into_dimensions().map_err(|e| bad(&e))?;
    let (short, long) = (width.min(height), width.max(height));
    if short == 0 || long / short > 64 {
        let expected = "sides above 0 and at most 64 times apart";
        return Err(DataError::expected("picture", expected, format!("{width} × {height}")));
    }
    let most = (bytes.len() as u64).saturating_mul(files::DEFLATE_RATIO).min(512 << 20);
    let wanted = u64::from(width) * u64::from(height);
    if wanted > most {
        let expected = format!("at most {most} pixels for {} bytes", bytes.len());
        return Err(DataError::expected("picture", expected, wanted));
    }
    whole(bytes)?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(1 << 15);
    limits.max_image_height = Some(1 << 15);
    limits.max_alloc = Some(most.saturating_mul(8).clamp(1 << 20, 512 << 20));
    let mut reader = open()?;
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|e| bad(&e))?;
    let orientation = decoder.orientation().map_err(|e| bad(&e))?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|e| bad(&e))?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

/// Refuses a file that ends within its picture: decoders fill in what is missing with grey.
fn whole(bytes: &[u8]) -> Result<(), DataError> {
    let ends = match bytes {
        [0xff, 0xd8, ..] => jpeg_ends(bytes),
        [0x89, b'P', b'N', b'G', ..] => png_ends(bytes),
        _ => Some(()),
    };
    ends.ok_or_else(|| {
        let found = format!("one that ends after {} bytes (it is truncated)", bytes.len());
        DataError::expected("picture", "a whole file, up to its end mark", found)
    })
}

/// Whether the chunks of a PNG lead to its end chunk.
fn png_ends(bytes: &[u8]) -> Option<()> {
    let mut at = 8;
    loop {
        let head = bytes.get(at..at + 8)?;
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        // Length, name, data, checksum.
        at = at.checked_add(length)?.checked_add(12)?;
        if at > bytes.len() {
            return None;
        }
        if &head[4..] == b"IEND" {
            return Some(());
        }
    }
}

/// Whether the segments and scans of a JPEG lead to its end mark.
fn jpeg_ends(bytes: &[u8]) -> Option<()> {
    let mut at = 2;
    loop {
        // Within a scan a mark is an FF that neither 00 nor a restart follows; elsewhere any byte
        // before a mark is fill.
        let found = bytes.get(at..)?.iter().position(|&byte| byte == 0xff)?;
        at += found + 1;
        match *bytes.get(at)? {
            0xd9 => return Some(()),
            0x00 | 0x01 | 0xd0..=0xd8 => at += 1,
            0xff => {}
            _ => {
                let length = bytes.get(at + 1..at + 3)?;
                at += 1 + usize::from(u16::from_be_bytes([length[0], length[1]]));
            }
        }
    }
}
