//! Feeds arbitrary bytes to the PNG or JPEG loader: an error or data, never a panic.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = varangian_learn::data::folder::picture(bytes);
});
