"""Every stage before or after a rule as a class.

A stage that stands before a rule may be called alone: it answers the rows that a rule would see.

>>> import numpy
>>> from varangian import rules, stages
>>> robust = stages.NNM(f=1) | rules.TrimmedMean(f=1)
>>> robust.spec
'nnm | trimmed-mean'
>>> stages.NNM(f=1)(numpy.array([[1.0], [2.0], [3.0], [90.0]])).shape
(4, 1)
"""

from varangian._entries import CATALOGUE, classes
from varangian._rule import Listed

_made = classes(
    [entry for entry in CATALOGUE["rules"] if entry["facts"]["family"] != "rule"], Listed, __name__
)
globals().update(_made)
__all__ = sorted(_made)
