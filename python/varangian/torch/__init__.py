"""A robust reduce for torch.distributed: training that survives a bad rank and names it.

**What it holds against.** In the layout "sharded", the default of :class:`Guard`, each rank reduces
its own columns at the bytes of a ring all-reduce: a guard against *faults* (broken accelerators,
bad data shards, wrong code). A *hostile* rank still owns its columns there; "gather", with a
trusted root, and "replicated" hold against hostile ranks. "checked" has every column reduced twice,
against faults in the reduce itself.

::

    guard = varangian.torch.Guard(rule="trimmed-mean", f=1, evidence="evidence.jsonl")
    guard.attach(model)                      # a DistributedDataParallel or FSDP2 module
"""

from __future__ import annotations

try:
    import torch as _torch
except ImportError as error:
    text = "varangian.torch needs torch 2.4 or later: pip install varangian[torch]"
    raise ImportError(text) from error

from varangian.torch import faults
from varangian.torch._ddp import hook
from varangian.torch._doors import accelerate, lightning
from varangian.torch._guard import MODES, Guard
from varangian.torch._layouts import LAYOUTS, Outcome
from varangian.torch._optimizer import OuterOptimizer, RobustOptimizer, aggregate_gradients
from varangian.torch._suspicion import Alarm

if tuple(int(part) for part in _torch.__version__.split(".")[:2]) < (2, 4):
    raise ImportError(f"varangian.torch needs torch 2.4 or later; found {_torch.__version__}")

__all__ = [
    "LAYOUTS",
    "MODES",
    "Alarm",
    "Guard",
    "Outcome",
    "OuterOptimizer",
    "RobustOptimizer",
    "accelerate",
    "aggregate_gradients",
    "faults",
    "hook",
    "lightning",
]
