//! The lanes of AVX2 with FMA (8 of f32) and of AVX-512 (16).

use super::lanes::Lanes;
use std::arch::x86_64::*;

/// Eight lanes. Made only where the processor has AVX2 and FMA.
#[derive(Clone, Copy)]
pub struct Avx2(__m256);

/// Sixteen lanes. Made only where the processor has AVX-512 F and DQ.
#[derive(Clone, Copy)]
pub struct Avx512(__m512);

/// Operations whose only demand is the processor's.
macro_rules! plain {
    ($($name:ident($($arg:ident: $type:ty),*) -> $result:ty = $body:expr;)*) => {$(
        #[inline(always)]
        fn $name($($arg: $type),*) -> $result {
            // SAFETY: a lane value exists, so the processor has the instruction set.
            unsafe { $body }
        }
    )*};
}

/// Operations that touch memory or make a first value.
macro_rules! raw {
    ($($name:ident($($arg:ident: $type:ty),*) -> $result:ty = $body:expr;)*) => {$(
        #[inline(always)]
        unsafe fn $name($($arg: $type),*) -> $result {
            // SAFETY: the caller vouches for the processor and for the memory.
            unsafe { $body }
        }
    )*};
}

/// Lane i is all ones for i < count.
///
/// # Safety
/// The processor has AVX2.
#[inline(always)]
unsafe fn first(count: usize) -> __m256i {
    // SAFETY: the caller vouches for the processor.
    unsafe {
        let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        _mm256_cmpgt_epi32(_mm256_set1_epi32(count as i32), lanes)
    }
}

impl Lanes for Avx2 {
    const WIDTH: usize = 8;
    const TILE: usize = 3;
    const WIDE_TILE: usize = 2;
    type Wide = (__m256d, __m256d);

    raw! {
        load_first(from: *const f32, count: usize) -> Self =
            Avx2(_mm256_maskload_ps(from, first(count)));
        load(from: *const f32) -> Self = Avx2(_mm256_loadu_ps(from));
        splat(x: f32) -> Self = Avx2(_mm256_set1_ps(x));
        splat_wide(x: f64) -> Self::Wide = (_mm256_set1_pd(x), _mm256_set1_pd(x));
        load_wide(from: *const f64) -> Self::Wide =
            (_mm256_loadu_pd(from), _mm256_loadu_pd(from.add(4)));
        load_widened(from: *const f32) -> Self::Wide =
            (_mm256_cvtps_pd(_mm_loadu_ps(from)), _mm256_cvtps_pd(_mm_loadu_ps(from.add(4))));
        store_wide(wide: Self::Wide, to: *mut f64) -> () = {
            _mm256_storeu_pd(to, wide.0);
            _mm256_storeu_pd(to.add(4), wide.1);
        };
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller vouches for the memory, the value for the processor.
        unsafe { _mm256_storeu_ps(to, self.0) }
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        // SAFETY: as in `store`; lanes that are masked are not touched.
        unsafe { _mm256_maskstore_ps(to, first(count), self.0) }
    }

    #[inline(always)]
    fn prefetch(at: *const f32) {
        // SAFETY: a hint; it never faults. SSE is in the baseline.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
    }

