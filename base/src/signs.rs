//! Packed signs: one bit a coordinate, and a second plane of abstentions where the policy is ternary.
//!
//! Bit 1 means negative, coordinate k stands in bit k mod 64 of word k / 64, and bits beyond the last
//! coordinate are 0. A coordinate that abstains has its minus bit clear.
//!
//! ```
//! use varangian_base::{Ballots, Coins, Signs, ZeroPolicy, signs::Contest};
//! let ballots = [[-1.0, 2.0, 0.0], [-3.0, 1.0, 0.0], [5.0, -1.0, 0.0]].map(|row| {
//!     let mut signs = Signs::default();
//!     signs.encode(&row, ZeroPolicy::Zero, Coins::default());
//!     signs
//! });
//! let mut winner = Signs::default();
//! Contest::default().tally(Ballots::new(&ballots), &mut winner);
//! assert_eq!([0, 1, 2].map(|k| winner.get(k)), [-1, 1, 0]);
//! ```

use crate::kernels::votes::{self, BITS, BLOCK, Level, Plane, Test, Thresholds};
use crate::{Domain, Seed, SpecError, Stream, blocks};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the sign of 0 is, and who wins a tie. NaN counts as 0, so a NaN can never vote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ZeroPolicy {
    /// 0: the worker abstains; the coordinate does not move. Two bits a coordinate on the wire.
    #[default]
    Zero,
    /// +1: what one bit a coordinate can say (Bernstein et al.'s code). A coordinate whose gradient
    /// is 0 everywhere drifts.
    PlusOne,
    /// +1 or −1 by a fair coin with an address.
    Random,
}

impl ZeroPolicy {
    /// The spellings, in the order of the variants.
    pub const NAMES: &'static [&'static str] = &["zero", "plus-one", "random"];

    /// The policy spelt `name`.
    ///
    /// # Errors
    /// If there is none.
    pub fn named(name: &str) -> Result<Self, SpecError> {
        match Self::NAMES.iter().position(|&known| known == name) {
            Some(0) => Ok(ZeroPolicy::Zero),
            Some(1) => Ok(ZeroPolicy::PlusOne),
            Some(_) => Ok(ZeroPolicy::Random),
            None => Err(SpecError::unknown("policy for the sign of 0", name, Self::NAMES)),
        }
    }
}

/// Where in a run coins are tossed: block b of the coordinates draws at (`Domain::Sign`, worker,
/// step, b).
#[derive(Clone, Copy, Debug)]
pub struct Coins {
    /// The run's seed.
    pub seed: Seed,
    /// The worker; [`Coins::SERVER`] for ties.
    pub worker: u32,
    /// The step.
    pub step: u64,
}

impl Default for Coins {
    fn default() -> Self {
        Coins { seed: Seed(0), worker: Coins::SERVER, step: 0 }
    }
}

impl Coins {
    /// The address of the one who counts.
    pub const SERVER: u32 = u32::MAX;

    fn block(self, words: &Range<usize>) -> Stream {
        self.seed.lane(Domain::Sign, self.worker, self.step, (words.start / BLOCK) as u64)
    }

    /// Sets each bit of `out` that is set in `tied` to a fair coin.
    fn toss(self, words: &Range<usize>, tied: &[u64], out: &mut [u64]) {
        if tied.iter().all(|&word| word == 0) {
            return;
        }
        let mut stream = self.block(words);
        for (out, &tied) in out.iter_mut().zip(tied) {
            *out = *out & !tied | stream.word() & tied;
        }
    }
}

/// One vote on each of d coordinates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signs {
    d: usize,
    minus: Vec<u64>,
    abstain: Vec<u64>,
}

impl Signs {
    /// d votes of +1.
    pub fn plus(d: usize) -> Self {
        let mut signs = Signs::default();
        signs.reset(d, false);
        signs
    }

    /// −1 where `negative` says so of a coordinate, +1 elsewhere.
    pub fn from_fn(d: usize, negative: impl Fn(usize) -> bool) -> Self {
        let mut signs = Signs::plus(d);
        for k in 0..d {
            signs.minus[k / BITS] |= u64::from(negative(k)) << (k % BITS);
        }
        signs
    }

