"""Every entry of ``varangian filters`` as a class, for experiments to name.

>>> import varangian
>>> str(varangian.filters.Kardam())
'kardam'
"""

from varangian._entries import CATALOGUE, Variant, classes

_made = classes(CATALOGUE["filters"], Variant, __name__)
globals().update(_made)
__all__ = sorted(_made)
