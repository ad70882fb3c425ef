"""Training without rounds on Flower: every reply is judged when it comes, by a filter."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from flwr.app import ConfigRecord, Message, RecordDict

from varangian import _core
from varangian._federated import _evidence
from varangian._federated._checkpoint import Checkpoint
from varangian._federated._layout import Layout, Part
from varangian._federated._npy import Refused
from varangian.flower import _messages
from varangian.flower._strategy import _content, _node

log = logging.getLogger("flwr")

Model = dict[str, np.ndarray]


@dataclass(frozen=True)
class Arrival:
    """What became of one reply."""

    number: int
    node: int
    #: Steps made since the model at which it was taken.
    staleness: int
    #: "step", "hold", "reject: …", "refused: …" or "not-finite".
    fate: str


@dataclass
class AsyncResult:
    """What a loop came to."""

    arrays: Any
    #: Steps made.
    version: int
    arrivals: list[Arrival] = field(repr=False)
    #: By version, what ``evaluate_fn`` said.
    evaluations: dict[int, Any] = field(default_factory=dict)


@dataclass
class _Asked:
    node: int
    version: int
    sent: np.ndarray
    since: float


class AsyncLoop:
    """An asynchronous server on Flower's ``Grid``.

    Every node that is connected trains at the newest model; its reply is judged alone, and the
    model moves at once, or not. A node has one task at a time; a task that is not answered within
    ``reply_timeout`` is given anew, and a late answer to the one before is still judged, as the
    stale gradient that it is. Whatever breaks the protocol is refused as in a round.

    Parameters
    ----------
    filter : str or Variant
        "zeno++ rho=0.01", "kardam", "basgd buffers=5" …: ``varangian filters`` lists them.
    n, f : int
        The most nodes that take part, and how many may be hostile. Later nodes are not asked.
    learning_rate : float
        γ of θ ← θ − γ·g, where g is what a filter answers; a node's g is the model that it was
        sent less the one it returned.
    server_gradient : callable, optional
        For Zeno++: the model as arrays by name, to the server's own g, in the same form.
    server_loss : callable, optional
        For Zeno+: the model as arrays by name, to the loss on the server's data.
    reply_timeout : float
        Seconds.
    evidence, checkpoint, resume_from : path, optional
        As of :class:`RobustStrategy`; a checkpoint is made every ``checkpoint_every`` arrivals.
    """

    def __init__(
        self,
        filter: Any = "zeno++",
        n: int = 2,
        f: int = 0,
        *,
        learning_rate: float = 1.0,
        server_gradient: Callable[[Model], Mapping[str, np.ndarray]] | None = None,
        server_loss: Callable[[Model], float] | None = None,
        reply_timeout: float = 600.0,
        evidence: str | os.PathLike[str] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int = 20,
        resume_from: str | os.PathLike[str] | None = None,
        arrayrecord_key: str = "arrays",
        configrecord_key: str = "config",
        seed: int = 0,
    ) -> None:
        self.filter, self.n, self.f, self.seed = str(filter), n, f, seed
        self._filter = _core.Filter(self.filter, n, f)
        if not 0 < learning_rate < float("inf"):
            raise ValueError(f"learning_rate is a number above 0; got {learning_rate}")
        if not reply_timeout > 0:
            raise ValueError(f"reply_timeout is a number of seconds above 0; got {reply_timeout}")
        if self._filter.needs_oracle and server_gradient is None and server_loss is None:
            raise ValueError(
                f"{self.filter} asks for the server's own data: give server_gradient= or server_loss="
            )
        self.learning_rate, self.reply_timeout = float(learning_rate), reply_timeout
        self._own = (server_gradient, server_loss)
        self._file = _evidence.Evidence(evidence)
        self._files = (checkpoint, max(1, checkpoint_every), resume_from)
        self._keys = (arrayrecord_key, configrecord_key)
        self.version = self.judged = 0
        self._nodes: list[int] = []
        self._open: dict[str, _Asked] = {}

    def start(
        self,
        grid: Any,
        initial_arrays: Any,
        arrivals: int,
        *,
        timeout: float | None = None,
        train_config: Mapping[str, Any] | None = None,
        evaluate_fn: Callable[[int, Any], Any] | None = None,
        evaluate_every: int = 10,
        pause: float = 0.1,
    ) -> AsyncResult:
        """Judges so many arrivals, refused ones included; ends sooner after ``timeout`` seconds."""
        model = _messages.model_of(initial_arrays)
        self._begin(model)
        began, told = time.monotonic(), dict(train_config or {})
        result = AsyncResult(initial_arrays, 0, [])
        while self.judged < arrivals:
            self._ask(grid, told)
            replies = list(grid.pull_messages(list(self._open))) if self._open else []
            for message in replies:
                if self.judged >= arrivals:
                    break
                before = self.version
                result.arrivals.append(self._judge(message))
                if evaluate_fn and self.version > before and self.version % evaluate_every == 0:
                    result.evaluations[self.version] = evaluate_fn(self.version, self._record())
                self._save(last=False)
            if timeout is not None and time.monotonic() - began > timeout:
                log.warning("%d of %d arrivals within %g s", self.judged, arrivals, timeout)
                break
            if not replies:
                time.sleep(pause)
        self._save(last=True)
        result.arrays, result.version = self._record(), self.version
        return result

    # Inside.

    def _begin(self, model: dict[str, tuple[str, np.ndarray]]) -> None:
        resumed = self._files[2]
        self._layout = Layout.of({name: (dtype, a.shape) for name, (dtype, a) in model.items()})
        # Filters compute in float32.
        self._layout.dtype = np.float32
        if resumed is not None:
            kept = Checkpoint.load(resumed)
            if [Part(*part) for part in kept.parts] != self._layout.parts or kept.rule != self.filter:
                raise ValueError(f"{os.fspath(resumed)} is of another model or filter")
            model = {p[0]: (p[1], a) for p, a in zip(kept.parts, kept.arrays, strict=True)}
            self._filter.load(kept.memory)
            self.judged, self._nodes = kept.round, kept.nodes
            self.version = int(kept.optimiser["version"][0])
        try:
            self._params, self._wholes = self._layout.take(list(model), lambda n, d, s: model[n][1])
        except Refused as error:
            raise ValueError(f"the model is not finite: {error.reason}") from error

    def _record(self) -> Any:
        dtypes = {part.name: part.dtype for part in self._layout.parts}
        return _messages.record_of(self._layout.give(self._params, self._wholes), dtypes)

    def _ask(self, grid: Any, told: Mapping[str, Any]) -> None:
        now = time.monotonic()
        overdue = {a.node for a in self._open.values() if now - a.since > self.reply_timeout}
        busy = {a.node for a in self._open.values()} - overdue
        for node in sorted(set(grid.get_node_ids()) - set(self._nodes)):
            if len(self._nodes) < self.n:
                self._nodes.append(node)
        nodes = [node for node in grid.get_node_ids() if node in self._nodes and node not in busy]
        if not nodes:
            return
        arrays = self._record()
        messages = []
        for node in nodes:
            config = ConfigRecord({**told, "server-round": self.version + 1})
            content = RecordDict({self._keys[0]: arrays, self._keys[1]: config})
            messages.append(Message(content=content, message_type="train", dst_node_id=node))
        sent = self._params.copy()
        for node, name in zip(nodes, grid.push_messages(messages), strict=True):
            if not name:
                continue
            # Of one node, the task at hand and the one before are remembered, and no more.
            mine = [key for key, asked in self._open.items() if asked.node == node]
            for old in mine[:-1]:
                del self._open[old]
            self._open[name] = _Asked(node, self.version, sent, now)

    def _judge(self, message: Any) -> Arrival:
        node, asked, staleness = _node(message), None, 0
        norm = None
        try:
            asked = self._open.pop(message.metadata.reply_to_message_id, None)
            if asked is None or asked.node != node:
                raise Refused("it was not asked, or replied before", proven=False)
            staleness = self.version - asked.version
            record = _messages.sole(_content(message), "array_records")
            row, _ = self._layout.take(list(record.keys()), _messages.reader(record))
            with np.errstate(all="ignore"):
                row = asked.sent - row
            if not np.isfinite(row).all():
                raise Refused("its distance from what was sent is beyond every float")
            norm = float(np.linalg.norm(row.astype(np.float64)))
        except Exception as error:
            said = error.reason if isinstance(error, Refused) else f"{type(error).__name__}: {error}"
            fate = f"refused: {said}"[:200]
            log.warning("arrival %d: reply of node %s %s", self.judged, node, fate)
        else:
            fate = self._offer(row, asked)
        arrival = Arrival(self.judged, node, staleness, fate)
        self._write(arrival, norm)
        self.judged += 1
        return arrival

    def _offer(self, row: np.ndarray, asked: _Asked) -> str:
        gradient, loss = self._own
        about = {
            "worker": self._nodes.index(asked.node), "version": asked.version, "now": self.version,
            "learning_rate": self.learning_rate, "seed": self.seed,
            "loss": None if loss is None else self._loss,
            "gradient": None if gradient is None else self._gradient,
        }
        fate, out = self._filter.offer(row, self._params, asked.sent, about)
        if out is None:
            return fate
        with np.errstate(all="ignore"):
            moved = self._params - np.float32(self.learning_rate) * out
        try:
            if not np.isfinite(moved).all():
                return "not-finite"
            self._layout.give(moved, self._wholes)
        except OverflowError:
            return "not-finite"
        self._params = moved
        self.version += 1
        return fate

    def _loss(self, params: np.ndarray) -> float:
        assert self._own[1] is not None
        try:
            model = self._layout.give(params, self._wholes)
        except OverflowError:
            return float("inf")
        return float(self._own[1](model))

    def _gradient(self, params: np.ndarray) -> np.ndarray:
        assert self._own[0] is not None
        made = self._own[0](self._layout.give(params, self._wholes))
        parts = [np.asarray(made[part.name], np.float32).reshape(-1) for part in self._layout.floats]
        whole = np.concatenate(parts)
        if not np.isfinite(whole).all():
            raise ValueError("server_gradient answers finite numbers; some are not")
        return whole

    def _write(self, arrival: Arrival, norm: float | None) -> None:
        if not self._file.active or not isinstance(arrival.node, int) or arrival.node < 0:
            return
        word, _, reason = arrival.fate.partition(": ")
        shape = (1, self.f, self._layout.d)
        line = _evidence.refused(self.filter, shape, arrival.number, arrival.node, reason or word)
        if word != "refused":
            kept = word in ("step", "hold")
            line |= {"verdict": "kept" if kept else "excluded", "norm": norm}
            line |= {"weight": 1.0, "reason": None} if word == "step" else {}
        self._file.write([line])

    def _save(self, last: bool) -> None:
        path, every, _ = self._files
        if path is None or not (last or self.judged % every == 0):
            return
        model = self._layout.give(self._params, self._wholes)
        Checkpoint(
            round=self.judged,
            rule=self.filter,
            parts=[(part.name, part.dtype, part.shape) for part in self._layout.parts],
            arrays=[model[part.name] for part in self._layout.parts],
            memory=self._filter.save(),
            optimiser={"version": np.array([self.version], np.int64)},
            nodes=self._nodes,
        ).save(path)
