//! A rule that several threads share: one computes with it at a time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use varangian_rules::Pipeline;

/// What stands behind a lock, whatever became of who had it before.
pub(crate) fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A rule, and who computes with it.
pub(crate) struct Shared {
    pipeline: Mutex<Pipeline>,
    /// The thread that computes with it: 0 where none does.
    busy: AtomicU64,
}

impl Shared {
    pub(crate) fn new(pipeline: Pipeline) -> Self {
        Shared { pipeline: Mutex::new(pipeline), busy: AtomicU64::new(0) }
    }

    /// The rule, once other threads are done with it; nothing where this one has it already.
    pub(crate) fn hold(&self) -> Option<Held<'_>> {
        let this = thread();
        if self.busy.load(Ordering::Relaxed) == this {
            return None;
        }
        let pipeline = lock(&self.pipeline);
        self.busy.store(this, Ordering::Relaxed);
        Some(Held { pipeline, busy: &self.busy })
    }
}

/// A thread's number, from 1.
fn thread() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    thread_local! {
        static THIS: u64 = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    THIS.with(|this| *this)
}

/// The rule while a thread computes with it.
pub(crate) struct Held<'a> {
    pipeline: MutexGuard<'a, Pipeline>,
    busy: &'a AtomicU64,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.busy.store(0, Ordering::Relaxed);
    }
}

impl std::ops::Deref for Held<'_> {
    type Target = Pipeline;

    fn deref(&self) -> &Pipeline {
        &self.pipeline
    }
}

impl std::ops::DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut Pipeline {
        &mut self.pipeline
    }
}
