//! What the report's figures show, digitised to ±0.003 in loss and ±0.3 points; and what an
//! independent program in double precision finds where the report shows nothing.

/// How workers and server learn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Learner {
    /// The sum of gradients.
    DistSgd,
    /// Majority of the signs of gradients.
    SignSgd,
    /// Majority of the signs of momenta, β = 0.9.
    Signum,
}

impl Learner {
    /// Its name in the report.
    pub(super) fn name(self) -> &'static str {
        match self {
            Learner::DistSgd => "DistSGD",
            Learner::SignSgd => "SignSGD",
            Learner::Signum => "Signum",
        }
    }
}

/// A cell of a published table: the end of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Published {
    pub(super) learner: Learner,
    pub(super) n: usize,
    /// The attack's name; "none" without hostile workers.
    pub(super) attack: &'static str,
    pub(super) hostile: usize,
    /// Test loss.
    pub(super) loss: f64,
    /// Test accuracy in percent; NaN for regression.
    pub(super) accuracy: f64,
}

/// One row of the report's tables: no adversary, 1 to 4 blind, 1 to 4 (or 1) Byzantine.
struct Row {
    learner: Learner,
    clean: (f64, f64),
    blind: &'static [(f64, f64)],
    byzantine: &'static [(f64, f64)],
}

const NAN: f64 = f64::NAN;

const LOGREG: &[Row] = &[
    Row {
        learner: Learner::DistSgd,
        clean: (0.122, 95.3),
        blind: &[(0.136, 95.2), (0.160, 94.6), (0.208, 93.0), (0.329, 90.4)],
        byzantine: &[(0.692, 53.8)],
    },
    Row {
        learner: Learner::SignSgd,
        clean: (0.135, 94.8),
        blind: &[(0.154, 94.5), (0.184, 93.5), (0.237, 92.5), (0.368, 90.1)],
        byzantine: &[(0.150, 94.8), (0.184, 94.2), (0.263, 92.4), (0.448, 87.7)],
    },
    Row {
        learner: Learner::Signum,
        clean: (0.110, 95.2),
        blind: &[(0.113, 95.2), (0.118, 95.2), (0.126, 95.2), (0.157, 93.2)],
        byzantine: &[(0.112, 95.1), (0.116, 95.1), (0.127, 95.1), (0.148, 94.7)],
    },
];

/// Signum's curves of the report cannot be told apart: all end between 0.003 and 0.007.
const LINREG: &[Row] = &[
    Row {
        learner: Learner::DistSgd,
        clean: (0.0026, NAN),
        blind: &[(0.0029, NAN), (0.0037, NAN), (0.0058, NAN), (0.0374, NAN)],
        byzantine: &[(1.20, NAN)],
    },
    Row {
        learner: Learner::SignSgd,
        clean: (0.005, NAN),
        blind: &[(0.006, NAN), (0.008, NAN), (0.012, NAN), (0.034, NAN)],
        byzantine: &[(0.006, NAN), (0.008, NAN), (0.013, NAN), (0.072, NAN)],
    },
    Row {
        learner: Learner::Signum,
        clean: (0.005, NAN),
        blind: &[(0.005, NAN), (0.005, NAN), (0.005, NAN), (0.005, NAN)],
        byzantine: &[(0.005, NAN), (0.005, NAN), (0.005, NAN), (0.005, NAN)],
    },
];

const MNIST: &[Row] = &[
    Row {
        learner: Learner::DistSgd,
        clean: (0.034, 99.0),
        blind: &[(0.043, 98.7), (0.057, 98.3), (0.083, 97.3), (0.165, 95.0)],
        byzantine: &[(2.306, 9.8)],
    },
    Row {
        learner: Learner::SignSgd,
        clean: (0.168, 95.1),
        blind: &[(0.185, 94.9), (0.201, 94.2), (0.233, 93.2), (0.355, 90.4)],
        byzantine: &[(0.200, 94.3), (0.217, 94.0), (0.537, 86.0), (1.115, 72.0)],
    },
    Row {
        learner: Learner::Signum,
        clean: (0.036, 98.8),
        blind: &[(0.040, 98.7), (0.046, 98.4), (0.064, 97.9), (0.103, 96.7)],
        byzantine: &[(0.041, 98.7), (0.049, 98.4), (0.069, 97.8), (0.143, 95.5)],
    },
];

/// An independent double-precision program, one seed: (learner, n, attack, hostile, loss,
/// accuracy).
const HIDDEN: &[(Learner, usize, &str, usize, f64, f64)] = &[
    (Learner::SignSgd, 10, "kill", 4, 0.455, 88.4),
    (Learner::SignSgd, 10, "kill", 5, 0.693, 53.9),
    (Learner::SignSgd, 11, "kill", 4, 0.656, 63.1),
    (Learner::SignSgd, 11, "kill", 5, 1.02, 17.3),
    (Learner::SignSgd, 10, "oppose", 3, 0.344, 90.6),
    (Learner::SignSgd, 10, "oppose", 4, 0.730, 44.5),
    (Learner::Signum, 10, "kill", 4, 0.161, 94.5),
    (Learner::Signum, 10, "oppose", 4, 0.189, 94.7),
    (Learner::Signum, 11, "kill", 4, 0.176, 94.5),
    (Learner::Signum, 11, "kill", 5, 0.272, 92.9),
];

/// Where the cells beside ours come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The report's figures.
    Report,
    /// A second program of this project, where the report says nothing.
    SecondProgram,
}

impl Source {
    /// Of the cells of an experiment.
    pub(super) fn of(experiment: &str) -> Self {
        if experiment == "hidden" { Source::SecondProgram } else { Source::Report }
    }

    /// The head of their columns.
    pub(super) fn short(self) -> &'static str {
        match self {
            Source::Report => "theirs",
            Source::SecondProgram => "second",
        }
    }

    /// A sentence for the head of the table.
    pub(super) fn says(self) -> &'static str {
        match self {
            Source::Report => "Theirs: digitised figures of one seed.",
            Source::SecondProgram => {
                "Second: a second, double-precision program of this project, one seed; none of it \
                 is published."
            }
        }
    }

    /// What its cells are called.
    pub(super) fn cells(self) -> &'static str {
        match self {
            Source::Report => "published cells",
            Source::SecondProgram => "cells of the second program",
        }
    }
}

/// The cells of an experiment.
pub(super) fn cells(experiment: &str) -> Vec<Published> {
    let rows = match experiment {
        "logreg" => LOGREG,
        "linreg" => LINREG,
        "hidden" => return HIDDEN.iter().map(|&cell| hidden(cell)).collect(),
        _ => MNIST,
    };
    rows.iter().flat_map(row).collect()
}

fn hidden(cell: (Learner, usize, &'static str, usize, f64, f64)) -> Published {
    let (learner, n, attack, hostile, loss, accuracy) = cell;
    Published { learner, n, attack, hostile, loss, accuracy }
}

fn row(row: &Row) -> Vec<Published> {
    let cell = |attack, hostile, (loss, accuracy): (f64, f64)| Published {
        learner: row.learner,
        n: 10,
        attack,
        hostile,
        loss,
        accuracy,
    };
    let collusion = if row.learner == Learner::DistSgd { "cancel" } else { "kill" };
    let count = |attack, list: &[(f64, f64)]| -> Vec<Published> {
        list.iter().enumerate().map(|(k, &end)| cell(attack, k + 1, end)).collect()
    };
    let mut cells = vec![cell("none", 0, row.clean)];
    cells.extend(count("blind-inversion", row.blind));
    cells.extend(count(collusion, row.byzantine));
    cells
}
