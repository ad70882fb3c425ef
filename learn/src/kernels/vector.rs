//! Vectors of floats, so that one kernel is written once for every instruction set.

/// A register of `WIDTH` floats.
///
/// # Safety
/// The methods of an implementation may be called only where the processor has its instructions;
/// pointers must be valid for as many floats as the method touches.
pub(crate) unsafe trait Vector: Copy {
    /// Floats in a register.
    const WIDTH: usize;
    /// All lanes x.
    unsafe fn splat(x: f32) -> Self;
    /// `WIDTH` floats from `from`, unaligned.
    unsafe fn load(from: *const f32) -> Self;
    /// `WIDTH` floats to `to`, unaligned.
    unsafe fn store(self, to: *mut f32);
    /// The first `count` floats from `from`, zeros behind them.
    unsafe fn load_first(from: *const f32, count: usize) -> Self;
    /// The first `count` floats to `to`.
    unsafe fn store_first(self, to: *mut f32, count: usize);
    /// self + other.
    unsafe fn add(self, other: Self) -> Self;
    /// self − other.
    unsafe fn sub(self, other: Self) -> Self;
    /// self · other.
    unsafe fn mul(self, other: Self) -> Self;
    /// self · b + c, fused where the instructions have it.
    unsafe fn fma(self, b: Self, c: Self) -> Self;

    /// max(self, 0); a NaN stays a NaN.
    unsafe fn rectified(self) -> Self;

    /// As `load` for a whole register, `load_first` for less.
    #[inline(always)]
    unsafe fn load_some(from: *const f32, count: usize) -> Self {
        // SAFETY: passed on to the caller.
        unsafe {
            if count >= Self::WIDTH { Self::load(from) } else { Self::load_first(from, count) }
        }
    }

    /// As `store` for a whole register, `store_first` for less.
    #[inline(always)]
    unsafe fn store_some(self, to: *mut f32, count: usize) {
        // SAFETY: passed on to the caller.
        unsafe { if count >= Self::WIDTH { self.store(to) } else { self.store_first(to, count) } }
    }
}

/// Eight floats without intrinsics.
#[derive(Clone, Copy)]
pub(crate) struct Lanes([f32; 8]);

/// Lane by lane.
#[inline(always)]
fn each(f: impl FnMut(usize) -> f32) -> Lanes {
    Lanes(std::array::from_fn(f))
}

