"""Who is off: tests over ranks, layers and steps with a false-alarm rate that the user sets.

Each step gives three numbers for every rank and layer, of sketches alone, each relative to the
median over the ranks: how long the gradient is, how far it lies from the ranks' coordinate-wise
median, and how little it points along the last aggregate. A number is compared with those of the
last steps of all ranks, which share one distribution while nothing is wrong, and so gets a p-value: the share of
earlier numbers that were at least as large, and beyond the largest tenth a tail fitted to them.
Lengths and distances are logarithms and have an exponential tail, a Pareto tail of ratios (the
estimator of Hill 1975, widened by twice its own error). Directions are none, and have a tail of
their own shape: a generalised Pareto distribution whose shape comes from the mean and the variance
of what lies beyond (Hosking & Wallis 1987), at least exponential, plus twice its own error.

Two tests share the false-alarm rate, which counts alarms a step over all ranks, layers and
numbers:

- a single step: p below its share of the rate (Bonferroni);
- a long suspicion: each p, that of a direction without its tail, becomes an e-value ((1 − p + p·ln p)/(p·ln² p), whose mean is at most 1
  while nothing is wrong), and the Shiryaev–Roberts sum M ← (M + 1)·e raises an alarm at the inverse
  of its share (Shin, Ramdas & Rinaldo 2023: it does so at most once in that many steps).

*Differs:* the papers ask for exact p-values. Ours are of the recent past, whose numbers are not
quite independent; the rate is measured, see docs/bad-rank.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from varangian.torch._sketch import HEAD

#: What is looked at in each layer.
STATISTICS = ("norm", "distance", "direction")
#: Numbers of all ranks that are remembered for each layer.
REMEMBERED = 2048
#: Fewer than this many earlier numbers say nothing.
LEAST = 128
#: The share of the earlier numbers that the tail is fitted to.
TAIL = 0.1
#: Steps between two fits.
REFIT = 8
#: What is kept of tests, by name.
ARRAYS = {
    "past": "_past", "sorted": "_sorted", "threshold": "_threshold", "excess": "_excess",
    "shape": "_shape", "sums": "sums", "last": "last",
}


@dataclass(frozen=True)
class Alarm:
    """That a rank is off."""

    rank: int
    step: int
    #: "non-finite", "step", "sequence" or "reduce".
    kind: str
    layer: str
    statistic: str
    #: The false-alarm rate a step, over all ranks and layers, at which it would just be raised.
    p: float

    def __str__(self) -> str:
        where = f" of {self.layer}" if self.layer else ""
        return f"rank {self.rank}: {self.statistic}{where} ({self.kind}, p = {self.p:.2g})"


class Suspicion:
    """The tests of some layers over n ranks. The same numbers give every rank the same alarms."""

    def __init__(self, names: Sequence[str], n: int, rate: float) -> None:
        if not 0.0 < rate < 1.0:
            raise ValueError(f"false_alarms is a rate a step between 0 and 1; got {rate}")
        self.names, self.n, self.rate = [*names, "all"], n, rate
        shape = (len(self.names), len(STATISTICS))
        self._past = np.full((*shape, REMEMBERED), -np.inf)
        self._next, self._known, self._age = 0, 0, 0
        self._threshold = np.zeros(shape)
        self._excess = np.ones(shape)
        self._shape = np.zeros(shape)
        self._sorted = self._past
        #: M of each rank, layer and number.
        self.sums = np.zeros((n, *shape))
        #: The p-values of the last step, (ranks, layers and all, statistics); nan where none is.
        self.last = np.full((n, *shape), np.nan)

    @property
    def tests(self) -> int:
        """How many p-values a step gives."""
        return self.n * len(self.names) * len(STATISTICS)

    def look(self, sketches: np.ndarray, step: int, out: Sequence[int] = ()) -> list[Alarm]:
        """The alarms of a step, from the sketches of all ranks (n, layers, HEAD + BUCKETS).

        ``out`` are ranks whose numbers are not to be learnt from. Ranks whose sketch is not
        finite are passed over.
        """
        finite: np.ndarray = np.asarray(np.isfinite(sketches).all(axis=(1, 2)))
        learnt = finite.copy()
        learnt[list(out)] = False
        if learnt.sum() < 3:
            self.last[:] = np.nan
            return []
        scores = _scores(sketches, learnt)
        alarms: list[Alarm] = []
        if self._known >= LEAST:
            self._fit()
            p, seen = self._p_values(scores)
            p[~finite], seen[~finite] = 1.0, 1.0
            self.last = np.where(finite[:, None, None], p, np.nan)
            alarms = self._raise(p, seen, step)
        for rank in {alarm.rank for alarm in alarms}:
            learnt[rank] = False
        self._remember(scores[learnt])
        return alarms

    def clear(self, rank: int) -> None:
        """Forgets what was held against a rank."""
        self.sums[rank] = 0.0

    def state_dict(self) -> dict[str, Any]:
        """The past numbers, what was fitted to them, and the sums, as tensors."""
        arrays = {name: torch.from_numpy(getattr(self, at).copy()) for name, at in ARRAYS.items()}
        counts = {"next": self._next, "known": self._known, "age": self._age}
        return {"names": list(self.names), **counts, **arrays}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up what :meth:`state_dict` gave tests of the same layers and ranks.

        Raises
        ------
        ValueError
            If they were of others.
        """
        if list(state["names"]) != self.names:
            raise ValueError(
                f"this is the state of tests over {len(state['names']) - 1} layers, from "
                f"{state['names'][0]}; here are {len(self.names) - 1}, from {self.names[0]}"
            )
        found = {name: state[name].cpu().numpy().copy() for name in ARRAYS}
        if found["sums"].shape != self.sums.shape:
            n = found["sums"].shape[0]
            raise ValueError(f"this is the state of tests over {n} ranks; here are {self.n}")
        for name, at in ARRAYS.items():
            setattr(self, at, found[name])
        self._next, self._known = int(state["next"]), int(state["known"])
        self._age = int(state["age"])

    def sure(self, rank: int) -> float:
        """The least false-alarm rate at which a rank would be suspected for long by now."""
        return float(min(1.0, 2.0 * self.tests / max(self.sums[rank].max(), 1e-300)))

    def _raise(self, p: np.ndarray, seen: np.ndarray, step: int) -> list[Alarm]:
        at_once = 2.0 * self.tests * p
        e = _calibrated(seen)
        self.sums = np.minimum((self.sums + 1.0) * e, 1e300)
        for_long = 2.0 * self.tests / np.maximum(self.sums, 1e-300)
        alarms = []
        for rank in range(self.n):
            for kind, sure in (("step", at_once[rank]), ("sequence", for_long[rank])):
                if sure.min() <= self.rate:
                    layer, statistic = np.unravel_index(int(sure.argmin()), sure.shape)
                    alarms.append(
                        Alarm(rank, step, kind, self.names[int(layer)],
                              STATISTICS[int(statistic)], float(sure.min()))
                    )
                    break
        for alarm in alarms:
            self.sums[alarm.rank] = 0.0
        return alarms

    def _fit(self) -> None:
        if self._age % REFIT == 0:
            known = np.sort(self._past[..., : self._known], axis=-1)
            self._sorted = known
            count = max(int(TAIL * self._known), 2)
            self._threshold = known[..., -count - 1]
            excess = (known[..., -count:] - self._threshold[..., None]).mean(axis=-1)
            self._excess = np.maximum(excess * (1.0 + 2.0 / count**0.5), 1e-12)
            spread = known[..., -count:].var(axis=-1)
            shape = (1.0 - excess**2 / np.maximum(spread, 1e-24)) / 2.0
            self._shape = np.maximum(shape, 0.0) + 2.0 / count**0.5
            # Those of lengths and distances are logarithms.
            self._shape[..., : STATISTICS.index("direction")] = 0.0
        self._age += 1

    def _p_values(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The p-values, and those of a long suspicion: of directions without the tail."""
        known = self._sorted.shape[-1]
        p, seen = np.empty(scores.shape), np.empty(scores.shape)
        for layer in range(scores.shape[1]):
            for statistic in range(scores.shape[2]):
                past, x = self._sorted[layer, statistic], scores[:, layer, statistic]
                above = known - np.searchsorted(past, x, side="left")
                bulk = (above + 1.0) / (known + 1.0)
                count = max(int(TAIL * known), 2)
                beyond = (x - self._threshold[layer, statistic]) / self._excess[layer, statistic]
                far, shape = np.maximum(beyond, 0.0), self._shape[layer, statistic]
                if shape > 0.0:
                    far = np.log1p(shape * far) / shape
                tail = (count + 1.0) / (known + 1.0) * np.exp(-far)
                p[:, layer, statistic] = np.where(beyond > 0.0, tail, bulk)
                long = bulk if STATISTICS[statistic] == "direction" else p[:, layer, statistic]
                seen[:, layer, statistic] = long
        return np.clip(p, 1e-300, 1.0), np.clip(seen, 1e-300, 1.0)

    def _remember(self, scores: np.ndarray) -> None:
        for one in scores:
            self._past[..., self._next] = one
            self._next = (self._next + 1) % REMEMBERED
            self._known = min(self._known + 1, REMEMBERED)


def _scores(sketches: np.ndarray, among: np.ndarray) -> np.ndarray:
    """The three numbers of each rank and layer; larger is more suspicious."""
    with np.errstate(all="ignore"):
        squares = np.concatenate([sketches[:, :, 0], sketches[:, :, 0].sum(1, keepdims=True)], 1)
        vectors = sketches[:, :, HEAD:]
        centre = np.median(vectors[among], axis=0)
        off = vectors - centre
        apart = (off**2).sum(axis=2)
        apart = np.concatenate([apart, apart.sum(axis=1, keepdims=True)], axis=1)
        along = sketches[:, :, 1]
        along = np.concatenate([along, along.sum(axis=1, keepdims=True)], axis=1)
        tiny = 1e-300
        norm = np.log(np.maximum(squares, tiny)) / 2
        norm = np.abs(norm - np.median(norm[among], axis=0))
        far = np.log(np.maximum(apart, tiny)) / 2
        usual = np.median(far[among], axis=0)
        against = (np.median(along[among], axis=0) - along) / np.maximum(np.exp(usual), tiny)
        scores = np.stack([norm, far - usual, against], axis=2)
    clipped: np.ndarray = np.clip(np.nan_to_num(scores, nan=0.0), -1e3, 1e3)
    return clipped


def _calibrated(p: np.ndarray) -> np.ndarray:
    """An e-value of each p-value."""
    log = np.log(p)
    with np.errstate(all="ignore"):
        e = (1.0 - p + p * log) / (p * log**2)
    # Near p = 1 the formula cancels; its limit there is 1/2.
    value: np.ndarray = np.where(p > 0.999, 0.5, e)
    return value
