"""Robust federated training on Flower: strategies, an asynchronous loop, hostile clients for drills.

::

    strategy = varangian.flower.RobustStrategy(rule="nnm | trimmed-mean", f=1)
    strategy.start(grid=grid, initial_arrays=arrays, num_rounds=3)
"""

from __future__ import annotations

try:
    import flwr.serverapp.strategy  # noqa: F401
except ImportError as error:
    text = "varangian.flower needs flwr 1.28 or later: pip install varangian[flower]"
    raise ImportError(text) from error

from varangian._federated._engine import Outcome
from varangian._federated._optimisers import FedAdagrad, FedAdam, FedAvgM, FedYogi
from varangian.flower._drill import hostile_mod, labels, momentum_mod, witness_mod
from varangian.flower._dropin import (
    Bulyan, FedMedian, FedTrimmedAvg, FLTrust, Krum, MultiKrum, Zeno,
)
from varangian.flower._loop import Arrival, AsyncLoop, AsyncResult
from varangian.flower._strategy import RobustStrategy

__all__ = [
    "Arrival",
    "AsyncLoop",
    "AsyncResult",
    "Bulyan",
    "FLTrust",
    "FedAdagrad",
    "FedAdam",
    "FedAvgM",
    "FedMedian",
    "FedTrimmedAvg",
    "FedYogi",
    "Krum",
    "MultiKrum",
    "Outcome",
    "RobustStrategy",
    "Zeno",
    "hostile_mod",
    "labels",
    "momentum_mod",
    "witness_mod",
]
