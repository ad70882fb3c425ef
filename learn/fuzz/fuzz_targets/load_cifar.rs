//! Feeds arbitrary bytes to the CIFAR record loader: an error or data, never a panic.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut pixels = Vec::new();
    if let Ok(labels) = varangian_learn::data::cifar::records(&mut &bytes[..], 1, 0, &mut pixels) {
        assert_eq!(labels.len() + pixels.len(), bytes.len());
    }
});
