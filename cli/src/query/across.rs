//! `varangian results DIR --across KEY`: a column for each value of a key.

use super::answer::{Answer, Field};
use super::{Line, pooled};
use varangian_lab::results::{Fate, fate};

/// The mean of the last evaluations, a line for each combination of `by` without `key`, a column
/// with its ± for each value of `key`. `lines` are of one value of each, `key`'s last.
pub(super) fn folded(
    key: &str,
    by: &[String],
    metric: &str,
    lines: &[Line],
    missing: Option<String>,
) -> Answer {
    let by: Vec<String> = by.iter().filter(|name| *name != key).cloned().collect();
    let (mut values, mut places) = (Vec::<&str>::new(), Vec::<&[String]>::new());
    for line in lines {
        let (value, place) = line.names.split_last().expect("the folded key is one of them");
        if !values.contains(&value.as_str()) {
            values.push(value);
        }
        if !places.contains(&place) {
            places.push(place);
        }
    }
    // Numbers by their size, all else as it comes.
    if values.iter().all(|value| value.parse::<f64>().is_ok()) {
        values.sort_by(|a, b| a.parse::<f64>().unwrap_or(0.0).total_cmp(&b.parse().unwrap_or(0.0)));
    }
    let mut head = by.clone();
    for value in &values {
        // An attack and a rule name themselves.
        let name = match key {
            "attack" | "rule" => (*value).to_owned(),
            _ => format!("{key}={value}"),
        };
        head.extend([name.clone(), format!("± {name}")]);
    }
    let cells = |place: &[String]| -> Vec<Field> {
        let of = |value: &&str| {
            lines.iter().find(|line| {
                line.names.last().is_some_and(|own| own == value) && line.names.starts_with(place)
            })
        };
        values.iter().flat_map(|value| pair(of(value))).collect()
    };
    let row = |place: &&[String]| -> Vec<Field> {
        place.iter().map(Field::text).chain(cells(place)).collect()
    };
    let mut notes: Vec<String> = missing.into_iter().collect();
    notes.push(format!(
        "{metric}: mean of the last 10 evaluations after the untrained start, or of as many as \
         there are; ± Student's 95 %, from three runs on"
    ));
    notes.extend(pooled(lines));
    let fates: Vec<Fate> = lines.iter().flat_map(|line| line.cell.fates.clone()).collect();
    notes.extend(fate::meanings(&fates));
    Answer { head, rows: places.iter().map(row).collect(), names: by.len(), notes }
}

/// The mean with what broke, and its half width; nothing where no run has these settings.
fn pair(line: Option<&Line>) -> [Field; 2] {
    let Some(line) = line else { return [Field::Number(f64::NAN), Field::Number(f64::NAN)] };
    let tail = line.cell.over(|judged| judged.tail);
    [Field::Marked(tail.mean, fate::marks(&line.cell.fates)), Field::Number(tail.half)]
}

#[cfg(test)]
mod tests {
    use super::super::grouped;
    use super::*;
    use varangian_lab::results::Outcome;

    #[test]
    fn a_swept_key_is_folded_into_columns() {
        let mut runs = Vec::new();
        for (n, ends) in [(15, [0.9, 0.1]), (7, [0.8, 0.2])] {
            for (attack, end) in ["none", "alie"].into_iter().zip(ends) {
                for rule in ["krum", "median"] {
                    if (rule, attack, n) == ("median", "alie", 7) {
                        continue;
                    }
                    let mut one = Outcome::sample(rule, attack, 1, &[0.5, end]);
                    one.settings.n = n;
                    runs.push(one);
                }
            }
        }
        let by = ["rule".to_owned(), "attack".to_owned()];
        let keys = [by.as_slice(), &["n".to_owned()]].concat();
        let answer = folded("n", &by, "accuracy", &grouped(&runs, &keys, "accuracy", 0.9), None);
        assert_eq!(answer.head, ["rule", "attack", "n=7", "± n=7", "n=15", "± n=15"]);
        assert_eq!(answer.rows.len(), 4);
        let text = answer.text(false, false);
        let line = text.lines().find(|line| line.starts_with("median  alie")).unwrap();
        let cells: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(cells, ["median", "alie", "-", "-", "0.1000!cn", "-"], "{text}");
        let json: serde_json::Value = serde_json::from_str(&answer.text(false, true)).unwrap();
        let line = &json["lines"][0];
        assert_eq!((&line["n=7"], &line["n=15"]), (&0.8.into(), &0.9.into()), "{line}");
    }
}
