//! A register of f32 lanes, the same face on every instruction set.
//!
//! Kernels are written once, generic over [`Lanes`], and compiled for each instruction set by
//! [`kernel!`](super::kernel). A value of a lane type can be made only by an `unsafe` call whose
//! caller vouches for the processor; so having one is the proof that its operations may run.

/// `WIDTH` lanes of f32.
pub(crate) trait Lanes: Copy {
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

/// Four lanes in an array: what any target can do, and compilers turn into vector registers.
#[derive(Clone, Copy)]
pub(crate) struct Array([f32; 4]);

#[inline(always)]
fn each<T: Copy, U: Copy>(a: [T; 4], b: [T; 4], of: impl Fn(T, T) -> U) -> [U; 4] {
    [of(a[0], b[0]), of(a[1], b[1]), of(a[2], b[2]), of(a[3], b[3])]
}

impl Lanes for Array {
    const WIDTH: usize = 4;
    const TILE: usize = 3;
    const WIDE_TILE: usize = 2;
    type Wide = [f64; 4];

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller gives `WIDTH` readable floats.
        Array(unsafe { from.cast::<[f32; 4]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        Array([x; 4])
    }

    #[inline(always)]
    unsafe fn splat_wide(x: f64) -> [f64; 4] {
        [x; 4]
    }

    #[inline(always)]
    unsafe fn load_wide(from: *const f64) -> [f64; 4] {
        // SAFETY: the caller gives `WIDTH` readable doubles.
        unsafe { from.cast::<[f64; 4]>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn load_widened(from: *const f32) -> [f64; 4] {
        // SAFETY: the caller gives `WIDTH` readable floats.
        unsafe { Self::load(from) }.widen()
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller gives `WIDTH` writable floats.
        unsafe { to.cast::<[f32; 4]>().write_unaligned(self.0) }
    }

    #[inline(always)]
    unsafe fn store_wide(wide: [f64; 4], to: *mut f64) {
        // SAFETY: the caller gives `WIDTH` writable doubles.
        unsafe { to.cast::<[f64; 4]>().write_unaligned(wide) }
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
    fn square_add(self, sum: Self) -> Self {
        Array(each(self.0, sum.0, |a, b| a * a + b))
    }

    #[inline(always)]
    fn closer(self, other: Self, twice: Self) -> (Self, u32) {
        let (mut kept, mut open) = (self, 0);
        for lane in 0..4 {
            let (x, y, twice) = (self.0[lane], other.0[lane], twice.0[lane]);
            let sum = x + y;
            kept.0[lane] = if sum < twice { y } else { x };
            let untold = sum == twice || sum.is_nan() || twice.is_nan();
            open |= u32::from(untold && x != y) << lane;
        }
        (kept, open)
    }

    #[inline(always)]
    fn widen(self) -> [f64; 4] {
        self.0.map(f64::from)
    }

    #[inline(always)]
    fn narrow(wide: [f64; 4]) -> Self {
        Array(wide.map(|x| x as f32))
    }

    #[inline(always)]
    fn add_wide(a: [f64; 4], b: [f64; 4]) -> [f64; 4] {
        each(a, b, |a, b| a + b)
    }

    #[inline(always)]
    fn sub_wide(a: [f64; 4], b: [f64; 4]) -> [f64; 4] {
        each(a, b, |a, b| a - b)
    }

    #[inline(always)]
    fn mul_wide(a: [f64; 4], b: [f64; 4]) -> [f64; 4] {
        each(a, b, |a, b| a * b)
    }

    #[inline(always)]
    fn sqrt_wide(x: [f64; 4]) -> [f64; 4] {
        x.map(f64::sqrt)
    }
}
