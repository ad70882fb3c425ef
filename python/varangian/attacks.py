"""Every attack as a class: ``varangian.attacks.ALIE(z=1.5)``."""

from varangian._attack import Listed
from varangian._entries import CATALOGUE, classes

_made = classes(CATALOGUE["attacks"], Listed, __name__)
globals().update(_made)
__all__ = sorted(_made)
