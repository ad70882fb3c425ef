//! The benchmark: one fixed protocol for every pipeline, and the leaderboard that it makes.
//!
//! A pipeline is judged by its worst case over attacks that were chosen before it was known, a
//! search on a copy of it among them, after the same tuning that every other one gets. Protocols
//! are experiment files of a version that never change: `experiments/benchmark/`.
//!
//! - The score is the mean over settings (task, partition, number of hostile workers) of the
//!   accuracy under the setting's worst attack: of each run the mean over its last ten evaluations,
//!   and of these the mean over five seeds. A setting that the rule's bound excludes is worth a
//!   guess.
//! - "The usual five" is what the same mean would be had the five attacks that papers usually take
//!   been all.
//! - Backdoors stand beside it: how many stamped samples are taken for the target. Accuracy shows
//!   nothing of them, so that they have no part in the score.
//! - Hyperparameters are chosen among the same candidates for every pipeline, by the worst case
//!   over attacks, on samples held out of the training set ([`Tune`](crate::config::Tune)).
//!
//! ```no_run
//! use varangian_lab::benchmark::{Benchmark, Tier};
//! use varangian_lab::run::{How, Silent};
//!
//! let benchmark = Benchmark::of(Tier::Small, "nnm | median");
//! let entry = benchmark.run(&mut Silent)?;
//! println!("{:.3} where the usual five say {:.3}", entry.score, entry.usual);
//! # Ok::<(), varangian_lab::Failure>(())
//! ```

mod backdoor;
mod board;
mod board_text;
mod check;
mod code;
mod cost;
mod entry;
mod judge;
mod kappas;
mod part;
mod protocol;
mod recommend;
mod shown;

pub use backdoor::{Backdoors, Hidden, Opened};
pub use board::{Board, Place, Standing};
pub use entry::{Calm, Cell, Cost, Curves, Entry, Kappa, Line, Setting, Tuned};
pub use part::Part;
pub use protocol::{Tier, VERSION};
pub use recommend::{Advice, Pick, Wanted};
pub use shown::{Leaderboard, Shown, Under};

use crate::config::{Own, Settings, spelt};
use crate::results::Outcome;
use crate::run::{Events, How, Live};
use crate::{Experiment, Failure, files};
use std::path::PathBuf;

/// A pipeline that is to be judged.
#[derive(Clone, Debug)]
pub struct Benchmark {
    /// By which protocol.
    pub tier: Tier,
    /// The pipeline: "nnm | median".
    pub rule: String,
    /// Which part of the protocol; the whole by default. What was judged by a part stands in a
    /// folder of its own below, and beside no other part's entries.
    pub part: Part,
    /// Threads, shares, the folder of data; `out` is the folder of entries, in which every pipeline
    /// has a folder of runs, `benchmark` where none is named.
    pub how: How,
    /// Rules and stages from outside that the pipeline may name.
    pub own: Own,
}

impl Benchmark {
    /// A pipeline of the lists, judged in the folder `benchmark` on all cores.
    pub fn of(tier: Tier, rule: impl Into<String>) -> Self {
        let (rule, part) = (rule.into(), Part::default());
        Benchmark { tier, rule, part, how: How::default(), own: Own::default() }
    }

    /// The runs that it takes, hyperparameters still to be chosen.
    ///
    /// # Errors
    /// If there is no such rule, or it is a filter of asynchronous training; or if the protocol
    /// has no such part.
    pub fn experiment(&self) -> Result<Experiment, Failure> {
        let mut experiment = self.tier.experiment(&self.rule, &self.own)?;
        self.part.narrow(&mut experiment.runs)?;
        let rule = &experiment.runs[0].rule;
        let out = Some(self.folder().join("runs").join(files::name(rule)));
        Ok(Experiment { how: How { out, ..self.how.clone() }, ..experiment })
    }

    /// How many runs follow under backdoors, with the hyperparameters that those of
    /// [`Benchmark::experiment`] choose; none where a part is judged.
    ///
    /// # Errors
    /// As [`Benchmark::experiment`].
    pub fn under_backdoors(&self) -> Result<usize, Failure> {
        if self.part.is_whole() { backdoor::count(self) } else { Ok(0) }
    }

    /// The folder of entries: `out`, and for a part `part-HASH` in it.
    pub fn folder(&self) -> PathBuf {
        let out = self.how.out.clone().unwrap_or_else(|| "benchmark".into());
        match self.part.is_whole() {
            true => out,
            false => out.join(format!("part-{}", &self.protocol()[..8])),
        }
    }

    /// The hash of the protocol, or of this part of it: entries of one stand side by side.
    fn protocol(&self) -> String {
        self.part.of_protocol(&self.tier.hash())
    }

    /// Does what is left of the runs, judges them, and writes the entry into the folder; of the
    /// whole protocol it has backdoors too, measured with the hyperparameters that were chosen. Its
    /// numbers, those of [`Cost`] apart, are the same at any number of threads and however often
    /// the runs were interrupted.
    ///
    /// # Errors
    /// As [`Experiment::run`]; or if runs are missing because they are other shards'.
    pub fn run(&self, events: &mut dyn Events) -> Result<Entry, Failure> {
        let entry = self.judge(&self.experiment()?, events)?;
        if !self.part.is_whole() {
            return Ok(entry);
        }
        let backdoors = backdoor::measure(self, &entry, &mut Untold(events))?;
        let entry = Entry { backdoors, ..entry };
        judge::write(&self.folder(), &entry)?;
        Ok(entry)
    }

