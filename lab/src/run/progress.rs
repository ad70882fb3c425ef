//! How far a matrix of runs is: what its runs are doing, in `live.json` of the results' folder, and
//! told to whoever listens.

use super::events::Events;
use super::live::Live;
use super::one::Job;
use crate::results::{Fate, Outcome, Sweep, fate, judge};
use crate::{clock, files, text};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Between two writings of `live.json`.
const REWRITE: Duration = Duration::from_millis(1000);

/// Shared by all threads of a matrix.
pub(super) struct Progress<'a> {
    /// What tells the runs apart.
    sweep: Sweep,
    inner: Mutex<Inner<'a>>,
}

/// The runs that go on, when they were last written, and who is told.
struct Inner<'a> {
    runs: BTreeMap<String, Live>,
    file: PathBuf,
    written: Instant,
    done: usize,
    stopped: bool,
    events: &'a mut dyn Events,
}

impl<'a> Progress<'a> {
    /// Progress of `runs` runs with `steps` steps in all, also in `file`.
    pub(super) fn new(
        file: PathBuf,
        sweep: Sweep,
        (runs, steps): (usize, u64),
        events: &'a mut dyn Events,
    ) -> Self {
        events.begin(runs, steps);
        let (runs, written) = (BTreeMap::new(), clock::now());
        let inner = Mutex::new(Inner { runs, file, written, done: 0, stopped: false, events });
        Progress { sweep, inner }
    }

    /// Whoever listens may have panicked in a run's thread: that run failed, the others go on.
    fn inner(&self) -> MutexGuard<'_, Inner<'a>> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Whether whoever listens wants everything to stop; once that is so, it stays.
    pub(super) fn stop(&self) -> bool {
        let mut inner = self.inner();
        inner.stopped = inner.stopped || inner.events.stop();
        inner.stopped
    }

    /// Stops all runs, as somebody has told one of them to.
    pub(super) fn halt(&self) {
        self.inner().stopped = true;
    }

    /// One line for the reader.
    pub(super) fn note(&self, text: &str) {
        self.inner().events.note(text);
    }

    /// A run starts.
    pub(super) fn begin(&self, job: &Job) {
        let live = Live::of(job, self.sweep.setting(job.settings()));
        self.inner().runs.insert(job.key.clone(), live);
    }

    /// A step of a run is over.
    pub(super) fn step(&self, key: &str, look: impl FnOnce(&mut Live)) {
        let mut inner = self.inner();
        let Inner { runs, events, .. } = &mut *inner;
        if let Some(live) = runs.get_mut(key) {
            look(live);
            events.step(live);
        }
        inner.write();
    }

    /// Something is known of a run between two steps.
    pub(super) fn told(&self, key: &str, look: impl FnOnce(&mut Live)) {
        let mut inner = self.inner();
        if let Some(live) = inner.runs.get_mut(key) {
            look(live);
        }
        inner.write();
    }

    /// A run goes on before this step.
    pub(super) fn resumed(&self, key: &str, step: u64) {
        let mut inner = self.inner();
        let Inner { runs, events, .. } = &mut *inner;
        if let Some(live) = runs.get_mut(key) {
            live.step = step;
            events.resumed(live);
        }
    }

    /// A run was evaluated.
    pub(super) fn evaluated(&self, key: &str, step: u64, value: f64, classifies: bool) {
        if let Some(live) = self.inner().runs.get_mut(key) {
            live.classifies = classifies;
            live.curve.push((step, value));
        }
    }

    /// A run is over.
    pub(super) fn finished(&self, outcome: &Outcome) {
        let line = describe(outcome, &self.sweep);
        let mut inner = self.inner();
        inner.runs.remove(&outcome.key);
        inner.done += 1;
        let Inner { events, done, .. } = &mut *inner;
        events.finished(outcome, *done, &line);
    }

    /// Takes the file away, and says that the matrix is over; whether it was stopped.
    pub(super) fn end(self) -> bool {
        let inner = self.inner.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        // There is none where no run took a second.
        let _ = std::fs::remove_file(&inner.file);
        inner.events.end();
        inner.stopped
    }
}

impl Inner<'_> {
    fn write(&mut self) {
        let now = clock::now();
        if now.duration_since(self.written) >= REWRITE {
            self.written = now;
            let runs: Vec<&Live> = self.runs.values().collect();
            // What a page cannot show for a second is no reason to stop a run.
            let _ = files::write_light(&self.file, &serde_json::to_vec(&runs).unwrap_or_default());
        }
    }
}

/// "krum, n=9 × alie z=1.5, seed 1: accuracy 0.913, best 0.934 (2.1 s)".
fn describe(outcome: &Outcome, sweep: &Sweep) -> String {
    let settings = &outcome.settings;
    let name = format!("{} × {}, seed {}", sweep.label(settings), settings.attack, settings.seed);
    if !outcome.is_finished() {
        return format!("{name}: failed: {}", outcome.end.error());
    }
    let mut text = match judge(&outcome.curve("accuracy"), true) {
        Some(judged) => format!("accuracy {:.3}, best {:.3}", judged.last, judged.best),
        None => match outcome.curve("test_loss").last() {
            Some((_, loss)) => format!("test loss {}", text::number(*loss)),
            None => "nothing evaluated".into(),
        },
    };
    let fates = [Fate::of(outcome)];
    if !fate::marks(&fates).is_empty() {
        text.push_str(&format!("; {}", fate::told(&fates).replace("1 of 1 ", "")));
    }
    format!("{name}: {text} ({:.1} s)", outcome.seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_what_varies_and_what_broke() {
        let mut one = Outcome::sample("krum", "alie", 2, &[0.1, 0.9, 0.2]);
        let mut other = one.clone();
        (one.settings.n, other.settings.n) = (9, 11);
        let sweep = Sweep::of([&one, &other].map(|run| &run.settings).into_iter(), &[], Vec::new());
        let text = describe(&one, &sweep);
        let wanted = "krum, n=9 × alie, seed 2: accuracy 0.200, best 0.900; collapsed (1.5 s)";
        assert_eq!(text, wanted);
    }
}
