//! Kernels over packed signs: floats to bits and back, and the tally by bit-sliced adders.
//!
//! A tally never unpacks: counters are kept *vertically*, plane k holding bit k of 64 counters a
//! word, and eight ballots enter at once through a tree of carry-save adders (seven full adders for
//! eight words, after Harley and Seal; Warren, Hacker's Delight, §5-1). The same source is compiled
//! for AVX-512, AVX2 and the portable instruction set; all three give the same bits.

use crate::kernels::isa::{self, Isa};
use std::cell::RefCell;
use std::ops::Range;

/// Words in a block: one page of every ballot, 32 768 coordinates.
pub const BLOCK: usize = 512;

/// Coordinates in a word.
pub const BITS: usize = u64::BITS as usize;

/// What a bit says of a float.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    /// x < 0.
    Negative,
    /// Neither x < 0 nor x > 0: zeros of both signs and NaN.
    Neither,
}

/// Packs one bit a float into `out`, the first float in the lowest bit of the first word; bits
/// beyond the last float are 0.
pub(crate) fn pack(isa: Isa, x: &[f32], test: Test, out: &mut [u64]) {
    assert_eq!(out.len(), x.len().div_ceil(BITS), "one bit a float");
    match isa {
        // SAFETY: an `Isa` comes from `isa::active`, which found it on this processor.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => unsafe { pack_avx512(x, test, out) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => unsafe { pack_avx2(x, test, out) },
        _ => pack_words(x, test, out),
    }
}

#[inline(always)]
fn pack_words(x: &[f32], test: Test, out: &mut [u64]) {
    for (x, out) in x.chunks(BITS).zip(out) {
        *out = pack_word(x, test);
    }
}

#[inline(always)]
fn pack_word(x: &[f32], test: Test) -> u64 {
    let bit = |x: f32| match test {
        Test::Negative => x < 0.0,
        Test::Neither => x == 0.0 || x.is_nan(),
    };
    x.iter().enumerate().fold(0, |word, (k, &x)| word | u64::from(bit(x)) << k)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq")]
fn pack_avx512(x: &[f32], test: Test, out: &mut [u64]) {
    use std::arch::x86_64::{
        _CMP_EQ_UQ, _CMP_LT_OQ, _mm512_cmp_ps_mask, _mm512_loadu_ps, _mm512_setzero_ps,
    };
    let (words, rest) = x.as_chunks::<BITS>();
    let zero = _mm512_setzero_ps();
    for (x, out) in words.iter().zip(&mut *out) {
        let mut word = 0;
        for part in 0..4 {
            // SAFETY: `x` holds 64 floats and `part` < 4.
            let v = unsafe { _mm512_loadu_ps(x.as_ptr().add(16 * part)) };
            let mask = match test {
                Test::Negative => _mm512_cmp_ps_mask::<_CMP_LT_OQ>(v, zero),
                Test::Neither => _mm512_cmp_ps_mask::<_CMP_EQ_UQ>(v, zero),
            };
            word |= u64::from(mask) << (16 * part);
        }
        *out = word;
    }
    pack_words(rest, test, &mut out[words.len()..]);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn pack_avx2(x: &[f32], test: Test, out: &mut [u64]) {
    use std::arch::x86_64::{
        _CMP_EQ_UQ, _CMP_LT_OQ, _mm256_cmp_ps, _mm256_loadu_ps, _mm256_movemask_ps,
        _mm256_setzero_ps,
    };
    let (words, rest) = x.as_chunks::<BITS>();
    let zero = _mm256_setzero_ps();
    for (x, out) in words.iter().zip(&mut *out) {
        let mut word = 0;
        for part in 0..8 {
            // SAFETY: `x` holds 64 floats and `part` < 8.
            let v = unsafe { _mm256_loadu_ps(x.as_ptr().add(8 * part)) };
            let mask = match test {
                Test::Negative => _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_LT_OQ>(v, zero)),
                Test::Neither => _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_EQ_UQ>(v, zero)),
            };
            word |= u64::from(mask as u8) << (8 * part);
        }
        *out = word;
    }
    pack_words(rest, test, &mut out[words.len()..]);
}

per_isa! {
    /// Writes −1 where the bit of `minus` is set, +1 elsewhere, and 0 where the bit of `abstain` is
    /// set (`abstain` may be empty).
    pub(crate) fn unpack(@isa; minus: &[u64], abstain: &[u64], out: &mut [f32]) {
        unpack_body(minus, abstain, out)
    }
}

#[inline(always)]
fn unpack_body(minus: &[u64], abstain: &[u64], out: &mut [f32]) {
    let one = 1.0f32.to_bits();
    for (w, out) in out.chunks_mut(BITS).enumerate() {
        let (minus, voting) = (minus[w], if abstain.is_empty() { !0 } else { !abstain[w] });
        for (k, out) in out.iter_mut().enumerate() {
            let bits = one | ((minus >> k) as u32) << 31;
            *out = f32::from_bits(bits & ((voting >> k) as u32 & 1).wrapping_neg());
        }
    }
}

