//! The order of classes: numbers by value, then names as people count them.

use std::cmp::Ordering;

/// Compares two names of classes: numbers come first, by value; then names, in which runs of
/// digits count as numbers, so that "c2" comes before "c10" as 2 before 10. Classes that are
/// renamed in step keep their order, and with it the meaning of an attack on labels.
pub(crate) fn classes(a: &str, b: &str) -> Ordering {
    let number = |name: &str| name.trim().parse::<f64>().ok().filter(|v| v.is_finite());
    let known = match (number(a), number(b)) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    };
    known.then_with(|| natural(a, b)).then_with(|| a.cmp(b))
}

/// Compares character by character, and runs of digits by their value.
pub(crate) fn natural(mut a: &str, mut b: &str) -> Ordering {
    loop {
        let (Some(x), Some(y)) = (a.chars().next(), b.chars().next()) else {
            return a.len().cmp(&b.len());
        };
        if x.is_ascii_digit() && y.is_ascii_digit() {
            let (left, right) = (digits(&mut a), digits(&mut b));
            match left.len().cmp(&right.len()).then(left.cmp(right)) {
                Ordering::Equal => {}
                other => return other,
            }
        } else if x != y {
            return x.cmp(&y);
        } else {
            (a, b) = (&a[x.len_utf8()..], &b[y.len_utf8()..]);
        }
    }
}

/// Takes the digits at the start of `text` off it; gives them without leading zeros.
fn digits<'a>(text: &mut &'a str) -> &'a str {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (run, rest) = text.split_at(end);
    *text = rest;
    run.trim_start_matches('0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_by_value_and_names_as_people_count() {
        let mut names = ["c10", "b", "10", "c2", "-1", "c02", "2", "1e3", "Z", "c2x", "é", "c"];
        names.sort_by(|a, b| classes(a, b));
        let wanted = ["-1", "2", "10", "1e3", "Z", "b", "c", "c02", "c2", "c2x", "c10", "é"];
        assert_eq!(names, wanted);
    }
}
