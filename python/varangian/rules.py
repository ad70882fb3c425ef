"""Every aggregation rule as a class: ``varangian.rules.Krum(f=1)``."""

from varangian._entries import CATALOGUE, classes
from varangian._rule import Listed

_made = classes(
    [entry for entry in CATALOGUE["rules"] if entry["facts"]["family"] == "rule"], Listed, __name__
)
globals().update(_made)
__all__ = sorted(_made)
