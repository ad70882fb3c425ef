# Made by stubs.py from the lists of entries.
from typing import Literal

from varangian._entries import Variant

class AsyncSGD(Variant):
    """Steps along every arrival; no defence, the baseline."""

    def __init__(
        self,
    ) -> None: ...

class BASGD(Variant):
    """Averages arrivals in B buffers and aggregates the buffers once all are filled."""

    def __init__(
        self,
        *,
        buffers: int | None = None,
        rule: str | float | None = None,
    ) -> None: ...

class Kardam(Variant):
    """Takes arrivals whose empirical Lipschitz coefficient is among the n − f lowest, dampened by staleness."""

    def __init__(
        self,
        *,
        dampening: Literal["inverse", "exponential", "none"] | None = None,
        frequency: Literal["any-f", "each", "none"] | None = None,
    ) -> None: ...

class KardamReduced(Variant):
    """The Lipschitz filter alone, against the last accepted gradient, as Zeno++'s authors compare with."""

    def __init__(
        self,
        *,
        slack: float | None = None,
        history: int | None = None,
    ) -> None: ...

class Weighted(Variant):
    """Steps along a weighted robust aggregate of every worker's last vector, weights counting arrivals."""

    def __init__(
        self,
        *,
        anchor: Literal["median", "geometric-median"] | None = None,
        ctma: bool | None = None,
        lambda_: float | None = None,
    ) -> None: ...

class ZenoPP(Variant):
    """Takes arrivals that point along the server's validation gradient, rescaled to its length."""

    def __init__(
        self,
        *,
        rho: float | None = None,
        epsilon: float | None = None,
        k: int | None = None,
        scale: Literal["rescale", "clip"] | None = None,
        penalty: Literal["paper", "raw"] | None = None,
    ) -> None: ...

class ZenoPlus(Variant):
    """Takes arrivals that lower the server's validation loss, rescaled to its gradient's length."""

    def __init__(
        self,
        *,
        rho: float | None = None,
        epsilon: float | None = None,
    ) -> None: ...

__all__ = [
    "AsyncSGD",
    "BASGD",
    "Kardam",
    "KardamReduced",
    "Weighted",
    "ZenoPP",
    "ZenoPlus",
]