    /// Makes this d votes of +1, with a plane of abstentions if `ternary`; keeps the allocations.
    pub fn reset(&mut self, d: usize, ternary: bool) {
        let words = d.div_ceil(BITS);
        self.d = d;
        self.minus.clear();
        self.minus.resize(words, 0);
        self.abstain.clear();
        self.abstain.resize(if ternary { words } else { 0 }, 0);
    }

    /// The number of coordinates.
    pub fn d(&self) -> usize {
        self.d
    }

    /// Whether there is a plane of abstentions.
    pub fn is_ternary(&self) -> bool {
        !self.abstain.is_empty()
    }

    /// The minus bits.
    pub fn minus(&self) -> &[u64] {
        &self.minus
    }

    /// The abstentions; empty unless ternary.
    pub fn abstentions(&self) -> &[u64] {
        &self.abstain
    }

    /// The vote on coordinate k: −1, 0 or +1.
    pub fn get(&self, k: usize) -> i8 {
        assert!(k < self.d, "coordinate {k} of {}", self.d);
        let bit = |plane: &[u64]| plane[k / BITS] >> (k % BITS) & 1 == 1;
        if self.is_ternary() && bit(&self.abstain) {
            0
        } else if bit(&self.minus) {
            -1
        } else {
            1
        }
    }

    /// The signs of `x`, and how many of its entries are NaN. Cost O(d); the same bits at any
    /// number of threads and on any instruction set.
    pub fn encode(&mut self, x: &[f32], zero: ZeroPolicy, coins: Coins) -> u64 {
        self.reset(x.len(), zero == ZeroPolicy::Zero);
        let (level, nans) = (Level::detect(), AtomicU64::new(0));
        let floats = |words: &Range<usize>| &x[words.start * BITS..(words.end * BITS).min(x.len())];
        let pack = |words: &Range<usize>, minus: &mut [u64]| {
            let x = floats(words);
            let found: u64 = x.iter().map(|x| u64::from(x.is_nan())).sum();
            nans.fetch_add(found, Ordering::Relaxed);
            votes::pack(level, x, Test::Negative, minus);
        };
        match zero {
            ZeroPolicy::Zero => {
                let (minus, abstain) = (&mut self.minus, &mut self.abstain);
                blocks::fill_both(minus, abstain, BLOCK, |words, minus, abstain| {
                    pack(&words, minus);
                    votes::pack(level, floats(&words), Test::Neither, abstain);
                });
            }
            ZeroPolicy::PlusOne => blocks::fill(&mut self.minus, BLOCK, |w, minus| pack(&w, minus)),
            ZeroPolicy::Random => blocks::fill(&mut self.minus, BLOCK, |words, minus| {
                pack(&words, minus);
                let mut zeros = [0; BLOCK];
                let zeros = &mut zeros[..words.len()];
                votes::pack(level, floats(&words), Test::Neither, zeros);
                coins.toss(&words, zeros, minus);
            }),
        }
        nans.into_inner()
    }

    /// Coordinate k is −1 with probability `chance(x[k])`, else +1: stochastic signs.
    pub fn draw(&mut self, x: &[f32], coins: Coins, chance: impl Fn(f32) -> f32 + Sync) {
        self.reset(x.len(), false);
        blocks::fill(&mut self.minus, BLOCK, |words, minus| {
            let mut stream = coins.block(&words);
            let x = &x[words.start * BITS..(words.end * BITS).min(x.len())];
            for (x, minus) in x.chunks(BITS).zip(minus) {
                for (k, &x) in x.iter().enumerate() {
                    *minus |= u64::from(stream.uniform() < chance(x)) << k;
                }
            }
        });
    }

    /// Writes −1, 0 or +1 a coordinate.
    pub fn decode(&self, out: &mut [f32]) {
        assert_eq!(out.len(), self.d, "the output has d coordinates");
        let level = Level::detect();
        blocks::fill(out, BLOCK * BITS, |range, out| {
            let words = range.start / BITS..range.end.div_ceil(BITS);
            let abstain = if self.is_ternary() { &self.abstain[words.clone()] } else { &[] };
            votes::unpack(level, &self.minus[words], abstain, out);
        });
    }

