"""ByzFL's benchmark: ``config.json`` in, a folder of results out, plots from the folder."""

from varangian.byzfl.benchmark.benchmark import run_benchmark
from varangian.byzfl.benchmark.evaluate_results import (
    aggregated_test_heatmap,
    find_best_hyperparameters,
    loss_heatmap,
    test_accuracy_curve,
    test_heatmap,
)

__all__ = [
    "aggregated_test_heatmap", "find_best_hyperparameters", "loss_heatmap", "run_benchmark",
    "test_accuracy_curve", "test_heatmap",
]
