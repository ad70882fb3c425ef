//! Ballots and how they are counted: the majority of packed signs, coordinate by coordinate.

use crate::kernels::isa;
use crate::kernels::votes::{self, BLOCK, Plane, Thresholds};
use crate::signs::clear_padding;
use crate::{Coins, Signs, ZeroPolicy, blocks};
use std::ops::Range;

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
        assert!(votes.windows(2).all(|pair| pair[0].d() == pair[1].d()), "ballots of one length");
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
        let abstain = if vote.is_ternary() { &vote.abstentions()[range.clone()] } else { &[] };
        (&vote.minus()[range], abstain)
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
        let isa = isa::active();
        let (d, ternary) = (ballots.d(), ballots.is_ternary());
        winner.reset(d, self.ties == ZeroPolicy::Zero);
        let thresholds = self.thresholds(ballots.total(), ternary);
        let count = |words: &Range<usize>, minus: &mut [u64], tie: &mut [u64]| {
            votes::tally(isa, &ballots, words.clone(), ternary, thresholds, minus, tie);
        };
        let ties_abstain = winner.is_ternary();
        let (minus, abstain) = winner.planes_mut();
        if ties_abstain {
            blocks::fill_both(minus, abstain, BLOCK, |w, minus, tie| count(&w, minus, tie));
        } else {
            blocks::fill(minus, BLOCK, |words, minus| {
                let mut tie = [0; BLOCK];
                count(&words, minus, &mut tie[..words.len()]);
                if self.ties == ZeroPolicy::Random {
                    self.coins.toss(&words, &tie[..words.len()], minus);
                }
            });
        }
        let (minus, abstain) = winner.planes_mut();
        clear_padding(d, minus);
        clear_padding(d, abstain);
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
    use crate::kernels::isa::Isa;
    use crate::kernels::votes::BITS;
    use crate::signs::tests::{encoded, random_votes};
    use crate::{Domain, Seed};
    use proptest::prelude::*;

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

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn the_tally_is_the_sum_on_every_instruction_set(
            n in 1usize..40, d in 1usize..300, kinds: u64, margin in 0u64..4,
            heavy in 1u32..40, seed: u64,
        ) {
            let mut stream = Seed(seed).stream(Domain::Test, 0, 0);
            let kinds = if kinds.is_multiple_of(3) { 0 } else { kinds };
            let votes = random_votes(n, d, kinds, &mut stream);
            let weights: Vec<u32> = (0..n).map(|_| stream.below(heavy as usize) as u32).collect();
            let ones = vec![1; n];
            for (ballots, weights) in [
                (Ballots::new(&votes), &ones),
                (Ballots::new(&votes).weigh(&weights), &weights),
            ] {
                for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
                    let mut winner = Signs::default();
                    let contest = Contest { margin, ..Contest::default() };
                    isa::with(isa, || contest.tally(ballots, &mut winner));
                    prop_assert!(winner.check().is_ok());
                    for k in 0..d {
                        prop_assert_eq!(winner.get(k), reference(&votes, weights, margin, k));
                    }
                }
            }
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
}
