"""Optimisers over ranks: momentum at the worker, then the rule; and outer steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch

from varangian._rule import Rule
from varangian.torch._agree import agree, digest
from varangian.torch._collect import Group
from varangian.torch._guard import Guard, flat, spread
from varangian.torch._layouts import Order, Outcome, Reducer


def aggregate_gradients(
    parameters: Iterable[Any],
    rule: str | Rule = "trimmed-mean",
    f: int = 1,
    group: Any = None,
    layout: str = "gather",
    *,
    weight: float | None = None,
    root: int = 0,
) -> Outcome:
    """Sets the gradients of parameters to their aggregate over the ranks.

    For loops of one's own, between ``backward`` and the optimiser's step, on every rank. A rule
    that remembers earlier rounds is given as a :class:`Rule`, whose memory goes on from call to
    call. ``layout="gather"``, with a trusted root, and ``"replicated"`` hold against hostile ranks;
    ``"sharded"``, at a mean's bytes, against faults. ``weight`` is how much this rank counts, for
    rules of weighted rows.

    Raises
    ------
    ValueError
        On every rank: if too few good gradients are left for the rule, or it refuses n and f.
    """
    held = [p for p in parameters if p.requires_grad]
    ranks = Group(group)
    reducer, row, failed = None, None, None
    mine: dict[str, Any] = {"rule": str(rule), "f": f, "layout": layout, "root": root}
    try:
        reducer = Reducer(rule, f, ranks, layout, root)
        if reducer.handle.has_memory and not isinstance(rule, Rule):
            raise ValueError(
                f"{reducer.spec} remembers earlier rounds: make it once, varangian.rule({rule!r}), "
                "and give that"
            )
        row = flat([p.grad for p in held], held)
        reducer.check(row.numel())
        mine.update({"rule": reducer.spec, "the number of parameters": row.numel()})
        numbers = [float("nan") if weight is None else float(weight), digest(mine)]
    except Exception as error:  # All ranks hear of it: none waits for the others.
        failed, numbers = error, [float("nan"), -1.0]
    told = ranks.gather(np.asarray(numbers))
    if (told[:, 1] != told[0, 1]).any() or failed is not None:
        agree(ranks, "the reduce", mine, failed)
    assert reducer is not None
    weights, counted = None, ~np.isnan(told[:, 0])
    if counted.any():
        if not counted.all():
            raise ValueError("some ranks have a weight and others have none")
        weights = told[:, 0].tolist()
    step = reducer.rule._its_step
    outcome = reducer.reduce(row, Order(f, step, weights=weights))
    reducer.rule._its_step = step + 1
    if outcome.void is not None:
        raise ValueError(f"no step can be made: {outcome.void}")
    spread(outcome.row, held)
    return outcome


class RobustOptimizer(torch.optim.Optimizer):  # type: ignore[misc]
    """An optimiser that steps along the rule of the ranks' momenta.

    Each rank keeps the momentum m ← β·m + (1 − β)·g of its own gradients, the rule aggregates the
    momenta, and the optimiser given takes the aggregate for a gradient: in this order honest
    gradients differ less, the more β is, and the theory of robust training wants that (Karimireddy,
    He & Jaggi 2021; Farhadkhani et al. 2022). The optimiser's own momentum should be 0.

    Works on models that no DDP reduces. With a ``GradScaler``, a rank whose gradients overflow
    hands in a row that is not finite, which the rule never sees: every rank takes the same step.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        Whose parameters these are.
    rule, f, group, layout
        As of :class:`Guard`.
    worker_momentum : float
        β, from 0 to below 1.
    guard : Guard, optional
        In place of rule, f, group and layout: one that is attached to nothing.
    """

    def __init__(
        self,
        optimizer: Any,
        rule: str | Rule = "trimmed-mean",
        f: int = 1,
        group: Any = None,
        layout: str = "sharded",
        *,
        worker_momentum: float = 0.9,
        guard: Guard | None = None,
    ) -> None:
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise TypeError(f"an optimiser of torch is wrapped; got {type(optimizer).__name__}")
        if not 0.0 <= worker_momentum < 1.0:
            raise ValueError(f"worker_momentum is 0 to below 1; got {worker_momentum}")
        super().__init__([p for g in optimizer.param_groups for p in g["params"]], {})
        self.optimizer, self.worker_momentum = optimizer, worker_momentum
        self.param_groups, self.defaults = optimizer.param_groups, optimizer.defaults
        self.guard = guard or Guard(rule, f, layout, "warn", group)
        self.momentum: Any = None
        # The scaler hands its findings to step(), which takes part in every exchange.
        self._step_supports_amp_scaling = True
        self.found_inf: Any = None

    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # noqa: D102
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        held = [p for g in self.param_groups for p in g["params"] if p.requires_grad]
        row = flat([p.grad for p in held], held)
        scale = getattr(self, "grad_scale", None)
        if scale is not None:
            row.mul_(1.0 / float(scale))
        if self.found_inf is not None and bool(self.found_inf):
            row.fill_(torch.nan)
        momentum = self._moved(row)
        outcome = self.guard.reduce_row(momentum, held)
        spread(outcome.row, held)
        self.optimizer.step()
        return loss

    def _moved(self, row: Any) -> Any:
        """This rank's momentum after a gradient; one that is not finite leaves it as it was."""
        if self.worker_momentum == 0.0:
            return row
        if not torch.isfinite(row).all():
            return row
        if self.momentum is None:
            self.momentum = torch.zeros_like(row)
        self.momentum.mul_(self.worker_momentum).add_(row, alpha=1.0 - self.worker_momentum)
        return self.momentum.clone()

    def zero_grad(self, set_to_none: bool = True) -> None:  # noqa: D102
        self.optimizer.zero_grad(set_to_none)

    def add_param_group(self, param_group: dict[str, Any]) -> None:  # noqa: D102
        if not hasattr(self, "optimizer"):
            super().add_param_group(param_group)
            return
        if self.guard.group is not None:
            raise RuntimeError("parameters are added before the first step")
        self.optimizer.add_param_group(param_group)

    def state_dict(self) -> dict[str, Any]:
        """The optimiser's state, this rank's momentum and the guard's: kept by each rank."""
        return {
            "optimizer": self.optimizer.state_dict(), "momentum": self.momentum,
            "guard": self.guard.state_dict(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes up what :meth:`state_dict` gave this rank."""
        self.optimizer.load_state_dict(state_dict["optimizer"])
        self.param_groups = self.optimizer.param_groups
        self.momentum = state_dict["momentum"]
        held = [p for g in self.param_groups for p in g["params"] if p.requires_grad]
        self.guard.name_rows(held)
        self.guard.load_state_dict(state_dict["guard"])


class OuterOptimizer:
    """Steps of an outer optimiser every ``every`` inner steps, along the rule of the ranks' moves.

    As in DiLoCo (Douillard et al. 2023): each rank trains by itself; then the pseudo-gradients
    θ_start − θ are aggregated, here by a rule in the place of their mean, and the outer optimiser
    steps from θ_start along that. DiLoCo's outer optimiser is SGD with Nesterov momentum:
    ``torch.optim.SGD(parameters, lr=0.7, momentum=0.9, nesterov=True)``.

    *Differs:* DiLoCo takes the mean of the pseudo-gradients.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        The outer one, over all parameters of the module.
    every : int
        H, the inner steps between two outer ones.
    rule, f, group, layout
        As of :class:`Guard`.
    guard : Guard, optional
        In place of rule, f, group and layout: one that is attached to nothing.
    """

    def __init__(
        self,
        optimizer: Any,
        every: int,
        rule: str | Rule = "trimmed-mean",
        f: int = 1,
        group: Any = None,
        layout: str = "sharded",
        *,
        guard: Guard | None = None,
    ) -> None:
        if every < 1:
            raise ValueError(f"an outer step is made every 1 or more inner steps; got {every}")
        self.optimizer, self.every = optimizer, every
        self.guard = guard or Guard(rule, f, layout, "warn", group)
        self._held = [p for g in optimizer.param_groups for p in g["params"] if p.requires_grad]
        self._start = [p.detach().clone() for p in self._held]
        self._inner = 0

    def step(self) -> bool:
        """Counts an inner step; makes an outer one where it is due, and says whether it did."""
        self._inner += 1
        if self._inner % self.every:
            return False
        moves = [start - p.detach() for start, p in zip(self._start, self._held)]
        outcome = self.guard.reduce_row(flat(moves, self._held), self._held)
        with torch.no_grad():
            for p, start in zip(self._held, self._start):
                p.copy_(start)
                p.grad = None
        spread(outcome.row, self._held)
        self.optimizer.step()
        self.optimizer.zero_grad()
        for start, p in zip(self._start, self._held):
            start.copy_(p.detach())
        return True

    def state_dict(self) -> dict[str, Any]:
        """The inner steps, where they began, the outer optimiser's state and the guard's: kept by
        each rank."""
        return {
            "inner": self._inner, "start": [start.clone() for start in self._start],
            "optimizer": self.optimizer.state_dict(), "guard": self.guard.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up what :meth:`state_dict` gave this rank."""
        shapes = [tuple(start.shape) for start in state["start"]]
        if shapes != [tuple(start.shape) for start in self._start]:
            raise ValueError("this is the state of outer steps over other parameters")
        self._inner = int(state["inner"])
        for start, kept in zip(self._start, state["start"]):
            start.copy_(kept)
        self.optimizer.load_state_dict(state["optimizer"])
        self.guard.name_rows(self._held)
        self.guard.load_state_dict(state["guard"])
