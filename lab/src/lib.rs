//! The laboratory: experiment files, grids, results, statistics and plots.
