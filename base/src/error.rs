//! What can be wrong with a configuration, said once, before round 0.

use std::fmt;

/// A specification that cannot be built: what was asked, what is required, what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecError(String);

impl SpecError {
    /// An error with this text, one sentence without a final stop.
    pub fn new(text: impl Into<String>) -> Self {
        SpecError(text.into())
    }

    /// An unknown name, with the nearest known one as a suggestion.
    pub fn unknown(what: &str, asked: &str, known: &[&str]) -> Self {
        let hint = match nearest(asked, known) {
            Some(name) => format!("did you mean \"{name}\"?"),
            None => format!("known: {}", known.join(", ")),
        };
        SpecError(format!("unknown {what} \"{asked}\"; {hint}"))
    }

    /// The same error with where it happened in front.
    pub fn at(self, place: impl fmt::Display) -> Self {
        SpecError(format!("{place}: {}", self.0))
    }
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SpecError {}

/// The known name nearest to what was asked, if it is near enough to be meant.
pub(crate) fn nearest<'a>(asked: &str, known: &[&'a str]) -> Option<&'a str> {
    let asked = asked.to_lowercase();
    known
        .iter()
        .map(|name| (edits(&asked, name), *name))
        .min()
        .filter(|(distance, name)| {
            let length = name.chars().count();
            *distance <= 1 + length / 4 && *distance < length
        })
        .map(|(_, name)| name)
}

/// Edit distance with transpositions of neighbours.
fn edits(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut table = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            table[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let swap = usize::from(a[i - 1] != b[j - 1]);
                let mut best =
                    (table[i - 1][j] + 1).min(table[i][j - 1] + 1).min(table[i - 1][j - 1] + swap);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    best = best.min(table[i - 2][j - 2] + 1);
                }
                best
            };
        }
    }
    table[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_miss_is_suggested_and_a_far_one_lists_what_is_known() {
        let known = ["krum", "median", "trimmed-mean"];
        let say = |asked| SpecError::unknown("rule", asked, &known).to_string();
        assert_eq!(say("krmu"), "unknown rule \"krmu\"; did you mean \"krum\"?");
        assert_eq!(
            say("trimed-mean"),
            "unknown rule \"trimed-mean\"; did you mean \"trimmed-mean\"?"
        );
        assert_eq!(say("zzz"), "unknown rule \"zzz\"; known: krum, median, trimmed-mean");
    }
}
