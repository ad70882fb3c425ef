//! Training with workers that cannot be trusted.
//!
//! A parameter server trains a model from gradients that n workers send; up to f of them are
//! Byzantine: broken, mis-set, or hostile and colluding. This crate is the front of everything that
//! varangian has as a library; `cargo install varangian` brings the command.
//!
//! # Aggregate
//!
//! A rule needs rows and f. Stages stand before and after it, left to right.
//!
//! ```
//! use varangian::{Matrix, Round, Verdict, rules};
//!
//! let rows = [[0.0, 1.0], [0.1, 1.1], [0.2, 0.9], [0.1, 1.0], [1e6, -1e6]];
//! let rows = Matrix::from_rows(&rows);
//! let mut rule = rules::build("nnm | trimmed-mean", 5, 1)?; // refuses n and f below the bound
//! let (mut out, mut verdict) = ([0.0; 2], Verdict::default());
//! rule.aggregate(&mut Round::of(rows.rows(), 1), &mut out, &mut verdict);
//! assert!((out[0] - 0.1).abs() < 0.05 && (out[1] - 1.0).abs() < 0.05);
//! # Ok::<(), varangian::SpecError>(())
//! ```
//!
//! # What was found of each row
//!
//! One call: its length, its distance from the aggregate, its share, and why no more. `serde`
//! writes the records as JSON lines; `docs/evidence.md` has the fields.
//!
//! ```
//! use varangian::{Matrix, Round, Verdict, rules};
//!
//! let rows = Matrix::from_rows(&[[0.0, 1.0], [0.1, 1.1], [0.2, 0.9], [0.1, 1.0], [1e6, -1e6]]);
//! let mut rule = rules::build("nnm | krum", 5, 1)?;
//! let (mut out, mut verdict) = ([0.0; 2], Verdict::default());
//! let mut round = Round::of(rows.rows(), 1);
//! rule.aggregate(&mut round, &mut out, &mut verdict);
//! let found = verdict.evidence(&rule, &round, &out);
//! assert_eq!((found[4].weight, found[4].standing), (Some(0.0), rules::Standing::Excluded));
//! assert!(found[4].distance.unwrap() > 1e6 && found[4].p.unwrap() < 1e-6);
//! println!("{}", serde_json::to_string(&found[4]).unwrap());
//! # Ok::<(), varangian::SpecError>(())
//! ```
//!
//! # Where workers do not count alike
//!
//! ```
//! use varangian::{Matrix, Round, Verdict, rules};
//!
//! let rows = Matrix::from_rows(&[[1.0], [1.1], [0.9], [1000.0]]);
//! let samples = [100.0, 100.0, 100.0, 5.0];
//! let mut rule = rules::build("trimmed-mean", 4, 1)?;
//! rule.check_weights(&samples, 4, 1)?;
//! let mut out = [0.0];
//! let mut round = Round { weights: Some(&samples), ..Round::of(rows.rows(), 1) };
//! rule.aggregate(&mut round, &mut out, &mut Verdict::default());
//! assert!((0.9..=1.1).contains(&out[0]));
//! # Ok::<(), varangian::SpecError>(())
//! ```
//!
//! # A rule of one's own
//!
//! Implement [`Rule`] and say in a [`RuleEntry`](rules::RuleEntry) what it claims. It then composes
//! with every stage, and [`rules::conformance::check`] tries it on the hostile families that our
//! own rules are tried on. `examples/own_rule.rs` does that, and trains with it under attack:
//!
//! ```text
//! let report = conformance::check(|| Pipeline::own(Box::new(Mine), &ENTRY));
//! assert!(report.passed(), "{report}");
//! let mixed = Pipeline::parse_among("nnm | mine", &[&ENTRY])?;
//! experiment.own.rules.push(&ENTRY); // an experiment's runs may name it now
//! ```
//!
//! The same holds for filters, attacks, models, data sets and partitions: an entry says what it is,
//! [`conformance`] holds it to what ours are held to, and an experiment's `own` names it.
//!
//! ```
//! use varangian::{attacks, conformance};
//! let ipm = attacks::ALL.iter().find(|entry| entry.name == "ipm").unwrap();
//! let report = conformance::check_attack(|| attacks::build("ipm").unwrap(), &ipm.facts);
//! assert!(report.passed(), "{report}");
//! ```
//!
//! # Run an experiment
//!
//! An [`Experiment`] is a matrix of runs: from a file, from a text, or built in code. Whoever runs
//! it listens to its [`Events`](lab::run::Events); nothing is printed. Results and pictures are in
//! its folder, and a run that is over is never done again.
//!
//! ```
//! # #[cfg(feature = "lab")] {
//! use varangian::{Experiment, Silent};
//!
//! let text = "rule = ['average', 'nnm | median']\nattack = 'alie'\nn = 11\nf = 2\nsteps = 40";
//! let mut experiment = Experiment::from_text(text)?;
//! # let folder = tempfile::tempdir().unwrap();
//! # experiment.how.out = Some(folder.path().join("results"));
//! for outcome in experiment.run(&mut Silent)? {
//!     let (step, accuracy) = outcome.curve("accuracy").pop().expect("evaluated at its end");
//!     println!("{}: {accuracy} at step {step}", outcome.settings.rule);
//! }
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//!
//! All are on by default. `default-features = false` leaves rules and attacks, with few
//! dependencies.
//!
//! - `train`: models, data sets and partitions in `learn`, the machines of a round in `train`, and
//!   drivers for them in `sim`;
//! - `lab`: experiments, results and pictures in `lab`, single papers in `papers`;
//! - `cli`: the command.

pub use varangian_base::{Matrix, Rows, Seed, SpecError};
pub use varangian_rules::{Pipeline, Post, Pre, Round, Rule, Verdict};

/// Rows, packed signs, seeds, kernels over rows, and what a variant says about itself.
pub use varangian_base as base;

/// Gradient aggregation rules, stages around them, filters and votes.
pub use varangian_rules as rules;

/// What Byzantine workers send.
pub use varangian_attacks as attacks;

/// Models, data sets, partitions and optimisers.
#[cfg(feature = "train")]
pub use varangian_learn as learn;

/// Worker, adversary, intake and server: machines without socket, clock or thread.
#[cfg(feature = "train")]
pub use varangian_train as train;

/// Drivers of these machines in one process: lockstep, a simulated network, asynchronous.
#[cfg(feature = "train")]
pub use varangian_sim as sim;

/// Experiment files, grids, results, statistics, pictures and reports.
#[cfg(feature = "lab")]
pub use varangian_lab as lab;
#[cfg(feature = "lab")]
pub use varangian_lab::{Experiment, Failure, run::Silent};
#[cfg(feature = "net")]
pub use varangian_net as net;

/// Single papers: their experiments as one call each, and their bounds as functions.
#[cfg(feature = "lab")]
pub use varangian_papers as papers;

/// The suites that hold a stranger's rule, filter, attack, model or partition to what ours are held
/// to. Each says what it tried and what failed.
pub mod conformance {
    pub use varangian_attacks::conformance::check as check_attack;
    pub use varangian_base::{Failure, Report};
    #[cfg(feature = "train")]
    pub use varangian_learn::conformance::{check as check_model, check_partition};
    pub use varangian_rules::conformance::{check, check_filter};
}
