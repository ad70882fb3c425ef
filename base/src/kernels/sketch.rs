//! Count sketches (Charikar, Chen & Farach-Colton 2002) of long vectors, with their squared lengths
//! and their products with a direction, in one pass.
//!
//! A vector is written in lines of [`BUCKETS`] numbers, each line gets a sign, and the lines are
//! added up. Lines are summed in f32, at most `LINES` of them, then in f64; squares and products
//! are f64 from the start. Work is cut by position alone: the bits depend neither on the number of
//! threads nor on the instruction set.

use crate::blocks;
use crate::kernels::isa;
use crate::kernels::lanes::Lanes;

/// Numbers of a line, and of a sketch.
pub const BUCKETS: usize = 64;

/// Lines that are summed in f32, and that one task handles: 64 Ki floats.
const LINES: usize = 1024;

/// Lines that stay in the L1 cache while each quarter of them is added.
const NEAR: usize = 32;

/// Interleaved sums of squares and products.
const LANES: usize = 16;

/// What is known of a vector, or of a part of one: parts are added up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sketch {
    /// ‖x‖².
    pub square: f64,
    /// ⟨x, u⟩ with the direction u; 0 where none is given.
    pub product: f64,
    /// ‖u‖².
    pub along: f64,
    /// The signed lines, added up.
    pub buckets: [f64; BUCKETS],
}

impl Default for Sketch {
    fn default() -> Self {
        Sketch { square: 0.0, product: 0.0, along: 0.0, buckets: [0.0; BUCKETS] }
    }
}

impl Sketch {
    /// Adds a part of a vector that begins at its coordinate `at`, and the same part of the
    /// direction where there is one. `signs` holds 1 or −1 for each line of the vector. Squares of
    /// finite numbers and their sums are finite, so the sums are finite where the numbers are.
    /// Cost O(d) for a part of d numbers.
    ///
    /// # Panics
    /// If there are fewer signs than lines, or the direction's part is of another length.
    pub fn add(&mut self, part: &[f32], at: usize, direction: Option<&[f32]>, signs: &[f32]) {
        assert!((at + part.len()).div_ceil(BUCKETS) <= signs.len(), "a sign a line");
        assert!(direction.is_none_or(|u| u.len() == part.len()), "a direction of one length");
        let isa = isa::active();
        // Whole lines from the first line that begins in this part.
        let head = at.next_multiple_of(BUCKETS).min(at + part.len()) - at;
        let mut sums = Vec::new();
        self.odds(&part[..head], at, direction.map(|u| &u[..head]), signs);
        let lines = (part.len() - head) / BUCKETS;
        let whole = lines * BUCKETS;
        let first = (at + head) / BUCKETS;
        blocks::map(whole, LINES * BUCKETS, &mut sums, |columns, sum: &mut Sketch| {
            let lines = first + columns.start / BUCKETS..first + columns.end / BUCKETS;
            let columns = head + columns.start..head + columns.end;
            let along = direction.map_or(&[][..], |u| &u[columns.clone()]);
            *sum = Sketch::default();
            add_lines(isa, &part[columns], along, &signs[lines], sum);
        });
        for sum in &sums {
            self.merge(sum);
        }
        let tail = head + whole;
        self.odds(&part[tail..], at + tail, direction.map(|u| &u[tail..]), signs);
    }

    fn merge(&mut self, part: &Sketch) {
        self.square += part.square;
        self.product += part.product;
        self.along += part.along;
        self.buckets.iter_mut().zip(&part.buckets).for_each(|(sum, x)| *sum += x);
    }

    /// Adds less than a line, number by number.
    fn odds(&mut self, part: &[f32], at: usize, direction: Option<&[f32]>, signs: &[f32]) {
        for (k, &x) in part.iter().enumerate() {
            let (x, place) = (f64::from(x), at + k);
            let u = direction.map_or(0.0, |u| f64::from(u[k]));
            self.square += x * x;
            self.product += x * u;
            self.along += u * u;
            self.buckets[place % BUCKETS] += x * f64::from(signs[place / BUCKETS]);
        }
    }
}

kernel! {
    /// Sets the sums of whole lines; the direction is empty where there is none.
    fn add_lines(@isa; part: &[f32], along: &[f32], signs: &[f32], sum: &mut Sketch) = lines_of;
}

/// # Safety
/// The processor has `V`.
#[inline(always)]
unsafe fn lines_of<V: Lanes>(part: &[f32], along: &[f32], signs: &[f32], sum: &mut Sketch) {
    // SAFETY: passed on from the caller.
    unsafe {
        match (V::WIDTH, along.is_empty()) {
            (16, true) => lines::<V, 1, false>(part, along, signs, sum),
            (16, false) => lines::<V, 1, true>(part, along, signs, sum),
            (8, true) => lines::<V, 2, false>(part, along, signs, sum),
            (8, false) => lines::<V, 2, true>(part, along, signs, sum),
            (_, true) => lines::<V, 4, false>(part, along, signs, sum),
            (_, false) => lines::<V, 4, true>(part, along, signs, sum),
        }
    }
}