    /// Turns every vote around; abstentions stay.
    pub fn negate(&mut self) {
        for w in 0..self.minus.len() {
            let silent = if self.is_ternary() { self.abstain[w] } else { 0 };
            self.minus[w] = !(self.minus[w] | silent);
        }
        clear_padding(self.d, &mut self.minus);
    }

    /// The numbers of votes of −1, 0 and +1.
    pub fn counts(&self) -> [u64; 3] {
        let ones = |plane: &[u64]| plane.iter().map(|word| u64::from(word.count_ones())).sum();
        let (minus, abstain): (u64, u64) = (ones(&self.minus), ones(&self.abstain));
        [minus, abstain, self.d as u64 - minus - abstain]
    }

    /// The bytes that d votes take on the wire: one bit each, padded to 4 bytes, and as much again
    /// where ternary.
    pub fn wire_len(d: usize, ternary: bool) -> usize {
        4 * d.div_ceil(32) * if ternary { 2 } else { 1 }
    }

    /// Appends the votes as they travel: the planes' words in little-endian order, each plane cut
    /// after 4·⌈d/32⌉ bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        let plane = Signs::wire_len(self.d, false);
        for words in [&self.minus, &self.abstain] {
            let bytes = words.iter().flat_map(|word| word.to_le_bytes());
            out.extend(bytes.take(plane));
        }
    }

    /// Reads d votes as [`Signs::write`] wrote them; a message of twice the length is ternary.
    ///
    /// # Errors
    /// If the length is wrong, a bit beyond the last coordinate is set, or a coordinate both
    /// abstains and votes.
    pub fn read(d: usize, bytes: &[u8]) -> Result<Self, SpecError> {
        let plane = Signs::wire_len(d, false);
        if bytes.len() != plane && bytes.len() != 2 * plane {
            return Err(SpecError::new(format!(
                "{d} signs take {plane} or {} bytes; found {}",
                2 * plane,
                bytes.len()
            )));
        }
        let mut signs = Signs::default();
        signs.reset(d, bytes.len() > plane);
        for (words, bytes) in [&mut signs.minus, &mut signs.abstain]
            .into_iter()
            .zip([&bytes[..plane], &bytes[plane..]])
        {
            for (word, bytes) in words.iter_mut().zip(bytes.chunks(8)) {
                let mut whole = [0; 8];
                whole[..bytes.len()].copy_from_slice(bytes);
                *word = u64::from_le_bytes(whole);
            }
        }
        signs.check()?;
        Ok(signs)
    }

    /// Whether the planes are as the head of this module says.
    fn check(&self) -> Result<(), SpecError> {
        for plane in [&self.minus, &self.abstain] {
            let spare = plane.last().map_or(0, |last| last & !last_mask(self.d));
            if spare != 0 {
                let why = format!("{} signs, and a bit is set beyond the last", self.d);
                return Err(SpecError::new(why));
            }
        }
        let both = self.minus.iter().zip(&self.abstain).position(|(m, a)| m & a != 0);
        match both {
            None => Ok(()),
            Some(w) => Err(SpecError::new(format!(
                "among coordinates {} to {} one both votes and abstains",
                w * BITS,
                (w + 1) * BITS - 1
            ))),
        }
    }
}

/// The bits of the last word that stand for coordinates.
fn last_mask(d: usize) -> u64 {
    if d.is_multiple_of(BITS) { !0 } else { (1 << (d % BITS)) - 1 }
}

fn clear_padding(d: usize, plane: &mut [u64]) {
    if let Some(last) = plane.last_mut() {
        *last &= last_mask(d);
    }
}

/// The ballots of n workers on the same d coordinates.
#[derive(Clone, Copy)]
pub struct Ballots<'a> {
    votes: &'a [Signs],
    weights: &'a [u32],
}

