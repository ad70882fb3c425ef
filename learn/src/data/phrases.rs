//! Text that the program draws: words in an order that a chain decides, for models of characters.
//!
//! Words are drawn once, of one to three syllables, a consonant and a vowel each. A word is
//! followed by one of four others, with probabilities 1/2, 1/4, 1/8 and 1/8, and by a space; after
//! every tenth word or so a full stop stands before it. A sample is a window of the text, its label
//! the character after it; windows do not overlap. Character 0 is the space, 1 to 26 are letters,
//! 27 is the full stop.

use super::{DataError, Facts, Place, Source, Split, Table};
use crate::Targets;
use std::sync::Arc;
use varangian_base::{Entry, Kind, Param, Seed, Stream, lanes};

const TRAIN: usize = 8_000;
const TEST: usize = 2_000;
/// Space, 26 letters, full stop.
const CHARACTERS: usize = 28;
const STOP: u8 = 27;
/// How probable it is that a word ends its sentence.
const ENDS: f64 = 0.1;
/// Words that can follow a word.
const NEXT: usize = 4;

pub(crate) static ENTRY: Entry<dyn Source, Facts> = Entry {
    name: "phrases",
    summary: "Generated text, words by a Markov chain: windows of characters, the next one as label.",
    paper: "none: a generated text",
    differs: &[],
    params: &[
        Param {
            name: "length",
            kind: Kind::Count { min: 2, max: 1024 },
            default: "16",
            help: "characters of a window",
        },
        Param {
            name: "words",
            kind: Kind::Count { min: NEXT, max: 4096 },
            default: "32",
            help: "words that there are",
        },
    ],
    cost: "0.6 MB at length=16",
    facts: Facts { size: "8,000 + 2,000 windows of 16 characters, 28 classes", files: &[] },
    build: |args| {
        let count = |name| args.count(name).expect("has a default");
        Ok(Box::new(Phrases { length: count("length"), words: count("words") }))
    },
};

struct Phrases {
    length: usize,
    words: usize,
}

/// The words and who follows whom.
struct Language {
    words: Vec<Vec<u8>>,
    next: Vec<[usize; NEXT]>,
}

impl Language {
    fn draw(count: usize, stream: &mut Stream) -> Self {
        let letter =
            |letters: &[u8], stream: &mut Stream| letters[stream.below(letters.len())] - b'a' + 1;
        let mut words: Vec<Vec<u8>> = Vec::new();
        while words.len() < count {
            let syllables = 1 + stream.below(3);
            let mut word = Vec::new();
            for _ in 0..syllables {
                word.push(letter(b"bcdfghjklmnpqrstvwxyz", stream));
                word.push(letter(b"aeiou", stream));
            }
            if !words.contains(&word) {
                words.push(word);
            }
        }
        let next = (0..count).map(|_| std::array::from_fn(|_| stream.below(count))).collect();
        Language { words, next }
    }

    /// A text of so many characters.
    fn text(&self, length: usize, stream: &mut Stream) -> Vec<u8> {
        let (mut out, mut word) = (Vec::with_capacity(length + 16), 0);
        while out.len() < length {
            out.extend_from_slice(&self.words[word]);
            if stream.coin(ENDS) {
                out.push(STOP);
            }
            out.push(0);
            // 1/2, 1/4, 1/8, 1/8.
            let draw = stream.below(8);
            word = self.next[word][[0, 0, 0, 0, 1, 1, 2, 3][draw]];
        }
        out.truncate(length);
        out
    }
}

impl Source for Phrases {
    fn load(&self, place: &Place) -> Result<Split, DataError> {
        let lane = |seed: Seed, lane| seed.lane(varangian_base::Domain::Data, 0, 0, lane);
        let language = Language::draw(self.words, &mut lane(place.seed, lanes::data::WEIGHTS));
        let table = |samples: usize, purpose| {
            let step = self.length + 1;
            let text = language.text(samples * step, &mut lane(place.seed, purpose));
            let (mut inputs, mut labels) = (Vec::new(), Vec::new());
            for window in text.chunks_exact(step) {
                inputs.extend(window[..self.length].iter().map(|&c| f32::from(c)));
                labels.push(u32::from(window[self.length]));
            }
            Arc::new(Table::new(self.length, CHARACTERS, inputs, Targets::Labels(labels)))
        };
        Ok(Split {
            train: table(TRAIN, lanes::data::FEATURES),
            test: table(TEST, lanes::data::TEST),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Batch;
    use varangian_base::Domain;

    #[test]
    fn windows_are_of_words_that_the_language_has() {
        let place = Place { data_dir: None, seed: Seed(3) };
        let split = Phrases { length: 40, words: 5 }.load(&place).unwrap();
        assert_eq!((split.train.len(), split.test.len()), (TRAIN, TEST));
        let mut words = std::collections::BTreeSet::new();
        let mut batch = Batch::default();
        let all: Vec<u32> = (0..500).collect();
        split.train.fill(&all, &mut Seed(0).stream(Domain::Augment, 0, 0), &mut batch);
        for window in batch.inputs.chunks_exact(40) {
            let text: String = window.iter().map(|&c| char::from(b'`' + c as u8)).collect();
            let text = text.replace('`', " ").replace('{', "");
            let parts: Vec<&str> = text.split(' ').collect();
            // The first and the last may be cut.
            words.extend(parts[1..parts.len() - 1].iter().map(|word| (*word).to_owned()));
        }
        words.remove("");
        assert!((2..=5).contains(&words.len()), "{words:?}");
        for word in &words {
            let vowel = |c: char| "aeiou".contains(c);
            assert!(word.chars().enumerate().all(|(k, c)| vowel(c) == (k % 2 == 1)), "{word}");
        }
    }

    #[test]
    fn a_seed_has_one_text_and_training_and_test_differ() {
        let load = |seed| {
            let split = Phrases { length: 16, words: 32 }
                .load(&Place { data_dir: None, seed: Seed(seed) })
                .unwrap();
            let windows = |data: &dyn super::super::Dataset| {
                let mut batch = Batch::default();
                let mut stream = Seed(0).stream(Domain::Augment, 0, 0);
                data.fill(&[0, 1, 2, 1999], &mut stream, &mut batch);
                (batch.inputs, batch.targets)
            };
            (windows(&*split.train), windows(&*split.test))
        };
        let (train, test) = load(1);
        assert_ne!(train, test);
        assert_eq!(load(1), (train.clone(), test));
        assert_ne!(load(2).0, train);
    }
}
