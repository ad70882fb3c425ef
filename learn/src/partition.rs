//! Partitions: which worker learns from which samples.