impl<'a> Ballots<'a> {
    /// One vote a worker.
    ///
    /// # Panics
    /// If the ballots differ in length.
    pub fn new(votes: &'a [Signs]) -> Self {
        assert!(votes.windows(2).all(|pair| pair[0].d == pair[1].d), "ballots of one length");
        Ballots { votes, weights: &[] }
    }

    /// The same ballots with `weights[i]` votes for worker i.
    ///
    /// # Panics
    /// If there is not one weight a ballot.
    pub fn weigh<'b>(self, weights: &'b [u32]) -> Ballots<'b>
    where
        'a: 'b,
    {
        assert_eq!(self.votes.len(), weights.len(), "one weight a ballot");
        Ballots { votes: self.votes, weights }
    }

    /// The number of ballots.
    pub fn n(&self) -> usize {
        self.votes.len()
    }

    /// The number of coordinates.
    pub fn d(&self) -> usize {
        self.votes.first().map_or(0, Signs::d)
    }

    /// Ballot i.
    pub fn ballot(&self, i: usize) -> &'a Signs {
        &self.votes[i]
    }

    /// Whether any ballot is ternary.
    pub fn is_ternary(&self) -> bool {
        self.votes.iter().any(Signs::is_ternary)
    }

    /// The sum of the weights.
    pub fn total(&self) -> u64 {
        (0..self.n()).map(|i| u64::from(self.weight(i))).sum()
    }
}

impl Plane for Ballots<'_> {
    fn n(&self) -> usize {
        self.votes.len()
    }

    fn words(&self, i: usize, range: Range<usize>) -> (&[u64], &[u64]) {
        let vote = &self.votes[i];
        let abstain = if vote.is_ternary() { &vote.abstain[range.clone()] } else { &[] };
        (&vote.minus[range], abstain)
    }

    fn weight(&self, i: usize) -> u32 {
        if self.weights.is_empty() { 1 } else { self.weights[i] }
    }
}

/// How a coordinate is won: by more than `margin` votes, a tie going by `ties`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Contest {
    /// Who wins a tie.
    pub ties: ZeroPolicy,
    /// A side wins by more than this many votes; anything less is a tie. 0: the majority.
    pub margin: u64,
    /// Where ties toss their coins.
    pub coins: Coins,
}

impl Contest {
    /// The winner of each coordinate, into `winner`. Cost O(n·d / 64) words read, about two
    /// machine operations a word and coordinate block; nothing is unpacked.
    pub fn tally(&self, ballots: Ballots<'_>, winner: &mut Signs) {
        self.tally_at(Level::detect(), ballots, winner);
    }

    /// As [`Contest::tally`] on a chosen instruction set, to compare them.
    pub fn tally_at(&self, level: Level, ballots: Ballots<'_>, winner: &mut Signs) {
        let (d, ternary) = (ballots.d(), ballots.is_ternary());
        winner.reset(d, self.ties == ZeroPolicy::Zero);
        let thresholds = self.thresholds(ballots.total(), ternary);
        let count = |words: &Range<usize>, minus: &mut [u64], tie: &mut [u64]| {
            votes::tally(level, &ballots, words.clone(), ternary, thresholds, minus, tie);
        };
        if winner.is_ternary() {
            let Signs { minus, abstain, .. } = winner;
            blocks::fill_both(minus, abstain, BLOCK, |w, minus, tie| count(&w, minus, tie));
        } else {
            blocks::fill(&mut winner.minus, BLOCK, |words, minus| {
                let mut tie = [0; BLOCK];
                count(&words, minus, &mut tie[..words.len()]);
                if self.ties == ZeroPolicy::Random {
                    self.coins.toss(&words, &tie[..words.len()], minus);
                }
            });
        }
        clear_padding(d, &mut winner.minus);
        clear_padding(d, &mut winner.abstain);
    }

