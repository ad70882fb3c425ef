"""Every entry of ``varangian partitions`` as a class, for experiments to name.

>>> import varangian
>>> varangian.partitions.Dirichlet(alpha=0.3).spec
'dirichlet alpha=0.3'
"""

from varangian._entries import CATALOGUE, Variant, classes

_made = classes(CATALOGUE["partitions"], Variant, __name__)
globals().update(_made)
__all__ = sorted(_made)
