//! Bytes a step on the wire, measured on encoded messages of whole models.

use varangian_base::{Ballots, Coins, Contest, Seed, Signs, SpecError, ZeroPolicy};
use varangian_lab::{Failure, text};
use varangian_learn::model::{self, ALL};

/// Models by name, as in the table of messages that the majority-vote papers' models need.
const MODELS: &[&str] =
    &["linreg-net", "logreg-net", "mlp", "torchnet", "mnistnet", "empire-cnn", "wide-resnet"];

/// What one worker sends and is told in a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bytes {
    pub(super) model: &'static str,
    pub(super) d: usize,
    /// 32 bits a coordinate.
    pub(super) floats: usize,
    /// One bit a coordinate: an encoded message, and the encoded winner of a vote on such.
    pub(super) binary: [usize; 2],
    /// The same where 0 can be said.
    pub(super) ternary: [usize; 2],
}

/// The table, and what it was measured on.
pub(super) fn table() -> Result<String, Failure> {
    let measured = MODELS.iter().map(|name| measure(name)).collect::<Result<Vec<_>, _>>()?;
    let row = |bytes: &Bytes| {
        let [up, down] = bytes.binary;
        vec![
            bytes.model.to_owned(),
            bytes.d.to_string(),
            bytes.floats.to_string(),
            up.to_string(),
            down.to_string(),
            format!("{:.1}", bytes.floats as f64 / up as f64),
            bytes.ternary[0].to_string(),
            (2 * 10 * up).to_string(),
            (2 * 9 * up).to_string(),
        ]
    };
    let rows: Vec<Vec<String>> = measured.iter().map(row).collect();
    let header = [
        "model",
        "d",
        "floats",
        "up, 1 bit",
        "down, 1 bit",
        "ratio",
        "up, ternary",
        "step of 10, server apart",
        "step of 10, server at worker 0",
    ];
    let right = [false, true, true, true, true, true, true, true, true];
    Ok(format!(
        "Bytes on the wire, measured: the model's parameters as messages, encoded and counted.\n{}",
        text::table(&header, &rows, &right)
    ))
}

fn measure(name: &'static str) -> Result<Bytes, SpecError> {
    let entry = ALL.iter().find(|entry| entry.name == name).expect("listed above");
    let home = entry.facts;
    let row = model::build(name, home.shape, home.classes)?.init(Seed(1));
    let floats: usize = row.iter().map(|x| x.to_le_bytes().len()).sum();
    let both = |zero: ZeroPolicy| -> Result<[usize; 2], SpecError> {
        let mut ballot = Signs::default();
        ballot.encode(&row, zero, Coins::default());
        let mut winner = Signs::default();
        let contest = Contest { ties: zero, ..Contest::default() };
        contest.tally(Ballots::new(&[ballot.clone(), ballot.clone()]), &mut winner);
        Ok([sent(&ballot)?, sent(&winner)?])
    };
    let (binary, ternary) = (both(ZeroPolicy::PlusOne)?, both(ZeroPolicy::Zero)?);
    Ok(Bytes { model: entry.name, d: row.len(), floats, binary, ternary })
}

/// The bytes of a ballot that arrives as it was sent.
fn sent(ballot: &Signs) -> Result<usize, SpecError> {
    let mut bytes = Vec::new();
    ballot.write(&mut bytes);
    let arrived = Signs::read(ballot.d(), &bytes)?;
    assert!(arrived == *ballot, "a ballot arrives as it was sent");
    Ok(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_the_published_layout() {
        // d, floats and one-bit messages: 4·d and 4·⌈d/32⌉.
        for (name, d, floats, bit) in [
            ("linreg-net", 881, 3_524, 112),
            ("logreg-net", 922, 3_688, 116),
            ("mlp", 79_510, 318_040, 9_940),
            ("mnistnet", 580_810, 2_323_240, 72_604),
            ("empire-cnn", 1_310_922, 5_243_688, 163_868),
        ] {
            let ternary = [2 * bit; 2];
            let expected = Bytes { model: name, d, floats, binary: [bit; 2], ternary };
            assert_eq!(measure(name).unwrap(), expected);
        }
        // A whole step of ten workers that learn by signs both ways, counted from the same.
        let bytes = measure("logreg-net").unwrap();
        assert_eq!(10 * (bytes.binary[0] + bytes.binary[1]), 2_320);
    }
}
