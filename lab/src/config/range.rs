//! Ranges of numbers in an experiment file: `seed = "1..5"`, `learning_rate = "0.1..0.5 step 0.1"`.
//!
//! Both ends belong to it, and the step is 1 unless it is written. A range stands for the list of
//! its numbers, alone or among the values of a list, for keys that take a number.

use super::{Settings, file::demand_few};
use crate::Failure;
use toml::{Table, Value};

/// Puts the numbers in the place of each range.
///
/// # Errors
/// If a range is malformed, empty or longer than an experiment may be.
pub(crate) fn expand(table: &mut Table) -> Result<(), Failure> {
    let defaults = Table::try_from(Settings::default()).expect("settings are scalars");
    let number = |key: &str| {
        key == "f_real" || matches!(defaults.get(key), Some(Value::Integer(_) | Value::Float(_)))
    };
    for (key, value) in table.iter_mut().filter(|(key, _)| number(key)) {
        let values = match value {
            Value::String(text) if is_range(text) => numbers(key, text)?,
            Value::Array(values) => {
                let mut out = Vec::new();
                for one in values.iter() {
                    match one {
                        Value::String(text) if is_range(text) => {
                            out.extend(numbers(key, text)?);
                        }
                        other => out.push(other.clone()),
                    }
                }
                out
            }
            _ => continue,
        };
        *value = Value::Array(values);
    }
    Ok(())
}

/// Whether a text is meant as a range: also in the spelling of other programs, `0.1:0.5:0.1`, so
/// that the answer says how it is written here.
fn is_range(text: &str) -> bool {
    let colons =
        text.contains(':') && text.split(':').all(|part| part.trim().parse::<f64>().is_ok());
    text.contains("..") || colons
}

/// The numbers of a range, the last one at most its upper end.
fn numbers(key: &str, text: &str) -> Result<Vec<Value>, Failure> {
    let wrong = || {
        Failure::refused(format!(
            "{key}: a range is LOW..HIGH or LOW..HIGH step STEP, with LOW at most HIGH and STEP \
             above 0; found \"{text}\""
        ))
    };
    let (ends, step) = text.split_once(" step ").unwrap_or((text, "1"));
    let (low, high) = ends.split_once("..").ok_or_else(wrong)?;
    let words = [low.trim(), high.trim(), step.trim()];
    let places = words.map(|word| word.split_once('.').map_or(0, |(_, digits)| digits.len()));
    // Counted in units of the last decimal place that is written, so that 0.1..0.3 holds 0.3.
    let places = places.into_iter().max().unwrap_or(0);
    let scale = 10_f64.powi(i32::try_from(places).map_err(|_| wrong())?);
    let mut parts = [0.0_f64; 3];
    for (part, word) in parts.iter_mut().zip(words) {
        let plain = word.chars().all(|sign| sign.is_ascii_digit() || "+-.".contains(sign));
        let value = word.parse::<f64>().ok().filter(|value| plain && value.is_finite());
        *part = (value.ok_or_else(wrong)? * scale).round();
    }
    let [low, high, step] = parts;
    let exact = parts.iter().all(|part| part.abs() < 9e15);
    if !exact || low > high || step <= 0.0 {
        return Err(wrong());
    }
    let count = ((high - low) / step).floor() + 1.0;
    demand_few(if count < 1e9 { count as usize } else { usize::MAX })?;
    let value = |k: usize| match places {
        0 => Value::Integer((low + k as f64 * step) as i64),
        _ => Value::Float((low + k as f64 * step) / scale),
    };
    Ok((0..count as usize).map(value).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> String {
        let mut table: Table = text.parse().unwrap();
        match expand(&mut table) {
            Ok(()) => table.values().next().unwrap().to_string(),
            Err(failure) => failure.to_string(),
        }
    }

    #[test]
    fn ranges_are_the_lists_that_they_say() {
        assert_eq!(of("seed = '1..5'"), "[1, 2, 3, 4, 5]");
        assert_eq!(of("seed = [10, '1..3']"), "[10, 1, 2, 3]");
        assert_eq!(of("f_real = '0..4 step 2'"), "[0, 2, 4]");
        assert_eq!(of("learning_rate = '0.1..0.5 step 0.1'"), "[0.1, 0.2, 0.3, 0.4, 0.5]");
        assert_eq!(of("learning_rate = '0.05..0.2 step 0.1'"), "[0.05, 0.15]");
        assert_eq!(of("momentum = '-1..1'"), "[-1, 0, 1]");
        assert_eq!(of("momentum = '0.9..0.9'"), "[0.9]");
    }

    #[test]
    fn what_is_no_range_is_left_alone_or_refused() {
        assert_eq!(of("rule = 'a..b'"), "\"a..b\"", "no key of numbers");
        assert_eq!(of("seed = 7"), "7");
        for text in [
            "5..1",
            "1..",
            "..3",
            "1..3 step 0",
            "1..3 step -1",
            "a..b",
            "1..2..3",
            "1e3..2e3",
            "1:3",
            "0.1:0.5:0.1",
        ] {
            let said = of(&format!("seed = '{text}'"));
            assert!(
                said.starts_with("seed: a range is LOW..HIGH") && said.contains(text),
                "{said}"
            );
        }
        assert!(of("seed = '1..100001'").contains("at most 100000 runs"));
        assert!(of("seed = '0..8999999999999999'").contains("at most 100000 runs"));
    }
}
