"""Rules: those of the lists, chains of them, and those that you write."""

from __future__ import annotations

import copy
import inspect
import json
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from varangian import _arrays, _core
from varangian._entries import spelling
from varangian._kept import Kept, held

# Numbers of each row that tell, before evidence is taken, whether rows have changed.
_SAMPLE = 64


class Rule(Kept):
    """An aggregation rule: n rows, of which at most f are hostile, to one vector.

    Rules of the lists are classes of :mod:`varangian.rules` and :mod:`varangian.stages`, or texts:
    ``varangian.rule("nnm | trimmed-mean", f=2)``. To write one, subclass this and define
    :meth:`aggregate`; it then stands in chains and experiments as the others do:

    >>> import numpy, varangian
    >>> class Middle(varangian.Rule):
    ...     def aggregate(self, rows, f):        # (n, d) float32 -> (d,)
    ...         return numpy.median(rows, axis=0)
    >>> rows = [[0, 1], [0, 3], [1, 2], [0, 2], [99, -99]]
    >>> Middle(f=1)(rows).tolist()
    [0.0, 2.0]
    >>> (varangian.stages.NNM(f=1) | Middle())(rows).shape
    (2,)

    Parameters
    ----------
    f : int
        The number of rows that may be hostile, declared. May be given at the call instead.
    """

    #: What texts and experiments call it; by default the class's name in lower case with hyphens.
    name: str = ""
    #: Where it comes from.
    paper: ClassVar[str] = ""
    #: The least n: "majority" is n > 2f, "any" is n > f.
    bound: ClassVar[str] = "majority"

    _its_f: int | None = None

    def __init__(self, f: int | None = None) -> None:
        self._its_f = _count(f)

    # What you write.

    def aggregate(self, rows: np.ndarray, f: int) -> Any:
        """The aggregate of ``rows``, (n, d) float32 and finite, of which f may be hostile: (d,)."""
        raise NotImplementedError(f"{type(self).__name__} defines no aggregate(rows, f)")

    # What all have.

    @property
    def f(self) -> int | None:
        """The declared number of hostile rows."""
        return self._its_f

    @f.setter
    def f(self, f: int | None) -> None:
        self._its_f = _count(f)

    @property
    def spec(self) -> str:
        """The rule in its one spelling: "nnm | krum m=3"."""
        return self._text()

    def __call__(
        self,
        rows: Any,
        weights: Any = None,
        *,
        f: int | None = None,
        seed: int = 0,
        step: int | None = None,
        server_gradient: Any = None,
        loss: Callable[[np.ndarray], float] | None = None,
        parameters: Any = None,
        learning_rate: float = 1.0,
    ) -> Any:
        """The aggregate, in the library, dtype and structure of the rows.

        Parameters
        ----------
        rows : (n, d) array or tensor, or a list of n vectors, arrays or structures of arrays
            A row a worker. float32, float16 and bfloat16 are worked on in float32; float64 and
            whole numbers exactly in float64, ten to a hundred times slower. Never written to.
        weights : n numbers above 0, optional
            How much each row counts, by your own records; for rules with a weighted form.
        f : int, optional
            In place of the rule's own.
        seed, step : int, optional
            Where rules that draw do so. The step counts calls unless it is given.
        server_gradient : d numbers, optional
            The server's own gradient, for FLTrust.
        loss : callable, optional
            The loss on the server's data at d parameters, for Zeno.
        parameters : d numbers, optional
            Where the rows were taken; zeros by default.
        learning_rate : float, optional
            The length of the step that the loss is asked after.

        Raises
        ------
        ValueError
            If n and f are below the rule's bound, or the rows are no finite matrix beyond f.

        Examples
        --------
        The answer is like the rows: a list of dicts of arrays gives a dict of arrays.

        >>> import numpy, varangian
        >>> workers = [{"w": numpy.full((2, 2), k), "b": numpy.array([-k])} for k in (1.0, 2.0, 90.0)]
        >>> out = varangian.rule("median", f=1)(workers)
        >>> out["w"].tolist(), out["b"].tolist()
        ([[2.0, 2.0], [2.0, 2.0]], [-2.0])
        """
        used = self._used(f)
        handle = self._its_handle or self._open()
        if (
            type(rows) is np.ndarray
            and rows.dtype == np.float32
            and rows.ndim == 2
            and rows.flags.c_contiguous
            and rows.size
            and rows.dtype.isnative
            and rows.flags.aligned
        ):
            matrix, restore = rows, None
        else:
            if hasattr(rows, "__next__"):
                rows = list(rows)
            matrix, restore = _arrays.take(rows)
        if isinstance(handle, _core.Stages):
            for name, given in [
                ("weights", weights), ("server_gradient", server_gradient), ("loss", loss),
                ("parameters", parameters),
            ]:
                if given is not None:
                    raise TypeError(f"{name} is for a rule; {self._text()} alone gives rows")
            at = self._at(step)
            out = handle.rows(matrix, used, _whole(seed, "seed"), at)
            self._its_last, self._its_step = None, at + 1
            return _rows_like(rows, out, restore)
        if self._is_own():
            self._remember_start()
        if matrix.dtype == np.float64 and (handle.has_memory or handle.needs_oracle):
            matrix = _narrow(matrix, handle.spec)
        at = self._at(step)
        call = {
            "weights": None if weights is None else _numbers(weights),
            "seed": _whole(seed, "seed"),
            "step": at,
            "params": None if parameters is None else _arrays.vector(parameters, "parameters", rows),
            "learning_rate": learning_rate,
            "server_gradient": None
            if server_gradient is None
            else _arrays.vector(server_gradient, "server_gradient", rows),
            "loss": loss,
        }
        out, said = handle.aggregate(matrix, used, call)
        self._its_step = at + 1
        self._its_last = (matrix, out, said, _sample(matrix))
        return out.copy() if restore is None else restore(out.copy())

    @property
    def verdict(self) -> list[dict[str, Any]]:
        """What was found of each row of the last call, a record a row.

        ``weight`` is its share of the aggregate (None where the rule tells none), ``norm`` its
        length, ``distance`` how far it is from the aggregate, ``verdict`` "kept", "reduced",
        "excluded" or "refused" with a ``reason``, and ``p`` how unlikely so unusual a row is among
        honest ones. It is worked out when it is asked for, from the rows as they were: take it
        before you change them.

        >>> import varangian
        >>> rule = varangian.rules.CGE(f=1)
        >>> _ = rule([[1.0, 0.0], [0.9, 0.1], [1.1, 0.0], [9.0, 9.0]])
        >>> [found["verdict"] for found in rule.verdict]
        ['kept', 'kept', 'kept', 'excluded']
        """
        matrix, out, said, sample = self._demand_call()
        if not np.array_equal(sample, _sample(matrix), equal_nan=True):
            raise RuntimeError("the rows have changed since the call: take verdict before that")
        return [json.loads(line) for line in self._its_handle.evidence(matrix, out, said)]

    @property
    def weights(self) -> Any:
        """The weight of each row of the last call, n floats; None where the rule tells none.

        What an own rule keeps under this name itself is that, and so with those below.
        """
        return self._own_or("weights", lambda said: said.weights)

    @weights.setter
    def weights(self, weights: Any) -> None:
        self._keep("weights", weights)

    @property
    def refused(self) -> Any:
        """A list of (row, reason) of the rows of the last call that were not finite."""
        return self._own_or("refused", lambda said: said.refused)

    @refused.setter
    def refused(self, refused: Any) -> None:
        self._keep("refused", refused)

    @property
    def expelled(self) -> Any:
        """A list of the rows that the rule has expelled for good, as SafeguardSGD does."""
        return self._own_or("expelled", lambda said: said.expelled)

    @expelled.setter
    def expelled(self, expelled: Any) -> None:
        self._keep("expelled", expelled)

    def kappa(self, n: int) -> float | None:
        """The robustness coefficient κ at n rows, where it is known (Allouah et al. 2023).

        >>> import varangian
        >>> varangian.rules.TrimmedMean(f=2).kappa(10) < varangian.rules.Krum(f=2).kappa(10)
        True
        """
        handle = self._its_handle or self._open()
        if not isinstance(handle, _core.Rule):
            raise TypeError(f"{self!r} is no rule alone: a chain has a κ")
        kappa: float | None = handle.kappa(_whole(n, "n"), self._used(None))
        return kappa

    def check(self, n: int, f: int | None = None) -> None:
        """Refuses n and f below the bound with a ValueError.

        >>> import varangian
        >>> varangian.rules.Krum(f=3).check(n=7)
        Traceback (most recent call last):
        ValueError: krum needs n ≥ 2f + 3; got n = 7, f = 3 (Blanchard et al. 2017, §3)
        """
        handle = self._its_handle or self._open()
        if isinstance(handle, _core.Rule):
            handle.check(_whole(n, "n"), self._used(f))

    def __or__(self, other: Rule) -> Rule:
        if not isinstance(other, Rule):
            return NotImplemented
        return Chain([*self._stages(), *other._stages()])

    # Memory.

    def state_dict(self) -> dict[str, Any]:
        """What it remembers, to be taken up by :meth:`load_state_dict` of the same rule.

        >>> import varangian
        >>> first, second = [varangian.rules.CentredClipping(f=1) for _ in range(2)]
        >>> rows = [[1.0], [2.0], [60.0]]
        >>> _ = first(rows)
        >>> second.load_state_dict(first.state_dict())
        >>> bool(second(rows) == first(rows))
        True
        """
        if self._is_own() and held(self):
            name = type(self).__name__
            raise TypeError(f"{name} holds values of its own and defines no state_dict")
        memory = b"{}"
        handle = self._its_handle or self._open()
        if isinstance(handle, _core.Rule):
            memory = handle.save()
        return {"rule": self._text(), "step": self._its_step, "memory": memory}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up what :meth:`state_dict` gave."""
        missing = {"rule", "step", "memory"} - set(state)
        if missing:
            raise ValueError(f"this is no memory of a rule: it has no {', '.join(sorted(missing))}")
        if state["rule"] != self._text():
            raise ValueError(f"this is the memory of {state['rule']}; the rule is {self._text()}")
        step = _whole(state["step"], "step")
        before = self._its_handle
        handle = self._open()
        try:
            if isinstance(handle, _core.Rule):
                handle.load(state["memory"])
        except Exception:
            # Whole or not at all.
            self._its_handle = before
            raise
        self._its_step, self._its_last = step, None

    # The border.

    def _is_own(self) -> bool:
        return True

    def _text(self) -> str:
        return self._entry_of_own().name if self._is_own() else ""

    def _stages(self) -> list[Rule]:
        return [self]

    def _brought(self) -> list[Any]:
        """The entries of what Python wrote in it."""
        return [self._entry_of_own()]

    def _open(self) -> Any:
        self._its_handle = _core.Rule(self._text(), self._brought())
        return self._its_handle

    def _entry_of_own(self) -> Any:
        own = self.__dict__.get("_its_own")
        if own is None:
            if type(self).aggregate is Rule.aggregate:
                raise TypeError(f"{type(self).__name__} defines no aggregate(rows, f)")
            name, summary = self._named("rules")
            remembers = type(self).state_dict is not Rule.state_dict
            own = _core.rule(self, name, summary, type(self).paper, type(self).bound, remembers)
            self._its_own = own
        return own

    def _used(self, f: int | None) -> int:
        used = self._its_f if f is None else _count(f)
        if used is None:
            raise ValueError(
                f"how many rows may be hostile? give f: {type(self).__name__}(f=1), or rule(rows, f=1)"
            )
        return used

    def _at(self, step: int | None) -> int:
        return self._its_step if step is None else _whole(step, "step")

    def _own_or(self, name: str, found: Callable[[Any], Any]) -> Any:
        """What a rule of the user's keeps under a name; else what the last call found."""
        return self.__dict__[name] if name in self.__dict__ else found(self._demand_call()[2])

    def _keep(self, name: str, value: Any) -> None:
        if not self._is_own():
            raise AttributeError(f"{name} of {self!r} is what its last call found, and is not set")
        self.__dict__[name] = value

    def _demand_call(self) -> Any:
        if self._its_last is None:
            raise RuntimeError("the rule has not been called yet")
        return self._its_last

    def _aggregate(self, rows: np.ndarray, f: int) -> np.ndarray:
        rows.setflags(write=False)
        answer = self.aggregate(rows, f)
        who = f"{type(self).__name__}.aggregate"
        return answered(answer, (rows.shape[1],), who, rows.dtype)

    def _fork(self) -> Rule:
        return copy.deepcopy(self)

    def _save(self) -> str:
        if type(self).state_dict is Rule.state_dict:
            return "{}"
        packed: dict[str, Any] = {}
        for name, value in self.state_dict().items():
            array = np.asarray(_arrays.of_leaf(value, name) if _arrays.is_tensor(value) else value)
            whole = array.dtype.kind in "iub"
            if array.dtype.kind not in "iubf" or (whole and np.abs(array).max(initial=0) > 2**53):
                who = type(self).__name__
                raise TypeError(f"{who}.state_dict holds numbers and arrays; {name} is {value!r}")
            doubles = array.astype(np.float64).ravel()
            packed[name] = {"f64": doubles.view(np.uint64).tolist()}
            packed[f"{name}/shape"] = {"u64": [int(whole), *array.shape]}
        return json.dumps(packed)

    def _load(self, text: str) -> None:
        packed = json.loads(text)
        state: dict[str, Any] = {}
        for name, value in packed.items():
            if name.endswith("/shape"):
                continue
            whole, *shape = packed[f"{name}/shape"]["u64"]
            array = np.array(value["f64"], dtype=np.uint64).view(np.float64).reshape(shape)
            array = array.astype(np.int64) if whole else array
            state[name] = array if shape else array.item()
        if state:
            self.load_state_dict(state)


