# Made by stubs.py from the lists of entries.
from typing import Literal

from varangian._entries import Variant

class ByFile(Variant):
    """Natural: all samples of one file (author, site) go to one worker; files dealt in turn.."""

    def __init__(
        self,
    ) -> None: ...

class Dirichlet(Variant):
    """Label skew with Dirichlet proportions: the smaller alpha, the fewer classes a worker sees.."""

    def __init__(
        self,
        *,
        alpha: float | None = None,
        over: Literal["workers", "classes"] | None = None,
        least: int | None = None,
        empty: Literal["move", "refuse"] | None = None,
    ) -> None: ...

class GammaSimilarity(Variant):
    """A share gamma of the samples dealt at random, the rest sorted by label and cut.."""

    def __init__(
        self,
        *,
        gamma: float | None = None,
    ) -> None: ...

class IID(Variant):
    """A random even split: shuffled once, cut into contiguous slices.."""

    def __init__(
        self,
    ) -> None: ...

class LongTail(Variant):
    """Class sizes fall geometrically, the largest `ratio` times the smallest; the rest is left out.."""

    def __init__(
        self,
        *,
        ratio: float | None = None,
        then: str | float | None = None,
    ) -> None: ...

class QuantitySkew(Variant):
    """Alike data in unequal amounts: by given sizes, or by Dirichlet proportions.."""

    def __init__(
        self,
        *,
        sizes: str | float | None = None,
        alpha: float | None = None,
        least: int | None = None,
        empty: Literal["move", "refuse"] | None = None,
    ) -> None: ...

class Shards(Variant):
    """Samples sorted by label, cut into shards, each worker dealt some at random.."""

    def __init__(
        self,
        *,
        per: int | None = None,
    ) -> None: ...

class Sorted(Variant):
    """Extreme skew: samples sorted by label, cut into contiguous slices.."""

    def __init__(
        self,
    ) -> None: ...

__all__ = [
    "ByFile",
    "Dirichlet",
    "GammaSimilarity",
    "IID",
    "LongTail",
    "QuantitySkew",
    "Shards",
    "Sorted",
]
