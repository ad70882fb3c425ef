//! Majority vote: per coordinate, the sign of the sum of the workers' signs (Bernstein et al. 2019,
//! algorithm 1).
//!
//! Ties (only with abstentions or an even total weight): `zero` leaves the coordinate where it is,
//! `plus-one` is what the paper's one-bit code decodes, `random` tosses a coin with an address. Of
//! workers that vote by sign, the median of an odd number is this majority.
//!
//! ```
//! use varangian_base::Matrix;
//! use varangian_rules::{Round, Verdict, build};
//! let rows = Matrix::from_rows(&[[-3.0, -0.5], [-0.1, 2.0], [1.0, 9.0]]);
//! let mut winner = [0.0; 2];
//! let mut vote = build("majority", 3, 1).unwrap();
//! vote.aggregate(&mut Round::of(rows.rows(), 1), &mut winner, &mut Verdict::default());
//! assert_eq!(winner, [-1.0, 1.0]);
//! ```

use crate::{Bound, Claims, Round, Rule, RuleEntry, RuleFacts, Stage, Verdict, exact};

use varangian_base::spec::Args;
use varangian_base::{
    Ballots, Coins, Contest, Kind, Matrix, Param, Seed, Signs, SpecError, ZeroPolicy, blocks,
};

const SUMMARY: &str = "per coordinate, the sign that more workers sent";
const PAPER: &str = "Bernstein, Zhao, Azizzadenesheli & Anandkumar, signSGD with Majority Vote is Communication Efficient and Fault Tolerant, ICLR 2019, arXiv 1810.05291, algorithm 1";
const DIFFERS: &[&str] = &[
    "Ties leave the coordinate where it is by default, as in the experiments of signSGD's first paper and of Akoun & Meyer 2022; the paper's one-bit code decodes a tie as +1, which is ties=plus-one.",
    "Weights and a margin are ours; the paper's vote is weight 1 each, margin 0.",
    "votes=sum is what an all-reduce of votes does, as the code of Akoun & Meyer 2022 (arXiv 2202.02085): a message then holds as many votes as its sender says, and the bound on f holds only where none says more than its colluders have.",
];
const BOUND: Bound = Bound::majority("Bernstein et al. 2019, theorem 2: α < 1/2");
const PARAMS: &[Param] = &[
    Param {
        name: "ties",
        kind: Kind::Choice(ZeroPolicy::NAMES),
        default: "zero",
        help: "who wins a tie: zero (the coordinate stays), plus-one, random (a fair coin)",
    },
    Param {
        name: "margin",
        kind: Kind::Count { min: 0, max: u32::MAX as usize },
        default: "0",
        help: "a side wins by more than this many votes, else it is a tie; with margin f, f workers alone move no coordinate",
    },
    Param {
        name: "votes",
        kind: Kind::Choice(&["signs", "sum"]),
        default: "signs",
        help: "what a message counts: the signs in it, or what it holds, added up as an all-reduce does (one hostile worker may then decide alone)",
    },
    Param {
        name: "weights",
        kind: Kind::Text,
        default: "auto",
        help: "votes of each worker, \"3,1,1\"; auto: one each",
    },
];

/// The vote: it reads the signs of any rows.
pub(crate) static RULE: RuleEntry = RuleEntry {
    name: "majority",
    summary: SUMMARY,
    paper: PAPER,
    differs: DIFFERS,
    params: PARAMS,
    cost: "O(n·d) to pack rows of floats, then n·d/64 words, read once",
    facts: RuleFacts {
        bound: BOUND,
        claims: Claims { permutation: true, coordinate_wise: true, ..Claims::NONE },
        whole_rows: "",
        ..RuleFacts::RULE
    },
    build: |args| Ok(Box::new(Stage::Rule(Box::new(OnRows::new(majority(args)?))))),
};

fn majority(args: &Args) -> Result<Majority, SpecError> {
    let ties = ZeroPolicy::named(args.text("ties"))?;
    let margin = args.count("margin").expect("has a default") as u64;
    let weights = match args.text("weights") {
        "auto" => None,
        text => Some(weights(text)?),
    };
    Ok(Majority { ties, margin, sum: args.text("votes") == "sum", weights })
}

