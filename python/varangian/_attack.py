"""Attacks: those of the list, and those that you write."""

from __future__ import annotations

import copy
from typing import Any, ClassVar

import numpy as np

from varangian import _arrays, _core
from varangian._entries import spelling
from varangian._kept import Kept
from varangian._rule import Rule, _whole, answered
from varangian._rule import rule as rule_of


class Attack(Kept):
    """What f colluding workers send beside the honest rows.

    Attacks of the list are classes of :mod:`varangian.attacks`. To write one, subclass this and
    define :meth:`forge`:

    >>> import numpy, varangian
    >>> class Reversed(varangian.Attack):
    ...     def forge(self, honest, f):          # (h, d) float32 -> (d,) or (f, d)
    ...         return -3 * honest.mean(axis=0)
    >>> Reversed()(numpy.array([[1.0, 0.0], [3.0, 2.0]]), f=2).tolist()
    [[-6.0, -3.0], [-6.0, -3.0]]
    """

    paper: ClassVar[str] = ""

    def forge(self, honest: np.ndarray, f: int) -> Any:
        """What f workers send: one vector of d numbers that all of them send, or (f, d)."""
        raise NotImplementedError(f"{type(self).__name__} defines no forge(honest, f)")

    @property
    def spec(self) -> str:
        """The attack as a text: "alie z=1.5"."""
        return self._text()

    def __call__(
        self,
        honest: Any,
        f: int,
        *,
        own: Any = None,
        rule: Rule | str | None = None,
        declared: int | None = None,
        step: int | None = None,
        seed: int = 0,
    ) -> Any:
        """The rows of f hostile workers, in the library and dtype of the honest ones: (f, d).

        Parameters
        ----------
        honest : (h, d) array or tensor, or a list of h vectors or structures
            What the honest workers send. Attacks compute in float32.
        f : int
            The number of hostile workers.
        own : like ``honest``, optional
            What they would have sent; by default hostile worker j repeats honest row j.
        rule : Rule or str, optional
            For attacks that try rows on the rule: they try them on a copy.
        declared : int, optional
            The f that the server was told; f by default.

        Examples
        --------
        >>> import numpy, varangian
        >>> honest = numpy.array([[1.0, 0.0], [3.0, 2.0]])
        >>> varangian.attacks.SignFlip(scale=4)(honest, f=1).tolist()
        [[-4.0, -0.0]]
        >>> varangian.attacks.Worst()(honest, f=1, rule="median").shape
        (1, 2)
        """
        hostile = _whole(f, "f")
        if hasattr(honest, "__next__"):
            honest = list(honest)
        matrix, restore = _arrays.take(honest)
        single = np.ascontiguousarray(matrix, dtype=np.float32)
        if own is None:
            mine = single[np.arange(hostile) % len(single)]
        else:
            # Structures go by the names and in the order of the honest ones.
            plain = _arrays.is_leaf(honest) or _arrays.is_leaf(own)
            taken = _arrays.take(own)[0] if plain else _arrays.take([honest[0], *own])[0][1:]
            mine = np.ascontiguousarray(taken, dtype=np.float32)
            if mine.shape != (hostile, single.shape[1]):
                raise ValueError(
                    f"own rows are f × d = {hostile} × {single.shape[1]}; got {mine.shape}"
                )
        told = hostile if declared is None else _whole(declared, "declared")
        tried = None
        if rule is not None:
            chosen = rule_of(rule, told)
            chosen.check(len(single) + hostile)
            tried = chosen._its_handle or chosen._open()
            if not isinstance(tried, _core.Rule):
                raise TypeError(f"an attack tries rows on a rule; {chosen!r} is none alone")
        at = self._its_step if step is None else _whole(step, "step")
        if not isinstance(self, Listed):
            self._remember_start()
        handle = self._its_handle or self._open()
        rows = handle.forge(single, mine, told, at, _whole(seed, "seed"), tried)
        self._its_step = at + 1
        out = rows.astype(matrix.dtype, copy=False)
        if _arrays.is_leaf(honest):
            return restore(out)
        return [restore(row.copy()) for row in out]

    def poison(
        self, labels: Any, classes: int, *, hostile: int = 0, of: int = 1, step: int = 0, seed: int = 0
    ) -> np.ndarray:
        """The labels that a hostile worker trains on in place of these, for attacks on labels.

        >>> import varangian
        >>> varangian.attacks.LabelFlip().poison([0, 1, 9], classes=10).tolist()
        [9, 8, 0]
        """
        given = np.asarray(labels)
        if given.dtype.kind not in "iu" or (given.size and given.min() < 0):
            raise ValueError("labels are whole numbers from 0")
        handle = self._its_handle or self._open()
        flipped = handle.poison(given.ravel().tolist(), classes, (hostile, of), step, seed)
        return np.array(flipped, dtype=given.dtype).reshape(given.shape)

    def __str__(self) -> str:
        return self._text()

    # The border.

    def _text(self) -> str:
        return str(self._entry_of_own().name)

    def _brought(self) -> list[Any]:
        return [self._entry_of_own()]

    def _open(self) -> Any:
        self._its_handle = _core.Attack(self._text(), self._brought())
        return self._its_handle

    def _entry_of_own(self) -> Any:
        own = self.__dict__.get("_its_own")
        if own is None:
            if type(self).forge is Attack.forge:
                raise TypeError(f"{type(self).__name__} defines no forge(honest, f)")
            name, summary = self._named("attacks")
            own = self._its_own = _core.attack(self, name, summary, type(self).paper)
        return own

    def _forge(self, honest: np.ndarray, own: np.ndarray, about: tuple[Any, ...]) -> np.ndarray:
        honest.setflags(write=False)
        hostile, d = own.shape
        answer = self.forge(honest, hostile)
        shape = getattr(answer, "shape", None)
        if shape is None:
            answer = np.asarray(answer, dtype=np.float32)
            shape = answer.shape
        if tuple(shape) == (d,):
            return np.tile(_any(answer, (d,), f"{type(self).__name__}.forge"), (hostile, 1))
        return _any(answer, (hostile, d), f"{type(self).__name__}.forge")

    def _fork(self) -> Attack:
        return copy.deepcopy(self)


def _any(answer: Any, shape: tuple[int, ...], who: str) -> np.ndarray:
    """As ``answered``; an attack may send what is not finite."""
    array = _arrays.of_leaf(answer, who) if _arrays.is_leaf(answer) else np.asarray(answer)
    if np.isfinite(array).all():
        return answered(answer, shape, who)
    if array.shape != shape:
        raise ValueError(f"{who} answers shape {shape}; got {array.shape}")
    return np.ascontiguousarray(array, dtype=np.float32)


class Listed(Attack):
    """An attack of the list."""

    _entry: ClassVar[dict[str, Any]]

    def __init__(self, **parameters: Any) -> None:
        self._given = {name: value for name, value in parameters.items() if value is not None}
        self._spelt = spelling(self._entry, parameters)
        self._open()

    def _text(self) -> str:
        return self._spelt

    def _brought(self) -> list[Any]:
        return []

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self._given.items())
        return f"{type(self).__name__}({given})"
