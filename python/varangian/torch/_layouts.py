"""Where the rule is computed: the four layouts of a robust reduce."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch

from varangian import _core
from varangian._rule import Rule, rule as make_rule
from varangian.torch._collect import Group, host
from varangian.torch._pieces import Pieces

#: The layouts by name, and what each holds against.
LAYOUTS = {
    "sharded": "faults: every rank reduces its own columns, and could falsify them",
    "checked": "faults, also in the reduce: every column is reduced by two ranks and compared",
    "gather": "hostile ranks, as long as the root is trusted: it alone reduces",
    "replicated": "hostile ranks: every rank reduces everything by itself",
}


@dataclass
class Outcome:
    """What a reduce gave, the same on every rank."""

    #: The aggregate, d float32, good until the next reduce, or the pieces that were given for it;
    #: None where there is no step.
    row: Any
    #: Why there is no step.
    void: str | None = None
    #: (rank, reason) of the rows that the rule never saw.
    refused: list[tuple[int, str]] = field(default_factory=list)
    #: The weight of each rank; None where the rule tells none.
    weights: list[float] | None = None
    #: Evidence records, a rank each, where they were asked for; of `gather` on the root alone.
    records: list[dict[str, Any]] = field(default_factory=list)
    #: Ranks that reduced some columns to something else than the others (`checked`).
    disagreed: list[int] = field(default_factory=list)


@dataclass
class Order:
    """What a reduce is asked for, the same on every rank."""

    f: int
    step: int = 0
    #: Ranks whose rows the rule is not to see, and why.
    left_out: dict[int, str] = field(default_factory=dict)
    #: How much each rank counts.
    weights: list[float] | None = None
    #: Whether lengths and distances are measured for the records.
    measure: bool = False
    seed: int = 0


class Reducer:
    """A rule over the ranks of a group, in one layout."""

    def __init__(self, rule: str | Rule, f: int, group: Group, layout: str, root: int = 0) -> None:
        if layout not in LAYOUTS:
            raise ValueError(f"a layout is one of {', '.join(LAYOUTS)}; got {layout!r}")
        if not 0 <= root < group.size:
            raise ValueError(f"the root is a rank from 0 to {group.size - 1}; got {root}")
        # As many threads as torch has here, unless somebody computes already.
        _core.use_threads(torch.get_num_threads())
        # A rule that is given keeps its memory from reduce to reduce.
        self.rule = rule if isinstance(rule, Rule) else make_rule(rule, f)
        if self.rule.f not in (None, f):
            raise ValueError(f"the rule was made for f = {self.rule.f}; f = {f} was given here")
        self.handle: Any = self.rule._its_handle or self.rule._open()
        if not isinstance(self.handle, _core.Rule):
            raise ValueError(f"{self.rule.spec} is no rule alone: end it with one")
        if self.handle.needs_oracle:
            raise ValueError(f"{self.handle.spec} asks for a server's own data, and no rank is one")
        self.group, self.layout, self.root = group, layout, root
        self.spec: str = self.handle.spec
        self.f = f
        self.handle.check(group.size, f)

    def check(self, d: int) -> None:
        """Refuses rows of this length where the layout cannot give the rule's bits."""
        if self.layout in ("sharded", "checked"):
            try:
                self.handle.check_shards(self.group.size, d)
            except ValueError as error:
                raise ValueError(
                    f"layout={self.layout!r}: {error}; layout='replicated' and 'gather' take it"
                ) from None

    @property
    def takes_any_order(self) -> bool:
        """Whether columns may stand in any order, the same on all ranks: then rows and aggregates
        stay in pieces, where they are.
        """
        return self.layout == "sharded" and bool(self.handle.is_coordinate_wise)

    def reduce(self, row: Any, order: Order, out: Pieces | None = None) -> Outcome:
        """The aggregate of the ranks' rows; `row` is this rank's, d float32 or their pieces. It is
        written to the pieces `out`, if they are given, which may be those of the row.
        """
        row = row if isinstance(row, Pieces) else Pieces([row])
        if self.layout == "sharded":
            outcome = self._sharded(row, order, out=out or self._room(row))
        elif self.layout == "checked":
            outcome = self._checked(row, order)
        elif self.layout == "gather":
            outcome = self._gather(row.read(), order)
        else:
            whole = row.read()
            outcome = self._whole(host(self.group.gather_rows(whole)), whole, order)
        if outcome.row is not None and outcome.row is not out:
            if out is not None:
                out.write(outcome.row)
                outcome.row = out
        return outcome

    def _room(self, row: Pieces) -> Pieces:
        return Pieces([self.group.room("aggregate", row.parts[0], row.size)])

    # Rows that are whole somewhere.

    def _whole(self, rows: np.ndarray, like: Any, order: Order) -> Outcome:
        odd = _core.first_odd(rows)
        places = [(rank, k) for rank, k in enumerate(odd) if k >= 0]
        found = [(rank, k, _code(float(rows[rank, k]))) for rank, k in places]
        refused = self._refused(found, order)
        void = self._void(refused, order)
        if void:
            return Outcome(None, void, refused)
        # A row that is left out is one that is not finite, for the rule.
        if order.left_out:
            rows = rows.copy()
            rows[[rank for rank, _ in refused], 0] = np.nan
        out, said = self.handle.aggregate(rows, order.f, self._call(order))
        outcome = Outcome(torch.from_numpy(out).to(like.device), None, refused, said.weights)
        if order.measure:
            records = [json.loads(line) for line in self.handle.evidence(rows, out, said)]
            outcome.records = _with_reasons(records, refused)
        return outcome

    def _gather(self, row: Any, order: Order) -> Outcome:
        rows = self.group.gather_to(row, self.root)
        outcome, failed = Outcome(None), cast("Exception | None", None)
        told: list[Any] = [None]
        if rows is not None:
            try:
                outcome = self._whole(host(rows), row, order)
            except Exception as error:  # All ranks hear of it: none waits for the others.
                failed = error
            told = [(failed, outcome.void, outcome.refused, outcome.weights)]
        torch.distributed.broadcast_object_list(
            told, self.group.global_rank(self.root), group=self.group.group
        )
        failed, outcome.void, outcome.refused, outcome.weights = told[0]
        if failed is not None:
            raise failed
        if outcome.void is None:
            if outcome.row is None:
                outcome.row = torch.empty_like(row)
            self.group.broadcast(outcome.row, self.root)
        return outcome

    # Rows of which every rank has some columns.

    def _sharded(
        self, row: Pieces, order: Order, shift: int = 0, out: Pieces | None = None
    ) -> Outcome:
        """In `out`, or without it the columns of this rank's place alone."""
        bounds = _core.shard_bounds(row.size, self.group.size)
        rows = host(self.group.deal(row, bounds, shift))
        place = (self.group.rank - shift) % self.group.size
        part, into = self._part(row, bounds[place : place + 2], shift, out)
        dealt = {
            "bounds": bounds, "rank": place, "refused": [],
            "gather": lambda mine: self._exchange(mine, shift).reshape(-1),
        }
        found = None
        if not order.left_out and order.weights is None:
            # Rows are mostly finite, and many rules find it in passing.
            call = self._call(order)
            found = self.handle.aggregate_shard_watching(rows, order.f, call, dealt, into)
        if found is not None:
            finite, said = found
            outcome = self._joined(part, into, bounds, said, out, finite)
            if outcome is not None:
                if order.measure:
                    rows = self._here(rows, bounds, place)
                    outcome.records = self._measured(rows, into, said, [], shift)
                return outcome
        rows = self._here(rows, bounds, place)
        odd = _core.first_odd(rows)
        seen = [
            (bounds[place] + k, _code(float(rows[rank, k]))) if k >= 0 else (-1, 0)
            for rank, k in enumerate(odd)
        ]
        told = self._exchange(np.asarray(seen, dtype=np.float64), shift)
        told = told.reshape(self.group.size, self.group.size, 2)
        firsts = [(rank, *self._first(told[:, rank])) for rank in range(self.group.size)]
        firsts = [(rank, row.place(k), code) for rank, k, code in firsts if k >= 0]
        refused = self._refused(firsts, order)
        void = self._void(refused, order)
        if void:
            return Outcome(None, void, refused)
        dealt["refused"] = refused
        said = self.handle.aggregate_shard(rows, order.f, self._call(order), dealt, into)
        outcome = self._joined(part, into, bounds, said, out)
        assert outcome is not None
        outcome.refused = refused
        if order.measure:
            outcome.records = self._measured(rows, into, said, refused, shift)
        return outcome

    def _here(self, rows: np.ndarray, bounds: list[int], place: int) -> np.ndarray:
        """The columns of a place in one piece."""
        start, stop = bounds[place], bounds[place + 1]
        whole = rows.shape[1] != stop - start
        return np.ascontiguousarray(rows[:, start:stop]) if whole else rows

    def _part(
        self, row: Pieces, bounds: list[int], shift: int, out: Pieces | None
    ) -> tuple[Any, np.ndarray]:
        """Where this rank's columns of the aggregate go, and where they are computed."""
        part = None if out is None else self.group.part(out, *bounds)
        if part is None:
            part = self.group.room(f"part {shift}", row.parts[0], bounds[1] - bounds[0])
        return part, host(part)

    def _joined(
        self, part: Any, into: np.ndarray, bounds: list[int], said: Any, out: Pieces | None,
        finite: bool = True,
    ) -> Outcome | None:
        """The answer, once all have it; None where somebody has found rows that are not finite."""
        if part.device.type != "cpu":
            part.copy_(torch.from_numpy(into))
        told = np.asarray([float(finite)])
        wait = None if out is None else self.group.join(part, bounds, out)
        try:
            whole = self.group.gather(told).all()
        finally:
            if wait is not None:
                wait()
        if not whole:
            return None
        row = part if out is None else out.parts[0] if len(out.parts) == 1 else out
        return Outcome(row, None, [], said.weights)

    def _checked(self, row: Pieces, order: Order) -> Outcome:
        size, rank = self.group.size, self.group.rank
        if size == 1:
            return self._sharded(row, order, out=self._room(row))
        bounds = _core.shard_bounds(row.size, size)
        # The rule's memory is that of the first time.
        kept, second = self.handle, self.handle.fork()
        first = self._sharded(row, order)
        quiet = Order(order.f, order.step, order.left_out, order.weights, False, order.seed)
        try:
            self.handle = second
            again = self._sharded(row, quiet, shift=1)
        finally:
            self.handle = kept
        prints = [_print(first), _print(again)]
        told = self.group.gather(np.asarray(prints, dtype=np.float64))
        # What rank r made of its columns, rank r + 1 made again.
        bad = [r for r in range(size) if told[r, 0] != told[(r + 1) % size, 1]]
        if not bad:
            if first.void is None:
                whole = self._room(row)
                self.group.join(first.row, bounds, whole)()
                first.row = whole.parts[0]
            return first
        # Everybody computes everything, so that each can say who of the two was wrong.
        rows = host(self.group.gather_rows(row.read()))
        self.handle = second.fork()
        try:
            sure = self._whole(rows, row.parts[0], order)
        finally:
            self.handle = kept
        if sure.row is not None:
            for place in bad:
                right = _bits(sure.row[bounds[place] : bounds[place + 1]])
                after = (place + 1) % size
                both = ((place, told[place, 0]), (after, told[after, 1]))
                sure.disagreed += [r for r, found in both if found != right]
        sure.disagreed = sorted(set(sure.disagreed))
        return sure

    def _exchange(self, mine: np.ndarray, shift: int) -> np.ndarray:
        """The numbers of all ranks in the order of the places that they hold."""
        all_ranks = self.group.gather(mine)
        return np.roll(all_ranks, -shift, axis=0) if shift else all_ranks

    def _first(self, told: np.ndarray) -> tuple[int, int]:
        """The first odd place of a row, over what the ranks say of their columns."""
        found = told[told[:, 0] >= 0]
        return (int(found[0, 0]), int(found[0, 1])) if len(found) else (-1, 0)

    def _measured(
        self, rows: np.ndarray, out: np.ndarray, said: Any, refused: list[tuple[int, str]],
        shift: int,
    ) -> list[dict[str, Any]]:
        gone = {rank for rank, _ in refused}
        kept = [rank for rank in range(self.group.size) if rank not in gone]
        mine = _core.measure(np.ascontiguousarray(rows[kept]) if gone else rows, out)
        sums = self._exchange(np.asarray(mine, dtype=np.float64), shift).sum(axis=0)
        lengths = np.sqrt(sums).reshape(3, len(kept)).tolist()
        records = [json.loads(line) for line in self.handle.measured_evidence(said, lengths)]
        return _with_reasons(records, refused)

    # What all have.

    def _call(self, order: Order) -> dict[str, Any]:
        return {
            "weights": order.weights, "seed": order.seed, "step": order.step, "params": None,
            "learning_rate": 1.0, "server_gradient": None, "loss": None,
        }

    def _refused(self, odd: list[tuple[int, int, int]], order: Order) -> list[tuple[int, str]]:
        found = {rank: f"{_named(code)} at coordinate {k}" for rank, k, code in odd}
        return sorted({**found, **order.left_out}.items())

    def _void(self, refused: list[tuple[int, str]], order: Order) -> str | None:
        """Why no step can be made of what is left of the rows."""
        n, gone = self.group.size, len(refused)
        if gone > order.f:
            which = ", ".join(f"{rank} ({why})" for rank, why in refused)
            return f"at most f = {order.f} ranks may be bad; {gone} of {n} are: {which}"
        try:
            self.handle.check(n - gone, order.f - gone)
        except ValueError as error:
            return f"without {gone} of {n} ranks: {error}"
        return None


def _code(value: float) -> int:
    return 0 if np.isnan(value) else 1 if value > 0 else -1


def _named(code: int) -> str:
    return {0: "NaN", 1: "inf", -1: "-inf"}[code]


def _with_reasons(
    records: list[dict[str, Any]], refused: list[tuple[int, str]]
) -> list[dict[str, Any]]:
    reasons = dict(refused)
    for record in records:
        if record["worker"] in reasons:
            record["reason"] = reasons[record["worker"]]
    return records


def _print(outcome: Outcome) -> float:
    """A number from the bits of some columns and of the weights."""
    if outcome.row is None:
        return -1.0
    return _bits(outcome.row)


def _bits(part: Any) -> float:
    digest = hashlib.blake2b(host(part).tobytes(), digest_size=6).digest()
    return float(int.from_bytes(digest, "little"))