class Listed(Rule):
    """A rule or stage of the lists."""

    _entry: ClassVar[dict[str, Any]]

    @staticmethod
    def _extra(entry: dict[str, Any]) -> tuple[list[inspect.Parameter], list[tuple[str, str]]]:
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        first = inspect.Parameter("f", kind, default=None, annotation=int)
        return [first], [("f : int", "the number of rows that may be hostile, declared")]

    def __init__(self, f: int | None = None, **parameters: Any) -> None:
        # A rule of any number of rows asks for no f: the mean.
        super().__init__(0 if f is None and self._entry["facts"]["bound"] == "n ≥ 1" else f)
        self._given = {name: value for name, value in parameters.items() if value is not None}
        self._spelt = spelling(self._entry, parameters)
        self._open()

    def _is_own(self) -> bool:
        return False

    def _text(self) -> str:
        return self._spelt

    def _brought(self) -> list[Any]:
        return []

    def _open(self) -> Any:
        if self._entry["facts"]["family"] == "pre-aggregation":
            self._its_handle = _core.Stages(self._spelt)
        elif self._entry["facts"]["family"] == "rule":
            self._its_handle = _core.Rule(self._spelt, [])
        else:
            # Stands after a rule, and is nothing alone.
            self._its_handle = None
        return self._its_handle

    def __call__(self, rows: Any, *args: Any, **kwargs: Any) -> Any:
        if self._entry["facts"]["family"] == "meta-aggregation":
            name = type(self).__name__
            raise TypeError(f"{name} stands after a rule: Median(f=1) | {name}()")
        return super().__call__(rows, *args, **kwargs)

    def reset(self) -> None:
        """Forgets all earlier calls."""
        super().reset()
        self._open()

    def __repr__(self) -> str:
        given = dict(self._given)
        if self._its_f is not None:
            given = {"f": self._its_f, **given}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in given.items())})"


