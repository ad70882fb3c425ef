//! `CATALOGUE.md` says what the code says.

use std::path::Path;

#[test]
fn the_catalogue_is_what_the_entries_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../CATALOGUE.md");
    let written = std::fs::read_to_string(path).expect("CATALOGUE.md is there");
    let same = written == varangian_cli::catalogue();
    assert!(same, "CATALOGUE.md is old; run `varangian catalogue --output CATALOGUE.md`");
}
