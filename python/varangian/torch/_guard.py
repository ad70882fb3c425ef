"""The guard: a robust reduce in the place of the mean, and evidence of who was off."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from varangian._rule import Rule
from varangian.torch._agree import agree, digest
from varangian.torch._collect import Group
from varangian.torch._layouts import Order, Outcome, Reducer
from varangian.torch._pieces import Pieces
from varangian.torch._record import Recorder, quantiles
from varangian.torch._sketch import BUCKETS, HEAD, Layer, Sketcher, layers_of
from varangian.torch._suspicion import Alarm, Suspicion

#: What a guard does with what it finds.
MODES = {
    "observe": "the mean is used, to the bit what it is without a guard; alarms are written down",
    "warn": "the rule is used; alarms are written down",
    "exclude": "the rule is used; who is convicted is left out from then on, and f is one less",
}


class Guard:
    """Watches over the gradients of a group of ranks, and reduces them by a rule.

    With ``layout="sharded"``, the default, this guards against *faults*: broken accelerators, bad
    data, wrong code. Each rank reduces its own columns, so a *hostile* rank could still falsify
    those; ``layout="replicated"`` and ``"gather"`` (with a trusted root) hold against that.

    Parameters
    ----------
    rule : str or Rule
        As in :func:`varangian.rule`.
    f : int
        The number of ranks that may be bad.
    layout : "sharded", "checked", "replicated" or "gather"
        Where the rule is computed.
    mode : "observe", "warn" or "exclude"
        What is done with what is found.
    group : ProcessGroup, optional
        That of the module by default.
    evidence : path, optional
        A file to which the first rank of the group appends one JSON object a rank and step.
    metrics : path, optional
        A file that the first rank keeps at the latest metrics, in Prometheus' text format.
    false_alarms : float
        How many false alarms a step may bring in the mean, over all ranks and layers together.
    scope : "model" or "bucket"
        Of DDP: whether the rule sees whole gradients, when the last bucket is there, or each
        bucket by itself, which is another rule unless that is coordinate-wise.
    root : int
        The trusted rank of ``layout="gather"``.
    sketches : bool
        Whether the evidence holds the sketches themselves, 64 numbers a layer.
    scaler : GradScaler, optional
        With it, gradients that overflow on more than f ranks are the scaler's business: every rank
        gets Inf, so that it skips the step. Without, such a step is an error.
    on_void : "raise" or "zero"
        What is done where too few good rows are left for the rule: a ValueError on every rank, or
        gradients of zeros.
    clear_after : int, optional
        In ``exclude``, a convicted rank comes back after this many steps without an alarm. Without
        it, it stays out until :meth:`clear`.
    on_alarm : callable, optional
        Called with each :class:`Alarm` on every rank.
    """

    def __init__(
        self,
        rule: str | Rule = "trimmed-mean",
        f: int = 1,
        layout: str = "sharded",
        mode: str = "exclude",
        group: Any = None,
        evidence: str | os.PathLike[str] | None = None,
        *,
        metrics: str | os.PathLike[str] | None = None,
        false_alarms: float = 1e-5,
        scope: str = "model",
        root: int = 0,
        sketches: bool = False,
        scaler: Any = None,
        on_void: str = "raise",
        clear_after: int | None = None,
        on_alarm: Callable[[Alarm], None] | None = None,
    ) -> None:
        for what, value, known in [
            ("mode", mode, tuple(MODES)), ("scope", scope, ("model", "bucket")),
            ("on_void", on_void, ("raise", "zero")),
        ]:
            if value not in known:
                raise ValueError(f"{what} is one of {', '.join(known)}; got {value!r}")
        if not 0.0 < false_alarms < 1.0:
            raise ValueError(f"false_alarms is a rate between 0 and 1; got {false_alarms}")
        self._asked: tuple[Any, int, str, int] = (rule, f, layout, root)
        self.mode, self.scope, self.rate = mode, scope, false_alarms
        self._tells_sketches = sketches
        self.scaler, self.on_void, self.clear_after = scaler, on_void, clear_after
        self._group_given, self._files, self._on_alarm = group, (evidence, metrics), on_alarm
        #: The reduces so far.
        self.step = 0
        #: Ranks that are left out, with the alarm that convicted each.
        self.convicted: dict[int, Alarm] = {}
        #: All alarms so far.
        self.alarms: list[Alarm] = []
        #: What the last reduce gave.
        self.last: Outcome | None = None
        #: How much this rank counts, for rules of weighted rows: the size of its batch, say.
        self.weight: float | None = None
        #: A drill of :mod:`varangian.torch.faults`, the same on every rank.
        self.drill: Any = None
        self.group: Group | None = None
        # The last aggregate of each part.
        self._direction: dict[str, Any] = {}
        self._clean: dict[int, int] = {}
        self._overflows: dict[int, int] = {}
        self._model: Any = None
        # DDP's mean is taken bucket by bucket, as without a guard.
        self._reduced_already = False

    # Where it is put.

    def attach(self, model: Any) -> Any:
        """Guards a module: DDP's, or one of FSDP2. Answers the module."""
        from varangian.torch import _fsdp

        if isinstance(model, torch.nn.parallel.DistributedDataParallel):
            from varangian.torch import _ddp

            self.watch(model.module, model.process_group)
            _ddp.attach(self, model)
        elif _fsdp.is_sharded(model):
            _fsdp.attach(self, model)
        else:
            raise TypeError(
                "a guard is attached to a DistributedDataParallel module or to one that "
                f"fully_shard has sharded; got {type(model).__name__}"
            )
        return model

    def watch(self, module: Any, group: Any = None) -> Guard:
        """Learns the layers of a module, for whoever registers the hook; answers the guard."""
        named = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
        self._open([(name, p.numel()) for name, p in named], group)
        self._model = named
        return self

    def reduce_gradients(self, parameters: Iterable[Any]) -> Outcome:
        """Sets the gradients of parameters to their aggregate over the ranks: for own loops."""
        held = [p for p in parameters if p.requires_grad]
        outcome = self.reduce_row(flat([p.grad for p in held], held), held)
        spread(outcome.row, held)
        return outcome

    def reduce_row(self, row: Any, parameters: Sequence[Any]) -> Outcome:
        """The aggregate of the ranks' rows, which are as long as these parameters together."""
        self.name_rows(parameters)
        return self.reduce(row)

    def name_rows(self, parameters: Sequence[Any]) -> None:
        """Takes parameters without names for the layers, if it knows none yet."""
        if self.group is None:
            self._open([(f"parameter {k}.", p.numel()) for k, p in enumerate(parameters)], None)

    def attach_replicas(self, model: Any, replicas: Any) -> Any:
        """Guards a module of FSDP2 across replicas: the mean within each, the rule across them.

        The module is sharded over the ranks of a replica alone; ``replicas`` is the group of those
        ranks that hold the same shard.
        """
        from varangian.torch import _fsdp

        _fsdp.attach_replicas(self, model, replicas)
        return model

    # The reduce itself.

    def reduce(
        self, row: Any, part: tuple[str, Sequence[Layer]] | None = None,
        sketched: Callable[[], np.ndarray] | None = None,
    ) -> Outcome:
        """The aggregate of the ranks' rows, in this mode; every rank calls it at once.

        ``row`` is this rank's, d float32, or their pieces, in which the aggregate is left then.
        ``part`` names a part of the whole row and its layers; ``sketched`` gives its sketches,
        where they are known.
        """
        group, (name, layers) = self._demand(), part or ("", self._layers)
        sketcher, suspicion = self._judges(name, layers)
        if self.drill is not None:
            row = self.drill(row, group, self.step, self._reducer.handle)
            sketched = None
        sketch = sketched or (lambda: sketcher.sketch(row, self._direction.get(name)))
        sketches, weights = self._sketches(sketch, len(layers))
        odd = [rank for rank in range(group.size) if not np.isfinite(sketches[rank]).all()]
        alarms = suspicion.look(sketches, self.step, [*self.convicted, *odd])
        alarms += self._overflowed(odd, layers, sketches)
        self._judge(alarms)
        outcome = self._mean(row, odd) if self.mode == "observe" else self._rule(row, weights)
        for rank in outcome.disagreed:
            self._judge([Alarm(rank, self.step, "reduce", "", "columns", 0.0)])
        self._write(name, outcome, sketches, layers, suspicion)
        self.last, step = outcome, self.step
        if isinstance(outcome.row, Pieces):
            # Whoever gave them knows their places.
            pass
        elif outcome.row is not None and not self._reduced_already:
            # Parts share the memory of a reduce.
            self._direction[name] = outcome.row if part is None else outcome.row.clone()
        self.step += part is None
        if outcome.void is not None:
            outcome.row = self._nothing(row, step, outcome.void)
        return outcome

    def observe(self, row: Any, sketched: Callable[[], np.ndarray] | None = None) -> None:
        """Looks at the ranks' rows, and writes down what it finds, where somebody else reduces.

        Where ``sketched`` gives the sketches of this rank's row, the row itself is not asked for.
        """
        self._reduced_already = True
        try:
            self.reduce(row, sketched=sketched)
        finally:
            self._reduced_already = False

    def clear(self, rank: int) -> None:
        """Lets a convicted rank in again; called on every rank between the same steps."""
        self.convicted.pop(rank, None)
        for suspicion in self._suspicions.values():
            suspicion.clear(rank)

    def state_dict(self) -> dict[str, Any]:
        """All that decides what a guard says next: the steps, the alarms and who is convicted, the
        tests' past numbers and sums, the last aggregate (as large as the parameters) and the rule's
        memory on this rank. Plain values and tensors, taken between two steps.
        """
        memory, tests, last = "{}", {}, {}
        if self.group is not None:
            memory = self._reducer.handle.save().decode()
            tests = {name: one.state_dict() for name, one in self._suspicions.items()}
            tests.update(self._kept)
            last = dict(self._direction)
            held = self.__dict__.get("_collected")
            if held is not None and held.fresh is not None:
                last[""] = held.fresh
        return {
            "step": self.step, "memory": memory, "tests": tests,
            "ranks": self.group.size if self.group is not None else 0,
            "convicted": {rank: vars(alarm).copy() for rank, alarm in self.convicted.items()},
            "alarms": [vars(alarm).copy() for alarm in self.alarms],
            "clean": dict(self._clean), "overflows": dict(self._overflows),
            "last": {name: row.clone() for name, row in last.items() if row is not None},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up what :meth:`state_dict` gave this rank: a resumed run says what one that was
        never interrupted says.

        Raises
        ------
        ValueError
            If it is the state of a guard over other ranks or layers, or of another rule.
        """
        group = self._demand()
        missing = {"step", "memory", "tests", "convicted", "last"} - set(state)
        if missing:
            raise ValueError(f"this is no state of a guard: it has no {', '.join(sorted(missing))}")
        if state["ranks"] != group.size:
            found = state["ranks"]
            raise ValueError(f"this is the state of a guard over {found} ranks; here are {group.size}")
        names = [layer.name for layer in self._layers]
        whole = state["tests"].get("")
        if whole is not None:
            Suspicion(names, group.size, self.rate).load_state_dict(whole)
        memory = state["memory"]
        self._reducer.handle.load(memory.encode() if isinstance(memory, str) else memory)
        self.step = int(state["step"])
        self.convicted = {int(k): Alarm(**alarm) for k, alarm in state["convicted"].items()}
        self.alarms = [Alarm(**alarm) for alarm in state["alarms"]]
        self._clean = {int(rank): int(count) for rank, count in state["clean"].items()}
        self._overflows = {int(rank): int(count) for rank, count in state["overflows"].items()}
        self._direction = {name: row.clone() for name, row in state["last"].items()}
        self._kept.clear()
        self._kept.update(state["tests"])
        self._suspicions.clear()
        self._sketchers.clear()
        # What stood in buckets is of before.
        self.__dict__.pop("_collected", None)

    def metrics(self) -> str:
        """The metrics in Prometheus' text format; of the first rank of the group."""
        self._demand()
        return self._recorder.text()

    def close(self) -> None:
        """Closes the evidence."""
        if self.group is not None:
            self._recorder.close()

    # Inside.

    def _open(self, named: Sequence[tuple[str, int]], group: Any) -> None:
        if self.group is not None:
            raise RuntimeError("a guard watches over one module: make another guard for another")
        rule, f, layout, root = self._asked
        group = Group(self._group_given if self._group_given is not None else group)
        layers, reducer, failed = layers_of(named), None, None
        try:
            reducer = Reducer(rule, f, group, layout, root)
            if self.scope == "model":
                reducer.check(sum(size for _, size in named))
        except Exception as error:  # All ranks hear of it.
            failed = error
        agree(group, "the guard", self._settings(reducer, layers), failed)
        assert reducer is not None
        self._layers, self._reducer, self.group = layers, reducer, group
        first = group.rank == 0
        evidence, metrics = self._files
        self._recorder = Recorder(evidence if first else None, metrics if first else None)
        self._writes = evidence is not None or metrics is not None
        self._sketchers: dict[str, Sketcher] = {}
        self._suspicions: dict[str, Suspicion] = {}
        # The tests of a checkpoint whose parts have not come yet.
        self._kept: dict[str, Any] = {}

    def _settings(self, reducer: Reducer | None, layers: Sequence[Layer]) -> dict[str, Any]:
        """What must be the same on every rank."""
        rule, f, layout, root = self._asked
        shapes = {layer.name: layer.stop - layer.start for layer in layers}
        return {
            "rule": str(rule) if reducer is None else reducer.spec, "f": f, "layout": layout,
            "mode": self.mode, "scope": self.scope, "root": root, "false_alarms": self.rate,
            "on_void": self.on_void, "clear_after": self.clear_after,
            "a scaler": self.scaler is not None,
            "evidence or metrics": any(file is not None for file in self._files),
            "the number of parameters": layers[-1].stop if layers else 0,
            "the digest of the layers": digest(shapes),
        }

    def _demand(self) -> Group:
        if self.group is None:
            raise RuntimeError("the guard watches over nothing yet: attach it to a module")
        return self.group

    def _judges(self, name: str, layers: Sequence[Layer]) -> tuple[Sketcher, Suspicion]:
        if name not in self._sketchers:
            self._sketchers[name] = Sketcher(layers)
            names = [layer.name for layer in layers]
            made = self._suspicions[name] = Suspicion(names, self._demand().size, self.rate)
            kept = self._kept.pop(name, None)
            if kept is not None:
                made.load_state_dict(kept)
        return self._sketchers[name], self._suspicions[name]

    def _sketches(
        self, sketched: Callable[[], np.ndarray], layers: int
    ) -> tuple[np.ndarray, list[float] | None]:
        """The sketches of all ranks, and how much each counts.

        What fails on one rank before this exchange fails on every rank, and none waits.
        """
        group, failed = self._demand(), None
        mine = np.zeros(2 + layers * (HEAD + BUCKETS))
        try:
            mine[1] = np.nan if self.weight is None else float(self.weight)
            mine[2:] = sketched().reshape(-1)
        except Exception as error:
            failed, mine[0] = error, 1.0
        told = group.gather(mine)
        if told[:, 0].any():
            which = ", ".join(str(rank) for rank in np.flatnonzero(told[:, 0]))
            raise RuntimeError(f"the reduce of step {self.step} failed on rank {which}") from failed
        counted = told[:, 1]
        weights = None if np.isnan(counted).all() else counted.tolist()
        if weights is not None and np.isnan(counted).any():
            raise ValueError("some ranks have a weight and others have none")
        return told[:, 2:].reshape(group.size, layers, HEAD + BUCKETS), weights

    def _mean(self, row: Any, odd: list[int]) -> Outcome:
        group = self._demand()
        if not self._reduced_already:
            row.mul_(1.0 / group.size)
            dist.all_reduce(row, group=group.group)
        weights = [1.0 / group.size] * group.size
        return Outcome(row, None, [(rank, "not finite, and in the mean") for rank in odd], weights)

    def _rule(self, row: Any, weights: list[float] | None) -> Outcome:
        left_out = {rank: f"convicted: {alarm}" for rank, alarm in self.convicted.items()}
        if self.mode != "exclude":
            left_out = {}
        order = Order(self._reducer.f, self.step, left_out, weights, self._writes)
        out = row if isinstance(row, Pieces) else None
        return self._reducer.reduce(row, order, out)

    def _overflowed(
        self, odd: list[int], layers: Sequence[Layer], sketches: np.ndarray
    ) -> list[Alarm]:
        """Alarms about rows that are not finite, where the scaler does not explain them."""
        everywhere = len(odd) > self._reducer.f
        if everywhere and self._scales():
            return []
        alarms = []
        for rank in odd:
            # A loss scale that is just too large may overflow on one rank before the others.
            self._overflows[rank] = self._overflows.get(rank, 0) + 1
            if self._scales() and self._overflows[rank] < 3:
                continue
            layer = int(np.flatnonzero(~np.isfinite(sketches[rank]).all(axis=1))[0])
            where = layers[layer].name
            alarms.append(Alarm(rank, self.step, "non-finite", where, "finite", 0.0))
        return alarms

    def _scales(self) -> bool:
        return self.scaler is not None and bool(self.scaler.is_enabled())

    def _judge(self, alarms: Sequence[Alarm]) -> None:
        found = {alarm.rank for alarm in alarms}
        for rank in list(self.convicted):
            self._clean[rank] = 0 if rank in found else self._clean.get(rank, 0) + 1
            if self.clear_after is not None and self._clean[rank] >= self.clear_after:
                self.clear(rank)
        for alarm in alarms:
            self.alarms.append(alarm)
            if self.mode == "exclude" and alarm.rank not in self.convicted and self._room(alarm):
                self.convicted[alarm.rank] = alarm
                self._clean[alarm.rank] = 0
            if self._on_alarm is not None:
                self._on_alarm(alarm)

    def _room(self, alarm: Alarm) -> bool:
        """Whether a rank is left out for this. No more than f are, as the rule holds against no
        more: the f of the surest alarms, and who makes room for another takes part again.
        """
        if len(self.convicted) < self._reducer.f:
            return True
        # The first of two that are as sure stays.
        least = max(self.convicted, key=lambda rank: self.convicted[rank].p, default=None)
        if least is None or self.convicted[least].p <= alarm.p:
            return False
        self.clear(least)
        return True

    def _nothing(self, row: Any, step: int, why: str) -> Any:
        """What stands for an aggregate where there is none."""
        if self._scales() or self.on_void == "zero":
            value = torch.inf if self._scales() else 0.0
            if isinstance(row, Pieces):
                row.fill(value)
                return row
            return torch.full_like(row, value)
        raise ValueError(f"no step can be made at step {step}: {why}")

    def _write(
        self, name: str, outcome: Outcome, sketches: np.ndarray, layers: Sequence[Layer],
        suspicion: Suspicion,
    ) -> None:
        recorder, group = self._recorder, self._demand()
        if not recorder.active:
            return
        records = {int(one["worker"]): one for one in outcome.records}
        refused = dict(outcome.refused)
        total = np.sqrt(sketches[:, :, 0].sum(axis=1))
        alarms = [alarm for alarm in self.alarms if alarm.step == self.step]
        norms = quantiles([float(x) for x in total])
        far = [records[r].get("distance") for r in records]
        lines = []
        for rank in range(group.size):
            line = records.get(rank) or self._plain(rank, outcome, refused, float(total[rank]))
            if line["norm"] is None and np.isfinite(total[rank]):
                line["norm"] = float(total[rank])
            line["mode"], line["layout"] = self.mode, self._reducer.layout
            if name:
                line["part"] = name
            line["norms"], line["distances"] = norms, quantiles(far)
            line["convicted"] = str(self.convicted.get(rank, "")) or None
            line["sure"] = suspicion.sure(rank)
            line["alarms"] = [
                {"kind": a.kind, "layer": a.layer, "statistic": a.statistic, "p": a.p}
                for a in alarms if a.rank == rank
            ]
            line["layers"] = {
                layer.name: _layer(sketches[rank, k], suspicion.last[rank, k], self._tells_sketches)
                for k, layer in enumerate(layers)
            }
            lines.append(line)
        recorder.write(lines, outcome.void)

    def _plain(
        self, rank: int, outcome: Outcome, refused: dict[int, str], norm: float
    ) -> dict[str, Any]:
        """A record of what nobody measured."""
        share = 0.0 if outcome.weights is None or rank in refused else outcome.weights[rank]
        why, seen = refused.get(rank), self.mode == "observe"
        if why is None and outcome.void is not None:
            why = f"no step: {outcome.void}"
        return {
            "format": "varangian-evidence", "version": 1,
            "rule": "average" if seen else self._reducer.spec,
            "n": self._demand().size - (0 if seen else len(refused)),
            "f": 0 if seen else max(self._reducer.f - len(refused), 0),
            "d": self._layers[-1].stop if self._layers else 0, "step": self.step, "worker": rank,
            "weight": share, "norm": norm if np.isfinite(norm) else None, "distance": None,
            "verdict": "kept" if why is None or seen else "refused", "reason": why, "p": None,
        }


def _layer(sketch: np.ndarray, p: np.ndarray, told: bool) -> dict[str, Any]:
    """A layer of a record: its length, the least p, and the sketch in few digits."""
    finite, known = bool(np.isfinite(sketch).all()), p[~np.isnan(p)]
    layer: dict[str, Any] = {
        "norm": float(np.sqrt(sketch[0])) if finite else None,
        "p": float(known.min()) if len(known) else None,
    }
    if told:
        layer["sketch"] = [float(f"{x:.4g}") for x in sketch[HEAD:]] if finite else None
    return layer


def flat(gradients: Sequence[Any], like: Sequence[Any]) -> Any:
    """Gradients as one row of float32, in order; zeros where there is none."""
    if not like:
        raise ValueError("there are no parameters that require a gradient")
    row = torch.empty(sum(p.numel() for p in like), dtype=torch.float32, device=like[0].device)
    at = 0
    for gradient, p in zip(gradients, like):
        part = row[at : at + p.numel()]
        if gradient is None:
            part.zero_()
        elif gradient.is_sparse:
            raise TypeError("sparse gradients are not taken: embed with sparse=False")
        elif gradient.dtype == torch.float64:
            raise TypeError("float64 gradients would be rounded: train in float32 or less")
        else:
            part.copy_(gradient.detach().reshape(-1))
        at += p.numel()
    return row


def spread(row: Any, parameters: Sequence[Any]) -> None:
    """Sets the gradients of parameters to a row."""
    at = 0
    for p in parameters:
        part = row[at : at + p.numel()].view_as(p)
        if p.grad is None:
            p.grad = part.to(p.dtype).clone()
        else:
            p.grad.copy_(part)
        at += p.numel()
