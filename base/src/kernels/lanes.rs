//! A register of f32 lanes, the same face on every instruction set.
//!
//! Kernels are written once, generic over [`Lanes`], and compiled for each instruction set by
//! `kernel!`. A value of a lane type can be made only by an `unsafe` call whose
//! caller vouches for the processor; so having one is the proof that its operations may run.

/// `WIDTH` lanes of f32.
pub trait Lanes: Copy {
    /// The number of lanes: a divisor of 16.
    const WIDTH: usize;

    /// Rows of a register tile of pairs of rows: tile² sums and some operands fit in registers.
    const TILE: usize;

    /// The same for sums of f64.
    const WIDE_TILE: usize;

    /// As many lanes of f64.
    type Wide: Copy;

    /// The lanes at `from`.
    ///
    /// # Safety
    /// The processor has this instruction set; `from` points to `WIDTH` readable floats.
    unsafe fn load(from: *const f32) -> Self;

    /// `x` in every lane.
    ///
    /// # Safety
    /// The processor has this instruction set.
    unsafe fn splat(x: f32) -> Self;

    /// `x` in every wide lane.
    ///
    /// # Safety
    /// The processor has this instruction set.
    unsafe fn splat_wide(x: f64) -> Self::Wide;

    /// The wide lanes at `from`.
    ///
    /// # Safety
    /// The processor has this instruction set; `from` points to `WIDTH` readable doubles.
    unsafe fn load_wide(from: *const f64) -> Self::Wide;

    /// The floats at `from`, widened.
    ///
    /// # Safety
    /// The processor has this instruction set; `from` points to `WIDTH` readable floats.
    unsafe fn load_widened(from: *const f32) -> Self::Wide;

    /// The first `count` floats from `from`, zeros behind them.
    ///
    /// # Safety
    /// The processor has this instruction set; `from` points to `count` < `WIDTH` readable floats.
    unsafe fn load_first(from: *const f32, count: usize) -> Self;

    /// As [`Lanes::load`] where `count` fills a register, as [`Lanes::load_first`] for less.
    ///
    /// # Safety
    /// The processor has this instruction set; `from` points to `count` readable floats, or to
    /// `WIDTH` where these are less.
    #[inline(always)]
    unsafe fn load_some(from: *const f32, count: usize) -> Self {
        // SAFETY: passed on to the caller.
        unsafe {
            if count >= Self::WIDTH { Self::load(from) } else { Self::load_first(from, count) }
        }
    }

    /// Writes the first `count` lanes to `to`.
    ///
    /// # Safety
    /// `to` points to `count` < `WIDTH` writable floats.
    unsafe fn store_first(self, to: *mut f32, count: usize);

    /// As [`Lanes::store`] where `count` fills a register, as [`Lanes::store_first`] for less.
    ///
    /// # Safety
    /// `to` points to `count` writable floats, or to `WIDTH` where these are less.
    #[inline(always)]
    unsafe fn store_some(self, to: *mut f32, count: usize) {
        // SAFETY: passed on to the caller.
        unsafe { if count >= Self::WIDTH { self.store(to) } else { self.store_first(to, count) } }
    }

    /// Writes the lanes to `to`.
    ///
    /// # Safety
    /// `to` points to `WIDTH` writable floats.
    unsafe fn store(self, to: *mut f32);

    /// Writes the wide lanes to `to`.
    ///
    /// # Safety
    /// `to` points to `WIDTH` writable doubles.
    unsafe fn store_wide(wide: Self::Wide, to: *mut f64);

    /// Asks for the cache line at `at`, which need not be readable.
    fn prefetch(at: *const f32);

    /// The same, into the L2 cache alone.
    fn prefetch_far(at: *const f32);

    /// `self < other ? self : other`: `other` where either is NaN.
    fn min(self, other: Self) -> Self;

    /// `self > other ? self : other`: `other` where either is NaN.
    fn max(self, other: Self) -> Self;

    /// self + other.
    fn add(self, other: Self) -> Self;

    /// self − other.
    fn sub(self, other: Self) -> Self;

    /// self · other.
    fn mul(self, other: Self) -> Self;

    /// self · b + c: rounded once where the instruction set has FMA, else twice.
    fn mul_add(self, b: Self, c: Self) -> Self;

    /// max(self, 0); a NaN stays a NaN.
    fn rectified(self) -> Self;

    /// self² + sum: rounded once where the instruction set has FMA, else twice.
    fn square_add(self, sum: Self) -> Self;

    /// Of `self` and the greater `other`, the one closer to a centre: `other` where
    /// self + other < twice the centre. Bits of lanes where rounding cannot tell, though the two
    /// differ, are set in the second answer.
    fn closer(self, other: Self, twice: Self) -> (Self, u32);

    /// The lanes as f64, exactly.
    fn widen(self) -> Self::Wide;

    /// Rounds wide lanes to f32.
    fn narrow(wide: Self::Wide) -> Self;

    /// a + b.
    fn add_wide(a: Self::Wide, b: Self::Wide) -> Self::Wide;

    /// a − b.
    fn sub_wide(a: Self::Wide, b: Self::Wide) -> Self::Wide;

    /// a · b.
    fn mul_wide(a: Self::Wide, b: Self::Wide) -> Self::Wide;

    /// √x.
    fn sqrt_wide(x: Self::Wide) -> Self::Wide;
}

/// The last of some widths: what a kernel asks for, or else what stands before it.
#[doc(hidden)]
pub const fn last(widths: &[usize]) -> usize {
    widths[widths.len() - 1]
}