class Chain(Rule):
    """Stages around a rule, left to right."""

    def __init__(self, stages: Sequence[Rule], f: int | None = None) -> None:
        given = {own for own in [f, *(stage._its_f for stage in stages)] if own is not None}
        # The mean's own f of 0 says nothing.
        given = given if len(given) < 2 else given - {0}
        if len(given) > 1:
            raise ValueError(f"the stages of a chain share one f; got {sorted(given)}")
        super().__init__(next(iter(given), None))
        self._parts = list(stages)
        self._open()

    def _is_own(self) -> bool:
        return False

    def _text(self) -> str:
        return " | ".join(part._text() for part in self._parts)

    def _stages(self) -> list[Rule]:
        return self._parts

    def _brought(self) -> list[Any]:
        return [own for part in self._parts for own in part._brought()]

    def _open(self) -> Any:
        text, own = self._text(), self._brought()
        self._its_handle = (
            _core.Stages(text) if not own and _core.Stages.are(text) else _core.Rule(text, own)
        )
        return self._its_handle

    def reset(self) -> None:
        """Forgets all earlier calls."""
        super().reset()
        for part in self._parts:
            part.reset()
        self._open()

    def __repr__(self) -> str:
        return " | ".join(repr(part) for part in self._parts)


class Text(Rule):
    """A rule that a text names."""

    def __init__(self, text: str, f: int | None = None) -> None:
        super().__init__(f)
        self._written = text
        handle = self._open()
        self._spelt = text if isinstance(handle, _core.Stages) else handle.spec
        if f is None and _core.names(text) == ["average"]:
            self._its_f = 0

    def _is_own(self) -> bool:
        return False

    def _text(self) -> str:
        return self.__dict__.get("_spelt") or self._written

    def _brought(self) -> list[Any]:
        return []

    def _open(self) -> Any:
        text = self._text()
        self._its_handle = _core.Stages(text) if _core.Stages.are(text) else _core.Rule(text, [])
        return self._its_handle

    def reset(self) -> None:
        """Forgets all earlier calls."""
        super().reset()
        self._open()

    def __repr__(self) -> str:
        f = "" if self._its_f is None else f", f={self._its_f}"
        return f"rule({self._text()!r}{f})"


