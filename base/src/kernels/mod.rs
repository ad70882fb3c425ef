//! Kernels over rows: the few loops that all rules share.
//!
//! Each is written once over `lanes::Lanes`, compiled for AVX-512, AVX2 with FMA and a portable
//! target, and chosen at run time ([`isa`]). Every kernel works in fixed blocks, so its bits do not
//! depend on the number of threads; the second call with the same shape allocates nothing.

/// Compiles generic kernels for every instruction set and makes the functions that choose.
///
/// `fn name(args) = generic;` makes `fn name(isa, args)` of `unsafe fn generic<V: Lanes>(args)`,
/// whose one demand must be that the processor has the instruction set of `V`.
macro_rules! kernel {
    ($(
        $(#[$meta:meta])*
        $vis:vis fn $name:ident($($arg:ident: $type:ty),* $(,)?) = $generic:ident;
    )*) => {$(
        $(#[$meta])*
        $vis fn $name(isa: $crate::kernels::isa::Isa, $($arg: $type),*) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($arg: $type),*) {
                // SAFETY: this function is compiled for, and called on, AVX2 with FMA.
                unsafe { $generic::<$crate::kernels::x86::Avx2>($($arg),*) }
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512dq,avx2,fma")]
            fn avx512($($arg: $type),*) {
                // SAFETY: this function is compiled for, and called on, AVX-512 F and DQ.
                unsafe { $generic::<$crate::kernels::x86::Avx512>($($arg),*) }
            }
            match isa {
                #[cfg(target_arch = "x86_64")]
                // SAFETY: an `Isa` comes from `isa::active`, which found it on this processor.
                $crate::kernels::isa::Isa::Avx512 => unsafe { avx512($($arg),*) },
                #[cfg(target_arch = "x86_64")]
                // SAFETY: as above.
                $crate::kernels::isa::Isa::Avx2 => unsafe { avx2($($arg),*) },
                // SAFETY: every processor has the portable lanes.
                _ => unsafe { $generic::<$crate::kernels::lanes::Array>($($arg),*) },
            }
        }
    )*};
}

/// Compiles the plain loops of `$body` for each instruction set and calls those for `isa`.
macro_rules! dispatch {
    ($(#[$doc:meta])* $name:ident, $body:ident, ($($arg:ident: $type:ty),*)) => {
        $(#[$doc])*
        pub(crate) fn $name(isa: $crate::kernels::isa::Isa, $($arg: $type),*) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512dq")]
            fn wide($($arg: $type),*) {
                $body($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn middle($($arg: $type),*) {
                $body($($arg),*)
            }
            match isa {
                // SAFETY: an `Isa` comes from `isa::active`, which found it on this processor.
                #[cfg(target_arch = "x86_64")]
                $crate::kernels::isa::Isa::Avx512 => unsafe { wide($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::kernels::isa::Isa::Avx2 => unsafe { middle($($arg),*) },
                _ => $body($($arg),*),
            }
        }
    };
}

pub mod columns;
pub mod combine;
pub mod distances;
pub mod elementwise;
pub mod isa;
mod lanes;
pub(crate) mod mix;
pub mod moments;
mod network;
pub mod norms;
pub mod votes;
#[cfg(target_arch = "x86_64")]
mod x86;
