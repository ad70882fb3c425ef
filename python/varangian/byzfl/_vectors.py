"""ByzFL's aggregators, pre-aggregators and attacks over this core."""


from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from varangian import _arrays
from varangian import attacks as _attacks
from varangian import rules as _rules
from varangian import stages as _stages
from varangian._attack import Attack
from varangian._rule import Chain, Rule


def _count(value: Any, name: str) -> int:
    if isinstance(value, bool) or not hasattr(type(value), "__index__"):
        raise TypeError(f"{name} must be an int; got {value!r}")
    if value < 0:
        raise ValueError(f"{name} must be at least 0; got {value}")
    return int(value)


def _real(value: Any, name: str, least: float | None = None) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} must be a number; got {value!r}")
    if least is not None and value < least:
        raise ValueError(f"{name} must be at least {least}; got {value}")
    return float(value)


class _Aggregator:
    """An aggregator: called on vectors, one of them comes back."""

    _rule: Rule

    def __call__(self, vectors: Any) -> Any:
        return self._rule(vectors)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._rule.spec!r}, f={self._rule.f})"


class _Plain(_Aggregator):
    _of: ClassVar[Callable[..., Rule]]
    _more: ClassVar[dict[str, Any]] = {}

    def __init__(self, f: int = 0) -> None:
        self.f = _count(f, "f")
        self._rule = type(self)._of(f=self.f, **self._more)


class Average(_Aggregator):
    def __init__(self) -> None:
        self._rule = _rules.Average(f=0)


class Median(_Aggregator):
    """The coordinate-wise median; rows that are not finite are left out, up to a minority."""

    def __init__(self) -> None:
        self._rule = _rules.Median(f=0)

    def __call__(self, vectors: Any) -> Any:
        matrix, _ = _arrays.take(vectors)
        return self._rule(vectors, f=_not_finite(matrix))


class TrMean(_Plain):
    _of = _rules.TrimmedMean


class GeometricMedian(_Aggregator):
    def __init__(self, nu: float = 0.1, T: int = 3) -> None:
        self.nu, self.T = _real(nu, "nu", 0.0), _count(T, "T")
        self._rule = _rules.RFA(f=0, nu=self.nu or 1e-300, T=self.T)

    def __call__(self, vectors: Any) -> Any:
        matrix, _ = _arrays.take(vectors)
        return self._rule(vectors, f=_not_finite(matrix))


class Krum(_Plain):
    _of = _rules.Krum
    _more: ClassVar[dict[str, Any]] = {"variant": "byzfl", "below_bound": "allow"}


class MultiKrum(_Plain):
    _of = _rules.MultiKrum
    _more: ClassVar[dict[str, Any]] = {"variant": "byzfl", "below_bound": "allow"}


class CenteredClipping(_Aggregator):
    def __init__(self, m: Any = None, L: int = 1, tau: float = 100.0) -> None:
        self.m, self.L, self.tau = m, _count(L, "L"), _real(tau, "tau", 0.0)
        self._rule = _rules.CentredClipping(f=0, L=self.L, tau=self.tau)
        self._shift: Any = None

    def __call__(self, vectors: Any) -> Any:
        matrix, restore = _arrays.take(vectors)
        if self.m is not None and self._shift is None:
            self._shift = _arrays.vector(self.m, "m").astype(np.float64)
            if self._shift.shape != (matrix.shape[1],):
                raise ValueError(f"m has d = {matrix.shape[1]} numbers; got {self._shift.size}")
        shift = 0.0 if self._shift is None else self._shift
        # The rule starts at the origin, and clipping goes by differences: a start at m is the
        # origin of rows that are moved by m.
        moved = (matrix.astype(np.float64) - shift).astype(np.float32)
        out = self._rule(moved, f=_not_finite(matrix)).astype(np.float64) + shift
        return restore(out.astype(matrix.dtype))


class MDA(_Plain):
    _of = _rules.MDA


class MoNNA(_Aggregator):
    def __init__(self, f: int = 0, idx: int = 0) -> None:
        self.f, self.idx = _count(f, "f"), _count(idx, "idx")
        self._rule = _rules.MoNNA(f=self.f, pivot=self.idx)


class Meamed(_Plain):
    _of = _rules.MeaMed


class CAF(_Plain):
    _of = _rules.CAF
    _more: ClassVar[dict[str, Any]] = {"variant": "byzfl"}


class SMEA(_Plain):
    _of = _rules.SMEA


def _not_finite(matrix: np.ndarray) -> int:
    """For aggregators that are not told f: the rows that prove themselves hostile."""
    return int((~np.isfinite(matrix).all(axis=1)).sum())


class _PreAggregator:
    """A pre-aggregator: called on n vectors, n' come back, as a matrix."""

    _stage: Rule

    def __call__(self, vectors: Any) -> Any:
        out = self._stage(vectors, f=self._used(vectors))
        if isinstance(out, list):
            first = vectors[0]
            if _arrays.is_tensor(first):
                import torch

                return torch.stack(out)
            return np.stack(out)
        return out

    def _used(self, vectors: Any) -> int:
        return self._stage.f or 0

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._stage.spec!r})"


class NNM(_PreAggregator):
    def __init__(self, f: int = 0) -> None:
        self.f = _count(f, "f")
        self._stage = _stages.NNM(f=self.f)


