//! Feeds arbitrary bytes to the IDX loader: an error or data, never a panic.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for rank in [1, 3] {
        if let Ok(idx) = varangian_learn::data::idx::read(&mut &bytes[..], bytes.len() as u64, rank)
        {
            assert_eq!(idx.bytes.len() + 4 * (rank + 1), bytes.len());
        }
    }
});
