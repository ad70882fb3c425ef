"""A round of a server whose nodes cannot be trusted: what was sent, who replied, what comes of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from varangian import _core
from varangian._federated import _evidence
from varangian._federated._checkpoint import Checkpoint
from varangian._federated._layout import Layout, Part, Take
from varangian._federated._npy import Refused
from varangian._federated._optimisers import ServerOptimiser
from varangian._federated._weights import Given, Weights
from varangian._rule import Rule
from varangian._rule import rule as rule_of

Model = dict[str, np.ndarray]


@dataclass
class Outcome:
    """What became of a round."""

    #: From 1.
    round: int
    #: The new model; None where the one that was sent is kept.
    arrays: Model | None
    #: Why the model is kept.
    kept: str | None
    #: The nodes whose rows the rule saw, in order.
    used: list[int]
    #: Why the others' rows were not.
    refused: dict[int, str]
    #: Who was asked and did not reply.
    silent: list[int]
    #: The hostile nodes that the rule reckoned with.
    f: int
    #: The share of each node that was used, where the rule tells it.
    shares: dict[int, float] | None = None
    #: The weights of the rows, where nodes count differently.
    weights: dict[int, float] | None = None
    #: How the model should move, as the rule says, before the server's optimiser.
    aggregate: np.ndarray | None = field(default=None, repr=False)


@dataclass
class Options:
    """How a server decides; see ``varangian.flower.RobustStrategy``."""

    rows: str = "deltas"
    weights: Given = None
    weight_floor: float | None = None
    weight_cap: float | None = None
    seed: int = 0
    server_optimiser: ServerOptimiser | None = None
    server_update: Callable[[Model], Mapping[str, np.ndarray]] | None = None
    server_loss: Callable[[Model], float] | None = None
    evidence: str | os.PathLike[str] | None = None
    checkpoint: str | os.PathLike[str] | None = None


class Engine:
    """The rounds of a server. ``begin``, then ``offer`` or ``refuse`` for each reply, then ``close``."""

    def __init__(
        self, rule: str | Rule, f: int | Callable[[int], int] | None, options: Options
    ) -> None:
        fixed = f if f is None or not callable(f) else None
        self.rule = rule_of(rule, fixed)
        if callable(f):
            self._f: Callable[[int], int] = f
        else:
            declared = self.rule._used(None)
            self._f = lambda n: declared
        if options.rows not in ("deltas", "models"):
            raise ValueError(f'rows are "deltas" or "models"; got {options.rows!r}')
        self.options = options
        self.weights = Weights(options.weights, options.weight_floor, options.weight_cap)
        handle = self.rule._its_handle or self.rule._open()
        if not isinstance(handle, _core.Rule):
            raise ValueError(f"{self.rule.spec} is no rule alone: give a chain that ends in one")
        self._single = handle.has_memory or handle.needs_oracle
        self._remembers = handle.has_memory
        self._demand_oracle(handle.needs_oracle)
        self._try()
        self._file = _evidence.Evidence(options.evidence)
        if options.checkpoint is not None:
            self.rule.state_dict()
        #: What evidence says of a node beside the rest.
        self.beside: Callable[[int], dict[str, Any]] | None = None
        self._nodes: list[int] = []
        self._layout: Layout | None = None
        self.round = 0

    # What is refused before anything is sent.

    def _demand_oracle(self, needed: bool) -> None:
        options = self.options
        given = options.server_update is not None or options.server_loss is not None
        if needed and not given:
            raise ValueError(
                f"{self.rule.spec} asks for the server's own data: give server_update= or server_loss="
            )
        if given and options.rows != "deltas":
            raise ValueError('the server\'s own data are for rows of "deltas"')

    def _try(self) -> None:
        """A rule that can never answer such rows says so now, in its own words."""
        rule = self.rule._fresh()
        for n in range(1, 65):
            f = max(0, min(self._f(n), n - 1))
            try:
                rule.check(n, f)
            except ValueError:
                continue
            rows = np.arange(3 * n, dtype=np.float32).reshape(n, 3)
            weights = None if self.weights.equal else [1.0] * n
            update = None if self.options.server_update is None else rows[0] + 1
            loss = None if self.options.server_loss is None else (lambda x: float(x[0]))
            if loss is not None or update is not None:
                rule(rows, weights, f=f, server_gradient=update, loss=loss, parameters=rows[0])
            else:
                rule(rows, weights, f=f)
            return

    # A round.

    def begin(self, number: int, model: Mapping[str, tuple[str, np.ndarray]], asked: Iterable[int]) -> None:
        """What was sent in round ``number``, from 1, and to whom; arrays with their dtypes' names."""
        layout = Layout.of({name: (dtype, array.shape) for name, (dtype, array) in model.items()})
        if self._single and layout.dtype is np.float64:
            # Such rules compute in float32.
            layout.dtype = np.float32
        try:
            row, wholes = layout.take(list(model), lambda name, dtype, shape: model[name][1])
        except Refused as error:
            raise ValueError(f"the model that is sent is not finite: {error.reason}") from error
        self._layout, self._sent, self._wholes = layout, row, wholes
        self.round, self.asked = number, sorted(set(asked))
        self._given: dict[int, tuple[np.ndarray, list[np.ndarray], float]] = {}
        self._refused: dict[int, str] = {}
        self._proven: set[int] = set()

    @property
    def layout(self) -> Layout:
        if self._layout is None:
            raise RuntimeError("nothing was sent yet: a round begins with the model that is sent")
        return self._layout

    def offer(
        self, node: int, names: Iterable[str], array: Take, declared: Callable[[], Any],
        difference: bool = False,
    ) -> str | None:
        """A reply: a model, or the difference to what was sent. Answers why it is refused, if so."""
        try:
            self._demand_asked(node)
            row, wholes = self.layout.take(names, array)
            if difference:
                with np.errstate(all="ignore"):
                    wholes = [
                        (kept + moved).astype(kept.dtype)
                        for kept, moved in zip(self._wholes, wholes, strict=True)
                    ]
            elif self.options.rows == "deltas":
                with np.errstate(all="ignore"):
                    row -= self._sent
                if not np.isfinite(row).all():
                    raise Refused("its distance from what was sent is beyond every float")
            weight = self.weights.of(node, declared)
            self._demand_first(node, (row, wholes, weight))
        except Refused as error:
            return self.refuse(node, error.reason, error.proven)
        self._given.setdefault(node, (row, wholes, weight))
        return None

    def sent(self) -> Model:
        """The model that was sent in the round."""
        return self.layout.give(self._sent, self._wholes)

    def difference(self, outcome: Outcome) -> Model:
        """By how much the model moves: nothing where it is kept."""
        zeros = [np.zeros_like(whole) for whole in self._wholes]
        if outcome.arrays is None or outcome.aggregate is None:
            return self.layout.give(np.zeros_like(self._sent), zeros)
        made = [outcome.arrays[part.name] for part in self.layout.wholes]
        moved = [(b - a).astype(a.dtype) if a.dtype.kind != "b" else b
                 for a, b in zip(self._wholes, made, strict=True)]
        return self.layout.give(outcome.aggregate, moved)

    def refuse(self, node: int, reason: str, proven: bool) -> str:
        """A reply that is no reply."""
        if node in self._refused:
            return reason
        if self._given.pop(node, None) is not None:
            reason, proven = f"two different replies: {reason}", True
        self._refused[node] = reason
        if proven and node in self.asked:
            self._proven.add(node)
        return reason

    def _demand_asked(self, node: Any) -> None:
        if not isinstance(node, int) or isinstance(node, bool):
            raise Refused(f"its node is {type(node).__name__}", proven=False)
        if node not in self.asked:
            raise Refused("it was not asked", proven=False)

    def _demand_first(self, node: int, given: tuple[np.ndarray, list[np.ndarray], float]) -> None:
        earlier = self._given.get(node)
        if node in self._refused:
            raise Refused("it replied before")
        if earlier is None:
            return
        pairs = zip([given[0], *given[1]], [earlier[0], *earlier[1]], strict=True)
        if given[2] != earlier[2] or any(x.tobytes() != y.tobytes() for x, y in pairs):
            raise Refused("they differ")

    def close(self) -> Outcome:
        """What the rule makes of the replies. Never raises for what nodes sent."""
        layout, used = self.layout, sorted(self._given)
        silent = [node for node in self.asked if node not in self._given | self._refused]
        seen = len(used) + len(self._proven)
        f = max(0, self._f(seen) - len(self._proven)) if seen else 0
        rows = np.empty((len(used), layout.d), layout.dtype)
        for k, node in enumerate(used):
            rows[k] = self._given[node][0]
        weights = self.weights.bounded([self._given[node][2] for node in used])
        outcome = Outcome(self.round, None, None, used, dict(self._refused), silent, f)
        if weights is not None:
            outcome.weights = dict(zip(used, weights, strict=True))
        records: list[dict[str, Any]] = []
        try:
            if not used:
                raise ValueError("nothing came that could be used")
            out = self._aggregate(rows, used, weights, f)
            records = self._verdict(used)
            told = [record["weight"] for record in records]
            if len(told) == len(used) and None not in told:
                outcome.shares = dict(zip(used, told, strict=True))
            outcome.arrays = self._moved(out, used, f)
            outcome.aggregate = out
        except (ValueError, OverflowError) as error:
            if getattr(error, "of_the_server", False):
                raise
            outcome.kept = str(error)
        self._write(outcome, records)
        self._save(outcome)
        self._given = {}
        return outcome

    def _aggregate(
        self, rows: np.ndarray, used: list[int], weights: list[float] | None, f: int
    ) -> np.ndarray:
        options = self.options
        call: dict[str, Any] = {}
        if options.server_update is not None:
            call["server_gradient"] = self._own_row()
        if options.server_loss is not None:
            # Zeno asks for the loss at parameters − row, and our rows point the other way.
            call |= {"loss": self._loss, "parameters": -self._sent.astype(np.float32)}
        elif options.server_update is not None:
            call["parameters"] = self._sent.astype(np.float32)
        missing = 0
        if self._remembers:
            rows, weights, missing = self._in_place(rows, used, weights)
        answer: np.ndarray = self.rule(
            rows, weights, f=f + missing, seed=options.seed, step=self.round - 1, **call
        )
        return answer

    def _in_place(
        self, rows: np.ndarray, used: list[int], weights: list[float] | None
    ) -> tuple[np.ndarray, list[float] | None, int]:
        """A rule that remembers knows a node by its place, and whoever is missing keeps theirs."""
        self._nodes += [node for node in self.asked if node not in self._nodes]
        if self._nodes == used:
            return rows, weights, 0
        places = [self._nodes.index(node) for node in used]
        whole = np.full((len(self._nodes), rows.shape[1]), np.nan, rows.dtype)
        whole[places] = rows
        if weights is not None:
            all_weights = [1.0] * len(self._nodes)
            for place, weight in zip(places, weights, strict=True):
                all_weights[place] = weight
            weights = all_weights
        return whole, weights, len(self._nodes) - len(used)

    def _own_row(self) -> np.ndarray:
        """The server's own update, as a row."""
        update, sent = self.options.server_update, self.layout.give(self._sent, self._wholes)
        assert update is not None
        try:
            made = update(sent)
            row, _ = self.layout.take(list(made), lambda name, dtype, shape: _own(made[name], name, shape))
        except Refused as error:
            raise _ours(ValueError(f"server_update answers the model: {error.reason}")) from error
        except Exception as error:
            raise _ours(error)
        moved: np.ndarray = (row - self._sent).astype(np.float32)
        return moved

    def _loss(self, negated: np.ndarray) -> float:
        loss = self.options.server_loss
        assert loss is not None
        try:
            model = self.layout.give((-negated).astype(self.layout.dtype), self._wholes)
        except OverflowError:
            return float("inf")
        try:
            return float(loss(model))
        except Exception as error:
            raise _ours(error)

    def _moved(self, out: np.ndarray, used: list[int], f: int) -> Model:
        """The model after the step; where that is none, the optimiser has made no step."""
        optimiser, deltas = self.options.server_optimiser, self.options.rows == "deltas"
        before = {} if optimiser is None else optimiser.state()
        with np.errstate(all="ignore"):
            if optimiser is not None:
                delta = out if deltas else out - self._sent
                row = self._sent + optimiser.step(delta, self.round)
            else:
                row = self._sent + out if deltas else out
        try:
            if not np.isfinite(row).all():
                raise OverflowError("the step leads beyond every float")
            return self.layout.give(row, self._buffers(used, f))
        except OverflowError:
            if optimiser is not None:
                optimiser.load(before, self.layout.d)
            raise

    def _buffers(self, used: list[int], f: int) -> list[np.ndarray]:
        """Whole numbers: the lower median, a number that somebody sent; kept where f may be half."""
        if len(used) <= 2 * f:
            return self._wholes
        return [
            np.asarray(_middle(np.stack([self._given[node][1][k] for node in used])))
            for k in range(len(self.layout.wholes))
        ]

    # What is written down.

    def _verdict(self, used: list[int]) -> list[dict[str, Any]]:
        records = self.rule.verdict
        if self._remembers and self._nodes != used:
            by_place = {self._nodes[record["worker"]]: record for record in records}
        else:
            by_place = dict(zip(used, records, strict=True))
        return [{**by_place[node], "worker": node} for node in used]

    def _write(self, outcome: Outcome, records: list[dict[str, Any]]) -> None:
        if not self._file.active:
            return
        shape, step = (len(outcome.used), outcome.f, self.layout.d), self.round - 1
        about = dict(outcome.refused) | {node: "nothing came" for node in outcome.silent}
        if outcome.kept is not None:
            records = []
            about |= {node: f"no step: {outcome.kept}" for node in outcome.used}
        for node, reason in about.items():
            if isinstance(node, int) and 0 <= node < 2**64:
                records.append(_evidence.refused(self.rule.spec, shape, step, node, reason))
        if self.beside is not None:
            records = [record | self.beside(record["worker"]) for record in records]
        self._file.write(sorted(records, key=lambda record: record["worker"]))

    def _save(self, outcome: Outcome) -> None:
        if self.options.checkpoint is None:
            return
        arrays = outcome.arrays or self.sent()
        optimiser = self.options.server_optimiser
        Checkpoint(
            round=self.round,
            rule=self.rule.spec,
            parts=[(part.name, part.dtype, part.shape) for part in self.layout.parts],
            arrays=[arrays[part.name] for part in self.layout.parts],
            memory=self.rule.state_dict()["memory"],
            optimiser={} if optimiser is None else optimiser.state(),
            nodes=self._nodes,
        ).save(self.options.checkpoint)

    def resume(
        self, path: str | os.PathLike[str], like: Mapping[str, tuple[str, np.ndarray]]
    ) -> Checkpoint:
        """Goes on after a checkpoint of a model of the same arrays."""
        kept = Checkpoint.load(path)
        found = {name: (dtype, shape) for name, dtype, shape in kept.parts}
        wanted = {name: (dtype, array.shape) for name, (dtype, array) in like.items()}
        if found != wanted:
            names = sorted(name for name in found | wanted if found.get(name) != wanted.get(name))
            raise ValueError(
                f"{os.fspath(path)} is of another model: its {names[0]} is {found.get(names[0])}, "
                f"the model's is {wanted.get(names[0])}"
            )
        if self._remembers or kept.rule == self.rule.spec:
            self.rule.load_state_dict(
                {"rule": kept.rule, "step": kept.round, "memory": kept.memory}
            )
        d = Layout([Part(*part) for part in kept.parts]).d
        if self.options.server_optimiser is not None:
            self.options.server_optimiser.load(kept.optimiser, d)
        self._nodes, self.round = kept.nodes, kept.round
        return kept


def _ours(error: Exception) -> Exception:
    """The server's own functions fail as what they are: no reply is to blame."""
    error.of_the_server = True  # type: ignore[attr-defined]
    return error


def _own(array: Any, name: str, shape: tuple[int, ...]) -> np.ndarray:
    made = np.asarray(array)
    if made.shape != shape:
        raise Refused(f"{name} has shape {made.shape}, wanted is {shape}")
    return made


def _middle(stacked: np.ndarray) -> np.ndarray:
    """The lower median of each place."""
    if stacked.dtype.kind == "b":
        # Bytes of a stranger: what is not 0 is true.
        stacked = stacked.view(np.uint8) != 0
    middle: np.ndarray = np.sort(stacked, axis=0)[(len(stacked) - 1) // 2]
    return middle
