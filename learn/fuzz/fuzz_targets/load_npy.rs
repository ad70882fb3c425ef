//! Feeds arbitrary bytes to the .npy loader: an error or data, never a panic.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let array = varangian_learn::data::tables::npy::read(&mut &bytes[..], bytes.len() as u64);
    if let Ok(array) = array {
        let count: usize = array.shape.iter().product();
        assert_eq!(array.values.numbers().len(), count);
    }
});