/// What a block of ballots is compared with: U = Σ w·(2·minus + abstain), or N = Σ w·minus where no
/// ballot abstains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Thresholds {
    /// Minus wins where the count exceeds this.
    pub(crate) above: u64,
    /// Plus wins where the count is below this.
    pub(crate) below: u64,
}

/// A ballot as the tally reads it: a plane of minus bits and, where ternary, one of abstentions.
pub(crate) trait Plane: Sync {
    /// The number of ballots.
    fn n(&self) -> usize;
    /// The words `range` of ballot i: minus and abstain (empty where binary).
    fn words(&self, i: usize, range: Range<usize>) -> (&[u64], &[u64]);
    /// The weight of ballot i.
    fn weight(&self, i: usize) -> u32;
}

thread_local! {
    /// Planes of one block, reused from block to block.
    static SCRATCH: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// Tallies the words `range` of all ballots: sets `minus` where minus wins and `tie` where neither
/// side does. `ternary` doubles every count, so that an abstention counts half.
pub(crate) fn tally(
    isa: Isa,
    ballots: &impl Plane,
    range: Range<usize>,
    ternary: bool,
    thresholds: Thresholds,
    minus: &mut [u64],
    tie: &mut [u64],
) {
    let len = range.len();
    assert!(minus.len() == len && tie.len() == len && len <= BLOCK, "one block");
    let total: u64 = (0..ballots.n()).map(|i| u64::from(ballots.weight(i))).sum();
    let most = total << u32::from(ternary);
    // A group of eight enters three planes at its level and ripples through those above.
    let highest = (0..ballots.n()).map(|i| ballots.weight(i).checked_ilog2().unwrap_or(0)).max();
    let entry = highest.unwrap_or(0) as usize + usize::from(ternary);
    let planes = (u64::BITS - most.leading_zeros()) as usize;
    let planes = planes.max(entry + 3);
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.clear();
        scratch.resize((planes + 1) * len, 0);
        let (carry, counters) = scratch.split_at_mut(len);
        for bit in 0..=highest.unwrap_or(0) {
            let side = usize::from(ternary);
            let at = bit as usize;
            gather(isa, ballots, &range, bit, false, &mut counters[(at + side) * len..], carry);
            if ternary {
                gather(isa, ballots, &range, bit, true, &mut counters[at * len..], carry);
            }
        }
        decide(isa, counters, thresholds, minus, tie, carry);
    });
}

/// Adds one plane of every ballot whose weight has `bit` to `counters`, eight at a time.
fn gather(
    isa: Isa,
    ballots: &impl Plane,
    range: &Range<usize>,
    bit: u32,
    abstain: bool,
    counters: &mut [u64],
    carry: &mut [u64],
) {
    static NONE: [u64; BLOCK] = [0; BLOCK];
    let empty = &NONE[..range.len()];
    let (mut group, mut held) = ([empty; 8], 0);
    for i in 0..ballots.n() {
        if ballots.weight(i) >> bit & 1 == 0 {
            continue;
        }
        let (minus, abstentions) = ballots.words(i, range.clone());
        let words = if abstain { abstentions } else { minus };
        if !words.is_empty() {
            group[held] = words;
            held += 1;
        }
        if held == group.len() {
            add(isa, &group, counters, carry);
            (group, held) = ([empty; 8], 0);
        }
    }
    if held > 0 {
        add(isa, &group, counters, carry);
    }
}

per_isa! {
    /// Adds eight ballots to the counters, whose planes are `carry.len()` words each.
    pub(crate) fn add(@isa; x: &[&[u64]; 8], counters: &mut [u64], carry: &mut [u64]) {
        add_body(x, counters, carry)
    }
}

#[inline(always)]
fn add_body(x: &[&[u64]; 8], counters: &mut [u64], carry: &mut [u64]) {
    let len = carry.len();
    let (ones, rest) = counters.split_at_mut(len);
    let (twos, rest) = rest.split_at_mut(len);
    let (fours, rest) = rest.split_at_mut(len);
    add_tree(x.map(|x| &x[..len]), ones, twos, fours, carry);
    for plane in rest.chunks_exact_mut(len.max(1)) {
        for (sum, carry) in plane.iter_mut().zip(&mut *carry) {
            (*sum, *carry) = (*sum ^ *carry, *sum & *carry);
        }
    }
}

/// A full adder on every bit: a + b + c = sum + 2·carry.
#[inline(always)]
fn full(a: u64, b: u64, c: u64) -> (u64, u64) {
    let half = a ^ b;
    (half ^ c, (a & b) | (half & c))
}

#[inline(always)]
fn add_tree(
    x: [&[u64]; 8],
    ones: &mut [u64],
    twos: &mut [u64],
    fours: &mut [u64],
    eights: &mut [u64],
) {
    let len = eights.len();
    let [a, b, c, d, e, f, g, h] = x.map(|x| &x[..len]);
    let (ones, twos, fours) = (&mut ones[..len], &mut twos[..len], &mut fours[..len]);
    for w in 0..len {
        let (one, two_a) = full(ones[w], a[w], b[w]);
        let (one, two_b) = full(one, c[w], d[w]);
        let (two, four_a) = full(twos[w], two_a, two_b);
        let (one, two_a) = full(one, e[w], f[w]);
        let (one, two_b) = full(one, g[w], h[w]);
        let (two, four_b) = full(two, two_a, two_b);
        let (four, eight) = full(fours[w], four_a, four_b);
        (ones[w], twos[w], fours[w], eights[w]) = (one, two, four, eight);
    }
}

