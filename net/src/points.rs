//! Named points of a server, at which a simulation may end it. They are nothing without the
//! feature `sim`.

#[cfg(feature = "sim")]
pub(crate) use crate::sim::{passes, task_passes};

/// The machine is at this point.
#[cfg(not(feature = "sim"))]
#[inline(always)]
pub(crate) fn passes(_: &'static str) {}

/// A task of the sockets is at this point.
#[cfg(not(feature = "sim"))]
#[inline(always)]
pub(crate) async fn task_passes(_: &'static str) {}