/// N lanes in an array: what any target can do, and compilers turn into vector registers.
#[derive(Clone, Copy)]
pub struct Array<const N: usize>([f32; N]);

#[inline(always)]
fn each<T: Copy, U: Copy, const N: usize>(a: [T; N], b: [T; N], of: impl Fn(T, T) -> U) -> [U; N] {
    std::array::from_fn(|i| of(a[i], b[i]))
}

impl<const N: usize> Lanes for Array<N> {
    const WIDTH: usize = N;
    const TILE: usize = 3;
    const WIDE_TILE: usize = 2;
    type Wide = [f64; N];

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller gives `WIDTH` readable floats.
        Array(unsafe { from.cast::<[f32; N]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        Array([x; N])
    }

    #[inline(always)]
    unsafe fn splat_wide(x: f64) -> [f64; N] {
        [x; N]
    }

    #[inline(always)]
    unsafe fn load_wide(from: *const f64) -> [f64; N] {
        // SAFETY: the caller gives `WIDTH` readable doubles.
        unsafe { from.cast::<[f64; N]>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn load_widened(from: *const f32) -> [f64; N] {
        // SAFETY: the caller gives `WIDTH` readable floats.
        unsafe { Self::load(from) }.widen()
    }

    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize) -> Self {
        // SAFETY: the caller gives `count` readable floats.
        Array(std::array::from_fn(|i| if i < count { unsafe { from.add(i).read() } } else { 0.0 }))
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        for (i, &x) in self.0.iter().enumerate().take(count) {
            // SAFETY: the caller gives `count` writable floats.
            unsafe { to.add(i).write(x) }
        }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller gives `WIDTH` writable floats.
        unsafe { to.cast::<[f32; N]>().write_unaligned(self.0) }
    }

    #[inline(always)]
    unsafe fn store_wide(wide: [f64; N], to: *mut f64) {
        // SAFETY: the caller gives `WIDTH` writable doubles.
        unsafe { to.cast::<[f64; N]>().write_unaligned(wide) }
    }

    #[inline(always)]
    fn prefetch(_: *const f32) {}

    #[inline(always)]
    fn prefetch_far(_: *const f32) {}

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        Array(each(self.0, other.0, |a, b| if a < b { a } else { b }))
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        Array(each(self.0, other.0, |a, b| if a > b { a } else { b }))
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Array(each(self.0, other.0, |a, b| a + b))
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Array(each(self.0, other.0, |a, b| a - b))
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Array(each(self.0, other.0, |a, b| a * b))
    }

    #[inline(always)]
    fn mul_add(self, b: Self, c: Self) -> Self {
        Array(std::array::from_fn(|i| self.0[i] * b.0[i] + c.0[i]))
    }

    #[inline(always)]
    fn rectified(self) -> Self {
        Array(self.0.map(|x| if x < 0.0 { 0.0 } else { x }))
    }

    #[inline(always)]
    fn square_add(self, sum: Self) -> Self {
        Array(each(self.0, sum.0, |a, b| a * a + b))
    }

    #[inline(always)]
    fn closer(self, other: Self, twice: Self) -> (Self, u32) {
        let (mut kept, mut open) = (self, 0);
        for lane in 0..N {
            let (x, y, twice) = (self.0[lane], other.0[lane], twice.0[lane]);
            let sum = x + y;
            kept.0[lane] = if sum < twice { y } else { x };
            let untold = sum == twice || sum.is_nan() || twice.is_nan();
            open |= u32::from(untold && x != y) << lane;
        }
        (kept, open)
    }

    #[inline(always)]
    fn widen(self) -> [f64; N] {
        self.0.map(f64::from)
    }

    #[inline(always)]
    fn narrow(wide: [f64; N]) -> Self {
        Array(wide.map(|x| x as f32))
    }

    #[inline(always)]
    fn add_wide(a: [f64; N], b: [f64; N]) -> [f64; N] {
        each(a, b, |a, b| a + b)
    }

    #[inline(always)]
    fn sub_wide(a: [f64; N], b: [f64; N]) -> [f64; N] {
        each(a, b, |a, b| a - b)
    }

    #[inline(always)]
    fn mul_wide(a: [f64; N], b: [f64; N]) -> [f64; N] {
        each(a, b, |a, b| a * b)
    }

    #[inline(always)]
    fn sqrt_wide(x: [f64; N]) -> [f64; N] {
        x.map(f64::sqrt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portable_lanes_do_what_their_names_say() {
        let (x, y) = (Array([1.5, -2.0, 3.0, 0.0]), Array([2.0, 4.0, -1.0, 0.5]));
        assert_eq!(x.add(y).0, [3.5, 2.0, 2.0, 0.5]);
        assert_eq!(x.sub(y).0, [-0.5, -6.0, 4.0, -0.5]);
        assert_eq!(x.mul(y).0, [3.0, -8.0, -3.0, 0.0]);
        assert_eq!(x.mul_add(y, y).0, [5.0, -4.0, -4.0, 0.5]);
        assert_eq!(x.square_add(y).0, [4.25, 8.0, 8.0, 0.5]);
        assert_eq!(x.min(y).0, [1.5, -2.0, -1.0, 0.0]);
        assert_eq!(x.max(y).0, [2.0, 4.0, 3.0, 0.5]);
        assert_eq!(x.rectified().0, [1.5, 0.0, 3.0, 0.0]);
    }
}
