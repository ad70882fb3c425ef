//! Attacks on sign votes: with S the sum of the honest votes of a coordinate, f hostile votes of
//! total B.
//!
//! `kill` is the collusion of Akoun & Meyer 2022, §2: cancel S exactly where that is possible, and
//! where f and S differ in parity flip it by one; otherwise oppose in vain. `oppose` always votes
//! against S, which is at least as damaging. `kill-wire` is for one-bit votes, where a tie decodes
//! to +1.
//!
//! A vote is the sign of what is sent, 0 (and NaN) abstains; rows of real numbers are read by their
//! signs.

use crate::write::{PIECE, draw, purpose};
use crate::{Attack, AttackEntry, AttackFacts, Sees, View};
use varangian_base::blocks;
use varangian_base::kernels::votes::count_signs;
use varangian_base::{Kind, Param, Rows, RowsMut};

const PAPER: &str = "Akoun & Meyer, SignSGD: Fault-Tolerance to Blind and Byzantine Adversaries, 2022, arXiv 2202.02085, §2";

const BY: Param = Param {
    name: "by",
    kind: Kind::Choice(&["votes", "one"]),
    default: "votes",
    help: "who says it: f votes of ±1 (realisable over one-bit messages), or one adversary that sends the total while the others send 0 (the authors' code; the same vote where the server adds up, majority votes=sum, and one vote where it counts signs)",
};

pub(crate) static KILL: AttackEntry = AttackEntry {
    name: "kill",
    summary: "sign votes: tie every coordinate that can be tied, or flip it by one vote",
    paper: PAPER,
    differs: &[
        "the report's text subtracts s where the code needs |s|; the code is followed",
        "by=votes realises the total by f votes of ±1, the authors' code by one adversary (by=one)",
    ],
    params: &[
        Param {
            name: "zero-start",
            kind: Kind::Choice(&["code", "text"]),
            default: "code",
            help: "the odd vote where S = 0: +1 in the authors' code, −1 in the report's text",
        },
        BY,
    ],
    cost: "O(n·d)",
    facts: AttackFacts::reads(Sees::HONEST),
    build: |args| {
        let zero = if args.text("zero-start") == "code" { 1 } else { -1 };
        Ok(Box::new(Collusion { total: Total::Kill { zero }, by_one: args.text("by") == "one" }))
    },
};

pub(crate) static OPPOSE: AttackEntry = AttackEntry {
    name: "oppose",
    summary: "sign votes: all hostile votes against the honest majority of the coordinate",
    paper: "after Akoun & Meyer 2022, arXiv 2202.02085; the worst case of Bernstein et al. 2019, arXiv 1810.05291",
    differs: &[],
    params: &[BY],
    cost: "O(n·d)",
    facts: AttackFacts::reads(Sees::HONEST),
    build: |args| {
        Ok(Box::new(Collusion { total: Total::Oppose, by_one: args.text("by") == "one" }))
    },
};

pub(crate) static KILL_WIRE: AttackEntry = AttackEntry {
    name: "kill-wire",
    summary: "one-bit sign votes, where a tie is +1: the smallest total that turns the coordinate",
    paper: "after Akoun & Meyer 2022, arXiv 2202.02085, for the wire format of Bernstein et al. 2019, arXiv 1810.05291",
    differs: &[],
    params: &[BY],
    cost: "O(n·d)",
    facts: AttackFacts::reads(Sees::HONEST),
    build: |args| Ok(Box::new(Collusion { total: Total::Wire, by_one: args.text("by") == "one" })),
};

pub(crate) static RANDOM: AttackEntry = AttackEntry {
    name: "random-signs",
    summary: "sign votes: each hostile worker votes by a fair coin in each coordinate",
    paper: "folklore",
    differs: &[],
    params: &[],
    cost: "O(f·d) draws",
    facts: AttackFacts::reads(Sees::NOTHING),
    build: |_| Ok(Box::new(RandomSigns)),
};

/// The vote that a number casts: −1, 0 or 1; NaN abstains.
pub(crate) fn sign(x: f32) -> f32 {
    f32::from(i8::from(x > 0.0) - i8::from(x < 0.0))
}