// SAFETY: plain Rust; only the pointers carry conditions.
unsafe impl Vector for Lanes {
    const WIDTH: usize = 8;
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        Lanes([x; 8])
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller promises 8 floats.
        Lanes(unsafe { from.cast::<[f32; 8]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller promises 8 floats.
        unsafe { to.cast::<[f32; 8]>().write_unaligned(self.0) }
    }
    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize) -> Self {
        // SAFETY: the caller promises `count` floats.
        each(|i| if i < count { unsafe { from.add(i).read() } } else { 0.0 })
    }
    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        for (i, &x) in self.0.iter().enumerate().take(count) {
            // SAFETY: the caller promises `count` floats.
            unsafe { to.add(i).write(x) }
        }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        each(|i| self.0[i] + other.0[i])
    }
    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        each(|i| self.0[i] - other.0[i])
    }
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        each(|i| self.0[i] * other.0[i])
    }
    #[inline(always)]
    unsafe fn fma(self, b: Self, c: Self) -> Self {
        each(|i| self.0[i] * b.0[i] + c.0[i])
    }
    #[inline(always)]
    unsafe fn rectified(self) -> Self {
        each(|i| if self.0[i] < 0.0 { 0.0 } else { self.0[i] })
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Vector;
    use std::arch::x86_64::*;

    // SAFETY: each method is one intrinsic whose instructions the caller promises.
    unsafe impl Vector for __m512 {
        const WIDTH: usize = 16;
        #[inline(always)]
        unsafe fn splat(x: f32) -> Self {
            // SAFETY: the caller has AVX-512.
            unsafe { _mm512_set1_ps(x) }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: the caller has AVX-512 and 16 floats.
            unsafe { _mm512_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: the caller has AVX-512 and 16 floats.
            unsafe { _mm512_storeu_ps(to, self) }
        }
        #[inline(always)]
        unsafe fn load_first(from: *const f32, count: usize) -> Self {
            // SAFETY: the caller has AVX-512 and `count` floats; masked lanes are not touched.
            unsafe { _mm512_maskz_loadu_ps(((1u32 << count) - 1) as __mmask16, from) }
        }
        #[inline(always)]
        unsafe fn store_first(self, to: *mut f32, count: usize) {
            // SAFETY: as in `load_first`.
            unsafe { _mm512_mask_storeu_ps(to, ((1u32 << count) - 1) as __mmask16, self) }
        }
        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            // SAFETY: the caller has AVX-512.
            unsafe { _mm512_add_ps(self, other) }
        }
        #[inline(always)]
        unsafe fn sub(self, other: Self) -> Self {
            // SAFETY: the caller has AVX-512.
            unsafe { _mm512_sub_ps(self, other) }
        }
        #[inline(always)]
        unsafe fn mul(self, other: Self) -> Self {
            // SAFETY: the caller has AVX-512.
            unsafe { _mm512_mul_ps(self, other) }
        }
        #[inline(always)]
        unsafe fn fma(self, b: Self, c: Self) -> Self {
            // SAFETY: the caller has AVX-512.
            unsafe { _mm512_fmadd_ps(self, b, c) }
        }
        #[inline(always)]
        unsafe fn rectified(self) -> Self {
            // SAFETY: the caller has AVX-512. The second operand is the answer where one is NaN.
            unsafe { _mm512_max_ps(_mm512_setzero_ps(), self) }
        }
    }

    /// Lane i is all ones for i < count.
    #[inline(always)]
    unsafe fn first(count: usize) -> __m256i {
        // SAFETY: the caller has AVX2.
        unsafe {
            let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
            _mm256_cmpgt_epi32(_mm256_set1_epi32(count as i32), lanes)
        }
    }

    // SAFETY: each method is a few intrinsics whose instructions the caller promises.
    unsafe impl Vector for __m256 {
        const WIDTH: usize = 8;
        #[inline(always)]
        unsafe fn splat(x: f32) -> Self {
            // SAFETY: the caller has AVX2.
            unsafe { _mm256_set1_ps(x) }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: the caller has AVX2 and 8 floats.
            unsafe { _mm256_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: the caller has AVX2 and 8 floats.
            unsafe { _mm256_storeu_ps(to, self) }
        }
        #[inline(always)]
        unsafe fn load_first(from: *const f32, count: usize) -> Self {
            // SAFETY: the caller has AVX2 and `count` floats; masked lanes are not touched.
            unsafe { _mm256_maskload_ps(from, first(count)) }
        }
        #[inline(always)]
        unsafe fn store_first(self, to: *mut f32, count: usize) {
            // SAFETY: as in `load_first`.
            unsafe { _mm256_maskstore_ps(to, first(count), self) }
        }
        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            // SAFETY: the caller has AVX2.
            unsafe { _mm256_add_ps(self, other) }
        }
        #[inline(always)]
        unsafe fn sub(self, other: Self) -> Self {
            // SAFETY: the caller has AVX2.
            unsafe { _mm256_sub_ps(self, other) }
        }
        #[inline(always)]
        unsafe fn mul(self, other: Self) -> Self {
            // SAFETY: the caller has AVX2.
            unsafe { _mm256_mul_ps(self, other) }
        }
        #[inline(always)]
        unsafe fn fma(self, b: Self, c: Self) -> Self {
            // SAFETY: the caller has AVX2 and FMA.
            unsafe { _mm256_fmadd_ps(self, b, c) }
        }
        #[inline(always)]
        unsafe fn rectified(self) -> Self {
            // SAFETY: the caller has AVX2. The second operand is the answer where one is NaN.
            unsafe { _mm256_max_ps(_mm256_setzero_ps(), self) }
        }
    }
}
