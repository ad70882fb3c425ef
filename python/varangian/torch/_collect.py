"""Groups of processes: who is in one, and small exchanges between them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.distributed as dist


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
        out = row.new_empty((self.size, row.numel()))
        dist.all_gather(list(out.unbind(0)), row, group=self.group)
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
        out = row.new_empty(self.size * mine)
        if shift % self.size:
            row = torch.cat([row[bounds[place] : bounds[place + 1]] for place in places])
        dist.all_to_all_single(out, row, [mine] * self.size, widths, group=self.group)
        return out.view(self.size, mine)

    def join(self, part: Any, bounds: list[int], out: Any) -> Any:
        """Sets `out` to the columns of all ranks, of which this rank has its own."""
        widths = [after - at for at, after in zip(bounds, bounds[1:])]
        most = max(widths)
        if all(width == most for width in widths):
            dist.all_gather(list(out.view(self.size, most).unbind(0)), part, group=self.group)
            return out
        padded = part.new_zeros(most)
        padded[: part.numel()] = part
        room = part.new_empty((self.size, most))
        dist.all_gather(list(room.unbind(0)), padded, group=self.group)
        for place, width in enumerate(widths):
            out[bounds[place] : bounds[place + 1]] = room[place, :width]
        return out


def host(rows: Any) -> np.ndarray:
    """The numbers where the rules compute: a copy where they are on a device."""
    numbers: np.ndarray = rows.detach().cpu().contiguous().numpy()
    return numbers
