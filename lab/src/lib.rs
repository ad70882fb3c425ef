//! The laboratory: experiment files, grids, results, statistics and plots; the `varangian` command.
//!
//! The only place with arguments, result files and a clock. A subcommand is one module with a clap
//! `Args` and a `run`, and one line in `cli::Command`.

// `print` writes to both streams: a closed one is no panic, and what steers a terminal is escaped.
#![warn(clippy::print_stderr)]

mod aggregate;
mod arrays;
mod catalogue;
pub mod cli;
mod clock;
pub mod config;
mod data;
pub mod duel;
mod failure;
mod files;
mod forge;
mod html;
mod keys;
mod pictures;
mod plot;
mod print;
mod query;
mod replay;
mod reproduce;
pub mod results;
pub mod run;
mod show;
mod tensorboard;
pub mod theory;
mod trial;
mod watch;

pub use catalogue::catalogue;
pub use failure::Failure;
