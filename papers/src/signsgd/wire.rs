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
        "Bytes on the wire, measured: the model's parameters as messages, encoded and counted.\n{}\n\
         What f colluders send a step, for d = 580810: f ballots, or one message with their total.\n{}",
        text::table(&header, &rows, &right),
        collusions(580_810)
    ))
}

/// Messages and bytes of f colluders, as votes and as one "Byzantine server".
fn collusions(d: usize) -> String {
    let row = |&f: &usize| {
        let [votes, one] = [f * Signs::wire_len(d, false), total_len(f, d)];
        [f, f, votes, 1, one].map(|x| x.to_string()).to_vec()
    };
    let rows: Vec<Vec<String>> = [1, 2, 3, 4, 5].iter().map(row).collect();
    let header = ["f", "messages", "bytes", "messages, total", "bytes, total"];
    text::table(&header, &rows, &[true; 5])
}

/// Bytes of one message with the total of f votes of ±1 on each of d coordinates. It has f's parity
/// and lies in −f to f, so that it is one of f + 1 numbers: ⌈log₂(f + 1)⌉ planes of one bit.
fn total_len(f: usize, d: usize) -> usize {
    let planes = (usize::BITS - f.leading_zeros()) as usize;
    planes * Signs::wire_len(d, false)
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
    use varangian_attacks::{Probe, View};
    use varangian_base::{Domain, Matrix, Rows};
    use varangian_rules::{Round, Verdict, build};

    /// Honest votes of −1, 0 and 1 with `abstain` of them 0, and what `attack` sends beside them.
    fn sent_with(attack: &str, [h, f]: [usize; 2], abstain: f64, seed: u64) -> Matrix {
        let d = 700;
        let mut stream = Seed(seed).stream(Domain::Test, h as u32, f as u64);
        let mut rows = Matrix::zeros(h + f, d);
        for x in (0..h).flat_map(|i| (0..d).map(move |k| (i, k))) {
            let vote = if stream.coin(0.6) { 1.0 } else { -1.0 };
            rows.row_mut(x.0)[x.1] = if stream.coin(abstain) { 0.0 } else { vote };
        }
        let (mut honest, own, mut out) =
            (Matrix::zeros(h, d), Matrix::zeros(f, d), Matrix::zeros(f, d));
        (0..h).for_each(|i| honest.row_mut(i).copy_from_slice(rows.row(i)));
        let mut probe = Blind;
        let mut view = View::of(honest.rows(), own.rows(), own.row(0), &mut probe);
        varangian_attacks::build(attack).unwrap().forge(&mut view, out.rows_mut());
        (0..f).for_each(|i| rows.row_mut(h + i).copy_from_slice(out.row(i)));
        rows
    }

    struct Blind;

    impl Probe for Blind {
        fn aggregate(&mut self, _: Rows<'_>, _: &mut [f32]) {
            unreachable!("collusion does not look at the rule")
        }
    }

    fn vote(rule: &str, rows: &Matrix, f: usize) -> Vec<f32> {
        let mut out = vec![9.0; rows.d()];
        let mut round = Round { seed: Seed(2), step: 5, ..Round::of(rows.rows(), f) };
        let mut rule = build(rule, rows.n(), f).unwrap();
        rule.aggregate(&mut round, &mut out, &mut Verdict::default());
        out
    }

    #[test]
    fn one_message_with_the_total_leaves_every_tally_as_four_votes_do() {
        for (h, f) in [(6, 4), (7, 4), (6, 3), (5, 2), (4, 1), (6, 5)] {
            for attack in ["kill", "kill zero-start=text", "oppose", "kill-wire"] {
                for abstain in [0.0, 0.3] {
                    let votes = sent_with(attack, [h, f], abstain, 7);
                    let one = sent_with(&format!("{attack} by=one"), [h, f], abstain, 7);
                    let total = |k: usize| (h..h + f).map(|i| votes.row(i)[k]).sum::<f32>();
                    assert!((0..700).all(|k| one.row(h)[k] == total(k)), "{attack}: the total");
                    let quiet = (h + 1..h + f).all(|i| one.row(i).iter().all(|&x| x == 0.0));
                    assert!(quiet, "{attack}: the others send nothing");
                    for ties in ["zero", "plus-one", "random"] {
                        let counted = vote(&format!("majority ties={ties}"), &votes, f);
                        let added = vote(&format!("majority votes=sum ties={ties}"), &one, f);
                        assert_eq!(added, counted, "{attack}, {h} and {f}, ties={ties}");
                    }
                }
            }
        }
        // A server that counts signs hears one vote of four.
        let one = sent_with("oppose by=one", [6, 4], 0.0, 7);
        assert_ne!(vote("majority", &one, 4), vote("majority votes=sum", &one, 4));
    }

    #[test]
    fn a_total_of_f_votes_is_one_of_f_and_one_numbers() {
        let planes = |f: usize| total_len(f, 64) / Signs::wire_len(64, false);
        assert_eq!([1, 2, 3, 4, 7, 8].map(planes), [1, 2, 2, 3, 3, 4]);
    }

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