    /// Judges by the runs of `experiment`.
    fn judge(&self, experiment: &Experiment, events: &mut dyn Events) -> Result<Entry, Failure> {
        let asked = experiment.runs.iter().map(|one| spelt(one, &self.own));
        let asked: Vec<Settings> = asked.collect::<Result<_, _>>()?;
        let outcomes = experiment.run(&mut Untold(events))?;
        let cost = cost::of(&asked[0].rule, &self.own, &outcomes)?;
        let entry = judge::entry(self.tier, &self.own, &asked, &outcomes, cost)?;
        let entry = Entry { protocol: self.protocol(), only: self.part.clone(), ..entry };
        judge::write(&self.folder(), &entry)?;
        Ok(entry)
    }
}

/// Whoever listens, without the tables of the runs: the entry says what they come to.
struct Untold<'a>(&'a mut dyn Events);

impl Events for Untold<'_> {
    fn note(&mut self, text: &str) {
        self.0.note(text);
    }

    fn width(&self) -> Option<usize> {
        self.0.width()
    }

    fn begin(&mut self, runs: usize, steps: u64) {
        self.0.begin(runs, steps);
    }

    fn resumed(&mut self, run: &Live) {
        self.0.resumed(run);
    }

    fn step(&mut self, run: &Live) {
        self.0.step(run);
    }

    fn finished(&mut self, outcome: &Outcome, done: usize, line: &str) {
        self.0.finished(outcome, done, line);
    }

    fn end(&mut self) {
        self.0.end();
    }

    fn confirm(&mut self, question: &str) -> bool {
        self.0.confirm(question)
    }

    fn stop(&mut self) -> bool {
        self.0.stop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Silent;

    /// The median and a part of the protocol: one task, two attacks, few steps.
    fn asked(threads: usize, folder: &std::path::Path) -> (Benchmark, Experiment) {
        let (out, threads) = (Some(folder.to_owned()), Some(threads));
        let how = How { out, threads, ..How::default() };
        let benchmark = Benchmark { how, ..Benchmark::of(Tier::Small, "median") };
        let mut experiment = benchmark.experiment().unwrap();
        let attacks = ["none", "alie", "worst budget=32 objective=distance"];
        experiment.runs.retain(|run| {
            run.dataset == "logreg" && run.seed < 3 && attacks.contains(&run.attack.as_str())
        });
        for run in &mut experiment.runs {
            (run.steps, run.evaluate_every, run.test_samples) = (12, 2, 100);
        }
        (benchmark, experiment)
    }

    fn judged(threads: usize, folder: &std::path::Path) -> Entry {
        let (benchmark, experiment) = asked(threads, folder);
        benchmark.judge(&experiment, &mut Silent).unwrap()
    }

    #[test]
    fn a_plan_knows_what_was_chosen_what_is_over_and_whose_share_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (benchmark, experiment) = asked(2, folder.path());
        let before = experiment.planned().unwrap();
        let left = |runs: &[(String, Settings, bool)]| runs.iter().filter(|run| !run.2).count();
        assert!(before.is_open && left(&before.runs) == before.runs.len());
        assert!(left(&before.tuning) == before.tuning.len() && before.tuning.len() > 10);
        let entry = benchmark.judge(&experiment, &mut Silent).unwrap();
        let after = experiment.planned().unwrap();
        assert!(!after.is_open && after.takes.is_none());
        assert_eq!((left(&after.runs), left(&after.tuning)), (0, 0));
        assert_eq!(after.runs.len(), before.runs.len());
        for (_, run, _) in after.runs.iter().filter(|(_, run, _)| run.f > 0) {
            let setting = Setting::of(run);
            let cell = entry.cells.iter().find(|cell| cell.setting == setting).unwrap();
            let (learning_rate, momentum) = (run.learning_rate, run.momentum);
            assert_eq!(cell.tuned, Some(Tuned { learning_rate, momentum }));
        }
        let share = |i: usize| {
            let how = How { shard: Some((i, 3)), ..experiment.how.clone() };
            let planned = Experiment { how, ..experiment.clone() }.planned().unwrap();
            [planned.runs, planned.tuning].map(|runs| runs.into_iter().map(|run| run.0))
        };
        let (mut runs, mut tuning) = (Vec::new(), Vec::new());
        for [some, others] in (1..=3).map(share) {
            assert!(some.len() < after.runs.len());
            runs.extend(some);
            tuning.extend(others);
        }
        let sorted = |mut keys: Vec<String>| {
            keys.sort();
            keys
        };
        let keys =
            |runs: &[(String, Settings, bool)]| runs.iter().map(|run| run.0.clone()).collect();
        assert_eq!(sorted(runs), sorted(keys(&after.runs)));
        assert_eq!(sorted(tuning), sorted(keys(&after.tuning)));
    }

    #[test]
    fn a_judgement_has_the_same_numbers_at_any_threads_and_done_again() {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let one = judged(1, folders[0].path());
        let same = |other: Entry| assert_eq!(Entry { cost: one.cost.clone(), ..other }, one);
        same(judged(2, folders[1].path()));
        same(judged(2, folders[0].path()));
        assert_eq!((one.cells.len(), one.cells[0].attacks.len(), one.calm.len()), (4, 3, 2));
        assert!(one.cells.iter().all(|cell| cell.worst <= cell.usual && cell.tuned.is_some()));
        assert!(folders[0].path().join(Entry::file("median")).is_file());
    }
}
