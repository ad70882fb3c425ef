"""Sketches of gradients: a few numbers a layer, which tell lengths, distances and directions."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from varangian import _core

#: Numbers in the sketch of a layer.
BUCKETS = 64
#: Numbers before them: the squared length, and the product with a direction.
HEAD = 2


@dataclass
class Layer:
    """Consecutive numbers of a row that belong together: the parameters of one module."""

    name: str
    start: int
    stop: int


def layers_of(named: Sequence[tuple[str, int]]) -> list[Layer]:
    """The layers of parameters, given in order with their sizes: one a module."""
    layers: list[Layer] = []
    at = 0
    for name, size in named:
        module = name.rpartition(".")[0] or name
        if layers and layers[-1].name == module:
            layers[-1].stop = at + size
        else:
            layers.append(Layer(module, at, at + size))
        at += size
    return layers


class Sketcher:
    """Count sketches (Charikar, Chen & Farach-Colton 2002) of the layers of rows.

    A layer is written in lines of ``BUCKETS`` numbers, each line gets a random sign, and the lines
    are added up. Squared lengths of sketches, and of their differences, are those of the rows in
    the mean, with a relative deviation of about the root of 2/BUCKETS. The signs are the same on
    every rank.
    """

    def __init__(self, layers: Sequence[Layer], seed: int = 0) -> None:
        self.layers = list(layers)
        self._starts = [layer.start for layer in self.layers]
        lines = max((-(-(one.stop - one.start) // BUCKETS) for one in layers), default=0)
        draws = np.random.default_rng([seed, 0x5E7C]).integers(0, 2, size=lines)
        self._lines = (draws * 2 - 1).astype(np.float32)
        self._signs = torch.from_numpy(self._lines)
        self._sums = np.zeros((len(self.layers), HEAD + 1 + BUCKETS))

    def sketch(self, row: Any, direction: Any = None) -> np.ndarray:
        """Of each layer its squared length, its product with a direction, which is scaled to length
        1 in each layer (0 where none is given), and its sketch: (layers, HEAD + BUCKETS) float64.

        One pass over the row, on as many threads as rules have; on a device by torch's operations.
        """
        if row.device.type != "cpu":
            return self._on_device(row, direction)
        self.begin()
        self.add([(0, row)], direction)
        return self.end()

    def begin(self) -> None:
        """Begins a row that comes in parts."""
        self._sums[:] = 0.0

    def add(self, parts: Sequence[tuple[int, Any]], direction: Any = None) -> None:
        """Adds parts of the row, each float32 in one piece with its place; the direction is whole."""
        cut = []
        for place, part in parts:
            numbers = part.detach().numpy()
            stop, first = place + len(numbers), bisect_right(self._starts, place) - 1
            for k in range(max(first, 0), len(self.layers)):
                layer = self.layers[k]
                low, high = max(layer.start, place), min(layer.stop, stop)
                if layer.start >= stop:
                    break
                if low < high:
                    along = None if direction is None else direction[low:high].numpy()
                    mine = numbers[low - place : high - place]
                    cut.append((k, low - layer.start, mine, along))
        self._sums += _core.sketch(len(self.layers), cut, self._lines)

    def end(self) -> np.ndarray:
        """What :meth:`sketch` answers, of the parts that were added."""
        out = np.delete(self._sums, HEAD, axis=1)
        with np.errstate(all="ignore"):
            out[:, 1] /= np.maximum(np.sqrt(self._sums[:, HEAD]), 1e-30)
        return out

    def _on_device(self, row: Any, direction: Any) -> np.ndarray:
        signs = self._signs.to(row.device)
        out = row.new_zeros((len(self.layers), HEAD + BUCKETS))
        for line, layer in zip(out, self.layers):
            part = row[layer.start : layer.stop]
            line[0] = torch.dot(part, part)
            if direction is not None:
                along = direction[layer.start : layer.stop]
                line[1] = torch.dot(part, along) / torch.clamp(along.norm(), min=1e-30)
            whole = part.numel() // BUCKETS
            if whole:
                line[HEAD:] = signs[:whole] @ part[: whole * BUCKETS].view(whole, BUCKETS)
            rest = part[whole * BUCKETS :]
            if rest.numel():
                line[HEAD : HEAD + rest.numel()] += rest * signs[whole]
        numbers: np.ndarray = out.double().cpu().numpy()
        return numbers
