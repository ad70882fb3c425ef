//! The one place of this crate that looks at a clock: for progress, costs and checkpoints.

use std::time::Instant;

/// Now.
#[allow(clippy::disallowed_methods)] // The ban's reason names this crate as its exception.
pub(crate) fn now() -> Instant {
    Instant::now()
}
