"""DDP: a communication hook that hands whole gradients, or buckets, to a guard."""

# torch looks at the annotations of a hook: they are no texts here.
from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch.futures import Future

from varangian.torch._pieces import Pieces
from varangian.torch._sketch import Layer

REFUSED = (
    "this DDP module has static_graph=True, and torch stops reducing after no_sync() there "
    "(pytorch#187732): accumulate gradients without no_sync(), or without static_graph"
)


def attach(guard: Any, model: Any) -> None:
    """Registers the guard's hook with a DDP module."""
    for p in model.module.parameters():
        if p.requires_grad and p.dtype == torch.float64:
            raise TypeError("float64 parameters are not taken: train in float32 or less")
    if getattr(model, "static_graph", False):

        def no_sync() -> Any:
            raise RuntimeError(REFUSED)

        model.no_sync = no_sync
    model.register_comm_hook(guard, hook)


class Collected:
    """The buckets of one backward pass that came so far."""

    def __init__(self, guard: Any) -> None:
        self.places: dict[Any, tuple[int, str]] = {}
        at = 0
        for name, p in guard._model:
            self.places[p] = (at, name)
            at += p.numel()
        self.size = at
        self.buckets: list[tuple[Any, list[Any], Future[Any]]] = []
        #: The row in parameter order, for whoever needs it whole.
        self.row: Any = None
        #: The last aggregate and, while buckets come, that of this pass.
        self.last: Any = None
        self.fresh: Any = guard._direction.get("")
        self.failed: Exception | None = None
        # Whether sketches are taken of buckets where they are, and the rule stays there as well.
        self.in_place, self.in_pieces = False, False

    def begin(self, guard: Any, buffer: Any) -> None:
        """Begins a pass: nothing is left of one that broke off."""
        self.buckets.clear()
        self.failed = None
        plain = buffer.dtype == torch.float32 and buffer.device.type == "cpu"
        same = all(p.dtype == torch.float32 for p in self.places)
        self.in_place = plain and same and guard.drill is None
        observes = guard.mode == "observe"
        self.in_pieces = self.in_place and not observes and guard._reducer.takes_any_order
        if not (self.in_pieces or (observes and self.in_place)) and self.row is None:
            self.row = torch.zeros(self.size, device=buffer.device)
        if observes:
            # The mean of the last pass is whole by now; that of this one comes bit by bit.
            guard._direction[""] = self.fresh
            self.last, self.fresh = self.fresh, self.last
        if self.fresh is None and (observes or self.in_pieces):
            self.fresh = torch.zeros(self.size, device=buffer.device)
        if self.in_place:
            guard._judges("", guard._layers)[0].begin()

    def take(self, guard: Any, buffer: Any, parameters: list[Any]) -> None:
        """Looks at a bucket before anybody reduces it."""
        if self.in_place:
            try:
                direction = guard._direction.get("")
                parts = list(_parts(self, buffer, parameters))
                guard._judges("", guard._layers)[0].add(parts, direction)
            except Exception as error:  # All ranks hear of it when the last bucket is there.
                self.failed = error
        if not (self.in_pieces or (self.in_place and guard.mode == "observe")):
            for place, part in _parts(self, buffer, parameters):
                self.row[place : place + part.numel()] = part

    def sketched(self, guard: Any) -> Any:
        """What gives the sketches of the buckets, where they were taken."""
        if not self.in_place:
            return None

        def sketches() -> Any:
            if self.failed is not None:
                raise self.failed
            return guard._judges("", guard._layers)[0].end()

        return sketches

    def place(self, at: int) -> int:
        """The place in the row of a place in the buckets of this pass, one after the other."""
        for buffer, parameters, _ in self.buckets:
            for place, part in _parts(self, buffer, parameters):
                size: int = part.numel()
                if at < size:
                    return place + at
                at -= size
        raise IndexError(f"a place in the buckets; got one {at} behind them")


def hook(
    guard: Any,
    bucket: dist.GradBucket,  # type: ignore[name-defined,unused-ignore]
) -> Future[torch.Tensor]:
    """The communication hook; its state is the guard. For ``register_comm_hook`` and frameworks."""
    if guard.group is None:
        raise RuntimeError("the guard knows no layers yet: guard.watch(module) tells it")
    if guard.scope == "bucket":
        return _by_bucket(guard, bucket)
    held = guard.__dict__.setdefault("_collected", Collected(guard))
    if bucket.index() == 0:
        held.begin(guard, bucket.buffer())
    parameters = list(bucket.parameters())
    held.take(guard, bucket.buffer(), parameters)
    if guard.mode == "observe":
        return _observed(guard, held, bucket)
    future: Future[Any] = _future(bucket.buffer())
    held.buckets.append((bucket.buffer(), parameters, future))
    if not bucket.is_last():
        return future
    row = held.row
    if held.in_pieces:
        row = Pieces([buffer for buffer, _, _ in held.buckets], held.place)
    out = guard.reduce(row, sketched=held.sketched(guard)).row
    buckets, held.buckets = held.buckets, []
    for buffer, parameters, done in buckets:
        for place, part in _parts(held, buffer, parameters):
            if held.in_pieces:
                held.fresh[place : place + part.numel()] = part
            else:
                part.copy_(out[place : place + part.numel()])
        done.set_result(buffer)
    if held.in_pieces:
        guard._direction[""] = held.fresh
    return future


def _observed(guard: Any, held: Collected, bucket: Any) -> Future[Any]:
    """The mean of a bucket, by the operations of a DDP without a hook."""
    buffer = bucket.buffer()
    buffer.mul_(1.0 / guard.group.size)
    work = dist.all_reduce(buffer, group=guard.group.group, async_op=True)
    if bucket.is_last():
        guard.observe(held.row, held.sketched(guard))
    mean = held.fresh
    parameters = list(bucket.parameters())

    def done(reduced: Any) -> Any:
        for place, part in _parts(held, buffer, parameters):
            mean[place : place + part.numel()] = part
        return reduced.value()[0]

    future: Future[Any] = work.get_future().then(done)
    return future


def _by_bucket(guard: Any, bucket: Any) -> Future[Any]:
    held = guard.__dict__.setdefault("_collected", Collected(guard))
    buffer, at, layers = bucket.buffer(), 0, []
    for p in bucket.parameters():
        name = held.places[p][1]
        layers.append(Layer(name, at, at + p.numel()))
        at += p.numel()
    # Buckets are cut anew after the first pass: a part is known by its layers.
    name = f"{layers[0].name} to {layers[-1].name}"
    row = buffer.detach().to(torch.float32)
    guard._reducer.check(row.numel())
    if row.data_ptr() == buffer.data_ptr():
        row = row.clone()
    buffer.copy_(guard.reduce(row, (name, layers)).row)
    guard.step += bool(bucket.is_last())
    future: Future[Any] = _future(buffer)
    future.set_result(buffer)
    return future


def _future(buffer: Any) -> Future[Any]:
    return Future(devices=[buffer.device]) if buffer.device.type == "cuda" else Future()


def _parts(
    held: Collected, buffer: Any, parameters: list[Any]
) -> Iterator[tuple[int, Any]]:
    """The place of each parameter in the row, with its part of the bucket."""
    at = 0
    for p in parameters:
        yield held.places[p][0], buffer[at : at + p.numel()]
        at += p.numel()
