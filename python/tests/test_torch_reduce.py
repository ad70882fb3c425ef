"""The robust reduce of torch.distributed: four ranks over gloo on this machine."""

from __future__ import annotations

import importlib
import json
import math
import os
import socket
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import varangian

torch = pytest.importorskip("torch")
if not torch.distributed.is_available():
    pytest.skip("torch has no torch.distributed here", allow_module_level=True)

import torch.distributed as dist  # noqa: E402
from torch.nn.parallel import DistributedDataParallel as DDP  # noqa: E402

import varangian.torch as vt  # noqa: E402
from varangian._entries import CATALOGUE  # noqa: E402
from varangian.torch import faults  # noqa: E402
from varangian.torch._collect import Group  # noqa: E402
from varangian.torch._guard import spread  # noqa: E402
from varangian.torch._layouts import Order, Reducer  # noqa: E402
from varangian.torch._pieces import Pieces  # noqa: E402
from varangian.torch._sketch import BUCKETS, HEAD, Sketcher, layers_of  # noqa: E402
from varangian.torch._suspicion import Suspicion  # noqa: E402

RANKS = 4


# Ranks: processes that wait for the name of a function of this file.


def serve(rank: int, port: int, wire: Any) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    patience = __import__("datetime").timedelta(seconds=40)
    dist.init_process_group("gloo", rank=rank, world_size=RANKS, timeout=patience)
    while (order := wire.recv()) is not None:
        name, args = order
        torch.manual_seed(1000 + rank)
        try:
            wire.send((True, globals()[name](rank, *args)))
        except Exception:
            wire.send((False, traceback.format_exc()))
    dist.destroy_process_group()


class Ranks:
    """The processes."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        spawn = torch.multiprocessing.get_context("spawn")
        pipes = [spawn.Pipe() for _ in range(RANKS)]
        self.wires = [mine for mine, _ in pipes]
        self.all = [
            spawn.Process(target=serve, args=(rank, port, theirs), daemon=True)
            for rank, (_, theirs) in enumerate(pipes)
        ]
        for one in self.all:
            one.start()

    def __call__(self, work: Any, *args: Any) -> list[Any]:
        """What each rank answers."""
        for wire in self.wires:
            wire.send((work.__name__, args))
        answers = []
        for rank, wire in enumerate(self.wires):
            assert wire.poll(60), f"rank {rank} hangs in {work.__name__}"
            answers.append(wire.recv())
        for rank, (good, what) in enumerate(answers):
            assert good, f"rank {rank}: {what}"
        return [what for _, what in answers]

    def close(self) -> None:
        for wire in self.wires:
            wire.send(None)
        for one in self.all:
            one.join(10)
            one.terminate()


@pytest.fixture(scope="module")
def ranks() -> Iterator[Ranks]:
    made = Ranks()
    yield made
    made.close()


def bits(x: Any) -> bytes:
    return bytes(np.ascontiguousarray(x.detach().numpy() if hasattr(x, "detach") else x).tobytes())


def row_of(rank: int, d: int, seed: int = 0) -> Any:
    draw = np.random.default_rng([seed, rank])
    row = draw.normal(size=d).astype(np.float32)
    return torch.from_numpy(row * 30 if rank == 2 else row)


def net(seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return torch.nn.Sequential(
        torch.nn.Linear(20, 50), torch.nn.ReLU(), torch.nn.Linear(50, 40), torch.nn.Tanh(),
        torch.nn.Linear(40, 3),
    )


def batch(rank: int, step: int = 0) -> Any:
    made = torch.Generator().manual_seed(100 * step + rank)
    return torch.randn(8, 20, generator=made)


def flat(model: Any) -> Any:
    return torch.cat([p.grad.reshape(-1) for p in model.parameters()])


def own_gradient(rank: int, model: Any, step: int = 0) -> Any:
    """What this rank's gradient is without any reduce."""
    alone = net()
    alone.load_state_dict(model.state_dict())
    alone(batch(rank, step)).square().sum().backward()
    return flat(alone)


def gathered(row: Any) -> Any:
    return Group().gather_rows(row)


# Layouts.

SHARDING = [
    entry["name"] for entry in CATALOGUE["rules"]
    if entry["facts"]["family"] == "rule" and not entry["facts"]["whole_rows"]
]
CHAINS = [
    "nnm | trimmed-mean", "arc | nnm | multi-krum", "bucketing s=2 | median", "median | ctma",
    "clipping c=3 | average", "exclusion | geometric-median", "centred-clipping tau=2 L=3",
]


def lowest(spec: str) -> int | None:
    for f in (1, 0):
        try:
            varangian.rule(spec, f).check(RANKS)
        except ValueError:
            continue
        return f
    return None


def reduce_all(rank: int, specs: list[str], layout: str, d: int) -> dict[str, bool]:
    row = row_of(rank, d)
    rows = gathered(row).numpy()
    found = {}
    for spec in specs:
        f = lowest(spec)
        if f is None:
            continue
        reducer = Reducer(spec, f, Group(), layout)
        reducer.check(d)
        outcome = reducer.reduce(row, Order(f))
        rule = varangian.rule(spec, f)
        same = bits(outcome.row) == bits(rule(rows))
        weights = rule.weights
        # None of the ranks is said to have reduced something else.
        found[spec] = same and outcome.weights == weights and not outcome.disagreed
    return found


@pytest.mark.parametrize("layout", ["sharded", "replicated", "gather", "checked"])
def test_every_layout_gives_the_rules_bits_on_the_same_rows(ranks: Ranks, layout: str) -> None:
    # Three blocks of columns: one rank has none.
    d = 2 * 16384 + 77
    specs = [*SHARDING, *CHAINS] if layout == "sharded" else ["median", *CHAINS]
    for found in ranks(reduce_all, specs, layout, d):
        assert len(found) > (20 if layout == "sharded" else 5)
        assert [spec for spec, same in found.items() if not same] == []


def test_sockets_and_shared_memory_give_the_same_bits(ranks: Ranks) -> None:
    for halls, same, left in ranks(both_ways):
        assert halls == [True, False] and all(same) and left == []


