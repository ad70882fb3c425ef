//! An experiment on a terminal: a bar, a line for each run that is over, and with `--watch` what
//! runs are doing; plain lines where there is no terminal.

use crate::{interrupt, print};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use varangian_lab::results::Outcome;
use varangian_lab::run::{Events, Live};

/// Between two redraws of a run.
const REDRAW: Duration = Duration::from_millis(200);
/// Runs that a terminal shows at once.
const SHOWN: usize = 4;

/// Prints what an experiment tells, and stops it on Ctrl-C.
pub(crate) struct Terminal {
    watch: bool,
    quiet: bool,
    /// Whether tables are printed.
    tables: bool,
    bar: Option<ProgressBar>,
    /// The runs of this matrix.
    runs: usize,
    /// The runs that go on, as text, and when that was made.
    shown: BTreeMap<String, (Instant, Vec<String>)>,
    stop: &'static AtomicBool,
}

impl Terminal {
    /// `watch` shows what runs are doing, where standard error is a terminal; `quiet` prints
    /// nothing.
    pub(crate) fn new(quiet: bool, watch: bool) -> Self {
        let (bar, runs, shown) = (None, 0, BTreeMap::new());
        Terminal { watch, quiet, tables: !quiet, bar, runs, shown, stop: interrupt::flag() }
    }

    /// The same with standard output left to whoever prints JSON.
    pub(crate) fn without_tables(self) -> Self {
        Terminal { tables: false, ..self }
    }

    /// The runs that go on, as text below the bar.
    fn message(&self) -> String {
        let mut lines = Vec::new();
        for (_, run) in self.shown.values().take(SHOWN) {
            lines.push(String::new());
            lines.extend(run.iter().cloned());
        }
        if self.shown.len() > SHOWN {
            lines.push(format!("and {} more", self.shown.len() - SHOWN));
        }
        lines.join("\n")
    }
}

impl Events for Terminal {
    fn note(&mut self, text: &str) {
        match (&self.bar, self.quiet) {
            (_, true) => {}
            (Some(bar), _) => bar.println(print::shown(text)),
            (None, _) => print::note(text),
        }
    }

    fn text(&mut self, text: &str) {
        if self.tables {
            print::line(text);
        }
    }

    fn width(&self) -> Option<usize> {
        print::width()
    }

    fn begin(&mut self, runs: usize, steps: u64) {
        self.runs = runs;
        let draws = !self.quiet && std::io::stderr().is_terminal();
        self.bar = draws.then(|| {
            let bar =
                ProgressBar::with_draw_target(Some(steps), ProgressDrawTarget::stderr_with_hz(8));
            let style = "{elapsed} {wide_bar} {pos}/{len} steps, {eta} left\n{msg}";
            bar.with_style(ProgressStyle::with_template(style).expect("a valid template"))
        });
        if self.watch && !draws && !self.quiet {
            print::note("--watch needs a terminal; a line follows for each run that is over");
        }
    }

    fn resumed(&mut self, run: &Live) {
        if let Some(bar) = &self.bar {
            bar.inc(run.step);
        }
    }

    fn step(&mut self, run: &Live) {
        let Some(bar) = &self.bar else { return };
        bar.inc(1);
        let now = now();
        let due = self.shown.get(&run.key).is_none_or(|(drawn, _)| now - *drawn >= REDRAW);
        if self.watch && due {
            let width = print::width_of(std::io::stderr()).unwrap_or(80);
            self.shown.insert(run.key.clone(), (now, run.lines(width)));
            bar.set_message(self.message());
        }
    }

    fn finished(&mut self, outcome: &Outcome, done: usize, line: &str) {
        self.shown.remove(&outcome.key);
        self.note(&format!("[{done}/{}] {line}", self.runs));
    }

    fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn confirm(&mut self, question: &str) -> bool {
        // Where nobody can answer, whoever gave the order meant it.
        if self.quiet || !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
            return true;
        }
        print::note(&format!("{question} [y/N]"));
        let mut answer = String::new();
        let read = std::io::stdin().read_line(&mut answer);
        read.is_ok() && ["y", "yes"].contains(&answer.trim().to_lowercase().as_str())
    }

    fn stop(&mut self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// The clock, which only says when to draw again.
#[allow(clippy::disallowed_methods)]
fn now() -> Instant {
    Instant::now()
}