per_isa! {
    /// Compares each counter with the thresholds, from the highest plane down. `equal` is scratch.
    pub(crate) fn decide(@isa; counters: &[u64],
        thresholds: Thresholds,
        minus: &mut [u64],
        tie: &mut [u64],
        equal: &mut [u64]) {
        decide_body(counters, thresholds, minus, tie, equal)
    }
}

#[inline(always)]
fn decide_body(
    counters: &[u64],
    thresholds: Thresholds,
    minus: &mut [u64],
    tie: &mut [u64],
    equal: &mut [u64],
) {
    let planes = counters.chunks_exact(minus.len().max(1));
    let reachable = |threshold: u64| threshold.checked_shr(planes.len() as u32).unwrap_or(0) == 0;
    // Minus where the count lies above.
    minus.fill(0);
    equal.fill(if reachable(thresholds.above) { !0 } else { 0 });
    for (k, plane) in planes.clone().enumerate().rev() {
        greater(thresholds.above >> k & 1 == 1, plane, minus, equal);
    }
    // Not below: greater or equal.
    tie.fill(0);
    equal.fill(if reachable(thresholds.below) { !0 } else { 0 });
    for (k, plane) in planes.enumerate().rev() {
        greater(thresholds.below >> k & 1 == 1, plane, tie, equal);
    }
    for ((tie, equal), minus) in tie.iter_mut().zip(equal).zip(minus) {
        *tie = (*tie | *equal) & !*minus;
    }
}

/// Adds the sign of each of the floats (1, −1, and 0 for zeros and NaN) to its sum.
///
/// # Panics
/// If there are not as many sums as floats.
pub fn count_signs(x: &[f32], sums: &mut [i32]) {
    assert_eq!(x.len(), sums.len(), "a sum for each float");
    add_signs(isa::active(), x, sums);
}

per_isa! {
    pub(crate) fn add_signs(@isa; x: &[f32], sums: &mut [i32]) {
        add_signs_body(x, sums)
    }
}

#[inline(always)]
fn add_signs_body(x: &[f32], sums: &mut [i32]) {
    for (&x, sum) in x.iter().zip(sums) {
        *sum += i32::from(x > 0.0) - i32::from(x < 0.0);
    }
}

/// One bit of a comparison with a constant: `won` where greater so far, `equal` where equal.
#[inline(always)]
fn greater(bit: bool, plane: &[u64], won: &mut [u64], equal: &mut [u64]) {
    for ((&word, won), equal) in plane.iter().zip(won).zip(equal) {
        if bit {
            *equal &= word;
        } else {
            *won |= *equal & word;
            *equal &= !word;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_of_odd_floats_agree_on_every_instruction_set() {
        let odd = [0.0, -0.0, f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e-45, -1e-45];
        for len in [1, 8, 63, 64, 65, 200] {
            let x: Vec<f32> = (0..len).map(|k| odd[(k * 5 + k / 7) % odd.len()]).collect();
            for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
                for test in [Test::Negative, Test::Neither] {
                    let mut out = vec![!0; len.div_ceil(BITS)];
                    pack(isa, &x, test, &mut out);
                    for (k, &x) in x.iter().enumerate() {
                        let expected = match test {
                            Test::Negative => x == f32::NEG_INFINITY || x == -1e-45,
                            Test::Neither => x == 0.0 || x.is_nan(),
                        };
                        assert_eq!(out[k / BITS] >> (k % BITS) & 1 == 1, expected, "{isa} {x}");
                    }
                    assert_eq!(
                        out.iter().map(|w| w.count_ones()).sum::<u32>() as usize,
                        (0..len).filter(|&k| out[k / BITS] >> (k % BITS) & 1 == 1).count(),
                        "padding is clear"
                    );
                }
            }
        }
    }

    #[test]
    fn signs_of_odd_floats_are_counted_on_every_instruction_set() {
        let x: Vec<f32> = [0.0, -0.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e-45, -1e-45]
            .into_iter()
            .cycle()
            .take(100)
            .collect();
        for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
            let mut sums = vec![5; 100];
            isa::with(isa, || count_signs(&x, &mut sums));
            let wanted = [5, 5, 5, 6, 4, 6, 4].into_iter().cycle().take(100);
            assert!(sums.iter().copied().eq(wanted), "{isa} {sums:?}");
        }
    }

    #[test]
    fn bits_unpack_to_ones_and_zeros() {
        for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
            let mut out = [9.0f32; 70];
            unpack(isa, &[0b011, 1 << 5], &[0b100, 0], &mut out);
            assert_eq!(out[..4], [-1.0, -1.0, 0.0, 1.0]);
            assert_eq!((out[2].to_bits(), out[68], out[69]), (0, 1.0, -1.0));
        }
    }
}