def both_ways(rank: int) -> Any:
    d, halls, same = 5 * 16384 + 3, [], []
    rows = gathered(row_of(rank, d))
    for sockets in ("0", "1"):
        os.environ["VARANGIAN_TORCH_SOCKETS"] = sockets
        for spec in ("median", "nnm | trimmed-mean"):
            group = Group()
            reducer = Reducer(spec, 1, group, "sharded")
            wanted = varangian.rule(spec, 1)(rows)
            # Pieces that are cut elsewhere than the shards, answered into themselves; twice, and
            # then fewer columns.
            for size in (d, d, d - 16384):
                whole = row_of(rank, d)[:size].clone()
                parts = list(whole.split(30000))
                reducer.reduce(Pieces(parts), Order(1), Pieces(parts))
                if spec == "median" or size == d:
                    same.append(bits(whole) == bits(wanted[:size]))
        halls.append(group._hall is not None)
    del os.environ["VARANGIAN_TORCH_SOCKETS"]
    dist.barrier()
    return halls, same, [file.name for file in Path("/dev/shm").glob(f"varangian-{os.getpid()}-*")]


def test_sharded_is_the_commands_aggregate(ranks: Ranks, tmp_path: Path) -> None:
    d = 16384 + 9
    rows = np.stack([row_of(rank, d).numpy() for rank in range(RANKS)])
    np.save(tmp_path / "rows.npy", rows)
    command = [sys.executable, "-m", "varangian", "aggregate", "--rule", "nnm | trimmed-mean"]
    files = ["--f", "1", "--input", "rows.npy", "--output", "out.npy"]
    subprocess.run([*command, *files], cwd=tmp_path, check=True, capture_output=True)
    for out in ranks(one_reduce, "nnm | trimmed-mean", "sharded", d):
        assert bits(out) == bits(np.load(tmp_path / "out.npy"))


def one_reduce(rank: int, spec: str, layout: str, d: int) -> Any:
    return Reducer(spec, 1, Group(), layout).reduce(row_of(rank, d), Order(1)).row.numpy()


def test_who_needs_whole_rows_is_refused_with_a_reason(ranks: Ranks) -> None:
    for said in ranks(refusals):
        assert "dnc needs whole rows: it draws coordinates" in said["dnc"]
        assert "layout='replicated' and 'gather' take it" in said["dnc"]
        assert "asks for a server's own data" in said["zeno"]
        assert "a layout is one of sharded, checked" in said["layout"]
        assert "needs n ≥ 2f + 1" in said["bound"]


def refusals(rank: int) -> dict[str, str]:
    def said(work: Any) -> str:
        with pytest.raises(ValueError) as error:
            work()
        return str(error.value)

    return {
        "dnc": said(lambda: Reducer("dnc", 1, Group(), "sharded").check(100)),
        "zeno": said(lambda: Reducer("zeno", 1, Group(), "gather")),
        "layout": said(lambda: Reducer("median", 1, Group(), "ring")),
        "bound": said(lambda: Reducer("median", 2, Group(), "sharded")),
    }


def test_rows_that_are_not_finite_are_refused_everywhere_alike(ranks: Ranks) -> None:
    for layout in ("sharded", "replicated", "gather", "checked"):
        told = ranks(with_nan, layout)
        assert {json.dumps(one[1:]) for one in told} == {json.dumps(told[0][1:])}
        out, refused, void = told[0]
        assert refused == [(3, "NaN at coordinate 20000")] and void is None
        rows = np.stack([row_of(rank, 40000).numpy() for rank in range(3)])
        assert all(bits(one[0]) == bits(varangian.rule("median", 0)(rows)) for one in told)
        # Two are more than f.
        void = ranks(with_nan, layout, 2)[1][2]
        assert "at most f = 1 ranks may be bad; 2 of 4 are: 2 (NaN at coordinate 20000), 3" in void


def with_nan(rank: int, layout: str, bad: int = 1) -> Any:
    row = row_of(rank, 40000)
    if rank >= RANKS - bad:
        row[20000] = torch.nan
    outcome = Reducer("median", 1, Group(), layout).reduce(row, Order(1))
    out = None if outcome.row is None else outcome.row.numpy()
    return out, outcome.refused, outcome.void


def test_a_rank_that_reduces_its_columns_wrongly_is_named(ranks: Ranks) -> None:
    for out, disagreed, right in ranks(falsified):
        assert disagreed == [1] and bits(out) == bits(right)


def falsified(rank: int) -> Any:
    d = 4 * 16384
    row = row_of(rank, d)
    reducer = Reducer("nnm | trimmed-mean", 1, Group(), "checked")
    handle = reducer.handle

    class Wrong:
        def __getattr__(self, name: str) -> Any:
            return getattr(handle, name)

        def aggregate_shard_watching(self, *args: Any) -> Any:
            found = handle.aggregate_shard_watching(*args)
            args[-1][5] += 1.0
            return found

    if rank == 1:
        reducer.handle = Wrong()
    outcome = reducer.reduce(row, Order(1))
    right = varangian.rule("nnm | trimmed-mean", 1)(gathered(row).numpy())
    return outcome.row.numpy(), outcome.disagreed, right


# DDP.


