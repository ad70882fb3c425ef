//! Drivers of the training machines in one process.
