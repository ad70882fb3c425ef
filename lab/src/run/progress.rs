//! How far a matrix of runs is: a bar on a terminal, plain lines elsewhere, or nothing.

use crate::results::{Outcome, judge};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Shared by all threads of a matrix.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    quiet: bool,
    done: AtomicUsize,
    runs: usize,
}

impl Progress {
    /// Progress of `runs` runs with `steps` steps in all.
    pub(crate) fn new(runs: usize, steps: u64, quiet: bool) -> Self {
        let draws = !quiet && std::io::stderr().is_terminal();
        let bar = draws.then(|| {
            let bar =
                ProgressBar::with_draw_target(Some(steps), ProgressDrawTarget::stderr_with_hz(8));
            let style = "{elapsed} {wide_bar} {pos}/{len} steps, {eta} left  {msg}";
            bar.with_style(ProgressStyle::with_template(style).expect("a valid template"))
        });
        Progress { bar, quiet, done: AtomicUsize::new(0), runs }
    }

    /// A step of some run is over.
    pub(crate) fn step(&self) {
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
    }

    /// A run is over: one line on a terminal above the bar, or a plain line.
    pub(crate) fn finished(&self, outcome: &Outcome) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if self.quiet {
            return;
        }
        let line = format!("[{done}/{}] {}", self.runs, describe(outcome));
        match &self.bar {
            Some(bar) => bar.println(line),
            None => eprintln!("{line}"),
        }
    }

    /// Takes the bar away.
    pub(crate) fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// "krum × alie z=1.5, seed 1: accuracy 0.913, best 0.934 (2.1 s)".
fn describe(outcome: &Outcome) -> String {
    let settings = &outcome.settings;
    let name = format!("{} × {}, seed {}", settings.rule, settings.attack, settings.seed);
    if !outcome.is_finished() {
        return format!("{name}: failed: {}", outcome.end.error());
    }
    let values =
        |metric: &str| -> Vec<f64> { outcome.curve(metric).iter().map(|point| point.1).collect() };
    let text = match judge(&values("accuracy"), true) {
        Some(judged) => format!("accuracy {:.3}, best {:.3}", judged.last, judged.best),
        None => match values("test_loss").last() {
            Some(loss) => format!("test loss {loss:.5}"),
            None => "nothing evaluated".into(),
        },
    };
    format!("{name}: {text} ({:.1} s)", outcome.seconds)
}
