//! The laboratory: experiments, grids, results, statistics, plots and reports.
//!
//! The only place with result files and a clock. It reads no arguments, prints nothing, and handles
//! no signals: whoever runs an experiment listens to its [`run::Events`].
//!
//! ```
//! use varangian_lab::{Experiment, run::Silent};
//!
//! let text = "dataset = 'glyphs'\nrule = ['average', 'median']\nattack = 'sign-flip'\n\
//!             n = 9\nf = 3\nsteps = 60";
//! let mut experiment = Experiment::from_text(text)?;
//! # let folder = tempfile::tempdir().unwrap();
//! # experiment.how.out = Some(folder.path().to_owned());
//! let outcomes = experiment.run(&mut Silent)?;
//! let last = |k: usize| outcomes[k].curve("accuracy").last().unwrap().1;
//! assert!(last(1) > last(0));
//! # Ok::<(), varangian_lab::Failure>(())
//! ```

pub mod benchmark;
mod clock;
pub mod config;
pub mod diagnose;
pub mod evidence;
mod failure;
pub mod files;
pub mod kappa;
pub mod page;
pub mod pictures;
pub mod plot;
pub mod publish;
pub mod report;
pub mod results;
pub mod run;
pub mod suspects;
pub mod tensorboard;
pub mod text;

pub use config::Experiment;
pub use failure::Failure;