/// P registers hold 16 lanes. A line is gone over in four quarters of 16 numbers, whose squares and
/// products meet in the same lanes.
///
/// # Safety
/// The processor has `V`, and P times its width is 16.
#[inline(always)]
unsafe fn lines<V: Lanes, const P: usize, const ALONG: bool>(
    part: &[f32],
    along: &[f32],
    signs: &[f32],
    sum: &mut Sketch,
) {
    assert!(part.len() == signs.len() * BUCKETS && (!ALONG || along.len() == part.len()));
    let mut sums = [[0.0f64; LANES]; 3];
    // SAFETY: the caller vouches for `V`; places stay below the lengths that were compared.
    unsafe {
        let mut wide = [[V::splat_wide(0.0); P]; 3];
        let mut added = [[V::splat(0.0); P]; BUCKETS / LANES];
        for (block, signs) in signs.chunks(NEAR).enumerate() {
            for (quarter, added) in added.iter_mut().enumerate() {
                let mut lines = *added;
                for (line, &sign) in signs.iter().enumerate() {
                    let sign = V::splat(sign);
                    let at = (block * NEAR + line) * BUCKETS + quarter * LANES;
                    for p in 0..P {
                        let x = V::load(part.as_ptr().add(at + p * V::WIDTH));
                        lines[p] = lines[p].add(x.mul(sign));
                        let x = x.widen();
                        wide[0][p] = V::add_wide(wide[0][p], V::mul_wide(x, x));
                        if ALONG {
                            let u = V::load_widened(along.as_ptr().add(at + p * V::WIDTH));
                            wide[1][p] = V::add_wide(wide[1][p], V::mul_wide(x, u));
                            wide[2][p] = V::add_wide(wide[2][p], V::mul_wide(u, u));
                        }
                    }
                }
                *added = lines;
            }
        }
        for (quarter, lines) in added.iter().enumerate() {
            for (p, line) in lines.iter().enumerate() {
                let to = sum.buckets[quarter * LANES + p * V::WIDTH..].as_mut_ptr();
                V::store_wide(line.widen(), to);
            }
        }
        for (wide, sums) in wide.iter().zip(&mut sums) {
            for (p, &wide) in wide.iter().enumerate() {
                V::store_wide(wide, sums[p * V::WIDTH..].as_mut_ptr());
            }
        }
    }
    let [square, product, length] = sums.map(|lanes| lanes.iter().sum());
    (sum.square, sum.product, sum.along) = (square, product, length);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::isa::Isa;

    fn values(len: usize, seed: usize) -> Vec<f32> {
        (0..len).map(|k| ((k * 37 + seed * 11) % 101) as f32 * 0.013 - 0.5).collect()
    }

    fn signs(lines: usize) -> Vec<f32> {
        (0..lines).map(|k| if k * 7 % 3 == 0 { -1.0 } else { 1.0 }).collect()
    }

    fn plain(x: &[f32], u: &[f32], signs: &[f32]) -> Sketch {
        let mut sketch = Sketch::default();
        sketch.odds(x, 0, Some(u), signs);
        sketch
    }

    fn near(a: &Sketch, b: &Sketch) -> bool {
        let pairs = [(a.square, b.square), (a.product, b.product), (a.along, b.along)];
        let buckets = a.buckets.iter().copied().zip(b.buckets);
        pairs.into_iter().chain(buckets).all(|(a, b)| (a - b).abs() <= 1e-5 * (1.0 + b.abs()))
    }

    #[test]
    fn parts_anywhere_add_up_to_the_whole() {
        for len in [1, 63, 64, 65, 200, 70_000, 3 * LINES * BUCKETS + 5] {
            let (x, u, signs) = (values(len, 1), values(len, 2), signs(len.div_ceil(BUCKETS)));
            let wanted = plain(&x, &u, &signs);
            for cut in [0, 1, 64, len / 3, len - 1].map(|cut| cut.min(len)) {
                let mut found = Sketch::default();
                found.add(&x[..cut], 0, Some(&u[..cut]), &signs);
                found.add(&x[cut..], cut, Some(&u[cut..]), &signs);
                assert!(near(&found, &wanted), "{len} {cut}: {found:?} {wanted:?}");
            }
            let mut alone = Sketch::default();
            alone.add(&x, 0, None, &signs);
            assert!(alone.product == 0.0 && alone.along == 0.0);
            assert!(near(
                &Sketch { product: wanted.product, along: wanted.along, ..alone },
                &wanted
            ));
        }
    }

    #[test]
    fn bits_agree_at_any_number_of_threads_and_on_each_instruction_set() {
        let len = 5 * LINES * BUCKETS + 77;
        let (x, u, signs) = (values(len, 3), values(len, 4), signs(len.div_ceil(BUCKETS) + 1));
        let run = || {
            let mut found = Sketch::default();
            found.add(&x, 13, Some(&u), &signs);
            found
        };
        let wanted = isa::with(Isa::Portable, run);
        for threads in [1, 2, 8] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
                assert_eq!(pool.install(|| isa::with(isa, run)), wanted, "{threads} {isa}");
            }
        }
    }

    #[test]
    fn sums_are_finite_just_where_the_numbers_are() {
        let signs = signs(2000);
        for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for place in [0, 70, 100_000] {
                let mut x = vec![f32::MAX; 100_001];
                let sum = |x: &[f32]| {
                    let mut found = Sketch::default();
                    found.add(x, 3, None, &signs);
                    found.square
                };
                assert!(sum(&x).is_finite());
                x[place] = odd;
                assert!(!sum(&x).is_finite());
            }
        }
    }
}
