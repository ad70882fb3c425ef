"""One line for who trains with Lightning or Accelerate. Neither is imported before it is asked for."""

from __future__ import annotations

import importlib
from typing import Any

from varangian.torch._guard import Guard

#: What a guard over all ranks cannot keep in a file of one of them.
MEMORY = (
    "{spec} remembers earlier rounds, on every rank its own columns, and {who} keeps what the first "
    "rank holds: save guard.state_dict() of every rank yourself, or take a rule without a memory"
)


def lightning(guard: Guard) -> Any:
    """A callback of Lightning that guards the training: ``Trainer(strategy="ddp", callbacks=[…])``.

    It attaches the guard to the module that the strategy has wrapped, DDP's or FSDP2's, when
    training starts, keeps the guard's state in checkpoints, and closes the evidence at the end.
    ``DDPStrategy(ddp_comm_hook=…)`` will not do: Lightning registers that on CUDA alone.

    Raises
    ------
    ImportError
        If neither ``lightning`` nor ``pytorch_lightning`` is there.
    """
    base: Any = _callback()

    class GuardCallback(base):  # type: ignore[misc]
        """Attaches a guard and keeps its state."""

        def __init__(self) -> None:
            self.guard = guard
            self._kept: dict[str, Any] | None = None

        def on_train_start(self, trainer: Any, module: Any) -> None:
            if guard.group is None:
                guard.attach(trainer.strategy.model)
            if self._kept is not None:
                guard.load_state_dict(self._kept)
                self._kept = None

        def state_dict(self) -> dict[str, Any]:
            return shared_state(guard, "Lightning") if guard.group is not None else {}

        def load_state_dict(self, state: dict[str, Any]) -> None:
            # Checkpoints are read before there is a module to attach to.
            self._kept = state or None

        def teardown(self, trainer: Any, module: Any, stage: str) -> None:
            guard.close()

    return GuardCallback()


def accelerate(accelerator: Any, guard: Guard, *objects: Any) -> Any:
    """``accelerator.prepare(*objects)`` with the guard attached to the module among them.

    Answers what ``prepare`` answers. The guard's state goes into ``accelerator.save_state`` and
    comes back from ``load_state``.

    Raises
    ------
    TypeError
        If ``prepare`` wraps no module for several processes: on one process alone there is nobody
        to guard against.
    """
    prepared = accelerator.prepare(*objects)
    all_of_them = prepared if isinstance(prepared, (list, tuple)) else (prepared,)
    for one in all_of_them:
        try:
            guard.attach(one)
        except TypeError:
            continue
        accelerator.register_for_checkpointing(_Kept(guard))
        return prepared
    kinds = ", ".join(type(one).__name__ for one in all_of_them)
    raise TypeError(
        "a guard is attached to a DistributedDataParallel module or to one that fully_shard has "
        f"sharded; accelerator.prepare gave {kinds}"
    )


class _Kept:
    """What Accelerate keeps in the file of the first process."""

    def __init__(self, guard: Guard) -> None:
        self.guard = guard

    def state_dict(self) -> dict[str, Any]:
        return shared_state(self.guard, "Accelerate")

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.guard.load_state_dict(state)


def shared_state(guard: Guard, who: str) -> dict[str, Any]:
    """The state of a guard where it is the same on every rank.

    Raises
    ------
    ValueError
        If the rule has a memory of this rank's columns.
    """
    reducer = guard._reducer
    if reducer.handle.has_memory and reducer.layout in ("sharded", "checked", "gather"):
        raise ValueError(MEMORY.format(spec=reducer.spec, who=who))
    return guard.state_dict()


def _callback() -> Any:
    for name in ("lightning.pytorch", "pytorch_lightning"):
        try:
            return getattr(importlib.import_module(name), "Callback")
        except ImportError:
            continue
    raise ImportError("varangian.torch.lightning needs Lightning: pip install lightning")
