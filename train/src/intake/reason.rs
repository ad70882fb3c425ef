//! Why a message is refused, and what that says of its sender.

use std::fmt;
use varangian_base::SpecError;

/// Why a message was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// A coordinate is NaN or infinite.
    NotFinite,
    /// Not d coordinates.
    WrongLength,
    /// Not bytes that the run's codec can have written.
    Malformed,
    /// Not for the open step.
    WrongStep,
    /// A second message for the step, the same as the first: harmless, the first counts.
    Duplicate,
    /// A second message for the step that differs from the first.
    Equivocation,
    /// Not an enrolled worker.
    UnknownWorker,
    /// More messages than a worker may send: harmless, it may only be quick.
    TooMany,
    /// Not among the workers that take part in the step: harmless, it may be late news.
    NotSampled,
}

impl Reason {
    /// Its name in records.
    pub fn name(self) -> &'static str {
        match self {
            Reason::NotFinite => "not-finite",
            Reason::WrongLength => "wrong-length",
            Reason::Malformed => "malformed",
            Reason::WrongStep => "wrong-step",
            Reason::Duplicate => "duplicate",
            Reason::Equivocation => "equivocation",
            Reason::UnknownWorker => "unknown-worker",
            Reason::TooMany => "too-many",
            Reason::NotSampled => "not-sampled",
        }
    }

    /// Whether the message proves that its sender is not honest. An honest worker may be late or
    /// send twice over a network; it never sends a NaN or two different gradients for one step.
    pub fn proves_hostile(self) -> bool {
        use Reason::{Equivocation, Malformed, NotFinite, WrongLength};
        matches!(self, NotFinite | WrongLength | Malformed | Equivocation)
    }
}

/// A refused message: who sent it, why it was refused, and what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The sender.
    pub worker: u32,
    /// Why.
    pub reason: Reason,
    /// What was asked and found, one sentence.
    pub detail: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "worker {}: {} ({})", self.worker, self.reason.name(), self.detail)
    }
}

impl Refusal {
    /// Why, in few words: "NaN at coordinate 17", "wrong length: 12 coordinates are wanted, 10
    /// came".
    pub fn why(&self) -> String {
        match self.reason {
            Reason::NotFinite => self.detail.clone(),
            reason => format!("{}: {}", reason.name().replace('-', " "), self.detail),
        }
    }
}

/// What becomes of a round in which a row is not finite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NonFinite {
    /// That row is refused and its worker counts as hostile; the others are aggregated.
    #[default]
    RefuseRow,
    /// No step is made. Whoever sends a NaN at every step then stops training: for workers that may
    /// fail, not for hostile ones.
    SkipRound,
}

impl NonFinite {
    /// The names.
    pub const NAMES: &'static [&'static str] = &["refuse-row", "skip-round"];

    /// Reads `refuse-row` or `skip-round`.
    ///
    /// # Errors
    /// If the name is another.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        match text {
            "refuse-row" => Ok(NonFinite::RefuseRow),
            "skip-round" => Ok(NonFinite::SkipRound),
            other => Err(SpecError::unknown("non_finite", other, Self::NAMES)),
        }
    }

    /// Why no step is made after these refusals, if none is.
    pub(crate) fn spoils(self, refused: &[Refusal]) -> Option<String> {
        let wild = |refusal: &&Refusal| refusal.reason == Reason::NotFinite;
        let first = refused.iter().find(wild).filter(|_| self == NonFinite::SkipRound)?;
        let count = refused.iter().filter(wild).count();
        let rows = if count == 1 { "1 row is" } else { &format!("{count} rows are") };
        let (worker, detail) = (first.worker, &first.detail);
        Some(format!(
            "non_finite=skip-round: {rows} not finite, the first of worker {worker}: {detail}"
        ))
    }
}