fn weights(text: &str) -> Result<Vec<u32>, SpecError> {
    let wrong = || {
        SpecError::new(format!(
            "weights are whole numbers up to {} between commas; found \"{text}\"",
            u16::MAX
        ))
    };
    let weight = |part: &str| part.trim().parse::<u16>().map(u32::from).map_err(|_| wrong());
    text.split(',').map(weight).collect()
}

#[derive(Clone)]
struct Majority {
    ties: ZeroPolicy,
    margin: u64,
    /// Whether what rows hold is added up, instead of their signs.
    sum: bool,
    weights: Option<Vec<u32>>,
}

impl Majority {
    /// Counts packed ballots, in ascending worker id. Ties draw at (`Domain::Sign`,
    /// [`Coins::SERVER`], step).
    fn tally(&self, ballots: Ballots<'_>, (seed, step): (Seed, u64), winner: &mut Signs) {
        let coins = coins(seed, step);
        let contest = Contest { ties: self.ties, margin: self.margin, coins };
        let ballots = match &self.weights {
            Some(weights) => ballots.weigh(weights),
            None => ballots,
        };
        contest.tally(ballots, winner);
    }

    /// Adds up what rows hold, in double precision and ascending worker id. `won` is scratch. Ties
    /// are drawn as by `tally`, coin for coin.
    fn add_up(&self, round: &Round<'_>, won: &mut Vec<f32>, winner: &mut Signs) {
        let rows = round.rows;
        won.clear();
        won.resize(rows.d(), 0.0);
        blocks::fill(won, PIECE, |range, won| {
            let (mut sums, mut made) = ([0.0; PIECE], Vec::new());
            let piece = rows.of(rows.sent().columns(range));
            for i in 0..piece.n() {
                let weight = self.weight(i);
                for (sum, &x) in sums.iter_mut().zip(piece.row(i, &mut made)) {
                    *sum += weight * f64::from(x);
                }
            }
            won.iter_mut().zip(sums).for_each(|(won, sum)| *won = self.side(sum));
        });
        winner.encode(won, self.ties, coins(round.seed, round.step));
    }

    fn weight(&self, i: usize) -> f64 {
        self.weights.as_ref().map_or(1.0, |weights| f64::from(weights[i]))
    }

    /// Who wins with this sum of votes: −1, 1, or 0 for a tie.
    fn side(&self, sum: f64) -> f32 {
        let margin = self.margin as f64;
        f32::from(i8::from(sum > margin) - i8::from(sum < -margin))
    }

    fn check(&self, n: usize, _f: usize) -> Result<(), String> {
        match &self.weights {
            Some(weights) if weights.len() != n => {
                Err(format!("one weight a worker ({} were given)", weights.len()))
            }
            _ => Ok(()),
        }
    }

    fn fits(&self, n: usize, _f: usize) -> Result<(), String> {
        let (margin, votes) = (self.margin, self.weights.as_ref());
        let votes = votes.map_or(n as u64, |weights| weights.iter().copied().map(u64::from).sum());
        (margin < votes)
            .then_some(())
            .ok_or_else(|| format!("margin below the {votes} votes; margin = {margin}"))
    }
}

/// Columns that are added up at a time.
const PIECE: usize = 1024;

/// The coins that the server tosses over ties.
fn coins(seed: Seed, step: u64) -> Coins {
    Coins { seed, worker: Coins::SERVER, step }
}

/// A vote on the signs of rows. 0 abstains, so rows of −1, 0 and +1 are counted as they are.
struct OnRows {
    vote: Majority,
    ballots: Vec<Signs>,
    row: Vec<f32>,
    winner: Signs,
}

impl OnRows {
    fn new(vote: Majority) -> Self {
        OnRows { vote, ballots: Vec::new(), row: Vec::new(), winner: Signs::default() }
    }
}

impl Rule for OnRows {
    fn aggregate(&mut self, round: &mut Round<'_>, out: &mut [f32], _: &mut Verdict) {
        if self.vote.sum {
            self.vote.add_up(round, &mut self.row, &mut self.winner);
            return self.winner.decode(out);
        }
        self.ballots.resize_with(round.rows.n(), Signs::default);
        for (i, ballot) in self.ballots.iter_mut().enumerate() {
            ballot.encode(round.rows.row(i, &mut self.row), ZeroPolicy::Zero, Coins::default());
        }
        let ballots = std::mem::take(&mut self.ballots);
        self.count(&ballots, round.step, round.seed, out);
        self.ballots = ballots;
    }

