"""Memory that the ranks of one host share: rows are dealt by reading them where they lie."""

from __future__ import annotations

import mmap
import os
import secrets
from typing import Any

import numpy as np
import torch

#: Where files are memory.
FOLDER = "/dev/shm"
#: Set to 1, columns go over sockets on one host too.
SOCKETS = "VARANGIAN_TORCH_SOCKETS"


class Hall:
    """A row of `room` float32 for each rank, and one for the aggregate."""

    def __init__(self, memory: mmap.mmap, ranks: int, room: int) -> None:
        #: How many columns there are room for.
        self.room = room
        numbers = np.frombuffer(memory, dtype=np.float32).reshape(ranks + 1, room)
        #: (ranks, room): the rows of all ranks.
        self.rows: np.ndarray = numbers[:ranks]
        #: The aggregate.
        self.out: Any = torch.from_numpy(numbers[ranks])

    def row(self, rank: int) -> Any:
        """The row of a rank, as a tensor."""
        return torch.from_numpy(self.rows[rank])


def open_hall(group: Any, columns: int) -> Hall | None:
    """A hall for rows of so many columns, where all ranks of the group are on one host that has the
    memory; else None on every rank. Every rank calls it at once.
    """
    size = (group.size + 1) * columns * 4
    told, memory = "", None
    if group.rank == 0 and columns and os.environ.get(SOCKETS, "") != "1":
        told = _create(size)
    path = group.texts(told)[0]
    if not path:
        return None
    try:
        memory = _map(path, size)
    except OSError:
        memory = None
    # Two hosts may have a file of one name: all look for what the first has written.
    token = group.texts("" if memory is None else bytes(memory[:16]).hex())
    if group.rank == 0:
        os.unlink(path)
    if not token[0] or len(set(token)) > 1 or memory is None:
        return None
    return Hall(memory, group.size, columns)


def _create(size: int) -> str:
    """A file of memory that begins with what nobody else would write; "" where there is no room."""
    path = f"{FOLDER}/varangian-{os.getpid()}-{secrets.token_hex(8)}"
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError:
        return ""
    try:
        # Taken now: memory that is not there would end the process when it is written.
        os.posix_fallocate(file, 0, size)
        os.write(file, secrets.token_bytes(16))
    except OSError:
        os.unlink(path)
        return ""
    finally:
        os.close(file)
    return path


def _map(path: str, size: int) -> mmap.mmap:
    file = os.open(path, os.O_RDWR)
    try:
        return mmap.mmap(file, size)
    finally:
        os.close(file)
