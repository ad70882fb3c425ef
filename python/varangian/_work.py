"""A worker of a served run: its own model and data, gradients to a server elsewhere."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from varangian import _core
from varangian._data import Dataset
from varangian._entries import Variant
from varangian._run import _dataset, _value


@dataclass(frozen=True)
class Worked:
    """What a worker's part in a run came to."""

    #: Its number at the server.
    worker: int
    #: Messages that the server took, and that it refused.
    admitted: int
    refused: int
    #: Why the last one was refused, or an empty text.
    reason: str
    #: Whether the run is over, or the worker was stopped before.
    finished: bool


def worker(
    model: Any = None,
    data: Any = None,
    address: str = "127.0.0.1:7070",
    *,
    worker: int | None = None,
    tls: str | os.PathLike[str] | None = None,
    name: str | None = None,
    server_name: str | None = None,
    dataset: Any = None,
    loss: Callable[[Any, Any], Any] | None = None,
    state: str | os.PathLike[str] | None = None,
    patience: float = 600.0,
    threads: int = 1,
    **keys: Any,
) -> Worked:
    """Works for a server (``varangian serve``) until its run is over.

    The server says what is trained: message, momentum, batch, seed. The worker computes gradients of
    its model on its data and sends them; nothing that the server sends is executed. It comes back by
    itself when the server does.

    Parameters
    ----------
    model : torch.nn.Module, a callable that makes one, or varangian.Model, optional
        The model, whose tensors have the shapes of the server's, in its order; without, the built-in
        one that the server names.
    data : path, varangian.Dataset, or ((inputs, targets), (inputs, targets)), optional
        The folder of data files, or the worker's own training and test samples; without, what the
        server's settings name.
    address : str
        ``host:port`` of the server.
    worker : int, optional
        Which worker this is, on loopback without certificates.
    tls, name : path and str, optional
        The folder with ``ca.pem``, ``NAME.pem`` and ``NAME.key``, and that name.
    server_name : str, optional
        The name in the server's certificate, where it is not the host of the address.
    dataset : optional
        As ``data``, where that is a folder.
    loss : callable, optional
        With a torch model: (outputs, targets) to the mean loss.
    state : path, optional
        A file in which momentum, and what compression held back, are kept after every step: a worker
        that is killed goes on as if it had not been.
    patience : float
        Seconds to wait for a server that is not there.
    threads : int
        Threads of a built-in model; 0 for one a core.
    **keys
        What differs here from the server's settings, as in an experiment file: ``batch=64``.

    Returns
    -------
    Worked
        How many messages were taken and refused.

    Raises
    ------
    ConnectionError
        If nobody answers, or the server does not take this worker.
    ValueError
        If the model is not the server's, or a setting is wrong.
    """
    settings = dict(keys)
    own: list[_core.Own] = []
    if data is not None and not isinstance(data, (str, os.PathLike)):
        if dataset is not None:
            raise TypeError("the samples come as data or as dataset, not as both")
        data, dataset = None, data
    if isinstance(model, (str, Variant)):
        settings["model"] = str(model)
    elif model is not None:
        from varangian._model import brought

        entry, _, _ = brought(model, loss, None)
        own.append(entry)
        settings["model"] = entry.name
    elif loss is not None:
        raise TypeError("loss is for a torch model; give model= too")
    if isinstance(dataset, (str, Variant)):
        settings["dataset"] = str(dataset)
    elif dataset is not None:
        made = dataset if isinstance(dataset, Dataset) else _dataset(dataset)
        own.append(made._own)
        settings["dataset"] = made._own.name
    if (tls is None) != (name is None):
        raise TypeError("tls is a folder and name the certificate in it: give both")
    if (tls is None) == (worker is None):
        raise TypeError("a worker is known by worker= on loopback, or by tls= and name=")
    files = None
    if tls is not None:
        folder = Path(tls)
        files = (folder / "ca.pem", folder / f"{name}.pem", folder / f"{name}.key")
    if not 0 <= threads <= 1024 or not patience >= 0:
        raise ValueError("threads is 0 to 1024 and patience 0 or above")
    told = _core.work(
        {
            "address": address,
            "worker": worker,
            "keys": files,
            "server_name": server_name,
            "data": None if data is None else os.fspath(data),
            "set": [f"{key}={_value(value)}" for key, value in settings.items()],
            "own": own,
            "patience": float(patience),
            "threads": threads,
            "state": None if state is None else os.fspath(state),
        }
    )
    return Worked(**told)
