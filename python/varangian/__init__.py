"""Training with workers that cannot be trusted: robust rules, attacks, experiments.

>>> import numpy, varangian
>>> rows = numpy.array([[0, 1], [0.1, 1.1], [0.2, 0.9], [0.1, 1.0], [1e6, -1e6]], dtype="float32")
>>> rule = varangian.rule("nnm | trimmed-mean", f=1)
>>> rule(rows).round(1).tolist()
[0.10000000149011612, 1.0]
"""

from varangian import attacks, datasets, filters, models, partitions, rules, stages
from varangian._attack import Attack
from varangian._benchmark import Entry, benchmark
from varangian._core import Defect, version
from varangian._data import Dataset
from varangian._figures import plot
from varangian._rule import Rule, rule
from varangian._run import Callback, Results, Run, run
from varangian._sweep import Sweep, submit_script, sweep
from varangian._model import Model
from varangian._work import Worked, worker

__version__ = version()
__all__ = [
    "Attack",
    "Callback",
    "Dataset",
    "Defect",
    "Entry",
    "Model",
    "Results",
    "Rule",
    "Run",
    "Sweep",
    "Worked",
    "attacks",
    "benchmark",
    "datasets",
    "filters",
    "models",
    "partitions",
    "plot",
    "rule",
    "rules",
    "run",
    "stages",
    "submit_script",
    "sweep",
    "worker",
]
