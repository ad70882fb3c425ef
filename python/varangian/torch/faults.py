"""Faults for drills: what broken ranks do to gradients, on purpose, and the proof that it was done.

:class:`Injector` falsifies the gradients of one rank on their way into whatever reduces them, DDP
with or without a guard; :class:`Drill` has some ranks send what an attack of the list forges.
Each keeps a list of what it did and fails where it did nothing: a drill in which nothing fired
proves nothing.

:data:`MIX` follows what was published of accelerators' silent errors (arXiv 2605.04213): NaN and
Inf are about 1 % of them, single flipped bits below 40 %, and the rest touches many numbers, at
addresses with the period of a warp or in a tile of a matrix. *Differs:* how the rest is shared
between warps and tiles is our guess.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from varangian import _core
from varangian.torch._collect import host

#: Threads of a warp: the period of the addresses that one broken lane writes.
WARP = 32
#: The side of a tile of a matrix product.
TILE = 16


@dataclass(frozen=True)
class Fired:
    """What was done to a gradient."""

    step: int
    kind: str
    #: The parameter, or "" for all of them.
    parameter: str
    #: How many numbers have other bits than before.
    changed: int


Change = Callable[[Any, np.random.Generator], Any]


def non_finite(gradient: Any, draw: np.random.Generator) -> Any:
    """One number becomes NaN, Inf or −Inf."""
    out = gradient.clone(memory_format=torch.contiguous_format)
    value = [float("nan"), float("inf"), float("-inf")][draw.integers(3)]
    out.view(-1)[int(draw.integers(out.numel()))] = value
    return out


def single_flip(gradient: Any, draw: np.random.Generator) -> Any:
    """One bit of one number is the other one."""
    return _flipped(gradient, [int(draw.integers(gradient.numel()))], 1 << int(draw.integers(32)))


def warp(gradient: Any, draw: np.random.Generator) -> Any:
    """One lane of a warp is broken: the same bits of every 32nd number are flipped, over a run."""
    size = gradient.numel()
    lane = int(draw.integers(min(WARP, size)))
    run = int(draw.integers(1, max(size // WARP, 1) + 1))
    start = int(draw.integers(max(size // WARP - run, 0) + 1)) * WARP + lane
    places = [k for k in range(start, size, WARP)][:run] or [lane]
    mask = int(draw.integers(1, 1 << 32))
    return _flipped(gradient, places, mask)


def tile(gradient: Any, draw: np.random.Generator) -> Any:
    """A tile of a matrix holds something else: a multiple by a power of two, of either sign."""
    out = gradient.clone(memory_format=torch.contiguous_format)
    matrix = out.view(out.shape[0], -1) if out.dim() > 1 else out.view(1, -1)
    high, wide = matrix.shape
    i, j = (int(draw.integers(-(-side // TILE))) * TILE for side in (high, wide))
    part = matrix[i : i + TILE, j : j + TILE]
    part.mul_(float(draw.choice([-1.0, 1.0])) * 2.0 ** int(draw.integers(1, 13)))
    return out


def wrong_scale(factor: float) -> Change:
    """Every gradient is a multiple: a wrong loss scale, or a sum in the place of a mean."""
    return lambda gradient, draw: gradient * factor


def dropped(gradient: Any, draw: np.random.Generator) -> Any:
    """The gradient is lost: zeros arrive in its place."""
    return torch.zeros_like(gradient)


def swapped_labels(labels: Any, classes: int) -> Any:
    """The labels of a bad shard: each is that of the next class."""
    return (labels + 1) % classes


def duplicated_shard(shard: Sequence[int], length: int) -> list[int]:
    """The indices of a shard that holds one sample over and over."""
    if not shard:
        raise ValueError("a shard has samples")
    return [int(shard[0])] * length


#: The faults of one number or of some numbers of a gradient, and their shares.
MIX: dict[str, tuple[float, Change]] = {
    "non-finite": (0.01, non_finite),
    "single-flip": (0.38, single_flip),
    "warp": (0.41, warp),
    "tile": (0.20, tile),
}


class Injector:
    """Falsifies the gradients of a module on this rank, from a step on.

    Call :meth:`begin` before each backward pass; at the end of a drill, :meth:`assert_fired`.

    Parameters
    ----------
    module : torch.nn.Module
        Whose parameters; of DDP the module inside, or the whole.
    kind : str
        "mix", a name of :data:`MIX`, "scale", "stale", "dropped-bucket" or "sign".
    start, stop : int
        The steps from and before which it acts.
    share : float
        The share of these steps in which it does.
    factor : float
        Of "scale".
    seed : int
        What it draws from; the same seed falsifies the same.
    """

    def __init__(
        self, module: Any, kind: str = "mix", start: int = 0, stop: int | None = None,
        share: float = 1.0, factor: float = 16.0, seed: int = 0,
    ) -> None:
        whole = {"scale", "stale", "sign", "dropped-bucket"}
        if kind != "mix" and kind not in MIX and kind not in whole:
            known = ", ".join(["mix", *MIX, *sorted(whole)])
            raise ValueError(f"a fault is one of {known}; got {kind!r}")
        self.kind, self.start, self.stop, self.share = kind, start, stop, share
        self.factor, self.seed = factor, seed
        #: What was done so far.
        self.fired: list[Fired] = []
        self.step = -1
        self._planned: dict[str, Change] = {}
        self._name = ""
        self._draw = np.random.default_rng(seed)
        self._before: dict[str, Any] = {}
        named = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
        if not named:
            raise ValueError("the module has no parameters that require a gradient")
        self._names = [name for name, _ in named]
        sizes = np.asarray([p.numel() for _, p in named], dtype=np.float64)
        self._shares = sizes / sizes.sum()
        self._handles = [p.register_hook(self._hook(name)) for name, p in named]

    def begin(self) -> bool:
        """Begins a step; says whether a fault is due in it."""
        self.step += 1
        self._planned = {}
        draw = self._draw = np.random.default_rng([self.seed, self.step])
        late = self.stop is not None and self.step >= self.stop
        if self.step < self.start or late or draw.random() >= self.share:
            return False
        self._name = self.kind
        if self.kind == "mix":
            parts = np.asarray([share for share, _ in MIX.values()])
            self._name = list(MIX)[int(draw.choice(len(parts), p=parts / parts.sum()))]
        if self._name in MIX:
            where = self._names[int(draw.choice(len(self._names), p=self._shares))]
            self._planned = {where: MIX[self._name][1]}
        elif self._name == "dropped-bucket":
            # Buckets hold neighbours: half of the parameters, from the back.
            self._planned = {name: dropped for name in self._names[len(self._names) // 2 :]}
        elif self._name == "stale":
            if not self._before:
                return False
            self._planned = {name: _instead(old) for name, old in self._before.items()}
        else:
            change = wrong_scale(-1.0 if self._name == "sign" else self.factor)
            self._planned = {name: change for name in self._names}
        return True

    def assert_fired(self, least: int = 1) -> None:
        """Fails unless at least this many gradients were falsified."""
        changed = [one for one in self.fired if one.changed]
        if len(changed) < least:
            raise AssertionError(
                f"{least} faults of kind {self.kind} were to fire; {len(changed)} did"
            )

    def remove(self) -> None:
        """Takes the hooks off."""
        for handle in self._handles:
            handle.remove()

    def _hook(self, name: str) -> Callable[[Any], Any]:
        def falsify(gradient: Any) -> Any:
            change = self._planned.get(name)
            if self.kind == "stale" and (change is None or name not in self._before):
                self._before[name] = gradient.detach().clone()
            if change is None:
                return None
            out = change(gradient.detach(), self._draw)
            differ = _words(out) != _words(gradient.detach())
            self.fired.append(Fired(self.step, self._name, name, int(differ.sum())))
            return out

        return falsify


class Drill:
    """Ranks that send what an attack forges from the others' rows; set as ``guard.drill``.

    Every rank takes part in one exchange more, as the attackers see all honest rows.

    Parameters
    ----------
    attack : str or Attack
        One of the list, "alie z=1.5", or one that you wrote. Those that poison labels do that to
        batches: :meth:`varangian.Attack.poison`.
    ranks : sequence of int
        Who attacks, within the group.
    start : int
        The first step in which they do.
    """

    def __init__(self, attack: Any, ranks: Sequence[int], start: int = 0) -> None:
        text = attack if isinstance(attack, str) else attack.spec
        own = [] if isinstance(attack, str) else attack._brought()
        self._handle = _core.Attack(text, own)
        self.spec: str = self._handle.spec
        self.ranks, self.start = list(ranks), start
        #: What was done so far.
        self.fired: list[Fired] = []

    def __call__(self, row: Any, group: Any, step: int, rule: Any) -> Any:
        """What this rank sends in the place of its row."""
        rows = group.gather_rows(row)
        if step < self.start or group.rank not in self.ranks:
            return row
        honest = [rank for rank in range(group.size) if rank not in self.ranks]
        tried = rule if self._handle.tries_rule else None
        forged = self._handle.forge(
            host(rows[honest]), host(rows[self.ranks]), len(self.ranks), step, 0, tried
        )
        mine = np.ascontiguousarray(forged[self.ranks.index(group.rank)])
        out = torch.from_numpy(mine).to(row.device)
        changed = int((_words(out) != _words(row)).sum())
        self.fired.append(Fired(step, self.spec, "", changed))
        return out

    def assert_fired(self, least: int = 1) -> None:
        """Fails unless this rank sent at least this many rows that are not its own."""
        changed = [one for one in self.fired if one.changed]
        if len(changed) < least:
            raise AssertionError(
                f"{least} rows of {self.spec} were to be sent; {len(changed)} were"
            )


def _instead(old: Any) -> Change:
    return lambda gradient, draw: old.clone()


def _words(values: Any) -> Any:
    return values.contiguous().view(-1).float().view(torch.int32)


def _flipped(gradient: Any, places: Sequence[int], mask: int) -> Any:
    out = gradient.detach().float().clone(memory_format=torch.contiguous_format)
    words = out.view(-1).view(torch.int32)
    at = torch.as_tensor(list(places), device=words.device)
    signed = mask - (1 << 32) if mask >= 1 << 31 else mask
    words[at] = words[at] ^ signed
    return out.to(gradient.dtype)
