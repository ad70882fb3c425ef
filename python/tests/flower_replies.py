"""Rounds without a network: a grid that knows node ids, and replies as a client might make them."""

from __future__ import annotations

from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict

try:
    from flwr.supercore.task_identity import TaskIdentity

    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 0, 1
except ImportError:
    pass


class Nodes:
    """All of a grid that a strategy asks."""

    def __init__(self, n: int) -> None:
        self.ids = [2**63 + 17 * k for k in range(n)]

    def get_node_ids(self) -> list[int]:
        return list(self.ids)


def record(arrays: dict[str, Any]) -> Any:
    return ArrayRecord({name: Array(np.asarray(array)) for name, array in arrays.items()})


def reply(
    message: Any, arrays: Any, metrics: dict[str, Any] | None = None, **more: Any
) -> Any:
    held = record(arrays) if isinstance(arrays, dict) else arrays
    told = MetricRecord(metrics if metrics is not None else {"num-examples": 10, "loss": 0.5})
    content = {"arrays": held, "metrics": told, **more}
    return Message(RecordDict({k: v for k, v in content.items() if v is not None}), reply_to=message)


def report(message: Any, metrics: Any) -> Any:
    """A reply to an evaluation; what Flower would not let a client say is said all the same."""
    told = MetricRecord({"num-examples": 10})
    for name, value in metrics.items():
        told.__dict__["_data"][name] = value
    return Message(RecordDict({"metrics": told}), reply_to=message)


def begun(strategy: Any, model: dict[str, Any], nodes: Nodes, number: int = 1) -> list[Any]:
    """The messages of a round, by node id."""
    messages = list(strategy.configure_train(number, record(model), ConfigRecord(), nodes))
    return sorted(messages, key=lambda message: message.metadata.dst_node_id)


def numbers(made: Any) -> dict[str, np.ndarray]:
    return {name: array.numpy() for name, array in made.items()}


def bomb(shape: str = "(10000000000000,)", descr: str = "<f4") -> bytes:
    """A header that claims what is not there."""
    head = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"
    head = head.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head.encode()


def forged(array: np.ndarray, data: bytes, **said: Any) -> Any:
    about = {"dtype": str(array.dtype), "shape": tuple(array.shape), "stype": "numpy.ndarray"}
    return Array(**{**about, **said}, data=data)
