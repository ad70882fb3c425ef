"""Groups of processes: who is in one, and small exchanges between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from varangian.torch._hall import Hall, open_hall
from varangian.torch._pieces import Pieces


# gloo of torch 2.4 has no form that gathers into one tensor.
_INTO_TENSOR = tuple(int(part) for part in torch.__version__.split(".")[:2]) >= (2, 6)

#: Messages of ours among those that a user sends in the same group.
TAG = 0x5641


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
        of: Any = dist.get_global_rank
        self._globally = [int(of(self.group, rank)) for rank in range(self.size)]
        backend = str(dist.get_backend(self.group))
        # Over gloo, messages from memory to memory: its collectives copy once more, and gather
        # into memory that is new each time.
        self._direct = backend == "gloo"
        self._hall: Hall | None = None
        self._room_tried = 0
        self.device = torch.device("cuda" if "nccl" in backend else "cpu")

    def global_rank(self, rank: int) -> int:
        """The rank in the default group of a rank of this one."""
        return self._globally[rank]

    def gather(self, mine: np.ndarray) -> np.ndarray:
        """The float64 numbers of all ranks, a row a rank. Each gives as many."""
        sent = torch.from_numpy(np.ascontiguousarray(mine, dtype=np.float64)).to(self.device)
        out = sent.new_empty((self.size, sent.numel()))
        if sent.numel():
            dist.all_gather(list(out.unbind(0)), sent.reshape(-1), group=self.group)
        numbers: np.ndarray = out.cpu().numpy()
        return numbers

    def texts(self, mine: str) -> list[str]:
        """The texts of all ranks."""
        data = np.frombuffer(mine.encode(), dtype=np.uint8)
        sizes = self.gather(np.asarray([len(data)]))[:, 0].astype(int)
        padded = np.zeros(int(sizes.max()))
        padded[: len(data)] = data
        told = self.gather(padded).astype(np.uint8)
        return [bytes(row[:size]).decode() for row, size in zip(told, sizes)]

    def gather_rows(self, row: Any) -> Any:
        """The rows of all ranks, on every rank: (ranks, d)."""
        out = self.room("rows", row, self.size * row.numel()).view(self.size, row.numel())
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

    def deal(self, row: Pieces, bounds: list[int], shift: int = 0) -> Any:
        """The rows of all ranks, those columns that are this rank's: (ranks, columns); good until
        the next deal. Those of a hall have all columns, of which its own are its own to read.

        Rank r gets the columns of place (r − shift) modulo the number of ranks. Cost: the bytes of
        half a ring all-reduce; over gloo nothing is copied but this rank's own columns. Where all
        ranks share a host, a row is copied once, and nothing is sent.
        """
        hall = self._hall_for(row)
        if hall is not None:
            mine, at = hall.row(self.rank), 0
            for part in row.parts:
                mine[at : at + part.numel()].copy_(part)
                at += part.numel()
            self.meet()
            return torch.from_numpy(hall.rows)
        places = [(rank - shift) % self.size for rank in range(self.size)]
        widths = [bounds[place + 1] - bounds[place] for place in places]
        mine = widths[self.rank]
        out = self.room(f"dealt {shift}", row.parts[0], self.size * mine).view(self.size, mine)
        if not self._direct:
            whole = row.read()
            if shift % self.size:
                whole = torch.cat([whole[bounds[p] : bounds[p + 1]] for p in places])
            into = out.view(-1)
            dist.all_to_all_single(into, whole, [mine] * self.size, widths, group=self.group)
            return out

        def cut(rank: int) -> list[Any]:
            return row.cut(bounds[places[rank]], bounds[places[rank] + 1])

        # Everybody's columns are cut at the same places of their pieces.
        ends = _ends(cut(self.rank))
        theirs = {
            rank: [out[rank][a:b] for a, b in ends] for rank in range(self.size) if rank != self.rank
        }
        swap = self._swap(theirs, {rank: cut(rank) for rank in theirs}, TAG + 2 * shift)
        for (a, b), view in zip(ends, cut(self.rank)):
            out[self.rank][a:b].copy_(view)
        swap()
        return out

    def join(self, part: Any, bounds: list[int], out: Pieces) -> Callable[[], None]:
        """Begins to write the columns of all ranks, of which this rank has its own, to `out`; what
        is answered waits until that is done. Nobody touches `part` and `out` before.
        """
        hall = self._hall_for(out)
        if hall is not None:
            place = hall.out[bounds[self.rank] : bounds[self.rank + 1]]
            if place.data_ptr() != part.data_ptr():
                place.copy_(part)
            return lambda: self._leave(hall, out)
        if self._direct:
            mine = out.cut(bounds[self.rank], bounds[self.rank + 1])
            sent = [part[a:b] for a, b in _ends(mine)]
            theirs = {
                rank: out.cut(bounds[rank], bounds[rank + 1])
                for rank in range(self.size) if rank != self.rank
            }
            swap = self._swap(theirs, dict.fromkeys(theirs, sent), TAG + 1)
            out.write(part, bounds[self.rank])
            return swap
        width = bounds[1]
        if part.numel() < width:
            # The last ranks have what is left: what they send beyond that is cut off below.
            padded = part.new_zeros(width)
            padded[: part.numel()] = part
            part = padded
        room = self.room("joined", part, self.size * width)
        self._all_gather(room.view(self.size, width), part)
        out.write(room[: bounds[-1]])
        return lambda: None

    def part(self, row: Pieces, start: int, stop: int) -> Any:
        """Where the columns from `start` to `stop` − 1 of an aggregate are best computed."""
        hall = self._hall_for(row)
        if hall is not None:
            return hall.out[start:stop]
        views = row.cut(start, stop)
        return views[0] if len(views) == 1 else None

    def meet(self) -> None:
        """Waits until every rank has come here."""
        self.gather(np.zeros(1))

    def _hall_for(self, row: Pieces) -> Hall | None:
        """The memory that the ranks share, where they are on one host."""
        if not self._direct or row.device.type != "cpu" or self.size < 2:
            return None
        if row.size > self._room_tried:
            # What the old one holds is of earlier reduces.
            self._room_tried = row.size
            self._hall = open_hall(self, row.size)
        return self._hall

    def _leave(self, hall: Hall, out: Pieces) -> None:
        self.meet()
        out.write(hall.out[: out.size])

    def _swap(
        self, into: dict[int, list[Any]], sent: dict[int, list[Any]], tag: int
    ) -> Callable[[], None]:
        """Begins to receive from and to send to other ranks, view by view; answers what waits."""
        # Each begins with the next rank, so that not all talk to one.
        others = sorted(into, key=lambda rank: (self.rank - rank) % self.size)
        works: list[Any] = [
            dist.irecv(view, self.global_rank(rank), group=self.group, tag=tag)
            for rank in others for view in into[rank]
        ]
        works += [
            dist.isend(view, self.global_rank(rank), group=self.group, tag=tag)
            for rank in reversed(others) for view in sent[rank]
        ]

        def wait() -> None:
            for work in works:
                work.wait()

        return wait

    def _all_gather(self, out: Any, mine: Any) -> None:
        if _INTO_TENSOR:
            dist.all_gather_into_tensor(out.view(-1), mine, group=self.group)
        else:
            dist.all_gather(list(out.unbind(0)), mine, group=self.group)

    def room(self, what: str, like: Any, size: int) -> Any:
        """Memory that is kept from call to call."""
        room = self._rooms.get(what)
        if room is None or room.numel() != size or room.device != like.device:
            room = self._rooms[what] = like.new_empty(size)
        return room


def _ends(views: list[Any]) -> list[tuple[int, int]]:
    """Where views begin and end that lie one after the other."""
    ends, at = [], 0
    for view in views:
        ends.append((at, at + view.numel()))
        at += view.numel()
    return ends


def host(rows: Any) -> np.ndarray:
    """The numbers where the rules compute: a copy where they are on a device."""
    numbers: np.ndarray = rows.detach().cpu().contiguous().numpy()
    return numbers
