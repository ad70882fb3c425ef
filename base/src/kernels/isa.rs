//! Which instruction set the kernels of every crate run on: found at run time, or asked for.
//!
//! Order statistics, means, norms and combinations give the same bits on all of them; what each
//! kernel promises beyond that stands in its own doc.

use crate::SpecError;
use std::cell::Cell;
use std::fmt;
use std::sync::OnceLock;

/// The environment variable that asks for an instruction set.
pub const VARIABLE: &str = "VARANGIAN_ISA";

/// An instruction set that the kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isa {
    /// What every processor of the target has.
    Portable,
    /// x86-64 with AVX2 and FMA: 8 lanes of f32.
    Avx2,
    /// x86-64 with AVX-512 F, VL, DQ and BW: 16 lanes of f32.
    Avx512,
}

impl Isa {
    /// Every instruction set, slowest first.
    pub const ALL: [Isa; 3] = [Isa::Portable, Isa::Avx2, Isa::Avx512];

    /// Its name in `VARANGIAN_ISA`.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Portable => "portable",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
        }
    }

    /// Whether this processor has it.
    #[cfg(target_arch = "x86_64")]
    pub fn available(self) -> bool {
        match self {
            Isa::Portable => true,
            Isa::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            Isa::Avx512 => {
                Isa::Avx2.available()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512bw")
            }
        }
    }

    /// Whether this processor has it.
    #[cfg(not(target_arch = "x86_64"))]
    pub fn available(self) -> bool {
        self == Isa::Portable
    }

    /// The instruction set of this name.
    ///
    /// # Errors
    /// If there is none of this name or this processor lacks it.
    pub fn parse(name: &str) -> Result<Isa, SpecError> {
        let known = Isa::ALL.map(Isa::name);
        let found = Isa::ALL.into_iter().find(|isa| isa.name() == name);
        let isa = found.ok_or_else(|| SpecError::unknown("instruction set", name, &known))?;
        if isa.available() {
            return Ok(isa);
        }
        let best = best();
        Err(SpecError::new(format!("{isa} was asked for; this processor has no more than {best}")))
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The best that this processor has.
pub fn best() -> Isa {
    Isa::ALL.into_iter().rfind(|isa| isa.available()).unwrap_or(Isa::Portable)
}

/// What `VARANGIAN_ISA` asks for, or else the best; read once in a process.
///
/// # Errors
/// If the variable holds no known instruction set, or one that this processor lacks.
pub fn requested() -> Result<Isa, SpecError> {
    static REQUESTED: OnceLock<Result<Isa, SpecError>> = OnceLock::new();
    let read = || match std::env::var(VARIABLE) {
        Ok(name) => Isa::parse(&name).map_err(|error| error.at(VARIABLE)),
        Err(_) => Ok(best()),
    };
    REQUESTED.get_or_init(read).clone()
}

thread_local! {
    static FORCED: Cell<Option<Isa>> = const { Cell::new(None) };
}

/// The instruction set of the kernels that this thread calls.
///
/// # Panics
/// If [`requested`] is an error; a program checks that before its first kernel.
pub fn active() -> Isa {
    static ACTIVE: OnceLock<Isa> = OnceLock::new();
    let first = || requested().unwrap_or_else(|error| panic!("{error}"));
    FORCED.get().unwrap_or_else(|| *ACTIVE.get_or_init(first))
}

/// Runs `work` with `isa` for the kernels that this thread calls in it.
///
/// # Panics
/// If this processor lacks `isa`.
pub fn with<T>(isa: Isa, work: impl FnOnce() -> T) -> T {
    assert!(isa.available(), "this processor has no {isa}");
    struct Restore(Option<Isa>);
    impl Drop for Restore {
        fn drop(&mut self) {
            FORCED.set(self.0);
        }
    }
    let _restore = Restore(FORCED.replace(Some(isa)));
    work()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_unknown_ones_refused() {
        assert_eq!(Isa::parse("portable"), Ok(Isa::Portable));
        let error = Isa::parse("avx5").unwrap_err().to_string();
        assert_eq!(error, "unknown instruction set \"avx5\"; did you mean \"avx2\"?");
    }

    #[test]
    fn a_forced_one_ends_with_its_closure() {
        let before = active();
        assert_eq!(with(Isa::Portable, active), Isa::Portable);
        assert_eq!(active(), before);
    }
}