def rule(text: str | Rule, f: int | None = None) -> Rule:
    """The rule that a text names: ``rule("nnm | trimmed-mean", f=2)``.

    Parameters
    ----------
    text : str
        Stages and a rule, left to right, with parameters: ``varangian rules`` lists them.
    f : int
        The number of rows that may be hostile, declared.

    Examples
    --------
    >>> import varangian
    >>> robust = varangian.rule("nnm | trimmed-mean", f=1)
    >>> robust([[1.0], [1.0], [1.0], [1.0], [1e9]]).tolist()
    [1.0]
    """
    if isinstance(text, Rule):
        made = copy.copy(text)
        made._its_f = _count(f) if f is not None else made._its_f
        return made
    if not isinstance(text, str):
        raise TypeError(f"a rule is a text or a Rule; got {type(text).__name__}")
    return Text(text, f)


def answered(
    answer: Any, shape: tuple[int, ...], who: str, dtype: Any = np.float32
) -> np.ndarray:
    """What somebody's method answered, in this shape and dtype."""
    if answer is None:
        raise ValueError(f"{who} answers {shape} numbers; got None")
    array = _arrays.of_leaf(answer, who) if _arrays.is_leaf(answer) else np.asarray(answer)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{who} answers numbers; got dtype {array.dtype}")
    if array.shape != shape:
        raise ValueError(f"{who} answers shape {shape}; got {array.shape}")
    array = np.require(array, dtype=dtype, requirements=["C", "A"])
    if not np.isfinite(array).all():
        place = tuple(int(k) for k in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"{who} answers finite numbers; that at {place} is {array[place]}")
    return array


