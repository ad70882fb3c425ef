"""FSDP2: a reduce-scatter by a rule, and an all-reduce across replicas by one."""

from __future__ import annotations

import importlib
from typing import Any

import torch
import torch.distributed as dist

from varangian.torch._collect import Group
from varangian.torch._sketch import Layer

LACKING = (
    "FSDP2 of torch {version} has no FSDPModule.{door}, which a guard needs: take a newer torch, "
    "DistributedDataParallel, or guard.reduce_gradients in your own loop"
)


def is_sharded(model: Any) -> bool:
    """Whether ``fully_shard`` has sharded a module."""
    return _fsdp_module() is not None and isinstance(model, _fsdp_module())


def _fsdp_module() -> Any:
    # Where it stands now, and where it stood up to torch 2.5.
    for home in ("torch.distributed.fsdp", "torch.distributed._composable.fsdp"):
        try:
            return getattr(importlib.import_module(home), "FSDPModule")
        except (ImportError, AttributeError):
            continue
    return None


def attach(guard: Any, model: Any) -> None:
    """Puts the guard into every sharded part of a module.

    Where the mesh has two dimensions (HSDP), the mean is taken within a replica and the rule goes
    across replicas; else the rule takes the place of the reduce-scatter. Each part that
    ``fully_shard`` made reduces by itself: a rule that is not coordinate-wise sees the parts of a
    gradient one by one, which is another rule than that of whole gradients.
    """
    door = "set_custom_reduce_scatter"
    if not hasattr(_fsdp_module(), door):
        raise RuntimeError(LACKING.format(version=torch.__version__, door=door))
    parts = [(name, part) for name, part in model.named_modules() if is_sharded(part)]
    groups = [(name, part, _param_group(part)) for name, part in parts]
    groups = [(name, part, group) for name, part, group in groups if group is not None]
    if not groups:
        raise ValueError("fully_shard has sharded no parameters of this module")
    if _mesh(groups[0][2]).ndim == 2:
        raise RuntimeError(
            "this module has a mesh of replicas and shards, and torch takes the mean across "
            "replicas before any hook: shard over the inner dimension alone, "
            "fully_shard(module, mesh=mesh['shard']), and attach with "
            "guard.attach_replicas(module, mesh['replicate'].get_group())"
        )
    mesh_group = _mesh(groups[0][2]).get_group()
    guard._open([(name, p.numel()) for name, p in model.named_parameters()], mesh_group)
    guard.scope = "bucket"
    comm = _reduce_scatter(guard)
    for name, part, group in groups:
        part.set_custom_reduce_scatter(comm(name or "root", len(groups)))


def attach_replicas(guard: Any, model: Any, replicas: Any) -> None:
    """Puts the guard across replicas of a module that is sharded within each."""
    parts = [(name, part) for name, part in model.named_modules() if is_sharded(part)]
    if not parts or not hasattr(parts[0][1], "set_all_reduce_hook"):
        raise RuntimeError(LACKING.format(version=torch.__version__, door="set_all_reduce_hook"))
    guard._open([(name, p.numel()) for name, p in model.named_parameters()], replicas)
    guard.scope = "bucket"
    held = [(name, part) for name, part in parts if _param_group(part) is not None]
    for name, part in held:
        part.set_all_reduce_hook(_Across(guard, name or "root", len(held)))


class _Across:
    """An all-reduce hook: this rank's shard, by the rule over the replicas."""

    def __init__(self, guard: Any, name: str, parts: int) -> None:
        self.guard, self.name, self.parts = guard, name, parts

    def __call__(self, output: Any) -> None:
        row = output.detach().reshape(-1).to(torch.float32)
        layers = [Layer(self.name, 0, row.numel())]
        self.guard._reducer.check(row.numel())
        out = self.guard.reduce(row.clone(), (self.name, layers)).row
        output.copy_(out.view_as(output))
        _count(self.guard, self.parts)


def _reduce_scatter(guard: Any) -> Any:
    from torch.distributed.fsdp._fully_shard._fsdp_api import ReduceScatter

    class Robust(ReduceScatter):  # type: ignore[misc]
        """A reduce-scatter by the guard's rule."""

        def __init__(self, name: str, parts: int) -> None:
            self.name, self.parts = name, parts

        def allocate(self, size: Any, *, dtype: Any, device: Any) -> Any:
            return torch.empty(*size, dtype=dtype, device=device)

        def __call__(
            self, output_tensor: Any, input_tensor: Any, group: Any, op: Any, async_op: bool = False
        ) -> Any:
            seen = Group(group)
            if (seen.size, seen.rank) != (guard.group.size, guard.group.rank):
                raise RuntimeError("this part is sharded over another group than the module")
            if op == dist.ReduceOp.AVG:
                scale = 1.0
            elif op == dist.ReduceOp.SUM:
                scale = float(seen.size)
            else:
                raise RuntimeError(f"a rule stands for a mean or a sum; FSDP2 asks for {op}")
            row = input_tensor.detach().reshape(-1).to(torch.float32)
            layers = [Layer(self.name, 0, row.numel())]
            guard._reducer.check(row.numel())
            if row.data_ptr() == input_tensor.data_ptr():
                row = row.clone()
            out = guard.reduce(row, (self.name, layers)).row
            mine = output_tensor.numel() * seen.rank
            part = out[mine : mine + output_tensor.numel()].view_as(output_tensor)
            output_tensor.copy_(part * scale if scale != 1.0 else part)
            _count(guard, self.parts)

    return Robust


def _count(guard: Any, parts: int) -> None:
    """A step is over when every part was reduced."""
    guard._parts_done = getattr(guard, "_parts_done", 0) + 1
    if guard._parts_done == parts:
        guard._parts_done = 0
        guard.step += 1


def _param_group(part: Any) -> Any:
    state = part._get_fsdp_state()
    groups = getattr(state, "_fsdp_param_groups", None)
    if groups is None:
        return getattr(state, "_fsdp_param_group", None)
    return groups[0] if groups else None


def _mesh(param_group: Any) -> Any:
    return param_group.mesh_info.mesh
