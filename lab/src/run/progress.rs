//! How far a matrix of runs is: a bar on a terminal, plain lines elsewhere, or nothing; and what
//! its runs are doing, on a terminal that asks for it and in `live.json` of the results' folder.

use super::live::Live;
use super::one::Job;
use crate::results::{Fate, Outcome, Sweep, fate, judge};
use crate::{clock, files, print};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Between two redraws of the terminal.
const REDRAW: Duration = Duration::from_millis(200);
/// Between two writings of `live.json`.
const REWRITE: Duration = Duration::from_millis(1000);
/// Runs that a terminal shows at once.
const SHOWN: usize = 4;

/// Shared by all threads of a matrix.
pub(crate) struct Progress {
    /// What tells the runs apart.
    sweep: Sweep,
    bar: Option<ProgressBar>,
    /// Whether the terminal shows what runs are doing.
    watch: bool,
    quiet: bool,
    done: AtomicUsize,
    runs: usize,
    live: Mutex<Lives>,
}

/// The runs that go on, and when they were last shown.
struct Lives {
    runs: BTreeMap<String, Live>,
    file: PathBuf,
    drawn: Instant,
    written: Instant,
}

impl Progress {
    /// Progress of `runs` runs with `steps` steps in all, also in `file`; `watch` shows what they do,
    /// where standard error is a terminal.
    pub(crate) fn new(
        file: PathBuf,
        sweep: Sweep,
        runs: usize,
        steps: u64,
        quiet: bool,
        watch: bool,
    ) -> Self {
        let draws = !quiet && std::io::stderr().is_terminal();
        let bar = draws.then(|| {
            let bar =
                ProgressBar::with_draw_target(Some(steps), ProgressDrawTarget::stderr_with_hz(8));
            let style = "{elapsed} {wide_bar} {pos}/{len} steps, {eta} left\n{msg}";
            bar.with_style(ProgressStyle::with_template(style).expect("a valid template"))
        });
        if watch && !draws && !quiet {
            print::note("--watch needs a terminal; a line follows for each run that is over");
        }
        let (drawn, written) = (clock::now(), clock::now());
        let live = Mutex::new(Lives { runs: BTreeMap::new(), file, drawn, written });
        Progress { sweep, bar, watch, quiet, done: AtomicUsize::new(0), runs, live }
    }

    /// A run starts.
    pub(crate) fn begin(&self, job: &Job) {
        self.locked(|lives| {
            lives.runs.insert(job.key.clone(), Live::of(job, self.sweep.setting(&job.settings)));
        });
    }

    /// A step of a run is over.
    pub(crate) fn step(&self, key: &str, look: impl FnOnce(&mut Live)) {
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
        self.locked(|lives| {
            if let Some(live) = lives.runs.get_mut(key) {
                look(live);
            }
            self.show(lives);
        });
    }

    /// A run goes on before this step.
    pub(crate) fn resumed(&self, key: &str, step: u64) {
        if let Some(bar) = &self.bar {
            bar.inc(step);
        }
        self.locked(|lives| {
            if let Some(live) = lives.runs.get_mut(key) {
                live.step = step;
            }
        });
    }

    /// A run was evaluated.
    pub(crate) fn evaluated(&self, key: &str, step: u64, value: f64, classifies: bool) {
        self.locked(|lives| {
            if let Some(live) = lives.runs.get_mut(key) {
                live.classifies = classifies;
                live.curve.push((step, value));
            }
        });
    }

    fn locked(&self, work: impl FnOnce(&mut Lives)) {
        if let Ok(mut lives) = self.live.lock() {
            work(&mut lives);
        }
    }

    fn show(&self, lives: &mut Lives) {
        let now = clock::now();
        let due = self.watch && now.duration_since(lives.drawn) >= REDRAW;
        if let Some(bar) = self.bar.as_ref().filter(|_| due) {
            lives.drawn = now;
            bar.set_message(text(lives));
        }
        if now.duration_since(lives.written) >= REWRITE {
            lives.written = now;
            let runs: Vec<&Live> = lives.runs.values().collect();
            // What a page cannot show for a second is no reason to stop a run.
            let _ = files::write_light(&lives.file, &serde_json::to_vec(&runs).unwrap_or_default());
        }
    }

    /// A run is over: one line on a terminal above the bar, or a plain line.
    pub(crate) fn finished(&self, outcome: &Outcome) {
        self.locked(|lives| {
            lives.runs.remove(&outcome.key);
        });
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if self.quiet {
            return;
        }
        let line = format!("[{done}/{}] {}", self.runs, describe(outcome, &self.sweep));
        match &self.bar {
            Some(bar) => bar.println(line),
            None => print::note(&line),
        }
    }

    /// Takes the bar and the file away.
    pub(crate) fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        self.locked(|lives| {
            // There is none where no run took a second.
            let _ = std::fs::remove_file(&lives.file);
        });
    }
}

/// The runs that go on, as text.
fn text(lives: &Lives) -> String {
    let width = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok()).unwrap_or(80);
    let mut lines = Vec::new();
    for live in lives.runs.values().take(SHOWN) {
        lines.push(String::new());
        lines.extend(live.lines(width));
    }
    if lives.runs.len() > SHOWN {
        lines.push(format!("and {} more", lives.runs.len() - SHOWN));
    }
    lines.join("\n")
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
            Some((_, loss)) => format!("test loss {}", print::number(*loss)),
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
