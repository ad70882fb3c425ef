//! The macros that compile a loop once for each instruction set; the one that runs is
//! `varangian_base`'s choice.

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
                match $crate::kernels::isa::active() {
                    // SAFETY: `active` answers this only where the processor has these features.
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
                match $crate::kernels::isa::active() {
                    // SAFETY: `active` answers this only where the processor has these features.
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
