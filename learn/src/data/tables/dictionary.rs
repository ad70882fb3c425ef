//! Names of classes, and the words by which tables say that a value is missing.

use crate::data::order;
use std::collections::BTreeMap;

/// Names of classes, numbered as they are met; training and test files share one.
#[derive(Clone, Debug, Default)]
pub struct Dictionary {
    codes: BTreeMap<String, u32>,
}

impl Dictionary {
    /// The code of a class; `1`, `1.0`, `+1` and `1e0` are the same class. Nothing if the text
    /// names no class: it is empty, stands for a missing value, or is a number that is not finite.
    pub fn code(&mut self, name: &str) -> Option<u32> {
        let name = clean(name);
        if is_missing(name) || name.parse::<f64>().is_ok_and(|number| !number.is_finite()) {
            return None;
        }
        let next = self.codes.len() as u32;
        Some(*self.codes.entry(canonical(name)).or_insert(next))
    }

    /// For each code, its class: numbers in ascending order, then other names.
    pub(super) fn classes(&self) -> Vec<u32> {
        let mut names: Vec<(&String, u32)> = self.codes.iter().map(|(n, &c)| (n, c)).collect();
        names.sort_by(|a, b| order::classes(a.0, b.0));
        let mut classes = vec![0; names.len()];
        for (class, &(_, code)) in names.iter().enumerate() {
            classes[code as usize] = class as u32;
        }
        classes
    }

    /// The name of a code that was given.
    pub(super) fn name(&self, code: u32) -> &str {
        let found = self.codes.iter().find(|&(_, &c)| c == code);
        found.map_or("", |(name, _)| name.as_str())
    }
}

/// One spelling of each number. Whole numbers keep all their digits, beyond what a double holds.
fn canonical(name: &str) -> String {
    let unsigned = name.strip_prefix(['+', '-']).unwrap_or(name);
    let whole = match unsigned.split_once('.') {
        Some((whole, part)) if part.bytes().all(|b| b == b'0') => whole,
        _ => unsigned,
    };
    if !whole.is_empty() && whole.bytes().all(|b| b.is_ascii_digit()) {
        let digits = whole.trim_start_matches('0');
        return match (digits, name.starts_with('-')) {
            ("", _) => "0".to_owned(),
            (digits, true) => format!("-{digits}"),
            (digits, false) => digits.to_owned(),
        };
    }
    match name.parse::<f64>() {
        Ok(number) => (number + 0.0).to_string(),
        Err(_) => name.to_owned(),
    }
}

/// A cell without what surrounds its text: white space, byte order marks, and quotes that stand
/// after a space and so were no quotes to the reader of the file.
pub(super) fn clean(text: &str) -> &str {
    let blank = |c: char| c.is_whitespace() || matches!(c, '\u{feff}' | '\u{200b}');
    let text = text.trim_matches(blank);
    let inner = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner.map_or(text, |inner| inner.trim_matches(blank))
}

/// Whether a clean text stands for a value that is not there, in the usage of the common tools.
pub(super) fn is_missing(text: &str) -> bool {
    const WORDS: &[&str] = &[
        "",
        "?",
        ".",
        "--",
        "---",
        "na",
        "n/a",
        "#na",
        "#n/a",
        "#n/a n/a",
        "<na>",
        "n.a.",
        "nan",
        "-nan",
        "+nan",
        "1.#qnan",
        "-1.#qnan",
        "1.#ind",
        "-1.#ind",
        "null",
        "<null>",
        "(null)",
        "#null!",
        "#ref!",
        "#div/0!",
        "#value!",
        "#name?",
        "#num!",
        "none",
        "nil",
        "nat",
        "missing",
        "<missing>",
        "\\n",
    ];
    let text = text.to_lowercase();
    // "nan(0x1)": how C prints a NaN with its payload.
    WORDS.contains(&text.as_str()) || text.starts_with("nan(") || text.starts_with("-nan(")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_numbered_by_value_and_spellings_of_a_number_are_one() {
        let mut names = Dictionary::default();
        let given = ["+1", "-1", "1.0", "10", "2", "1e0", " 1.", "01", "\"1\"", "\u{feff}1"];
        let codes: Vec<u32> = given.map(|name| names.code(name).unwrap()).to_vec();
        assert_eq!(codes, [0, 1, 0, 2, 3, 0, 0, 0, 0, 0]);
        assert_eq!(names.classes(), [1, 0, 3, 2]);
        assert_eq!(names.name(1), "-1");
    }

    #[test]
    fn whole_numbers_beyond_a_double_are_not_taken_for_one_another() {
        let mut names = Dictionary::default();
        assert_ne!(names.code("9007199254740993"), names.code("9007199254740992"));
        assert_eq!(names.code("100000000000000000000"), names.code("1e20"));
        assert_eq!(names.code("-0"), names.code("0.0"));
        assert_eq!(names.code("0.50"), names.code("5e-1"));
    }

    #[test]
    fn what_stands_for_a_missing_value_is_no_class() {
        let mut names = Dictionary::default();
        for text in ["", "  ", "NA", "n/a", "NaN", "-nan", "null", "None", "?", "inf", "\"\""] {
            assert_eq!(names.code(text), None, "{text}");
        }
        for text in ["nano", "nave", "+", "-", "no", "0", "unknown"] {
            assert!(names.code(text).is_some(), "{text}");
        }
    }
}
