//! Feeds arbitrary bytes to the .npz loader, up to the data set: an error or data, never a panic.

#![no_main]

use varangian_base::Seed;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let folder = std::env::temp_dir().join(format!("varangian-npz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a writable folder for temporary files");
    std::fs::write(folder.join("some.npz"), bytes).expect("the same");
    for text in ["npz file=some.npz", "npz file=some.npz task=values standardise=true"] {
        if let Ok(split) = varangian_learn::data::load(text, Some(folder.clone()), Seed(1)) {
            assert!(split.train.len() > 0 && split.test.len() > 0);
        }
    }
});
