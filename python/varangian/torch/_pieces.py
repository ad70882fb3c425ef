"""A row of numbers that lies in several tensors: where it is read and where its answer goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch


class Pieces:
    """A row of float32 that lies in tensors one after the other; the tensors are 1-d, in one piece
    of memory each and on one device.
    """

    def __init__(
        self, parts: Sequence[Any], place: Callable[[int], int] | None = None
    ) -> None:
        self.parts = [part for part in parts if part.numel()] or list(parts)[:1]
        self.size = sum(part.numel() for part in self.parts)
        self.device = self.parts[0].device
        #: From a place in the pieces to the place that is told of, where that is another.
        self.place: Callable[[int], int] = place or _same
        self._whole: Any = None

    def cut(self, start: int, stop: int) -> list[Any]:
        """Views of the numbers from `start` to `stop` − 1, in order."""
        views, at = [], 0
        for part in self.parts:
            low, high = max(start - at, 0), min(stop - at, part.numel())
            if low < high:
                views.append(part[low:high])
            at += part.numel()
        return views

    def read(self) -> Any:
        """All numbers as one tensor: a copy, unless they lie in one."""
        if len(self.parts) == 1:
            return self.parts[0]
        if self._whole is None:
            self._whole = self.parts[0].new_empty(self.size)
        torch.cat(self.parts, out=self._whole)
        return self._whole

    def write(self, row: Any, start: int = 0) -> None:
        """Sets the numbers from `start` on, unless they lie where `row` does."""
        at = 0
        for view in self.cut(start, start + row.numel()):
            part = row[at : at + view.numel()]
            if part.data_ptr() != view.data_ptr():
                view.copy_(part)
            at += view.numel()

    def fill(self, value: float) -> None:
        """Sets every number."""
        for part in self.parts:
            part.fill_(value)


def _same(place: int) -> int:
    return place
