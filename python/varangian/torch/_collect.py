"""Groups of processes: who is in one, and small exchanges between them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.distributed as dist


# gloo of torch 2.4 has no form that gathers into one tensor.
_INTO_TENSOR = tuple(int(part) for part in torch.__version__.split(".")[:2]) >= (2, 6)


class Group:
    """A process group, seen from one of its ranks. Ranks are those within the group."""

    def __init__(self, group: Any = None) -> None:
        if not dist.is_available() or not dist.is_initialized():
            raise RuntimeError(
                "torch.distributed is not set up: call torch.distributed.init_process_group first"
            )
        self.group: Any = group if group is not None else dist.group.WORLD
        self.rank: int = dist.get_rank(self.group)
        self.size: int = dist.get_world_size(self.group)
        if self.rank < 0:
            raise ValueError("this process is not in the group that it was given")
        self._rooms: dict[str, Any] = {}
        backend = str(dist.get_backend(self.group))
        self.device = torch.device("cuda" if "nccl" in backend else "cpu")

    def global_rank(self, rank: int) -> int:
        """The rank in the default group of a rank of this one."""
        return int(dist.get_global_rank(self.group, rank))

    def gather(self, mine: np.ndarray) -> np.ndarray:
        """The float64 numbers of all ranks, a row a rank. Each gives as many."""
        sent = torch.from_numpy(np.ascontiguousarray(mine, dtype=np.float64)).to(self.device)
        out = sent.new_empty((self.size, sent.numel()))
        if sent.numel():
            dist.all_gather(list(out.unbind(0)), sent.reshape(-1), group=self.group)
        numbers: np.ndarray = out.cpu().numpy()
        return numbers

    def gather_rows(self, row: Any) -> Any:
        """The rows of all ranks, on every rank: (ranks, d)."""
        out = self._room("rows", row, self.size * row.numel()).view(self.size, row.numel())
        self._all_gather(out, row)
        return out

    def gather_to(self, row: Any, root: int) -> Any:
        """The rows of all ranks on the rank `root`, None on the others."""
        out = row.new_empty((self.size, row.numel())) if self.rank == root else None
        parts = None if out is None else list(out.unbind(0))
        dist.gather(row, parts, dst=self.global_rank(root), group=self.group)
        return out

    def broadcast(self, row: Any, root: int) -> Any:
        """Sets `row` to that of the rank `root`."""
        dist.broadcast(row, self.global_rank(root), group=self.group)
        return row

    def deal(self, row: Any, bounds: list[int], shift: int = 0) -> Any:
        """The rows of all ranks, those columns that are this rank's: (ranks, columns).

        Rank r gets the columns of place (r − shift) modulo the number of ranks.
        """
        places = [(rank - shift) % self.size for rank in range(self.size)]
        widths = [bounds[place + 1] - bounds[place] for place in places]
        mine = widths[self.rank]
        out = self._room(f"dealt {shift}", row, self.size * mine)
        if shift % self.size:
            row = torch.cat([row[bounds[place] : bounds[place + 1]] for place in places])
        dist.all_to_all_single(out, row, [mine] * self.size, widths, group=self.group)
        return out.view(self.size, mine)

    def join(self, part: Any, bounds: list[int]) -> Any:
        """The columns of all ranks, of which this rank has its own; good until the next join."""
        width = bounds[1]
        if part.numel() < width:
            # The last ranks have what is left: what they send beyond that is cut off below.
            padded = part.new_zeros(width)
            padded[: part.numel()] = part
            part = padded
        room = self._room("joined", part, self.size * width)
        self._all_gather(room.view(self.size, width), part)
        return room[: bounds[-1]]

    def _all_gather(self, out: Any, mine: Any) -> None:
        if _INTO_TENSOR:
            dist.all_gather_into_tensor(out.view(-1), mine, group=self.group)
        else:
            dist.all_gather(list(out.unbind(0)), mine, group=self.group)

    def _room(self, what: str, like: Any, size: int) -> Any:
        """Memory that is kept from call to call."""
        room = self._rooms.get(what)
        if room is None or room.numel() != size or room.device != like.device:
            room = self._rooms[what] = like.new_empty(size)
        return room


def host(rows: Any) -> np.ndarray:
    """The numbers where the rules compute: a copy where they are on a device."""
    numbers: np.ndarray = rows.detach().cpu().contiguous().numpy()
    return numbers
