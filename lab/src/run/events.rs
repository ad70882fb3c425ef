//! What a run tells while it goes on, to whoever listens: a terminal, a test, another language.

use super::live::Live;
use crate::results::Outcome;

/// Told of what an experiment does while it runs, one call at a time; the calls come from the
/// threads that train. Every method does nothing unless it is written.
///
/// ```
/// use varangian_lab::run::{Events, Live};
///
/// /// Counts steps, and stops everything after a hundred.
/// struct Counter(u64);
///
/// impl Events for Counter {
///     fn step(&mut self, _: &Live) {
///         self.0 += 1;
///     }
///
///     fn stop(&mut self) -> bool {
///         self.0 >= 100
///     }
/// }
/// ```
pub trait Events: Send {
    /// Something that a reader of the results should know: one line.
    fn note(&mut self, text: &str) {
        let _ = text;
    }

    /// A table or summary, several lines.
    fn text(&mut self, text: &str) {
        let _ = text;
    }

    /// The characters in a line of where [`Events::text`] is read; nothing where it has no bound.
    fn width(&self) -> Option<usize> {
        None
    }

    /// A matrix of `runs` runs with `steps` steps in all begins: an experiment is one, with one
    /// before it where hyperparameters are chosen.
    fn begin(&mut self, runs: usize, steps: u64) {
        let _ = (runs, steps);
    }

    /// A run goes on from a checkpoint; `run.step` says where.
    fn resumed(&mut self, run: &Live) {
        let _ = run;
    }

    /// A step of a run is over (in asynchronous training: an arrival was judged).
    fn step(&mut self, run: &Live) {
        let _ = run;
    }

    /// A run is over, the `done`-th of the matrix; `line` says in one line what it came to.
    fn finished(&mut self, outcome: &Outcome, done: usize, line: &str) {
        let _ = (outcome, done, line);
    }

    /// All runs of the matrix are over or stopped; its tables follow.
    fn end(&mut self) {}

    /// Asked before weeks of work: whether to begin. Nothing is trained otherwise.
    fn confirm(&mut self, question: &str) -> bool {
        let _ = question;
        true
    }

    /// Asked between steps: whether everything should stop. Runs leave checkpoints then, and the
    /// same call goes on from these.
    fn stop(&mut self) -> bool {
        false
    }
}

/// Nobody listens.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Events for Silent {}
