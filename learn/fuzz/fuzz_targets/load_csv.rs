//! Feeds arbitrary bytes to the CSV loader: an error or data, never a panic.

#![no_main]

use varangian_learn::data::tables::csv::{Layout, read};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut names = varangian_learn::data::tables::Dictionary::default();
    for header in [None, Some(true), Some(false)] {
        let layout = Layout { target: "last".into(), header, labels: true };
        let parsed = read(&mut &bytes[..], &layout, &mut None, &mut names);
        if let Ok(parsed) = parsed {
            assert_eq!(parsed.inputs.len(), parsed.features * parsed.targets.len());
            assert!(parsed.inputs.iter().all(|x| x.is_finite()));
        }
    }
});
