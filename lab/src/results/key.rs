//! What a run is called: the hash of everything that can change its result.

use crate::config::Settings;

/// Changes whenever the same settings would give other results than before: part of every key.
const RESULTS_VERSION: u32 = 7;

/// The hash of everything that can change a run's result: its settings, the data, and this
/// program's results version. The letter r and twelve hexadecimal digits: without a letter, a key
/// such as 26e222302492 is a number to whatever reads tables.
pub fn key(settings: &Settings, data: &[u8; 32]) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&RESULTS_VERSION.to_le_bytes());
    hasher.update(data);
    hasher.update(toml::to_string(settings).expect("scalars").as_bytes());
    format!("r{}", &hasher.finalize().to_hex()[..DIGITS])
}

/// Hexadecimal digits of a key.
const DIGITS: usize = 12;

/// The key without its letter, as older folders have it; of anything else, itself.
pub(crate) fn bare(key: &str) -> &str {
    key.strip_prefix('r').filter(|digits| is_bare(digits)).unwrap_or(key)
}

fn is_bare(digits: &str) -> bool {
    digits.len() == DIGITS && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
}

/// Whether a text is a key, with its letter or as before keys had one. Nothing else that stands in
/// a file or a file's name ever becomes part of a path.
pub(crate) fn is_key(text: &str) -> bool {
    is_bare(bare(text))
}

/// The key with its letter, whether it was written with it or before keys had one.
pub(super) fn lettered(key: &str) -> String {
    if is_bare(key) { format!("r{key}") } else { key.to_owned() }
}