    fn count(&mut self, votes: &[Signs], step: u64, seed: Seed, out: &mut [f32]) {
        self.vote.tally(Ballots::new(votes), (seed, step), &mut self.winner);
        self.winner.decode(out);
    }

    fn counts_votes(&self) -> bool {
        // A sum of votes of −1, 0 and +1 is the same, but what is not sent so is not.
        !self.vote.sum
    }

    fn exact(&self, round: &exact::Round<'_>, verdict: &mut Verdict) -> Result<Vec<f64>, String> {
        if self.vote.sum {
            let sum = |k: usize| {
                round.rows.iter().enumerate().map(|(i, row)| self.vote.weight(i) * row[k]).sum()
            };
            let won: Vec<f32> = (0..round.d()).map(|k| self.vote.side(sum(k))).collect();
            let (mut winner, mut out) = (Signs::default(), vec![0.0; round.d()]);
            winner.encode(&won, self.vote.ties, coins(round.seed, round.step));
            winner.decode(&mut out);
            return Ok(out.into_iter().map(f64::from).collect());
        }
        // Signs are whole numbers: the vote on them is exact whoever counts.
        let sign = |x: &f64| f32::from(i8::from(*x > 0.0) - i8::from(*x < 0.0));
        let signs: Vec<Vec<f32>> =
            round.rows.iter().map(|row| row.iter().map(sign).collect()).collect();
        let signs = Matrix::from_rows(&signs);
        let mut counted =
            Round { step: round.step, seed: round.seed, ..Round::of(signs.rows(), round.f) };
        let mut out = vec![0.0; round.d()];
        OnRows::new(self.vote.clone()).aggregate(&mut counted, &mut out, verdict);
        Ok(out.into_iter().map(f64::from).collect())
    }

    fn answers_signs(&self) -> Option<bool> {
        Some(self.vote.ties == ZeroPolicy::Zero)
    }

    fn whole_rows(&self) -> Option<&'static str> {
        let tossed = self.vote.ties == ZeroPolicy::Random;
        tossed.then_some("a coin's address is the place of its coordinate in the whole row")
    }

    fn fork(&self) -> Box<dyn Rule> {
        Box::new(OnRows::new(self.vote.clone()))
    }

    fn check(&self, n: usize, f: usize) -> Result<(), String> {
        self.vote.check(n, f)
    }

    fn fits(&self, n: usize, f: usize) -> Result<(), String> {
        self.vote.fits(n, f)
    }
}

#[cfg(test)]
pub(crate) fn reference(rows: &[Vec<f64>], ties: f64) -> Vec<f64> {
    let sign = |x: f64| f64::from(u8::from(x > 0.0)) - f64::from(u8::from(x < 0.0));
    let won = |k: usize| sign(rows.iter().map(|row| sign(row[k])).sum());
    (0..rows[0].len()).map(|k| if won(k) == 0.0 { ties } else { won(k) }).collect()
}

#[cfg(test)]
mod tests {
    use super::{PARAMS, majority};
    use crate::{Round, Verdict, build};
    use varangian_base::{Ballots, Coins, Domain, Matrix, Seed, Signs, ZeroPolicy, spec};

    fn won(text: &str, rows: &Matrix, zero: ZeroPolicy) -> Vec<f32> {
        let coins = |worker| Coins { seed: Seed(1), worker, step: 4 };
        let ballots: Vec<Signs> = (0..rows.n())
            .map(|i| {
                let mut signs = Signs::default();
                signs.encode(rows.row(i), zero, coins(i as u32));
                signs
            })
            .collect();
        let (mut winner, mut out) = (Signs::default(), vec![9.0; rows.d()]);
        let args = spec::parse(text).unwrap().args(PARAMS).unwrap();
        majority(&args).unwrap().tally(Ballots::new(&ballots), (Seed(1), 4), &mut winner);
        winner.decode(&mut out);
        out
    }

    fn random(n: usize, d: usize) -> Matrix {
        let mut stream = Seed(n as u64).stream(Domain::Test, 0, 0);
        let rows: Vec<Vec<f32>> =
            (0..n).map(|_| (0..d).map(|_| stream.normal() as f32).collect()).collect();
        Matrix::from_rows(&rows)
    }

