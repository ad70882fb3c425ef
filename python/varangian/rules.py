"""Every aggregation rule as a class.

>>> import varangian
>>> rule = varangian.rules.MultiKrum(f=1, m=2)
>>> rule.spec
'multi-krum m=2'
>>> rule([[1.0], [1.0], [1.0], [1.0], [9.0]]).tolist()
[1.0]
"""

from varangian._entries import CATALOGUE, classes
from varangian._rule import Listed

_made = classes(
    [entry for entry in CATALOGUE["rules"] if entry["facts"]["family"] == "rule"], Listed, __name__
)
globals().update(_made)
__all__ = sorted(_made)