def _count(f: Any) -> int | None:
    return None if f is None else _whole(f, "f")


def _whole(x: Any, what: str) -> int:
    if isinstance(x, bool) or not hasattr(type(x), "__index__"):
        raise TypeError(f"{what} is a whole number; got {x!r}")
    value = int(x.__index__())
    if not 0 <= value < 2**63:
        raise ValueError(f"{what} is 0 to 2⁶³ − 1; got {value}")
    return value


def _numbers(weights: Any) -> list[float]:
    array = np.asarray(
        _arrays.of_leaf(weights, "weights") if _arrays.is_leaf(weights) else weights
    )
    if array.ndim != 1 or array.dtype.kind not in "fiu":
        raise ValueError(f"weights are a vector of numbers; got shape {array.shape}, {array.dtype}")
    numbers: list[float] = array.astype(np.float64).tolist()
    return numbers


def _narrow(matrix: np.ndarray, rule: str) -> np.ndarray:
    """float64 rows for a rule that computes in float32: where nothing is lost."""
    narrow = matrix.astype(np.float32)
    same = np.array_equal(narrow.astype(np.float64), matrix, equal_nan=True)
    if not same:
        raise ValueError(
            f"{rule} computes in float32, and rounding would change these float64 rows: "
            "pass them as float32"
        )
    return narrow


def _sample(matrix: np.ndarray) -> np.ndarray:
    return matrix[:, :: max(1, matrix.shape[1] // _SAMPLE)].copy()


def _rows_like(rows: Any, out: np.ndarray, restore: Any) -> Any:
    """Mixed rows: a matrix where rows were one, else a list of what they were."""
    if restore is None:
        return out
    if _arrays.is_leaf(rows):
        return restore(out)
    return [restore(row.copy()) for row in out]