def ddp_steps(rank: int, options: dict[str, Any], guard: dict[str, Any] | None, steps: int) -> Any:
    model = DDP(net(), **options)
    watch = vt.Guard(**guard) if guard is not None else None
    if watch is not None:
        watch.attach(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for step in range(steps):
        optimizer.zero_grad()
        model(batch(rank, step)).square().sum().backward()
        optimizer.step()
    return bits(torch.cat([p.detach().reshape(-1) for p in model.parameters()]))


# Several buckets, which are cut anew after the first step.
SMALL: dict[str, Any] = {"bucket_cap_mb": 0.004}


def test_observe_changes_no_bit_of_training(ranks: Ranks) -> None:
    plain = ranks(ddp_steps, SMALL, None, 4)
    for guard in ({"mode": "observe"}, {"mode": "observe", "rule": "nnm | median"}):
        assert ranks(ddp_steps, SMALL, guard, 4) == plain


def test_the_mean_is_ddps_to_rounding(ranks: Ranks) -> None:
    for ours, theirs in ranks(mean_and_ddp):
        assert np.allclose(ours, theirs, rtol=1e-5, atol=1e-6) and np.abs(theirs).max() > 0.1


def mean_and_ddp(rank: int) -> Any:
    rows = []
    for guarded in (True, False):
        model = DDP(net(), **SMALL)
        if guarded:
            vt.Guard("average", f=0, mode="warn").attach(model)
        model(batch(rank)).square().sum().backward()
        rows.append(flat(model).numpy())
    return rows


@pytest.mark.parametrize("rule", ["nnm | trimmed-mean", "median"])
def test_ddp_gets_the_rule_of_whole_gradients_in_any_buckets(ranks: Ranks, rule: str) -> None:
    for layout in ("sharded", "gather"):
        assert all(all(same) for same in ranks(whole_gradients, rule, layout))


def whole_gradients(rank: int, rule: str, layout: str, **options: Any) -> list[bool]:
    model = DDP(net(), **{**SMALL, **options})
    vt.Guard(rule, f=1, layout=layout, mode="warn").attach(model)
    same = []
    for step in range(3):
        model.zero_grad()
        wanted = varangian.rule(rule, 1)(gathered(own_gradient(rank, model.module, step)))
        model(batch(rank, step)).square().sum().backward()
        same.append(bits(flat(model)) == bits(wanted))
    return same


def test_ddp_with_views_and_a_static_graph_gets_the_same(ranks: Ranks) -> None:
    assert all(all(same) for same in ranks(views_and_static))


def views_and_static(rank: int) -> list[bool]:
    views = whole_gradients(rank, "nnm | trimmed-mean", "sharded", gradient_as_bucket_view=True)
    return views + whole_gradients(rank, "nnm | trimmed-mean", "sharded", static_graph=True)


def test_accumulated_gradients_are_reduced_once_as_their_sum(ranks: Ranks) -> None:
    assert all(all(found) for found in ranks(accumulated))


def accumulated(rank: int) -> list[bool]:
    model = DDP(net(), **SMALL)
    guard = vt.Guard("nnm | trimmed-mean", f=1, mode="warn")
    guard.attach(model)
    found = []
    for _ in range(2):
        model.zero_grad()
        own = own_gradient(rank, model.module, 0) + own_gradient(rank, model.module, 1)
        wanted = varangian.rule("nnm | trimmed-mean", 1)(gathered(own))
        with model.no_sync():
            model(batch(rank, 0)).square().sum().backward()
        steps = guard.step
        model(batch(rank, 1)).square().sum().backward()
        near = torch.allclose(flat(model), wanted, rtol=1e-4, atol=1e-5)
        found += [near, guard.step == steps + 1]
    return found


def test_a_static_graph_refuses_no_sync_which_torch_would_break(ranks: Ranks) -> None:
    for said in ranks(static_no_sync):
        assert "pytorch#187732" in said


def static_no_sync(rank: int) -> str:
    model = DDP(net(), static_graph=True)
    vt.Guard("median", f=1).attach(model)
    with pytest.raises(RuntimeError) as error, model.no_sync():
        pass
    return str(error.value)


class Forked(torch.nn.Module):  # type: ignore[misc,name-defined,unused-ignore]
    """Uses one of two layers, or neither."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = torch.nn.Linear(20, 3), torch.nn.Linear(20, 3)

    def forward(self, x: Any, which: int) -> Any:
        return (self.first, self.second)[which](x)


def test_unused_parameters_count_as_zeros_and_stay_without_gradients(ranks: Ranks) -> None:
    assert all(all(found) for found in ranks(unused))


def unused(rank: int) -> list[bool]:
    model = DDP(Forked(), find_unused_parameters=True)
    vt.Guard("median", f=1, mode="warn").attach(model)
    model(batch(rank), 0).square().sum().backward()
    nowhere = model.module.second.weight.grad
    model.zero_grad()
    # Three ranks of four use the second layer: the median of its rows counts one of zeros.
    model(batch(rank), int(rank > 0)).square().sum().backward()
    alone = Forked()
    alone(batch(rank), int(rank > 0)).square().sum().backward()
    rows = [g if (g := p.grad) is not None else torch.zeros_like(p) for p in alone.parameters()]
    wanted = varangian.rule("median", 1)(gathered(torch.cat([g.reshape(-1) for g in rows])))
    zeros = nowhere is None or not nowhere.any()
    return [zeros, bits(flat(model)) == bits(wanted)]


def test_a_scaler_skips_where_all_overflow_and_not_where_one_does(ranks: Ranks) -> None:
    for all_over, one_over in ranks(scaled):
        moved, scale, alarms = all_over
        assert (moved, scale, alarms) == (False, 512.0, 0)
        moved, scale, alarms = one_over
        # The third Inf of one rank alone is held against it.
        assert moved and scale == 1024.0 and alarms == 1


def scaled(rank: int) -> Any:
    found = []
    for over in (range(RANKS), (2,)):
        model = DDP(net())
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
        guard = vt.Guard("median", f=1, mode="warn", scaler=scaler)
        guard.attach(model)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        before = bits(model.module[0].weight)
        for _ in range(1 if len(over) > 1 else 3):
            optimizer.zero_grad()
            loss = scaler.scale(model(batch(rank)).square().sum())
            (loss * (torch.inf if rank in over else 1.0)).backward()
            scaler.step(optimizer)
            scaler.update()
        after = bits(model.module[0].weight)
        found.append((before != after, scaler.get_scale(), len(guard.alarms)))
    return found


def test_several_groups_have_guards_of_their_own(ranks: Ranks) -> None:
    assert all(ranks(two_groups))


def two_groups(rank: int) -> bool:
    groups = [dist.new_group([0, 1]), dist.new_group([2, 3])]
    mine = groups[rank // 2]
    model = DDP(net(), process_group=mine)
    guard = vt.Guard("median", f=0, mode="warn")
    guard.attach(model)
    wanted = Group(mine).gather_rows(own_gradient(rank, model.module)).mean(dim=0)
    model(batch(rank)).square().sum().backward()
    assert guard.group is not None and guard.group.size == 2
    return bool(torch.allclose(flat(model), wanted, atol=1e-5))


def test_by_bucket_is_another_rule_and_said_to_be(ranks: Ranks) -> None:
    for coordinate_wise, by_distance in ranks(buckets):
        assert coordinate_wise and not by_distance


def buckets(rank: int) -> list[bool]:
    same = []
    for rule in ("median", "mda"):
        rows = []
        for scope in ("model", "bucket"):
            inner = net()
            # Two ranks are off, each in another bucket.
            off = {1: inner[0].weight, 3: inner[4].weight}.get(rank)
            if off is not None:
                off.register_hook(lambda gradient: gradient * 50)
            model = DDP(inner, **SMALL)
            vt.Guard(rule, f=1, mode="warn", scope=scope).attach(model)
            for _ in range(2):
                model.zero_grad()
                model(batch(rank)).square().sum().backward()
            rows.append(bits(flat(model)))
        same.append(rows[0] == rows[1])
    return same


def test_what_fails_on_one_rank_fails_on_all_and_hangs_none(ranks: Ranks) -> None:
    said = ranks(one_fails)
    assert all("failed on rank 2" in one for one in said)
    assert ranks(one_reduce, "median", "sharded", 10)  # And the group is usable after it.


def one_fails(rank: int) -> str:
    model = DDP(net())
    guard = vt.Guard("median", f=1)
    guard.attach(model)
    if rank == 2:
        guard.weight = "a pound"  # type: ignore[assignment]
    with pytest.raises(RuntimeError) as error:
        model(batch(rank)).square().sum().backward()
    return str(error.value)


def test_a_void_step_is_an_error_everywhere_or_zeros_where_asked(ranks: Ranks) -> None:
    for said, zeros in ranks(void):
        assert "no step can be made at step 0: at most f = 1 ranks may be bad" in said and zeros


def void(rank: int) -> Any:
    found: list[Any] = []
    for on_void in ("raise", "zero"):
        model = DDP(net())
        vt.Guard("median", f=1, mode="warn", on_void=on_void).attach(model)
        loss = model(batch(rank)).square().sum() * (torch.nan if rank < 2 else 1.0)
        if on_void == "raise":
            with pytest.raises(ValueError) as error:
                loss.backward()
            found.append(str(error.value))
        else:
            loss.backward()
            found.append(not flat(model).any())
    return found


def test_unequal_batches_count_by_their_weights(ranks: Ranks) -> None:
    assert all(all(found) for found in ranks(weighted))


def weighted(rank: int) -> list[bool]:
    model = DDP(net())
    guard = vt.Guard("median", f=1, mode="warn")
    guard.attach(model)
    guard.weight = 1.0 + 0.1 * rank
    rows = gathered(own_gradient(rank, model.module))
    wanted = varangian.rule("median", 1)(rows, weights=[1.0 + 0.1 * r for r in range(RANKS)])
    model(batch(rank)).square().sum().backward()
    clipped = torch.nn.utils.clip_grad_norm_(model.parameters(), 1e-3)
    small = flat(model).norm() < 1.01e-3 and torch.isfinite(clipped)
    model.zero_grad()
    model(batch(rank)).square().sum().backward()
    return [bits(flat(model)) == bits(wanted), bool(small)]


def test_a_compiled_module_gets_the_same(ranks: Ranks) -> None:
    assert all(ranks(compiled))


def compiled(rank: int) -> bool:
    model = DDP(net())
    vt.Guard("median", f=1, mode="warn").attach(model)
    fast = torch.compile(model, backend="eager")
    wanted = varangian.rule("median", 1)(gathered(own_gradient(rank, model.module)))
    fast(batch(rank)).square().sum().backward()
    return bool(torch.allclose(flat(model), wanted, atol=1e-6))


# Loops of one's own, optimisers.


def test_gradients_of_a_loop_of_ones_own(ranks: Ranks) -> None:
    for same, remembered, refused, alone in ranks(own_loop):
        assert same and remembered and "make it once" in refused and alone


def own_loop(rank: int) -> Any:
    same = []
    for layout in ("gather", "replicated", "sharded", "checked"):
        model = net()
        model(batch(rank)).square().sum().backward()
        wanted = varangian.rule("nnm | median", 1)(gathered(flat(model)))
        vt.aggregate_gradients(model.parameters(), "nnm | median", f=1, layout=layout)
        same.append(bits(flat(model)) == bits(wanted))
    rule, memory = (varangian.rule("centred-clipping tau=1", 1) for _ in range(2))
    remembered = []
    for step in range(3):
        model = net()
        model(batch(rank, step)).square().sum().backward()
        wanted = memory(gathered(flat(model)))
        vt.aggregate_gradients(model.parameters(), rule, f=1, layout="sharded")
        remembered.append(bits(flat(model)) == bits(wanted))
    with pytest.raises(ValueError) as error:
        vt.aggregate_gradients(model.parameters(), "centred-clipping", f=1)
    model = net()
    model(batch(rank)).square().sum().backward()
    mean = varangian.rule("average", 0)(gathered(flat(model)), weights=[1.0, 2.0, 3.0, 4.0])
    vt.aggregate_gradients(model.parameters(), "average", f=0, weight=rank + 1.0)
    alone = bits(flat(model)) == bits(mean)
    return all(same), all(remembered), str(error.value), alone


def test_momentum_at_the_worker_then_the_rule_then_the_optimiser(ranks: Ranks) -> None:
    for same, restored in ranks(worker_momentum):
        assert same and restored


def worker_momentum(rank: int) -> Any:
    model, beta = net(), 0.8
    inner = torch.optim.AdamW(model.parameters(), lr=0.01)
    optimizer = vt.RobustOptimizer(inner, "nnm | median", f=1, worker_momentum=beta)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    alone = net()
    plain = torch.optim.AdamW(alone.parameters(), lr=0.01)
    momentum, rule = None, varangian.rule("nnm | median", 1)
    states = []
    for step in range(3):
        optimizer.zero_grad()
        model(batch(rank, step)).square().sum().backward()
        optimizer.step()
        schedule.step()
        alone.zero_grad()
        alone(batch(rank, step)).square().sum().backward()
        row = flat(alone)
        before = torch.zeros_like(row) if momentum is None else momentum * beta
        momentum = before + (1 - beta) * row
        spread(rule(gathered(momentum)), list(alone.parameters()))
        plain.step()
        plain.param_groups[0]["lr"] *= 0.5
        states.append(optimizer.state_dict())
    pairs = zip(model.parameters(), alone.parameters())
    same = all(torch.allclose(a, b, atol=1e-6) for a, b in pairs)
    again = vt.RobustOptimizer(
        torch.optim.AdamW(net().parameters()), "nnm | median", f=1, worker_momentum=beta
    )
    again.load_state_dict(states[-1])
    lr = again.param_groups[0]["lr"]
    kept = torch.equal(again.momentum, optimizer.momentum)
    return same, kept and lr == inner.param_groups[0]["lr"]


def test_a_scaler_never_makes_a_rank_miss_a_step(ranks: Ranks) -> None:
    told = ranks(scaled_optimizer)
    assert {weights for weights, _, _ in told} == {told[0][0]}
    assert all(refused == [1] and finite for _, refused, finite in told)


def scaled_optimizer(rank: int) -> Any:
    model = net()
    optimizer = vt.RobustOptimizer(torch.optim.SGD(model.parameters(), lr=0.01), "median", f=1)
    scaler = torch.amp.GradScaler("cpu", init_scale=64.0)
    loss = model(batch(rank)).square().sum() * (torch.inf if rank == 1 else 1.0)
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
    weights = torch.cat([p.detach().reshape(-1) for p in model.parameters()])
    last = optimizer.guard.last
    assert last is not None
    return bits(weights), [r for r, _ in last.refused], bool(torch.isfinite(weights).all())


def test_outer_steps_along_the_rule_of_the_moves(ranks: Ranks) -> None:
    for steps, same in ranks(outer):
        assert steps == [False, False, True, False, False, True] and same


def outer(rank: int) -> Any:
    model = net()
    start = torch.cat([p.detach().reshape(-1) for p in model.parameters()])
    inner = torch.optim.SGD(model.parameters(), lr=0.01)
    far = vt.OuterOptimizer(torch.optim.SGD(model.parameters(), lr=0.7), 3, "median", f=1)
    steps, same = [], False
    # Another takes over in the middle of its inner steps.
    outer = torch.optim.SGD(model.parameters(), lr=0.7)
    again = vt.OuterOptimizer(outer, 3, "median", f=1)
    for step in range(6):
        if step == 4:
            again.load_state_dict(far.state_dict())
            far = again
        inner.zero_grad()
        model(batch(rank, step)).square().sum().backward()
        inner.step()
        now = torch.cat([p.detach().reshape(-1) for p in model.parameters()])
        steps.append(far.step())
        if step == 2:
            median = varangian.rule("median", 1)(gathered(start - now))
            moved = torch.cat([p.detach().reshape(-1) for p in model.parameters()])
            same = torch.allclose(moved, start - 0.7 * median, atol=1e-6)
    return steps, same


# FSDP2.


def sharder() -> Any:
    """fully_shard, where it stands now, or stood up to torch 2.5."""
    for home in ("torch.distributed.fsdp", "torch.distributed._composable.fsdp"):
        module = importlib.import_module(home)
        if hasattr(module, "fully_shard") and hasattr(module, "FSDPModule"):
            return module
    return None


def test_fsdp_reduces_and_scatters_by_the_rule(ranks: Ranks) -> None:
    if sharder() is None:
        pytest.skip("torch has no FSDP2 here")
    if hasattr(sharder().FSDPModule, "set_custom_reduce_scatter"):
        assert all(ranks(fsdp))
        return
    # Its CPU meshes came later than torch 2.4: the module's type is all that a guard asks for.
    model = torch.nn.Linear(2, 2)
    model.__class__ = type("Sharded", (sharder().FSDPModule, torch.nn.Linear), {})
    with pytest.raises(RuntimeError, match="has no FSDPModule.set_custom_reduce_scatter"):
        vt.Guard("median", f=1).attach(model)


def fsdp(rank: int) -> bool:
    fully_shard = sharder().fully_shard
    model = net()
    mesh = dist.device_mesh.init_device_mesh("cpu", (RANKS,))
    for layer in model:
        if isinstance(layer, torch.nn.Linear):
            fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    guard = vt.Guard("trimmed-mean", f=1, mode="warn")
    guard.attach(model)
    wanted = varangian.rule("trimmed-mean", 1)(gathered(own_gradient(rank, net())))
    for _ in range(2):
        model.zero_grad()
        model(batch(rank)).square().sum().backward()
    found = torch.cat([p.grad.full_tensor().reshape(-1) for p in model.parameters()])
    return torch.allclose(found, wanted, atol=1e-6) and guard.step == 2


def test_replicas_of_shards_are_reduced_by_the_rule_across_them(ranks: Ranks) -> None:
    if sharder() is None or not hasattr(sharder().FSDPModule, "set_custom_reduce_scatter"):
        pytest.skip("torch has no such hooks here")
    for same, refused in ranks(replicas):
        assert same and "attach_replicas" in refused


def replicas(rank: int) -> Any:
    fully_shard = sharder().fully_shard
    mesh = dist.device_mesh.init_device_mesh(
        "cpu", (2, 2), mesh_dim_names=("replicate", "shard")
    )
    both = fully_shard(net(), mesh=mesh)
    with pytest.raises(RuntimeError) as error:
        vt.Guard("median", f=0).attach(both)
    model = fully_shard(net(), mesh=mesh["shard"])
    guard = vt.Guard("median", f=0, mode="warn")
    guard.attach_replicas(model, mesh["replicate"].get_group())
    rows = gathered(own_gradient(rank, net()))
    # The mean within the replicas {0, 1} and {2, 3}; the median of two is their mean.
    wanted = torch.stack([rows[:2].mean(0), rows[2:].mean(0)]).mean(0)
    model(batch(rank)).square().sum().backward()
    found = torch.cat([p.grad.full_tensor().reshape(-1) for p in model.parameters()])
    return torch.allclose(found, wanted, atol=1e-5), str(error.value)


# Lightning and Accelerate, where they are.


def in_a_launcher(rank: int) -> None:
    """What a launcher tells its processes, whose group is there already."""
    told = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": RANKS, "LOCAL_WORLD_SIZE": RANKS}
    os.environ.update({**{name: str(value) for name, value in told.items()},
                       "TORCHELASTIC_RUN_ID": "1", "GROUP_RANK": "0"})


def test_lightning_trains_under_a_guard_and_keeps_its_state(ranks: Ranks, tmp_path: Path) -> None:
    pytest.importorskip("lightning")
    for same, steps, resumed, named, refused in ranks(with_lightning, str(tmp_path)):
        assert same and steps == 3 and resumed == 6 and named == 7
        assert "keeps what the first rank holds" in refused


def with_lightning(rank: int, folder: str) -> Any:
    import lightning.pytorch as pl

    environments: Any = importlib.import_module("lightning.fabric.plugins.environments")
    in_a_launcher(rank)

    class Wrapped(pl.LightningModule):  # type: ignore[misc,unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            self.net = net()
            self.seen: list[Any] = []

        def training_step(self, rows: Any, index: int) -> Any:
            return self.net(batch(rank, self.trainer.global_step)).square().sum()

        def on_after_backward(self) -> None:
            self.seen.append(flat(self.net).clone())

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.0)

    def trained(steps: int, rule: str = "nnm | median", resume: str | None = None) -> Any:
        guard = vt.Guard(rule, f=1, mode="warn")
        module = Wrapped()
        trainer = pl.Trainer(
            accelerator="cpu", devices=RANKS, strategy="ddp", max_steps=steps, logger=False,
            plugins=[environments.TorchElasticEnvironment()], enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, default_root_dir=folder,
            callbacks=[vt.lightning(guard)], use_distributed_sampler=False,
        )
        rows = torch.utils.data.DataLoader(torch.arange(100), batch_size=1)
        trainer.fit(module, rows, ckpt_path=resume)
        return guard, module, trainer

    guard, module, trainer = trained(3)
    rule = varangian.rule("nnm | median", 1)
    wanted = [rule(gathered(own_gradient(rank, net(), step))) for step in range(3)]
    same = [bits(a) for a in module.seen] == [bits(b) for b in wanted]
    guard.step = 5
    guard.alarms = [vt.Alarm(2, 7, "step", "0", "norm", 1e-9)]
    trainer.save_checkpoint(f"{folder}/kept.ckpt")
    again, _, _ = trained(4, resume=f"{folder}/kept.ckpt")
    _, _, remembers = trained(1, "centred-clipping")
    with pytest.raises(ValueError) as error:
        remembers.save_checkpoint(f"{folder}/never.ckpt")
    return same, module.trainer.global_step, again.step, again.alarms[0].step, str(error.value)


def test_accelerate_prepares_a_guarded_module_and_keeps_its_state(
    ranks: Ranks, tmp_path: Path
) -> None:
    pytest.importorskip("accelerate")
    for same, step, back, refused in ranks(with_accelerate, str(tmp_path)):
        assert same and (step, back) == (2, 2) and "accelerator.prepare gave AcceleratedOptimizer" in refused


def with_accelerate(rank: int, folder: str) -> Any:
    from accelerate import Accelerator

    in_a_launcher(rank)
    accelerator = Accelerator(cpu=True)
    inner = net()
    plain = torch.optim.SGD(inner.parameters(), lr=0.0)
    guard = vt.Guard("nnm | median", f=1, mode="warn")
    model, optimizer = vt.accelerate(accelerator, guard, inner, plain)
    same = []
    for step in range(2):
        optimizer.zero_grad()
        rows = gathered(own_gradient(rank, model.module, step))
        accelerator.backward(model(batch(rank, step)).square().sum())
        same.append(bits(flat(model)) == bits(varangian.rule("nnm | median", 1)(rows)))
        optimizer.step()
    step = guard.step
    accelerator.save_state(folder)
    accelerator.wait_for_everyone()
    guard.step = 40
    accelerator.load_state(folder)
    with pytest.raises(TypeError) as error:
        vt.accelerate(accelerator, vt.Guard("median", f=1), torch.optim.SGD(inner.parameters()))
    return all(same), step, guard.step, str(error.value)


# Evidence and verdicts.


def test_a_rank_that_goes_bad_is_named_and_left_out(ranks: Ranks, tmp_path: Path) -> None:
    told = ranks(goes_bad, str(tmp_path))
    assert {str(one) for one in told} == {str(told[0])}
    first, left_out, f, back = told[0]
    assert first == (2, 60) and left_out == [2] and f == 0 and back == []
    lines = [json.loads(line) for line in (tmp_path / "evidence.jsonl").read_text().splitlines()]
    assert len(lines) == 70 * RANKS
    bad = [line for line in lines if line["step"] == 60 and line["worker"] == 2][0]
    assert bad["verdict"] == "refused" and bad["reason"].startswith("convicted: rank 2")
    assert bad["alarms"][0]["p"] <= 1e-5 and bad["convicted"]
    assert not any(line["alarms"] for line in lines if line["worker"] != 2)
    assert set(bad["layers"]) == {"0", "2", "4"} and len(bad["norms"]) == 5
    metrics = (tmp_path / "metrics.prom").read_text()
    assert "varangian_steps_total 70" in metrics and 'alarms_total{rank="2"}' in metrics
    # The command reads the same file.
    command = [sys.executable, "-m", "varangian", "evidence", str(tmp_path / "evidence.jsonl")]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "rank 2" in said and "step 60" in said


def goes_bad(rank: int, folder: str) -> Any:
    model = DDP(net())
    heard: list[Any] = []
    guard = vt.Guard(
        "trimmed-mean", f=1, evidence=f"{folder}/evidence.jsonl", metrics=f"{folder}/metrics.prom",
        on_alarm=heard.append,
    )
    guard.attach(model)
    for step in range(70):
        model.zero_grad()
        scale = 30.0 if rank == 2 and step >= 60 else 1.0
        (model(torch.randn(32, 20)).square().sum() * scale).backward()
    assert guard.last is not None and heard == guard.alarms
    record = [reason for r, reason in guard.last.refused if r == 2]
    left_out, f = sorted(guard.convicted), guard._reducer.f - len(record)
    guard.clear(2)
    guard.close()
    return (heard[0].rank, heard[0].step), left_out, f, sorted(guard.convicted)


def test_a_rank_that_is_certainly_bad_takes_the_place_of_one_that_seemed_so(ranks: Ranks) -> None:
    assert ranks(displaced) == [([1], [2], True)] * 4


def displaced(rank: int) -> Any:
    model = DDP(net())
    guard = vt.Guard("trimmed-mean", f=1, mode="exclude")
    guard.attach(model)

    def step(factor: float) -> None:
        model.zero_grad()
        (model(torch.randn(32, 20)).square().sum() * factor).backward()

    step(1.0)
    # A false alarm, and then more bad ranks than f, if it were right.
    guard._judge([vt.Alarm(1, 0, "step", "0", "norm", 1e-6)])
    seemed = sorted(guard.convicted)
    step(math.nan if rank == 2 else 1.0)
    # A weaker suspicion moves nobody.
    guard._judge([vt.Alarm(3, 1, "step", "0", "norm", 1e-9)])
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    finite = len(gradients) > 0 and all(bool(g.isfinite().all()) for g in gradients)
    return seemed, sorted(guard.convicted), finite


def test_directions_of_heavy_tails_raise_no_more_alarms_than_asked_for() -> None:
    draw = np.random.default_rng(4)
    n, steps, rate = 8, 1500, 1e-3
    suspicion = Suspicion(["one", "two"], n, rate)
    alarms = 0
    for step in range(steps):
        sketches = draw.normal(size=(n, 2, HEAD + BUCKETS))
        sketches[:, :, 0] = 64.0
        sketches[:, :, 1] = draw.standard_t(3.0, size=(n, 2))
        alarms += len(suspicion.look(sketches, step))
    # 1.5 are asked for. An exponential tail gives 6 here, one of them at p = 7e-12.
    assert alarms <= 4


@pytest.mark.parametrize("mode", ["observe", "warn", "exclude"])
@pytest.mark.parametrize("rule", ["trimmed-mean", "nnm | median"])
def test_a_resumed_guard_says_what_one_that_went_on_says(
    ranks: Ranks, tmp_path: Path, mode: str, rule: str
) -> None:
    told = ranks(resumed, mode, rule, str(tmp_path))
    for whole, halves in told:
        assert whole[:3] == halves[:3] and np.allclose(whole[3], halves[3], rtol=1e-5)
    alarms, _, convicted, sums = told[0][0]
    # What was slightly off before and after the pause is named for that.
    assert [kind for rank, _, kind, _ in alarms if rank == 2] and sums.max() > 1.0
    assert convicted == ([2] if mode == "exclude" else [])


def resumed(rank: int, mode: str, rule: str, folder: str) -> Any:
    def run(pause: int) -> Any:
        def begin() -> Any:
            model = DDP(net(), **SMALL)
            guard = vt.Guard(rule, f=1, mode=mode, false_alarms=1e-3)
            guard.attach(model)
            return model, guard, torch.optim.SGD(model.parameters(), lr=1e-4)

        model, guard, optimizer = begin()
        for step in range(75):
            if step == pause:
                file = f"{folder}/{rank}.pt"
                torch.save({"guard": guard.state_dict(), "model": model.module.state_dict()}, file)
                kept = torch.load(file)
                model, guard, optimizer = begin()
                model.module.load_state_dict(kept["model"])
                guard.load_state_dict(kept["guard"])
            optimizer.zero_grad()
            draw = torch.Generator().manual_seed(1000 * step + rank)
            off = 1.35 if rank == 2 and step >= 45 else 1.0
            (model(torch.randn(64, 20, generator=draw)).square().sum() * off).backward()
            optimizer.step()
        alarms = [(a.rank, a.step, a.kind, a.layer) for a in guard.alarms]
        return alarms, guard.step, sorted(guard.convicted), guard._suspicions[""].sums

    return run(-1), run(48)


def test_a_state_of_other_layers_ranks_or_a_damaged_one_is_refused(ranks: Ranks) -> None:
    for layers, fewer, damaged in ranks(other_states):
        assert "over 3 layers, from 0; here are 2, from first" in layers
        assert "a guard over 3 ranks; here are 4" in fewer and "it has no tests" in damaged


def other_states(rank: int) -> list[str]:
    guard = vt.Guard("median", f=1, mode="warn").watch(net())
    named = [p for p in net().parameters()]
    guard.reduce(torch.ones(sum(p.numel() for p in named)))
    state, said = guard.state_dict(), []
    changes: list[tuple[Any, dict[str, Any]]] = [
        (Forked(), {}), (net(), {"ranks": 3}), (net(), {"tests": None})
    ]
    for module, change in changes:
        other = vt.Guard("median", f=1, mode="warn").watch(module)
        changed = {k: v for k, v in {**state, **change}.items() if v is not None}
        with pytest.raises(ValueError) as error:
            other.load_state_dict(changed)
        said.append(str(error.value))
    return said


def test_guards_that_differ_are_refused_on_every_rank(ranks: Ranks) -> None:
    settings: list[tuple[dict[str, Any], str]] = [
        ({"rule": "median"}, 'rule is "trimmed-mean" on ranks 0, 2, 3, "median" on rank 1'),
        ({"f": 0}, "f is 1 on ranks 0, 2, 3, 0 on rank 1"),
        ({"mode": "warn"}, 'mode is "exclude" on ranks'),
        ({"layout": "gather"}, 'layout is "sharded" on ranks'),
        ({"false_alarms": 1e-3}, "false_alarms is 1e-05 on ranks 0, 2, 3, 0.001 on rank 1"),
        ({"layers": 2}, "the number of parameters is"),
        ({"f": 2}, "trimmed-mean needs n ≥ 2f + 1; got n = 4, f = 2"),
    ]
    for own, text in settings:
        said = ranks(differing, own)
        assert all(text in one for one in said), (own, said)
        last = "rank 1 (ValueError: " if own.get("f") == 2 else "is set up differently on the ranks"
        assert all(last in one for rank, one in enumerate(said) if rank != 1)
    # The group is usable after it.
    assert all(ranks(two_groups))


def differing(rank: int, own: dict[str, Any]) -> str:
    given = {"rule": "trimmed-mean", "f": 1, "mode": "exclude", **(own if rank == 1 else {})}
    module = Forked() if given.pop("layers", 0) else net()
    with pytest.raises(ValueError) as error:
        vt.Guard(**given).watch(module)
    if set(own) <= {"rule", "f", "layout"}:
        with pytest.raises(ValueError) as again:
            given.pop("mode")
            given.setdefault("layout", "sharded")
            model = net()
            model(batch(rank)).square().sum().backward()
            vt.aggregate_gradients(model.parameters(), **given)
        assert str(again.value).replace("the reduce", "the guard") == str(error.value)
    return str(error.value)


def sketches(draw: np.random.Generator, n: int, off: float = 0.0, turn: float = 1.0) -> Any:
    """Gradients of two layers as honest ranks have them; of the last rank longer, and turned."""
    rows = draw.normal(size=(n, 3000)) + 0.05
    rows[-1] = rows[-1] * (1 + off) * turn
    sketcher = Sketcher(layers_of([("a.weight", 2000), ("a.bias", 500), ("b.weight", 500)]))
    row = [torch.from_numpy(row.astype(np.float32)) for row in rows]
    last = torch.from_numpy((draw.normal(size=3000) / 3 + 0.05).astype(np.float32))
    return np.stack([sketcher.sketch(one, last) for one in row])


def test_sketches_keep_lengths_and_distances() -> None:
    draw = np.random.default_rng(3)
    rows = torch.from_numpy(draw.normal(size=(2, 40000)).astype(np.float32))
    sketcher = Sketcher(layers_of([("a.weight", 40000)]))
    a, b = (sketcher.sketch(row)[0] for row in rows)
    assert abs(a[0] / float(rows[0].square().sum()) - 1) < 1e-5
    assert abs(np.square(a[2:] - b[2:]).sum() / float((rows[0] - rows[1]).square().sum()) - 1) < 0.5


def test_alarms_are_rarer_than_asked_while_nothing_is_wrong() -> None:
    draw = np.random.default_rng(0)
    suspicion, steps = Suspicion(["a", "b"], 8, 1e-2), 1500
    alarms = [a for step in range(steps) for a in suspicion.look(sketches(draw, 8), step)]
    assert len(alarms) <= 1e-2 * steps + 3 * (1e-2 * steps) ** 0.5, len(alarms)


def test_a_rank_far_off_is_named_at_once_and_one_slightly_off_in_the_long_run() -> None:
    draw = np.random.default_rng(1)
    for off, turn, kind, patience in [
        (3.0, 1.0, "step", 1), (0.0, -1.0, "sequence", 150), (0.04, 1.0, "sequence", 300)
    ]:
        suspicion = Suspicion(["a", "b"], 8, 1e-5)
        for step in range(60):
            assert suspicion.look(sketches(draw, 8), step) == []
        alarms: list[Any] = []
        for step in range(60, 60 + patience):
            alarms = suspicion.look(sketches(draw, 8, off, turn), step)
            if alarms:
                break
        assert [a.rank for a in alarms] == [7] and alarms[0].p <= 1e-5, (off, turn)
        assert patience > 1 or alarms[0].kind == kind


# Faults.


@pytest.mark.parametrize("kind", ["mix", *faults.MIX, "scale", "stale", "dropped-bucket", "sign"])
def test_each_fault_fires_and_a_drill_without_one_fails(kind: str) -> None:
    module = net()
    injector = faults.Injector(module, kind, start=2, stop=6, seed=4)
    changed = []
    for step in range(8):
        module.zero_grad()
        injector.begin()
        module(batch(0, step)).square().sum().backward()
        row = flat(module)
        wanted = own_gradient(0, module, step)
        changed.append(bits(row) != bits(wanted))
    assert changed == [False, False, True, True, True, True, False, False]
    injector.assert_fired(4)
    with pytest.raises(AssertionError, match="were to fire"):
        injector.assert_fired(10**6)
    injector.remove()


def test_the_mix_is_the_published_one() -> None:
    shares = {name: share for name, (share, _) in faults.MIX.items()}
    assert abs(sum(shares.values()) - 1) < 1e-12
    assert shares["non-finite"] == 0.01 and shares["single-flip"] < 0.4
    draw = np.random.default_rng(0)
    gradient = torch.ones(64, 100)
    places = torch.nonzero((faults.warp(gradient, draw) != gradient).reshape(-1))[:, 0]
    assert len(places) > 1 and len(set((places % 32).tolist())) == 1
    # Gradients need not lie in order in memory.
    for _, change in faults.MIX.values():
        assert not torch.equal(change(torch.ones(100, 64).T, draw), gradient)
    assert torch.equal(faults.swapped_labels(torch.tensor([0, 1, 2]), 3), torch.tensor([1, 2, 0]))
    assert faults.duplicated_shard([7, 8], 3) == [7, 7, 7]
    with pytest.raises(ValueError, match="a fault is one of mix"):
        faults.Injector(net(), "gremlin")


def test_every_attack_of_the_list_is_a_drill(ranks: Ranks) -> None:
    names = [e["name"] for e in CATALOGUE["attacks"] if not e["facts"]["poisons"]]
    names.remove("none")
    names[names.index("delayed-gradient")] = "delayed-gradient delay=2"
    for found in ranks(attacked, names):
        assert len(found) > 10 and all(found.values()), found


def attacked(rank: int, names: list[str]) -> dict[str, bool]:
    found = {}
    for name in names:
        guard = vt.Guard("trimmed-mean", f=1, mode="warn", on_void="zero")
        drill = guard.drill = faults.Drill(name, [3])
        model, finite = net(), True
        # A late attack sends what it held back.
        for step in range(4):
            model.zero_grad()
            model(batch(rank, step)).square().sum().backward()
            guard.reduce_gradients(model.parameters())
            finite = finite and bool(torch.isfinite(flat(model)).all())
        if rank == 3:
            try:
                drill.assert_fired()
            except AssertionError:
                finite = False
        found[name] = finite
    return found
