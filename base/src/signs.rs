//! Packed signs: one bit a coordinate, and a second plane of abstentions where the policy is
//! ternary.
//!
//! Bit 1 means negative, coordinate k stands in bit k mod 64 of word k / 64, and bits beyond the
//! last coordinate are 0. A coordinate that abstains has its minus bit clear.
//!
//! ```
//! use varangian_base::{Ballots, Coins, Contest, Signs, ZeroPolicy};
//! let ballots = [[-1.0, 2.0, 0.0], [-3.0, 1.0, 0.0], [5.0, -1.0, 0.0]].map(|row| {
//!     let mut signs = Signs::default();
//!     signs.encode(&row, ZeroPolicy::Zero, Coins::default());
//!     signs
//! });
//! let mut winner = Signs::default();
//! Contest::default().tally(Ballots::new(&ballots), &mut winner);
//! assert_eq!([0, 1, 2].map(|k| winner.get(k)), [-1, 1, 0]);
//! ```

use crate::kernels::votes::{self, BITS, BLOCK, Test};
use crate::kernels::{elementwise, isa};
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
    pub(crate) fn toss(self, words: &Range<usize>, tied: &[u64], out: &mut [u64]) {
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

    /// Both planes, to write; whoever writes keeps to the head of this module.
    pub(crate) fn planes_mut(&mut self) -> (&mut [u64], &mut [u64]) {
        (&mut self.minus, &mut self.abstain)
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
        let (isa, nans) = (isa::active(), AtomicU64::new(0));
        let floats = |words: &Range<usize>| &x[words.start * BITS..(words.end * BITS).min(x.len())];
        let pack = |words: &Range<usize>, minus: &mut [u64]| {
            let x = floats(words);
            if let Some(first) = elementwise::first_not_finite(x) {
                let found = x[first..].iter().filter(|x| x.is_nan()).count();
                nans.fetch_add(found as u64, Ordering::Relaxed);
            }
            votes::pack(isa, x, Test::Negative, minus);
        };
        match zero {
            ZeroPolicy::Zero => {
                let (minus, abstain) = (&mut self.minus, &mut self.abstain);
                blocks::fill_both(minus, abstain, BLOCK, |words, minus, abstain| {
                    pack(&words, minus);
                    votes::pack(isa, floats(&words), Test::Neither, abstain);
                });
            }
            ZeroPolicy::PlusOne => blocks::fill(&mut self.minus, BLOCK, |w, minus| pack(&w, minus)),
            ZeroPolicy::Random => blocks::fill(&mut self.minus, BLOCK, |words, minus| {
                pack(&words, minus);
                let mut zeros = [0; BLOCK];
                let zeros = &mut zeros[..words.len()];
                votes::pack(isa, floats(&words), Test::Neither, zeros);
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
        let isa = isa::active();
        blocks::fill(out, BLOCK * BITS, |range, out| {
            let words = range.start / BITS..range.end.div_ceil(BITS);
            let abstain = if self.is_ternary() { &self.abstain[words.clone()] } else { &[] };
            votes::unpack(isa, &self.minus[words], abstain, out);
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
    pub(crate) fn check(&self) -> Result<(), SpecError> {
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

pub(crate) fn clear_padding(d: usize, plane: &mut [u64]) {
    if let Some(last) = plane.last_mut() {
        *last &= last_mask(d);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn encoded(x: &[f32], zero: ZeroPolicy) -> Signs {
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

    pub(crate) fn random_votes(n: usize, d: usize, kinds: u64, stream: &mut Stream) -> Vec<Signs> {
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
