"""Every entry of ``varangian datasets`` as a class, for experiments to name.

>>> import varangian
>>> str(varangian.datasets.Glyphs())
'glyphs'
"""

from varangian._entries import CATALOGUE, Variant, classes

_made = classes(CATALOGUE["datasets"], Variant, __name__)
globals().update(_made)
__all__ = sorted(_made)
