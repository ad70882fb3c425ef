//! The two macros that compile a loop once for each instruction set, for this crate and those above
//! it: over registers that the loop names, or plain Rust that the compiler vectorises.

/// The instruction set that a kernel was given, or else that of the thread.
#[doc(hidden)]
#[macro_export]
macro_rules! isa_of {
    () => {
        $crate::kernels::isa::active()
    };
    ($isa:ident) => {
        $isa
    };
}

/// Compiles generic kernels for every instruction set and makes the functions that choose.
///
/// `fn name(args) = generic;` makes `fn name(args)` of `unsafe fn generic<V: Lanes>(args)`, whose
/// demands on the arguments whoever calls has checked. `fn name(@isa; args)` takes the instruction
/// set before its arguments: work on other threads than the caller's hands it on. Behind the name,
/// `, portable 8` asks for registers of 8 floats where there are none, and `, tiles 8 4 2` gives
/// the generic function a number for each, widest first: `fn generic<V: Lanes, const R: usize>`.
#[doc(hidden)]
#[macro_export]
macro_rules! kernel {
    ($(
        $(#[$meta:meta])*
        $vis:vis fn $name:ident($(@$isa:ident;)? $($arg:ident: $type:ty),* $(,)?) = $generic:ident
        $(, portable $portable:literal)? $(, tiles $wide:literal $middle:literal $plain:literal)?;
    )*) => {$(
        $(#[$meta])*
        $vis fn $name($($isa: $crate::kernels::isa::Isa,)? $($arg: $type),*) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($arg: $type),*) {
                // SAFETY: this function is compiled for, and called on, AVX2 with FMA.
                unsafe { $generic::<$crate::kernels::x86::Avx2 $(, $middle)?>($($arg),*) }
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
            fn avx512($($arg: $type),*) {
                // SAFETY: this function is compiled for, and called on, AVX-512.
                unsafe { $generic::<$crate::kernels::x86::Avx512 $(, $wide)?>($($arg),*) }
            }
            const PORTABLE: usize = $crate::kernels::lanes::last(&[4, $($portable)?]);
            match $crate::isa_of!($($isa)?) {
                #[cfg(target_arch = "x86_64")]
                // SAFETY: an `Isa` comes from `isa::active`, which found it on this processor.
                $crate::kernels::isa::Isa::Avx512 => unsafe { avx512($($arg),*) },
                #[cfg(target_arch = "x86_64")]
                // SAFETY: as above.
                $crate::kernels::isa::Isa::Avx2 => unsafe { avx2($($arg),*) },
                // SAFETY: every processor has the portable lanes.
                _ => unsafe {
                    $generic::<$crate::kernels::lanes::Array<PORTABLE> $(, $plain)?>($($arg),*)
                },
            }
        }
    )*};
}

/// Compiles the plain loops of a function for every instruction set and chooses at run time. As the
/// compiler never fuses a multiplication with an addition, the bits are the same on each.
/// `fn name(@isa; args)` takes the instruction set before its arguments.
#[doc(hidden)]
#[macro_export]
macro_rules! per_isa {
    ($(
        $(#[$meta:meta])*
        $vis:vis fn $name:ident($(@$isa:ident;)? $($arg:ident: $type:ty),* $(,)?) $body:block
    )*) => {$(
        $(#[$meta])*
        $vis fn $name($($isa: $crate::kernels::isa::Isa,)? $($arg: $type),*) {
            #[inline(always)]
            fn body($($arg: $type),*) $body
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
            fn avx512($($arg: $type),*) {
                body($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($arg: $type),*) {
                body($($arg),*)
            }
            match $crate::isa_of!($($isa)?) {
                #[cfg(target_arch = "x86_64")]
                // SAFETY: an `Isa` comes from `isa::active`, which found it on this processor.
                $crate::kernels::isa::Isa::Avx512 => unsafe { avx512($($arg),*) },
                #[cfg(target_arch = "x86_64")]
                // SAFETY: as above.
                $crate::kernels::isa::Isa::Avx2 => unsafe { avx2($($arg),*) },
                _ => body($($arg),*),
            }
        }
    )*};
}
