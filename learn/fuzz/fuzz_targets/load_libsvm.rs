//! Feeds arbitrary bytes to the LIBSVM loader: an error or data, never a panic.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut names = varangian_learn::data::tables::Dictionary::default();
    for labels in [true, false] {
        let parsed =
            varangian_learn::data::tables::libsvm::read(&mut &bytes[..], 1, labels, &mut names);
        if let Ok(parsed) = parsed {
            let most = bytes.len() * varangian_learn::data::tables::libsvm::DENSE_A_BYTE;
            assert!(parsed.inputs.len() <= most);
        }
    }
});