    /// With W the total weight and T = Σ w·vote, U = W − T counts 2 for a minus and 1 for an
    /// abstention: minus wins where U > W + margin, plus where U < W − margin. Binary counts U/2.
    fn thresholds(&self, total: u64, ternary: bool) -> Thresholds {
        let (above, below) = (total.saturating_add(self.margin), total.saturating_sub(self.margin));
        match ternary {
            true => Thresholds { above, below },
            false => Thresholds { above: above / 2, below: below.div_ceil(2) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(x: &[f32], zero: ZeroPolicy) -> Signs {
        let mut signs = Signs::default();
        signs.encode(x, zero, Coins::default());
        signs
    }

    fn votes(signs: &Signs) -> Vec<i8> {
        (0..signs.d()).map(|k| signs.get(k)).collect()
    }

    #[test]
    fn the_sign_of_zero_and_of_nan_is_the_policys() {
        let x = [2.0, -0.0, f32::NAN, -f32::NAN, f32::NEG_INFINITY, -1e-45, 0.0];
        let mut signs = Signs::default();
        assert_eq!(signs.encode(&x, ZeroPolicy::Zero, Coins::default()), 2);
        assert_eq!(votes(&signs), [1, 0, 0, 0, -1, -1, 0]);
        assert_eq!(signs.counts(), [2, 4, 1]);
        assert_eq!(votes(&encoded(&x, ZeroPolicy::PlusOne)), [1, 1, 1, 1, -1, -1, 1]);
        let tossed = votes(&encoded(&x, ZeroPolicy::Random));
        assert_eq!([tossed[0], tossed[4], tossed[5]], [1, -1, -1]);
        assert!(tossed.iter().all(|v| v.abs() == 1));
    }

    #[test]
    fn coins_are_fair_addressed_and_blind_to_the_length() {
        let zeros = vec![0.0; 200_000];
        let at = |worker, step, len: usize| {
            let mut signs = Signs::default();
            let coins = Coins { seed: Seed(5), worker, step };
            signs.encode(&zeros[..len], ZeroPolicy::Random, coins);
            signs
        };
        let all = at(3, 7, zeros.len());
        let [minus, _, plus] = all.counts();
        assert!(minus.abs_diff(plus) < 2_000, "{minus} against {plus}");
        assert_eq!(all, at(3, 7, zeros.len()));
        assert_eq!(votes(&all)[..50_001], votes(&at(3, 7, 50_001)));
        assert_ne!(all, at(4, 7, zeros.len()));
        assert_ne!(all, at(3, 8, zeros.len()));
    }

    #[test]
    fn identical_streams_win_and_opposite_streams_tie() {
        let x: Vec<f32> = (0..150).map(|k| [1.0, -2.0, 0.0][k % 3]).collect();
        let one = encoded(&x, ZeroPolicy::Zero);
        let mut other = one.clone();
        other.negate();
        let mut winner = Signs::default();
        Contest::default().tally(Ballots::new(&vec![one.clone(); 5]), &mut winner);
        assert_eq!(winner, one);
        Contest::default().tally(Ballots::new(&[one.clone(), other.clone()]), &mut winner);
        assert_eq!(winner.counts(), [0, 150, 0]);
        let plus = Contest { ties: ZeroPolicy::PlusOne, ..Contest::default() };
        plus.tally(Ballots::new(&[one, other]), &mut winner);
        assert_eq!(winner, Signs::plus(150));
    }

    /// The formula, vote by vote.
    fn reference(votes: &[Signs], weights: &[u32], margin: u64, k: usize) -> i8 {
        let pairs = votes.iter().zip(weights);
        let sum: i64 = pairs.map(|(v, &w)| i64::from(v.get(k)) * i64::from(w)).sum();
        if sum.unsigned_abs() > margin { sum.signum() as i8 } else { 0 }
    }

    fn random_votes(n: usize, d: usize, kinds: u64, stream: &mut Stream) -> Vec<Signs> {
        let vote = |i: usize, stream: &mut Stream| {
            let x: Vec<f32> = (0..d).map(|_| stream.below(3) as f32 - 1.0).collect();
            let zero =
                if kinds >> (i % 64) & 1 == 1 { ZeroPolicy::Zero } else { ZeroPolicy::PlusOne };
            encoded(&x, zero)
        };
        (0..n).map(|i| vote(i, stream)).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn the_tally_is_the_sum_on_every_instruction_set(
            n in 1usize..40, d in 1usize..300, kinds: u64, margin in 0u64..4,
            heavy in 1u32..40, seed: u64,
        ) {
            let mut stream = Seed(seed).stream(Domain::Test, 0, 0);
            let votes = random_votes(n, d, if kinds.is_multiple_of(3) { 0 } else { kinds }, &mut stream);
            let weights: Vec<u32> = (0..n).map(|_| stream.below(heavy as usize) as u32).collect();
            let ones = vec![1; n];
            for (ballots, weights) in [
                (Ballots::new(&votes), &ones),
                (Ballots::new(&votes).weigh(&weights), &weights),
            ] {
                for level in Level::available() {
                    let mut winner = Signs::default();
                    let contest = Contest { margin, ..Contest::default() };
                    contest.tally_at(level, ballots, &mut winner);
                    prop_assert!(winner.check().is_ok());
                    for k in 0..d {
                        prop_assert_eq!(winner.get(k), reference(&votes, weights, margin, k));
                    }
                }
            }
        }

        #[test]
        fn what_is_written_is_read(d in 0usize..200, ternary: bool, seed: u64) {
            let mut stream = Seed(seed).stream(Domain::Test, 0, 0);
            let signs = random_votes(1, d, u64::from(ternary), &mut stream).remove(0);
            let mut bytes = Vec::new();
            signs.write(&mut bytes);
            prop_assert_eq!(bytes.len(), Signs::wire_len(d, signs.is_ternary()));
            prop_assert_eq!(Signs::read(d, &bytes).unwrap(), signs);
        }
    }

    #[test]
    fn thousands_of_ballots_over_many_blocks_at_any_number_of_threads() {
        let d = 2 * BLOCK * BITS + 77;
        let mut stream = Seed(9).stream(Domain::Test, 0, 0);
        let few = random_votes(3, d, 0b101, &mut stream);
        let votes: Vec<Signs> = (0..2050).map(|i| few[i % 3].clone()).collect();
        let contest = Contest { ties: ZeroPolicy::Random, ..Contest::default() };
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut winner = Signs::default();
            pool.install(|| contest.tally(Ballots::new(&votes), &mut winner));
            winner
        };
        let one = with(1);
        assert_eq!((&one, &one), (&with(2), &with(8)));
        let weights = [684, 683, 683];
        for k in (0..d).step_by(101) {
            let sum = reference(&few, &weights, 0, k);
            assert!(sum == 0 || one.get(k) == sum, "coordinate {k}");
        }
    }

    #[test]
    fn stochastic_signs_are_unbiased() {
        let x: Vec<f32> = (0..100_000).map(|k| if k % 2 == 0 { 0.5 } else { -0.25 }).collect();
        let mut signs = Signs::default();
        signs.draw(&x, Coins { seed: Seed(1), worker: 0, step: 0 }, |x| (1.0 - x) / 2.0);
        let mean =
            |odd: usize| (0..50_000).map(|k| f64::from(signs.get(2 * k + odd))).sum::<f64>() / 5e4;
        assert!((mean(0) - 0.5).abs() < 0.02 && (mean(1) + 0.25).abs() < 0.02);
    }

    #[test]
    fn bytes_of_the_models_of_the_papers() {
        for (d, bytes) in [
            (881, 112),
            (922, 116),
            (79_510, 9_940),
            (580_810, 72_604),
            (1_310_922, 163_868),
            (36_489_290, 4_561_164),
        ] {
            assert_eq!(Signs::wire_len(d, false), bytes);
            assert_eq!(Signs::wire_len(d, true), 2 * bytes);
        }
    }

    #[test]
    fn bad_messages_are_refused_with_what_was_found() {
        let error = |d, bytes: &[u8]| Signs::read(d, bytes).unwrap_err().to_string();
        assert_eq!(error(33, &[0; 9]), "33 signs take 8 or 16 bytes; found 9");
        assert_eq!(error(3, &[8, 0, 0, 0]), "3 signs, and a bit is set beyond the last");
        assert_eq!(
            error(3, &[2, 0, 0, 0, 2, 0, 0, 0]),
            "among coordinates 0 to 63 one both votes and abstains"
        );
    }
}
