//! Which vector instructions the kernels use, found at run time, and the macro that compiles a
//! loop once for each.

use std::sync::atomic::{AtomicU8, Ordering};

/// Vector instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Isa {
    /// What every processor of the target has.
    Portable = 1,
    /// x86-64 with AVX2 and FMA: 8 floats at a time.
    Avx2 = 2,
    /// x86-64 with AVX-512 F, VL, DQ and BW: 16 floats at a time.
    Avx512 = 3,
}

impl Isa {
    /// "portable", "avx2", "avx512".
    pub fn name(self) -> &'static str {
        match self {
            Isa::Portable => "portable",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
        }
    }
}

static CHOICE: AtomicU8 = AtomicU8::new(0);

/// The instructions in use: the widest that the processor has, unless [`force_isa`] chose.
pub fn isa() -> Isa {
    match CHOICE.load(Ordering::Relaxed) {
        0 => {
            let found = detect();
            CHOICE.store(found as u8, Ordering::Relaxed);
            found
        }
        1 => Isa::Portable,
        2 => Isa::Avx2,
        _ => Isa::Avx512,
    }
}

/// Makes the kernels of this process use at most `wish`; answers what they use now. The products
/// of the `gemm` crate detect for themselves and are not bound by it.
pub fn force_isa(wish: Isa) -> Isa {
    let chosen = wish.min(detect());
    CHOICE.store(chosen as u8, Ordering::Relaxed);
    chosen
}

fn detect() -> Isa {
    #[cfg(target_arch = "x86_64")]
    {
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        let avx512 = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512bw");
        if avx2 && avx512 {
            return Isa::Avx512;
        }
        if avx2 {
            return Isa::Avx2;
        }
    }
    Isa::Portable
}

/// Defines a function whose body is compiled for every instruction set and chosen at run time.
/// The body uses no intrinsics: its loops are laid out so that the compiler vectorises them, and
/// as it never fuses a multiplication with an addition the bits are the same on each.
macro_rules! for_each_isa {
    ($(#[$doc:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $body:block) => {
        $(#[$doc])*
        $vis fn $name($($arg: $ty),*) {
            #[inline(always)]
            fn body($($arg: $ty),*) $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
                fn avx512($($arg: $ty),*) {
                    body($($arg),*)
                }
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $ty),*) {
                    body($($arg),*)
                }
                match $crate::kernels::isa() {
                    // SAFETY: `isa` answers this only where the processor has these features.
                    $crate::kernels::Isa::Avx512 => return unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    $crate::kernels::Isa::Avx2 => return unsafe { avx2($($arg),*) },
                    $crate::kernels::Isa::Portable => {}
                }
            }
            body($($arg),*)
        }
    };
}

/// Defines a function that dispatches to a generic body over [`super::vector::Vector`], and to a
/// size of its tile where one is given for each instruction set. The body's bounds are checked by
/// whoever calls.
macro_rules! vectorised {
    ($vis:vis $name:ident, $body:ident, ($($arg:ident: $ty:ty),*)) => {
        vectorised!(@ $vis $name, $body, [], [], [], ($($arg: $ty),*));
    };
    ($vis:vis $name:ident, $body:ident, [$wide:literal, $narrow:literal, $plain:literal],
     ($($arg:ident: $ty:ty),*)) => {
        vectorised!(@ $vis $name, $body, [$wide], [$narrow], [$plain], ($($arg: $ty),*));
    };
    (@ $vis:vis $name:ident, $body:ident, [$($wide:literal)?], [$($narrow:literal)?],
     [$($plain:literal)?], ($($arg:ident: $ty:ty),*)) => {
        $vis fn $name($($arg: $ty),*) {
            #[cfg(target_arch = "x86_64")]
            {
                use std::arch::x86_64::{__m256, __m512};
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
                fn avx512($($arg: $ty),*) {
                    // SAFETY: this function has the instructions; the caller checked the bounds.
                    unsafe { $body::<__m512 $(, $wide)?>($($arg),*) }
                }
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $ty),*) {
                    // SAFETY: this function has the instructions; the caller checked the bounds.
                    unsafe { $body::<__m256 $(, $narrow)?>($($arg),*) }
                }
                match $crate::kernels::isa() {
                    // SAFETY: `isa` answers this only where the processor has these features.
                    $crate::kernels::Isa::Avx512 => return unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    $crate::kernels::Isa::Avx2 => return unsafe { avx2($($arg),*) },
                    $crate::kernels::Isa::Portable => {}
                }
            }
            // SAFETY: plain Rust; the caller checked the bounds.
            unsafe { $body::<$crate::kernels::vector::Lanes $(, $plain)?>($($arg),*) }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_for_less_is_granted_and_a_wish_for_more_is_not() {
        let best = detect();
        assert_eq!(force_isa(Isa::Portable), Isa::Portable);
        assert_eq!(force_isa(Isa::Avx512), best);
        assert_eq!(isa(), best);
    }
}
