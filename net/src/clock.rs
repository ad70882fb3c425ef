//! The clock: of rounds' deadlines, and of how long the other side may be silent. And how a thread
//! that blocks waits for the sockets' tasks.

use std::future::Future;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// The time now. It is tokio's, that whoever simulates a server can simulate its time.
pub(crate) fn now() -> Instant {
    let now = tokio::time::Instant::now().into_std();
    #[cfg(feature = "sim")]
    let now = now + crate::sim::jumped();
    now
}

/// How long ago that was.
pub(crate) fn since(then: Instant) -> Duration {
    now().saturating_duration_since(then)
}

/// Blocks until the future is over, which runs among the sockets' tasks.
pub(crate) fn wait<F: Future>(sockets: &Handle, future: F) -> F::Output {
    #[cfg(feature = "sim")]
    if crate::sim::is_inside() {
        return crate::sim::wait(future);
    }
    sockets.block_on(future)
}

/// Sleeps.
pub(crate) fn rest(pause: Duration) {
    #[cfg(feature = "sim")]
    if crate::sim::is_inside() {
        return crate::sim::wait(tokio::time::sleep(pause));
    }
    std::thread::sleep(pause);
}
