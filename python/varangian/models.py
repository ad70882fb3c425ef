"""Every entry of ``varangian models`` as a class, for experiments to name.

>>> import varangian
>>> varangian.models.MLP(hidden=100).spec
'mlp hidden=100'
"""

from varangian._entries import CATALOGUE, Variant, classes

_made = classes(CATALOGUE["models"], Variant, __name__)
globals().update(_made)
__all__ = sorted(_made)
