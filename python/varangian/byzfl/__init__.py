"""ByzFL's names, argument order and defaults over this core: change the import, keep the code.

>>> import numpy
>>> from varangian import byzfl            # instead of: import byzfl
>>> x = numpy.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [999.0, -999.0]])
>>> byzfl.TrMean(f=1)(x).tolist()
[4.0, 3.0]

Aggregators, pre-aggregators and attacks stand over numpy alone; ``Client``, ``Server``,
``ByzantineClient``, ``DataDistributor`` and ``run_benchmark`` want torch, and its plots matplotlib;
they are read when they are named.

An aggregator or pre-aggregator is made with its parameters and then called on an (n, d) array or
tensor, or on a list of n arrays or tensors; an attack is called on the honest vectors and returns
one vector. Answers have the library and dtype of what came in.

What differs, because it is a defect there (byzfl 0.0.11):

- a row that is not finite counts as one of f, and no aggregate is ever NaN or None;
- nothing that comes in is written to (``Clipping`` and ``ARC`` overwrite it), and float64 stays
  float64 (``CenteredClipping``, which remembers, computes in float32);
- ``GeometricMedian`` starts at the coordinate-wise median and not at the origin: three steps from
  the origin are not translation equivariant;
- ``SMEA`` and ``CAF`` take the largest eigenvalue itself, and not one power step from an unseeded
  start: the same rows give the same answer; ``CAF`` ends, however long an outlier is;
- ``CenteredClipping(m=…)`` takes an m;
- the optimal attacks try rows on a copy of the aggregator, whose memory stays as it was;
- lists of lists, tuples and whole numbers are taken;
- ``run_benchmark`` finds its own results whatever the split and however a rate is written (there an
  iid split with a parameter, and a rate of 1, are looked for under another name); two settings that
  would write into one folder are refused, and results of other settings are not taken for done;
- a Dirichlet split leaves no client without samples; ``Client`` needs no key that its example does
  not have, keeps batch norm's statistics at the server, and evaluates in evaluation mode.

*Differs:* ``Krum`` and ``MultiKrum`` keep ByzFL's count of n − f − 1 neighbours; the paper's is
``varangian.rules.Krum``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from varangian.byzfl._vectors import *  # noqa: F403
from varangian.byzfl._vectors import __all__ as _NAMES

if TYPE_CHECKING:
    from varangian.byzfl._training import ByzantineClient, Client, DataDistributor, Server
    from varangian.byzfl.benchmark import (
        aggregated_test_heatmap,
        loss_heatmap,
        run_benchmark,
        test_accuracy_curve,
        test_heatmap,
    )

_TRAINING = ["ByzantineClient", "Client", "DataDistributor", "Server"]
_BENCHMARK = [
    "aggregated_test_heatmap", "loss_heatmap", "run_benchmark", "test_accuracy_curve",
    "test_heatmap",
]


def __getattr__(name: str) -> Any:
    if name in _TRAINING:
        from varangian.byzfl import _training

        return getattr(_training, name)
    if name in _BENCHMARK:
        from varangian.byzfl import benchmark

        return getattr(benchmark, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*_NAMES, *_TRAINING, *_BENCHMARK])


__all__ = [
    "ALittleIsEnough", "ARC", "Average", "Bucketing", "ByzantineClient", "CAF", "CenteredClipping",
    "Client", "Clipping", "DataDistributor", "Gaussian", "GeometricMedian", "Inf",
    "InnerProductManipulation", "Krum", "LabelFlipping", "MDA", "Meamed", "Median", "Mimic",
    "MoNNA", "MultiKrum", "NNM", "Optimal_ALittleIsEnough", "Optimal_InnerProductManipulation",
    "SMEA", "Server", "SignFlipping", "TrMean", "aggregated_test_heatmap", "loss_heatmap",
    "run_benchmark", "test_accuracy_curve", "test_heatmap",
]