class Bucketing(_PreAggregator):
    def __init__(self, s: int = 1) -> None:
        self.s = _count(s, "s")
        self._stage = _stages.Bucketing(f=0, s=self.s)

    def _used(self, vectors: Any) -> int:
        return _not_finite(_arrays.take(vectors)[0])


class Clipping(_PreAggregator):
    def __init__(self, c: float = 2.0) -> None:
        self.c = _real(c, "c", 0.0)
        self._stage = _stages.Clipping(f=0, c=self.c)

    def _used(self, vectors: Any) -> int:
        return _not_finite(_arrays.take(vectors)[0])


class ARC(_PreAggregator):
    def __init__(self, f: int = 0) -> None:
        self.f = _count(f, "f")
        self._stage = _stages.ARC(f=self.f)


class _Attack:
    """An attack: called on the honest vectors, one vector comes back."""

    _attack: Attack

    def __call__(self, honest_vectors: Any) -> Any:
        return self._attack(honest_vectors, 1)[0]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._attack.spec!r})"


class SignFlipping(_Attack):
    def __init__(self) -> None:
        self._attack = _attacks.SignFlip(of="mean")


class InnerProductManipulation(_Attack):
    def __init__(self, tau: float = 2.0) -> None:
        self.tau = _real(tau, "tau")
        self._attack = _attacks.IPM(epsilon=self.tau)


class ALittleIsEnough(_Attack):
    def __init__(self, tau: float = 1.5) -> None:
        self.tau = _real(tau, "tau")
        self._attack = _attacks.ALIE(z=self.tau, sign="positive")


class Mimic(_Attack):
    """Sends what one honest worker sends, by its place among the honest vectors."""

    def __init__(self, epsilon: int = 0) -> None:
        self.epsilon = _count(epsilon, "epsilon")
        self._attack = _attacks.Mimic(target=self.epsilon)


class Inf(_Attack):
    def __init__(self) -> None:
        self._attack = _attacks.NonFinite(value="inf")


class Gaussian(_Attack):
    def __init__(self, mu: float = 0.0, sigma: float = 1.0) -> None:
        self.mu, self.sigma = _real(mu, "mu"), _real(sigma, "sigma", 0.0)
        self._attack = _attacks.Gaussian(mean=self.mu, sd=self.sigma)


class LabelFlipping:
    """The mean of the gradients that honest clients have on flipped labels.

    ``Client`` computes those with ``LabelFlipping: True``, as its
    ``get_flat_flipped_gradients``.
    """

    def __call__(self, vectors: Any) -> Any:
        return Average()(vectors)


class _Callable(Rule):
    """Somebody's aggregator as a rule to try rows on."""

    def __init__(self, agg: Callable[[Any], Any], before: Sequence[Callable[[Any], Any]], f: int) -> None:
        super().__init__(f)
        self.agg, self.before = agg, list(before)
        self.name = f"callable-{id(self)}"

    def aggregate(self, rows: np.ndarray, f: int) -> Any:
        for stage in self.before:
            rows = stage(rows)
        return self.agg(rows)


class _Optimal(_Attack):
    _of: ClassVar[Callable[..., Attack]]
    _more: ClassVar[dict[str, Any]] = {}

    def __init__(
        self,
        agg: Any,
        pre_agg_list: Sequence[Any] = (),
        f: int = 0,
        evals: int = 20,
        start: float = 0.0,
        delta: float = 10.0,
        ratio: float = 0.8,
    ) -> None:
        if (start, delta, ratio) != (0.0, 10.0, 0.8):
            raise ValueError(
                "the line search has start=0.0, delta=10.0, ratio=0.8; "
                f"got {start}, {delta}, {ratio}"
            )
        self.f, self.evals = _count(f, "f"), _count(evals, "evals")
        ours = [getattr(one, "_stage", None) for one in pre_agg_list]
        rule = getattr(agg, "_rule", None)
        self._tried: Rule
        if rule is not None and all(stage is not None for stage in ours):
            stages = [*ours, rule]
            self._tried = Chain([_with_f(stage, self.f) for stage in stages], self.f)
        else:
            self._tried = _Callable(agg, pre_agg_list, self.f)
        self._attack = type(self)._of(search="byzfl", evaluations=self.evals, **self._more)

    def __call__(self, honest_vectors: Any) -> Any:
        if self.f == 0:
            return _attacks.SignFlip(of="mean")(honest_vectors, 1)[0]
        return self._attack(honest_vectors, self.f, rule=self._tried)[0]


def _with_f(stage: Rule, f: int) -> Rule:
    made = stage.copy()
    made._its_f = f
    return made


class Optimal_InnerProductManipulation(_Optimal):
    _of = _attacks.IPM


class Optimal_ALittleIsEnough(_Optimal):
    _of = _attacks.ALIE
    _more: ClassVar[dict[str, Any]] = {"sign": "positive"}


__all__ = [
    "ALittleIsEnough", "ARC", "Average", "Bucketing", "CAF", "CenteredClipping", "Clipping",
    "Gaussian", "GeometricMedian", "Inf", "InnerProductManipulation", "Krum", "LabelFlipping",
    "MDA", "Meamed", "Median", "Mimic", "MoNNA", "MultiKrum", "NNM",
    "Optimal_ALittleIsEnough", "Optimal_InnerProductManipulation", "SMEA", "SignFlipping", "TrMean",
]