/// How the hostile votes' total B follows from the honest sum S and f.
#[derive(Clone, Copy)]
enum Total {
    /// With the odd vote where S = 0.
    Kill {
        zero: i32,
    },
    Oppose,
    Wire,
}

impl Total {
    /// B, with |B| ≤ f and B ≡ f (mod 2).
    fn of(self, s: i32, f: i32) -> i32 {
        let odd = (f - s).rem_euclid(2);
        match self {
            Total::Kill { zero } if s == 0 => zero * odd,
            Total::Kill { .. } if s.abs() > f => -f * s.signum(),
            Total::Kill { .. } => -s - s.signum() * odd,
            Total::Oppose => {
                if s >= 0 {
                    -f
                } else {
                    f
                }
            }
            // The least T < 0 of the right parity turns S > 0; T = 0 or 1 turns the others.
            Total::Wire if s > 0 && s < f => -s - 2 + odd,
            Total::Wire if s > 0 => -f,
            Total::Wire if s.abs() <= f => -s + odd,
            Total::Wire => f,
        }
    }
}

#[derive(Clone)]
struct Collusion {
    total: Total,
    by_one: bool,
}

impl Collusion {
    /// Sets `part` to the vote of the i-th of the colluders, where their votes sum to `total`.
    fn vote(&self, i: usize, f: i32, total: &[i32], part: &mut [f32]) {
        if self.by_one {
            match i {
                0 => part.iter_mut().zip(total).for_each(|(x, &b)| *x = b as f32),
                _ => part.fill(0.0),
            }
            return;
        }
        // (f + B)/2 votes of +1, the rest −1.
        let least = 2 * i as i32 - f;
        for (x, &b) in part.iter_mut().zip(total) {
            *x = if least < b { 1.0 } else { -1.0 };
        }
    }
}

impl Attack for Collusion {
    fn forge(&mut self, view: &mut View<'_>, out: RowsMut<'_>) {
        let f = out.n() as i32;
        // Of all who are not in the collusion, blind adversaries too.
        let others = [view.honest, view.beside];
        let most = others.iter().map(Rows::n).sum::<usize>() as i32;
        // The answer to each sum S, from −most on.
        let answers: Vec<i32> = (-most..=most).map(|s| self.total.of(s, f)).collect();
        blocks::fill_rows(out, PIECE, |range, parts| {
            let mut total = [0; PIECE];
            let total = &mut total[..range.len()];
            for row in others.iter().flat_map(Rows::iter) {
                count_signs(&row[range.clone()], total);
            }
            total.iter_mut().for_each(|s| *s = answers[(*s + most) as usize]);
            for (i, part) in parts.iter_mut().enumerate() {
                self.vote(i, f, total, part);
            }
        });
    }

    fn sees(&self) -> Sees {
        Sees::HONEST
    }

    fn fork(&self) -> Box<dyn Attack> {
        Box::new(self.clone())
    }
}

#[derive(Clone)]
struct RandomSigns;

impl Attack for RandomSigns {
    fn forge(&mut self, view: &mut View<'_>, mut out: RowsMut<'_>) {
        for (i, row) in out.iter_mut().enumerate() {
            draw(view.seed, view.own.id(i), view.step, purpose::NOISE, row, |stream, _, _| {
                if stream.coin(0.5) { 1.0 } else { -1.0 }
            });
        }
    }

    fn sees(&self) -> Sees {
        Sees::NOTHING
    }

    fn fork(&self) -> Box<dyn Attack> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use crate::scene::{forge, forge_wide};

    /// B for every S from −10 to 10, from rows whose votes sum to S; checks that f votes make it.
    fn totals(spec: &str, f: usize) -> Vec<(i32, i32)> {
        let honest: Vec<Vec<f32>> = (0..10)
            .map(|i| {
                let vote = |s: i32| if i < s.abs() { s.signum() as f32 * 0.3 } else { 0.0 };
                (-10..=10).map(vote).collect()
            })
            .collect();
        let rows: Vec<&[f32]> = honest.iter().map(Vec::as_slice).collect();
        let zeros = vec![0.0; 21];
        let sent = forge(spec, &rows, &vec![zeros.as_slice(); f], f);
        let sum = |k: usize| sent.iter().map(|row| row[k]).sum::<f32>() as i32;
        if !spec.contains("by=one") {
            assert!(sent.iter().flatten().all(|x| x.abs() == 1.0), "{spec}");
        }
        (-10..=10).enumerate().map(|(k, s)| (s, sum(k))).collect()
    }

