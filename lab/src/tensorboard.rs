//! Results as TensorBoard event files, one folder a run.
//!
//! An event file is a sequence of records (length, masked CRC-32C of the length, protobuf bytes,
//! masked CRC-32C of the bytes); an event holds a wall time, a step and named values. Wall times
//! are the steps: the files are the same bytes for the same results.

use crate::results::{Outcome, Store};
use crate::{Failure, files};
use std::path::{Path, PathBuf};

/// Writes the folder `tensorboard` into a folder of results, a folder a finished run. Returns it,
/// and what readers must know: that runs are missing, or were not as written.
///
/// # Errors
/// If there are no results, or the folder cannot be written.
pub fn write(folder: &Path) -> Result<(PathBuf, Option<String>), Failure> {
    let store = Store::open(folder)?;
    let kept = store.kept()?;
    let whole = store.path("tensorboard");
    files::demand_own_folder(&whole)?;
    for outcome in kept.outcomes.iter().filter(|outcome| outcome.is_finished()) {
        let own = &outcome.settings;
        let label = format!("{}-{}-{}-{}", own.rule, own.attack, own.seed, outcome.key);
        let folder = whole.join(files::name(&label));
        files::demand_own_folder(&folder)?;
        files::make_folder(&folder)?;
        files::write(&folder.join("events.out.tfevents.0.varangian"), &events(outcome))?;
    }
    Ok((whole, kept.missing()))
}

/// The event file of a run.
fn events(outcome: &Outcome) -> Vec<u8> {
    let mut out = Vec::new();
    let mut version = Vec::new();
    field_double(&mut version, 1, 0.0);
    field_bytes(&mut version, 3, b"brain.Event:2");
    record(&mut out, &version);
    for point in &outcome.points {
        let (mut value, mut summary, mut event) = (Vec::new(), Vec::new(), Vec::new());
        field_bytes(&mut value, 1, point.metric.as_bytes());
        value.push(2 << 3 | 5);
        value.extend((point.value as f32).to_le_bytes());
        field_bytes(&mut summary, 1, &value);
        field_double(&mut event, 1, point.step as f64);
        event.push(2 << 3);
        varint(&mut event, point.step);
        field_bytes(&mut event, 5, &summary);
        record(&mut out, &event);
    }
    out
}

fn record(out: &mut Vec<u8>, data: &[u8]) {
    let length = (data.len() as u64).to_le_bytes();
    out.extend(length);
    out.extend(masked(&length).to_le_bytes());
    out.extend(data);
    out.extend(masked(data).to_le_bytes());
}

fn varint(out: &mut Vec<u8>, mut x: u64) {
    while x >= 0x80 {
        out.push(x as u8 | 0x80);
        x >>= 7;
    }
    out.push(x as u8);
}

fn field_bytes(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(number << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend(bytes);
}

fn field_double(out: &mut Vec<u8>, number: u8, x: f64) {
    out.push(number << 3 | 1);
    out.extend(x.to_le_bytes());
}

/// The mask that TFRecord lays over a checksum.
fn masked(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli), bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_castagnolis() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn records_frame_events() {
        let bytes = events(&Outcome::sample("krum", "none", 1, &[0.5, 0.75]));
        let (mut at, mut payloads) = (0, Vec::new());
        while at < bytes.len() {
            let head: [u8; 8] = bytes[at..at + 8].try_into().unwrap();
            let len = u64::from_le_bytes(head) as usize;
            assert_eq!(bytes[at + 8..at + 12], masked(&head).to_le_bytes());
            let data = &bytes[at + 12..at + 12 + len];
            assert_eq!(bytes[at + 12 + len..at + 16 + len], masked(data).to_le_bytes());
            payloads.push(data.to_vec());
            at += 16 + len;
        }
        assert_eq!(payloads.len(), 3);
        assert!(payloads[0].ends_with(b"brain.Event:2"));
        // Step 10, then a summary with "accuracy" and 0.75.
        let tail =
            [&[0x10, 10, 0x2a, 17, 0x0a, 15, 0x0a, 8][..], b"accuracy", &[0x15, 0, 0, 0x40, 0x3f]];
        assert!(payloads[2].ends_with(&tail.concat()), "{:?}", payloads[2]);
    }
}
