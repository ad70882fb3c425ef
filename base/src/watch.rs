//! Whether rows are finite, found in passing.

use std::sync::atomic::{AtomicBool, Ordering};

/// Whether rows are finite, as a kernel that reads all of them finds in passing.
#[derive(Debug, Default)]
pub struct Watch {
    odd: AtomicBool,
    whole: AtomicBool,
}

impl Watch {
    /// Whether every entry is finite; `None` where no kernel has read them all.
    pub fn found(&self) -> Option<bool> {
        self.whole.load(Ordering::Relaxed).then(|| !self.odd.load(Ordering::Relaxed))
    }

    /// Says whether some of the rows' numbers are finite.
    pub(crate) fn tell(&self, finite: bool) {
        self.odd.fetch_or(!finite, Ordering::Relaxed);
    }

    /// Says that all were looked at.
    pub(crate) fn end(&self) {
        self.whole.store(true, Ordering::Relaxed);
    }

    /// Whether anything was found that is not finite.
    pub(crate) fn odd(&self) -> bool {
        self.odd.load(Ordering::Relaxed)
    }
}