    #[inline(always)]
    fn prefetch_far(at: *const f32) {
        // SAFETY: as in `prefetch`.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(at.cast()) }
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        // SAFETY: a lane value exists, so the processor has the instruction set.
        Avx2(unsafe { _mm256_min_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        // SAFETY: as in `min`.
        Avx2(unsafe { _mm256_max_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: as in `min`.
        Avx2(unsafe { _mm256_add_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        // SAFETY: as in `min`.
        Avx2(unsafe { _mm256_sub_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        // SAFETY: as in `min`.
        Avx2(unsafe { _mm256_mul_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn mul_add(self, b: Self, c: Self) -> Self {
        // SAFETY: as in `min`.
        Avx2(unsafe { _mm256_fmadd_ps(self.0, b.0, c.0) })
    }

    #[inline(always)]
    fn rectified(self) -> Self {
        // SAFETY: as in `min`. The second operand is the answer where one is NaN.
        Avx2(unsafe { _mm256_max_ps(_mm256_setzero_ps(), self.0) })
    }

    #[inline(always)]
    fn square_add(self, sum: Self) -> Self {
        // SAFETY: as in `min`.
        Avx2(unsafe { _mm256_fmadd_ps(self.0, self.0, sum.0) })
    }

    #[inline(always)]
    fn closer(self, other: Self, twice: Self) -> (Self, u32) {
        // SAFETY: as in `min`.
        unsafe {
            let sum = _mm256_add_ps(self.0, other.0);
            let less = _mm256_cmp_ps::<_CMP_LT_OQ>(sum, twice.0);
            let kept = _mm256_blendv_ps(self.0, other.0, less);
            let untold = _mm256_cmp_ps::<_CMP_EQ_UQ>(sum, twice.0);
            let differ = _mm256_cmp_ps::<_CMP_NEQ_UQ>(self.0, other.0);
            (Avx2(kept), _mm256_movemask_ps(_mm256_and_ps(untold, differ)) as u32)
        }
    }

    #[inline(always)]
    fn widen(self) -> Self::Wide {
        // SAFETY: as in `min`.
        unsafe {
            let high = _mm256_extractf128_ps::<1>(self.0);
            (_mm256_cvtps_pd(_mm256_castps256_ps128(self.0)), _mm256_cvtps_pd(high))
        }
    }

    plain! {
        narrow(wide: Self::Wide) -> Self =
            Avx2(_mm256_set_m128(_mm256_cvtpd_ps(wide.1), _mm256_cvtpd_ps(wide.0)));
        add_wide(a: Self::Wide, b: Self::Wide) -> Self::Wide =
            (_mm256_add_pd(a.0, b.0), _mm256_add_pd(a.1, b.1));
        sub_wide(a: Self::Wide, b: Self::Wide) -> Self::Wide =
            (_mm256_sub_pd(a.0, b.0), _mm256_sub_pd(a.1, b.1));
        mul_wide(a: Self::Wide, b: Self::Wide) -> Self::Wide =
            (_mm256_mul_pd(a.0, b.0), _mm256_mul_pd(a.1, b.1));
        sqrt_wide(x: Self::Wide) -> Self::Wide = (_mm256_sqrt_pd(x.0), _mm256_sqrt_pd(x.1));
    }
}

impl Lanes for Avx512 {
    const WIDTH: usize = 16;
    const TILE: usize = 4;
    const WIDE_TILE: usize = 3;
    type Wide = (__m512d, __m512d);

    raw! {
        load_first(from: *const f32, count: usize) -> Self =
            Avx512(_mm512_maskz_loadu_ps(((1u32 << count) - 1) as __mmask16, from));
        load(from: *const f32) -> Self = Avx512(_mm512_loadu_ps(from));
        splat(x: f32) -> Self = Avx512(_mm512_set1_ps(x));
        splat_wide(x: f64) -> Self::Wide = (_mm512_set1_pd(x), _mm512_set1_pd(x));
        load_wide(from: *const f64) -> Self::Wide =
            (_mm512_loadu_pd(from), _mm512_loadu_pd(from.add(8)));
        load_widened(from: *const f32) -> Self::Wide = (
            _mm512_cvtps_pd(_mm256_loadu_ps(from)),
            _mm512_cvtps_pd(_mm256_loadu_ps(from.add(8))),
        );
        store_wide(wide: Self::Wide, to: *mut f64) -> () = {
            _mm512_storeu_pd(to, wide.0);
            _mm512_storeu_pd(to.add(8), wide.1);
        };
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller vouches for the memory, the value for the processor.
        unsafe { _mm512_storeu_ps(to, self.0) }
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        // SAFETY: as in `store`; lanes that are masked are not touched.
        unsafe { _mm512_mask_storeu_ps(to, ((1u32 << count) - 1) as __mmask16, self.0) }
    }

    #[inline(always)]
    fn prefetch(at: *const f32) {
        // SAFETY: a hint; it never faults. SSE is in the baseline.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
    }

    #[inline(always)]
    fn prefetch_far(at: *const f32) {
        // SAFETY: as in `prefetch`.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(at.cast()) }
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        // SAFETY: a lane value exists, so the processor has the instruction set.
        Avx512(unsafe { _mm512_min_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        // SAFETY: as in `min`.
        Avx512(unsafe { _mm512_max_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: as in `min`.
        Avx512(unsafe { _mm512_add_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        // SAFETY: as in `min`.
        Avx512(unsafe { _mm512_sub_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        // SAFETY: as in `min`.
        Avx512(unsafe { _mm512_mul_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn mul_add(self, b: Self, c: Self) -> Self {
        // SAFETY: as in `min`.
        Avx512(unsafe { _mm512_fmadd_ps(self.0, b.0, c.0) })
    }

    #[inline(always)]
    fn rectified(self) -> Self {
        // SAFETY: as in `min`. The second operand is the answer where one is NaN.
        Avx512(unsafe { _mm512_max_ps(_mm512_setzero_ps(), self.0) })
    }

    #[inline(always)]
    fn square_add(self, sum: Self) -> Self {
        // SAFETY: as in `min`.
        Avx512(unsafe { _mm512_fmadd_ps(self.0, self.0, sum.0) })
    }

    #[inline(always)]
    fn closer(self, other: Self, twice: Self) -> (Self, u32) {
        // SAFETY: as in `min`.
        unsafe {
            let sum = _mm512_add_ps(self.0, other.0);
            let less = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(sum, twice.0);
            let kept = _mm512_mask_blend_ps(less, self.0, other.0);
            let untold = _mm512_cmp_ps_mask::<_CMP_EQ_UQ>(sum, twice.0);
            let open = _mm512_mask_cmp_ps_mask::<_CMP_NEQ_UQ>(untold, self.0, other.0);
            (Avx512(kept), u32::from(open))
        }
    }

    #[inline(always)]
    fn widen(self) -> Self::Wide {
        // SAFETY: as in `min`.
        unsafe {
            let high = _mm512_extractf32x8_ps::<1>(self.0);
            (_mm512_cvtps_pd(_mm512_castps512_ps256(self.0)), _mm512_cvtps_pd(high))
        }
    }

    plain! {
        narrow(wide: Self::Wide) -> Self = {
            let low = _mm512_castps256_ps512(_mm512_cvtpd_ps(wide.0));
            Avx512(_mm512_insertf32x8::<1>(low, _mm512_cvtpd_ps(wide.1)))
        };
        add_wide(a: Self::Wide, b: Self::Wide) -> Self::Wide =
            (_mm512_add_pd(a.0, b.0), _mm512_add_pd(a.1, b.1));
        sub_wide(a: Self::Wide, b: Self::Wide) -> Self::Wide =
            (_mm512_sub_pd(a.0, b.0), _mm512_sub_pd(a.1, b.1));
        mul_wide(a: Self::Wide, b: Self::Wide) -> Self::Wide =
            (_mm512_mul_pd(a.0, b.0), _mm512_mul_pd(a.1, b.1));
        sqrt_wide(x: Self::Wide) -> Self::Wide = (_mm512_sqrt_pd(x.0), _mm512_sqrt_pd(x.1));
    }
}
