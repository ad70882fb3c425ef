"""DDP: a communication hook that hands whole gradients, or buckets, to a guard."""

# torch looks at the annotations of a hook: they are no texts here.
from typing import Any

import torch
import torch.distributed as dist
from torch.futures import Future

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
        self.row: Any = None
        self.mean: Any = None


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
    future: Future[Any] = _future(bucket.buffer())
    if bucket.index() == 0:
        # Nothing is left of a pass that broke off.
        held.buckets.clear()
        if held.row is None:
            held.row = torch.zeros(held.size, device=bucket.buffer().device)
        if guard.mode == "observe":
            # The mean of the last pass, which is whole by now; that of this one comes bit by bit.
            guard._direction[""] = held.mean
            held.mean = torch.zeros_like(held.row)
    for place, part in _parts(held, bucket.buffer(), list(bucket.parameters())):
        held.row[place : place + part.numel()] = part
    if guard.mode == "observe":
        return _observed(guard, held, bucket)
    held.buckets.append((bucket.buffer(), list(bucket.parameters()), future))
    if not bucket.is_last():
        return future
    buckets, held.buckets = held.buckets, []
    out = guard.reduce(held.row).row
    for buffer, parameters, done in buckets:
        for place, part in _parts(held, buffer, parameters):
            part.copy_(out[place : place + part.numel()])
        done.set_result(buffer)
    return future


def _observed(guard: Any, held: Collected, bucket: Any) -> Future[Any]:
    """The mean of a bucket, by the operations of a DDP without a hook."""
    buffer = bucket.buffer()
    buffer.mul_(1.0 / guard.group.size)
    work = dist.all_reduce(buffer, group=guard.group.group, async_op=True)
    if bucket.is_last():
        guard.observe(held.row)
    mean = held.mean
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


def _parts(held: Collected, buffer: Any, parameters: list[Any]) -> Any:
    """The place of each parameter in the row, with its part of the bucket."""
    at = 0
    for p in parameters:
        yield held.places[p][0], buffer[at : at + p.numel()]
        at += p.numel()
