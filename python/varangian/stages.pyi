# Made by stubs.py from the lists of entries.
from typing import Literal

from varangian._rule import Listed

class ARC(Listed):
    """Adaptive robust clipping: the ⌊2(f/n)(n − f)⌋ longest rows are cut to the next one's length."""

    def __init__(
        self,
        f: int | None = None,
    ) -> None: ...

class Bucketing(Listed):
    """Means of random buckets of s rows."""

    def __init__(
        self,
        f: int | None = None,
        *,
        s: int | None = None,
        order: Literal["random", "given"] | None = None,
    ) -> None: ...

class CTMA(Listed):
    """Mean of the n − f rows nearest to the rule's answer."""

    def __init__(
        self,
        f: int | None = None,
    ) -> None: ...

class Clipping(Listed):
    """Rows longer than c are scaled down to length c."""

    def __init__(
        self,
        f: int | None = None,
        *,
        c: str | float | None = None,
    ) -> None: ...

class Exclusion(Listed):
    """Rows longer than c are left out, at most f of them, the longest first."""

    def __init__(
        self,
        f: int | None = None,
        *,
        c: float | None = None,
    ) -> None: ...

class Foundation(Listed):
    """Adds m copies of the row that is farthest from the columns' extremes."""

    def __init__(
        self,
        f: int | None = None,
        *,
        m: int | None = None,
    ) -> None: ...

class NNM(Listed):
    """Each row becomes the mean of the n − f rows nearest to it."""

    def __init__(
        self,
        f: int | None = None,
    ) -> None: ...

class PerBlock(Listed):
    """All that follows, for each block of coordinates by itself: a layer, a tensor, or a given length."""

    def __init__(
        self,
        f: int | None = None,
        *,
        by: Literal["length", "layer", "tensor"] | None = None,
        length: int | None = None,
    ) -> None: ...

__all__ = [
    "ARC",
    "Bucketing",
    "CTMA",
    "Clipping",
    "Exclusion",
    "Foundation",
    "NNM",
    "PerBlock",
]
