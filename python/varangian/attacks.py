"""Every attack as a class.

>>> import numpy, varangian
>>> attack = varangian.attacks.ALIE(z=1.5)
>>> attack.spec
'alie z=1.5'
>>> attack(numpy.ones((5, 3)), f=2).tolist()
[[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
"""

from varangian._attack import Listed
from varangian._entries import CATALOGUE, classes

_made = classes(CATALOGUE["attacks"], Listed, __name__)
globals().update(_made)
__all__ = sorted(_made)
