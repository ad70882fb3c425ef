//! What can be wrong with a configuration, said once, before round 0.

use crate::aliases;
use std::fmt;

/// A specification that cannot be built: what was asked, what is required, what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecError(String);

impl SpecError {
    /// An error with this text, one sentence without a final stop.
    pub fn new(text: impl Into<String>) -> Self {
        SpecError(text.into())
    }

    /// An unknown name, with the known one as a suggestion that is meant by it or nearest to it.
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

/// The known name that is meant by what was asked: another word for it, the nearest in spelling if
/// it is near enough, or the only one that begins so.
pub(crate) fn nearest<'a>(asked: &str, known: &[&'a str]) -> Option<&'a str> {
    let asked = asked.to_lowercase();
    aliases::meant(&asked, known).or_else(|| {
        let spelt = known.iter().map(|name| {
            // Of names equally near, one that only goes on from what was typed.
            (edits(&asked, name), !name.starts_with(&asked), *name)
        });
        let near = spelt.min().filter(|(distance, _, name)| {
            let length = name.chars().count();
            *distance <= 1 + length / 4 && *distance < length
        });
        near.map(|(.., name)| name).or_else(|| begun(&asked, known))
    })
}

/// The only known name that begins with what was asked, three letters or more.
fn begun<'a>(asked: &str, known: &[&'a str]) -> Option<&'a str> {
    let mut begun = known.iter().filter(|name| name.starts_with(asked));
    let first = begun.next().filter(|_| asked.chars().count() >= 3)?;
    begun.next().is_none().then_some(*first)
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

    #[test]
    fn what_others_call_it_is_suggested_before_what_is_spelt_alike() {
        let rules = ["trimmed-mean", "ctma", "average", "geometric-median", "centred-clipping"];
        let of = |asked| nearest(asked, &rules);
        assert_eq!(of("tm"), Some("trimmed-mean"));
        assert_eq!((of("mean"), of("FedAvg")), (Some("average"), Some("average")));
        assert_eq!((of("cclip"), of("geometric")), (Some(rules[4]), Some(rules[3])));
        assert_eq!(of("Trimmed_Mean"), Some("trimmed-mean"));
        assert_eq!(nearest("foe", &["none", "ipm"]), Some("ipm"));
        assert_eq!(nearest("tun", &["run", "tune"]), Some("tune"));
        assert_eq!(nearest("lr", &["f", "n", "learning_rate"]), Some("learning_rate"));
    }
}
