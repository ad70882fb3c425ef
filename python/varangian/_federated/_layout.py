"""A model as one row, and back: names, shapes and dtypes that every reply must have."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from varangian._federated._npy import Refused, is_bfloat16, narrowed, widened

#: Where an array's own bytes come from, by its name.
Take = Callable[[str, str, tuple[int, ...]], np.ndarray]


@dataclass(frozen=True)
class Part:
    """One array of the model."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def whole(self) -> bool:
        """Whether it holds whole numbers or truths: a buffer that no rule mixes."""
        return not is_bfloat16(self.dtype) and np.dtype(self.dtype).kind in "iub"


class Layout:
    """The arrays of a model. Floats make up the row; whole numbers travel beside it.

    A row is float32, or float64 where any array is; float16 and bfloat16 are widened.
    """

    def __init__(self, parts: list[Part]) -> None:
        for part in parts:
            kind = "f" if is_bfloat16(part.dtype) else np.dtype(part.dtype).kind
            if kind not in "fiub" or (kind == "f" and _width(part) > 8):
                raise ValueError(
                    f"a model is of float16, bfloat16, float32, float64 and whole numbers; "
                    f"{part.name} is {part.dtype}"
                )
        self.parts = parts
        self.floats = [part for part in parts if not part.whole]
        self.wholes = [part for part in parts if part.whole]
        self.d = sum(part.size for part in self.floats)
        if self.d == 0:
            raise ValueError("a model has at least one number that is no whole number")
        wide = any(part.dtype == "float64" for part in self.floats)
        self.dtype: Any = np.float64 if wide else np.float32

    @staticmethod
    def of(arrays: Mapping[str, tuple[str, tuple[int, ...]]]) -> Layout:
        """That of arrays of these dtypes and shapes."""
        return Layout([Part(name, *about) for name, about in arrays.items()])

    def take(self, names: Any, array: Take) -> tuple[np.ndarray, list[np.ndarray]]:
        """A row and the whole numbers, from arrays that are asked for one by one.

        Raises Refused where names differ, or anything that is asked for is not as it must be.
        """
        wanted = {part.name for part in self.parts}
        found = set(names)
        if found != wanted:
            raise Refused(_differ(wanted, found))
        row, at = np.empty(self.d, self.dtype), 0
        for part in self.floats:
            given = array(part.name, part.dtype, part.shape)
            numbers = widened(given) if is_bfloat16(part.dtype) else given
            with np.errstate(all="ignore"):
                row[at : at + part.size] = numbers.reshape(-1)
            at += part.size
        wholes = [array(part.name, part.dtype, part.shape) for part in self.wholes]
        bad = np.flatnonzero(~np.isfinite(row))
        if bad.size:
            raise Refused(f"{_spelt(row[bad[0]])} at coordinate {bad[0]}, in {self.place(bad[0])}")
        return row, wholes

    def place(self, coordinate: int) -> str:
        """The array in which a coordinate of the row lies."""
        at = 0
        for part in self.floats:
            at += part.size
            if coordinate < at:
                return part.name
        raise IndexError(coordinate)

    def give(
        self, row: np.ndarray, wholes: list[np.ndarray], strict: bool = True
    ) -> dict[str, np.ndarray]:
        """The model that a row and whole numbers are, in its own dtypes.

        Raises OverflowError where a number does not fit into the array's dtype, if ``strict``.
        """
        made: dict[str, np.ndarray] = {}
        at, whole = 0, iter(wholes)
        for part in self.parts:
            if part.whole:
                made[part.name] = next(whole)
                continue
            piece = row[at : at + part.size].reshape(part.shape)
            at += part.size
            if is_bfloat16(part.dtype):
                cast = narrowed(piece).reshape(part.shape)
                fits = np.isfinite(widened(cast)).all()
            else:
                with np.errstate(all="ignore"):
                    cast = piece.astype(part.dtype)
                fits = np.isfinite(cast).all()
            if strict and not fits:
                raise OverflowError(f"the aggregate does not fit into the {part.dtype} of {part.name}")
            made[part.name] = cast
        return made


def _width(part: Part) -> int:
    return 2 if is_bfloat16(part.dtype) else np.dtype(part.dtype).itemsize


def _spelt(value: Any) -> str:
    return "NaN" if np.isnan(value) else ("Inf" if value > 0 else "-Inf")


def _differ(wanted: set[str], found: set[Any]) -> str:
    lacking = sorted(wanted - found)
    strange = sorted(str(name)[:40] for name in found - wanted)
    words = []
    if lacking:
        words.append(f"it lacks {', '.join(name[:40] for name in lacking[:3])}")
    if strange:
        words.append(f"it has {', '.join(strange[:3])}, which was not sent")
    return "other arrays: " + "; ".join(words)
