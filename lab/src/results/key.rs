//! What a run is called: the hash of everything that can change its result.

use crate::config::Settings;

/// Changes whenever the same settings would give other results than before: part of every key.
const RESULTS_VERSION: u32 = 8;

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
pub fn bare(key: &str) -> &str {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Experiment, Source};
    use crate::run::{How, Silent};

    /// What rules answered under attacks when the version below was given.
    const ANSWERS: &str = include_str!("answers.txt");

    #[test]
    fn answers_that_change_need_another_version() {
        let mut lines = ANSWERS.lines();
        let version = format!("version {RESULTS_VERSION}");
        assert_eq!(lines.next(), Some(version.as_str()), "answers.txt is of another version");
        let lines: Vec<&str> = lines.collect();
        let names = |k: usize| -> Vec<String> {
            let part = |line: &&str| line.split([':', '×']).nth(k).unwrap().trim().to_owned();
            let mut all: Vec<String> = lines.iter().map(part).collect();
            all.sort();
            all.dedup();
            all
        };
        let text = format!(
            "dataset = 'logreg'\nmodel = 'logreg-net'\nn = 11\nf = 2\nbatch = 16\nsteps = 20\n\
             evaluate_every = 20\nlearning_rate = 0.05\nrule = {:?}\nattack = {:?}",
            names(0),
            names(1)
        );
        let experiment = Experiment::parse(&text, "v", &Source::default()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let out = Some(folder.path().to_owned());
        let how = How { out, threads: Some(1), ..How::default() };
        let outcomes = Experiment { how, ..experiment }.run(&mut Silent).unwrap();
        let answer = |outcome: &super::super::Outcome| {
            let loss = outcome.curve("test_loss").last().unwrap().1;
            format!("{} × {}: {loss:.3e}", outcome.settings.rule, outcome.settings.attack)
        };
        // Three digits: instruction sets differ in the last ones, and a changed rule in these.
        let number = |line: &str| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap();
        let found: Vec<String> = outcomes.iter().map(answer).collect();
        for line in &lines {
            let name = line.rsplit_once(' ').unwrap().0;
            let own = found.iter().find(|own| own.rsplit_once(' ').unwrap().0 == name);
            let own = own.unwrap_or_else(|| panic!("{name} is gone"));
            let (own, wanted) = (number(own), number(line));
            assert!(
                (own - wanted).abs() <= 2e-3 * wanted.abs(),
                "{name} answers {own:.3e} where version {RESULTS_VERSION} had {wanted:.3e}: raise \
                 RESULTS_VERSION and write answers.txt anew"
            );
        }
    }
}
