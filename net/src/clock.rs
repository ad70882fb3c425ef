//! The clock: of rounds' deadlines, and of how long the other side may be silent.

use std::time::Instant;

/// The time now.
#[expect(clippy::disallowed_methods, reason = "deadlines of real workers are of a real clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
