"""How much a node counts: by the server's own records, or as declared and bounded."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from varangian._federated._npy import Refused

#: By node id, as a function of it, or "declared".
Given = str | Mapping[int, float] | Callable[[int], float] | None


class Weights:
    """The weights of a server.

    Parameters
    ----------
    given : "declared", a mapping or a function of the node's id, optional
        Where weights come from; all count equally without.
    floor, cap : float, optional
        Bounds, as multiples of the round's median weight. Declared weights need a cap.
    """

    def __init__(self, given: Given, floor: float | None, cap: float | None) -> None:
        if isinstance(given, str) and given != "declared":
            raise ValueError(
                f'weights are by node id, a function of it, or "declared"; got {given!r}'
            )
        if given is not None and not isinstance(given, (str, Mapping)) and not callable(given):
            raise ValueError(f"weights are by node id, or a function of it; got {given!r}")
        self.declared = isinstance(given, str)
        if self.declared and cap is None:
            raise ValueError("declared weights need weight_cap, a multiple of the median weight")
        if given is None and (floor is not None or cap is not None):
            raise ValueError("weight_floor and weight_cap bound weights; weights= was not given")
        self.floor = 0.0 if floor is None else _number(floor, "weight_floor")
        self.cap = math.inf if cap is None else _number(cap, "weight_cap")
        if not 0 <= self.floor <= 1 <= self.cap:
            raise ValueError(
                f"weights need 0 ≤ floor ≤ 1 ≤ cap; got floor = {self.floor}, cap = {self.cap}"
            )
        if isinstance(given, Mapping):
            for node, weight in given.items():
                _finite(weight, f"the weight of node {node}")
        self._given = given

    @property
    def equal(self) -> bool:
        return self._given is None

    def of(self, node: int, declared: Callable[[], Any]) -> float:
        """The weight of a node, before it is bounded. Raises Refused where it has none."""
        if self._given is None:
            return 1.0
        if self.declared:
            return claimed(declared())
        if isinstance(self._given, Mapping):
            weight = self._given.get(node)
            if weight is None:
                raise Refused("the server has no weight for it", proven=False)
        else:
            assert callable(self._given)
            weight = self._given(node)
        weight = _finite(weight, f"the weight of node {node}")
        if weight == 0:
            raise Refused("its weight at the server is 0", proven=False)
        return weight

    def bounded(self, weights: list[float]) -> list[float] | None:
        """The weights of a round's rows; None where all count equally."""
        if self._given is None or not weights:
            return None
        median = float(np.median(weights))
        return [min(max(weight, self.floor * median), self.cap * median) for weight in weights]


def claimed(count: Any) -> float:
    """A number of samples that a node claims. Raises Refused where it is none."""
    if isinstance(count, bool) or not isinstance(count, (int, float)):
        raise Refused(f"its number of samples is {type(count).__name__}")
    try:
        number = float(count)
    except OverflowError as error:
        raise Refused("its number of samples is beyond every float") from error
    if not math.isfinite(number) or number < 0:
        raise Refused(f"its number of samples is {number}")
    if number == 0:
        raise Refused("it has no samples", proven=False)
    return number


def _number(x: Any, what: str) -> float:
    if isinstance(x, bool) or not isinstance(x, (int, float)) or math.isnan(x):
        raise ValueError(f"{what} is a number; got {x!r}")
    return float(x)


def _finite(weight: Any, what: str) -> float:
    if (
        isinstance(weight, bool)
        or not isinstance(weight, (int, float, np.integer, np.floating))
        or not (math.isfinite(float(weight)) and float(weight) >= 0)
    ):
        raise ValueError(f"{what} is a number from 0; got {weight!r}")
    return float(weight)