    #[test]
    fn one_column_under_every_tie_rule_margin_and_weight() {
        let rows = Matrix::from_rows(&[[-2.0, 1.0], [-1.0, 1.0], [5.0, 1.0], [3.0, -1.0]]);
        assert_eq!(won("majority", &rows, ZeroPolicy::Zero), [0.0, 1.0]);
        assert_eq!(won("majority ties=plus-one", &rows, ZeroPolicy::Zero), [1.0, 1.0]);
        assert_eq!(won("majority margin=2", &rows, ZeroPolicy::Zero), [0.0, 0.0]);
        assert_eq!(won("majority weights=2,1,1,1", &rows, ZeroPolicy::PlusOne), [-1.0, 1.0]);
        assert_eq!(won("majority weights=0,0,0,1", &rows, ZeroPolicy::PlusOne), [1.0, -1.0]);
    }

    #[test]
    fn sums_of_votes_are_tallies_of_signs_and_a_message_may_hold_several() {
        let mut rows = random(9, 3000);
        (0..9).for_each(|i| {
            let vote = |x: &mut f32| *x = if x.abs() < 0.4 { 0.0 } else { x.signum() };
            rows.row_mut(i).iter_mut().for_each(vote);
        });
        let answer = |spec: &str, rows: &Matrix| {
            let (mut out, n) = (vec![9.0; rows.d()], rows.n());
            let mut round = Round { seed: Seed(3), step: 8, ..Round::of(rows.rows(), 4) };
            build(spec, n, 4).unwrap().aggregate(&mut round, &mut out, &mut Verdict::default());
            out
        };
        let mut told = rows.clone();
        for k in 0..told.d() {
            told.row_mut(5)[k] = (5..9).map(|i| rows.row(i)[k]).sum();
            (6..9).for_each(|i| told.row_mut(i)[k] = 0.0);
        }
        for how in ["ties=zero", "ties=plus-one", "ties=random", "margin=3", "ties=random margin=1"]
        {
            let plain = answer(&format!("majority {how}"), &rows);
            assert_eq!(answer(&format!("majority votes=sum {how}"), &rows), plain, "{how}");
            assert_eq!(answer(&format!("majority votes=sum {how}"), &told), plain, "{how}");
            assert_ne!(answer(&format!("majority {how}"), &told), plain, "{how}");
        }
        let weighted = "weights=3,1,1,1,1,2,1,1,1";
        let plain = answer(&format!("majority {weighted}"), &rows);
        assert_eq!(answer(&format!("majority votes=sum {weighted}"), &rows), plain);
    }

    #[test]
    fn it_is_the_median_of_the_signs_of_an_odd_number() {
        let rows = random(11, 500);
        let mut signs = rows.clone();
        (0..11).for_each(|i| signs.row_mut(i).iter_mut().for_each(|x| *x = x.signum()));
        let mut median = vec![0.0; 500];
        let mut round = Round::of(signs.rows(), 5);
        build("median", 11, 5).unwrap().aggregate(&mut round, &mut median, &mut Verdict::default());
        assert_eq!(won("majority", &rows, ZeroPolicy::Zero), median);
    }

    #[test]
    fn magnitudes_order_and_reflection_do_not_matter() {
        let rows = random(6, 300);
        let expected = won("majority", &rows, ZeroPolicy::Zero);
        let turned: Vec<Vec<f32>> = (0..6)
            .map(|i| {
                rows.row((i + 2) % 6).iter().map(|x| x * 10f32.powi(i as i32 * 9 - 20)).collect()
            })
            .collect();
        assert_eq!(won("majority", &Matrix::from_rows(&turned), ZeroPolicy::Zero), expected);
        let negated: Vec<Vec<f32>> =
            (0..6).map(|i| rows.row(i).iter().map(|x| -x).collect()).collect();
        let mirrored = won("majority", &Matrix::from_rows(&negated), ZeroPolicy::Zero);
        assert!(mirrored.iter().zip(&expected).all(|(a, b)| *a == -b));
    }

    #[test]
    fn n_minus_f_equal_voters_win_whatever_f_others_send() {
        let mut rows = random(7, 200);
        let honest = rows.row(0).to_vec();
        (1..4).for_each(|i| rows.row_mut(i).copy_from_slice(&honest));
        rows.row_mut(5).fill(f32::NAN);
        let out = won("majority", &rows, ZeroPolicy::Zero);
        assert!(out.iter().zip(&honest).all(|(out, x)| *out == x.signum()));
    }
}