    #[test]
    fn kill_is_the_reports_table() {
        for f in 1..=6i32 {
            for spec in ["kill", "kill by=one", "kill zero-start=text"] {
                for (s, b) in totals(spec, f as usize) {
                    let odd = (f - s.abs()).rem_euclid(2);
                    let wanted = match s {
                        0 if spec.ends_with("text") => -odd,
                        0 => odd,
                        // T = S − f·sgn S where opposition cannot win, else −π·sgn S.
                        s if s.abs() > f => -f * s.signum(),
                        s => -odd * s.signum() - s,
                    };
                    assert_eq!(b, wanted, "{spec} f={f} S={s}");
                    assert!(b.abs() <= f && (b - f) % 2 == 0);
                }
            }
        }
        let row = |f: usize, from: i32, to: i32| -> Vec<i32> {
            totals("kill", f).iter().filter(|(s, _)| (from..=to).contains(s)).map(|x| x.1).collect()
        };
        assert_eq!(row(1, -2, 2), [1, 1, 1, -1, -1]);
        assert_eq!(row(2, -3, 3), [2, 2, 2, 0, -2, -2, -2]);
        assert_eq!(row(3, -4, 4), [3, 3, 3, 1, 1, -1, -3, -3, -3]);
        assert_eq!(row(4, -5, 5), [4, 4, 4, 2, 2, 0, -2, -2, -4, -4, -4]);
    }

    #[test]
    fn with_an_even_number_of_workers_kill_only_ties_and_with_an_odd_one_only_flips() {
        for f in 1..=6i32 {
            for (s, b) in totals("kill", f as usize) {
                // Honest votes without abstention have S ≡ h, so f − S ≡ n.
                if s != 0 && s.abs() <= f {
                    let outcome = (s + b).signum();
                    let even_n = (f - s) % 2 == 0;
                    assert_eq!(outcome, if even_n { 0 } else { -s.signum() });
                }
            }
        }
    }

    #[test]
    fn opposition_is_at_least_as_damaging_and_the_wire_attack_turns_the_decoded_bit() {
        for f in 1..=6i32 {
            let kill = totals("kill", f as usize);
            for ((s, b), (_, kill)) in totals("oppose", f as usize).into_iter().zip(kill) {
                assert_eq!(b, if s >= 0 { -f } else { f });
                if s != 0 {
                    assert!((s + b).signum() * s.signum() <= (s + kill).signum() * s.signum());
                }
            }
            for (s, b) in totals("kill-wire", f as usize) {
                assert!(b.abs() <= f && (b - f) % 2 == 0, "f={f} S={s} B={b}");
                let decoded = |total: i32| total >= 0;
                let can = if s > 0 { s < f } else { -s <= f };
                assert_eq!(decoded(s + b), if can { s <= 0 } else { s > 0 }, "f={f} S={s} B={b}");
            }
        }
    }

    #[test]
    fn random_votes_are_fair_and_independent() {
        let rows = forge_wide("random-signs", 3, 2, 20_000);
        for row in &rows {
            assert!(row.iter().all(|x| x.abs() == 1.0));
            assert!(row.iter().sum::<f32>().abs() < 600.0);
        }
        let agree: f32 = rows[0].iter().zip(&rows[1]).map(|(a, b)| a * b).sum();
        assert!(agree.abs() < 600.0);
    }

    #[test]
    fn blind_votes_count_as_votes_to_oppose() {
        // Three honest votes of +1 and one blind vote of −1: S = 2, which two colluders tie.
        let honest: &[&[f32]] = &[&[2.0], &[1.0], &[1.0]];
        let sent =
            forge("mixed groups='1 blind-inversion; 2 kill'", honest, &[&[3.0f32][..]; 3], 3);
        assert_eq!(sent, [[-3.0], [-1.0], [-1.0]]);
        // With two blind votes S = 1, which two colluders flip.
        let sent =
            forge("mixed groups='2 blind-inversion; 2 kill'", honest, &[&[3.0f32][..]; 4], 4);
        assert_eq!(sent, [[-3.0], [-3.0], [-1.0], [-1.0]]);
    }
}
