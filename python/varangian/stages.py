"""Every stage before or after a rule as a class: ``NNM(f=2) | TrimmedMean(f=2)``.

A stage that stands before a rule may be called alone: it answers the rows that a rule would see.
"""

from varangian._entries import CATALOGUE, classes
from varangian._rule import Listed

_made = classes(
    [entry for entry in CATALOGUE["rules"] if entry["facts"]["family"] != "rule"], Listed, __name__
)
globals().update(_made)
__all__ = sorted(_made)
