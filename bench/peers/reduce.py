"""Times the robust reduce beside plain DDP's all-reduce, and counts the bytes on the sockets.

    python reduce.py [--ranks 4 8] [--parameters 25000000] [--repeats 5] [--sharded]
                     [--work ROWS | --images IMAGES]

Every rank is a process; they talk through gloo on a loopback of their own, whose counters say what went
over it (where the system lets a process have one; else those of the machine's, and whatever else talks
there is counted too). What is timed is the reduce alone, each way once in turn, so that a noisy moment hits
all alike; the median counts. `DDP` is an all-reduce of buckets of 25 MB, all of them at once, as DDP makes them; every way begins
with a copy of the gradient into these. `sketches` is
what `mode="observe"` adds to that: the sketches of one's own gradient, and their exchange. The wheel should
be built with --release. With VARANGIAN_TORCH_SOCKETS=1 columns go over sockets, as between hosts, and not
through memory that the ranks share. --work times whole training steps instead, forward, backward and
optimiser, of 24 layers of 1024 × 1024 on so many rows a rank, and --images those of ResNet-20 on so many
images: plain DDP's, and those under a guard. Two processes a core wait for one another: the ratios are those of this machine.
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import os
import socket
import statistics
import struct
import sys
import time
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

import varangian.torch as vt
from varangian.torch._pieces import Pieces

BUCKET = 25 * 1024 * 1024 // 4
WAYS = [
    ("DDP", None, None), ("sketches", "observe", None),
    ("average", "average", "sharded"), ("median", "median", "sharded"),
    ("trimmed mean", "trimmed-mean", "sharded"), ("Multi-Krum", "multi-krum", "sharded"),
    ("NNM, trimmed mean", "nnm | trimmed-mean", "sharded"),
    ("median, gathered", "median", "gather"), ("median, replicated", "median", "replicated"),
    ("median, checked", "median", "checked"),
]


def own_loopback() -> bool:
    """Moves this process into a network of its own, with a loopback that is up."""
    new_user, new_net, siocsifflags, up = 0x10000000, 0x40000000, 0x8914, 0x1 | 0x40
    if ctypes.CDLL(None, use_errno=True).unshare(new_user | new_net):
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
        fcntl.ioctl(wire, siocsifflags, struct.pack("16sh", b"lo", up))
    return True


def sent() -> int:
    """Bytes that went over the loopback, headers included."""
    for line in Path("/proc/self/net/dev").read_text().splitlines():
        name, _, numbers = line.partition(":")
        if name.strip() == "lo":
            return int(numbers.split()[8])
    raise RuntimeError("there is no loopback")


def layers(size: int) -> list[torch.nn.Parameter]:
    """Parameters like those of a network of fifty layers."""
    cut = [size // 50] * 49
    return [torch.nn.Parameter(torch.zeros(k)) for k in [*cut, size - sum(cut)]]


def work(
    rank: int, ranks: int, port: int, size: int, repeats: int, sharded: bool
) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    os.environ.setdefault("RAYON_NUM_THREADS", "1")
    dist.init_process_group("gloo", rank=rank, world_size=ranks)
    parameters = layers(size)
    row = torch.randn(size, generator=torch.Generator().manual_seed(rank))
    # As in DDP, where gradients are copied into buckets that are kept.
    buckets = row.clone()
    parts = list(buckets.split(BUCKET))
    calls = []
    for name, rule, layout in WAYS:
        if sharded and layout not in (None, "sharded"):
            continue
        if rule is None:
            def call() -> None:
                buckets.copy_(row)
                works = []
                for part in parts:
                    part.mul_(1.0 / ranks)
                    works.append(dist.all_reduce(part, async_op=True))
                for one in works:
                    one.wait()
        elif layout is None:
            guard = vt.Guard("average", f=0, mode="observe")
            guard.name_rows(parameters)
            guard._direction[""] = torch.randn(size)
            call = lambda guard=guard: guard.observe(row)  # noqa: E731
        else:
            f = 0 if rule == "average" or (rule == "multi-krum" and ranks < 5) else 1
            reducer = vt._layouts.Reducer(rule, f, vt._collect.Group(), layout)
            order = vt._layouts.Order(f)

            def call(reducer: Any = reducer, order: Any = order) -> None:
                buckets.copy_(row)
                reducer.reduce(Pieces(parts), order, Pieces(parts))

        calls.append((name, call))
    times: dict[str, list[float]] = {name: [] for name, _ in calls}
    bytes_: dict[str, list[int]] = {name: [] for name, _ in calls}
    for repeat in range(repeats + 1):
        for name, call in calls:
            # No rank begins before the counter is read, and none has begun the next.
            dist.barrier()
            before = sent()
            dist.barrier()
            begun = time.perf_counter()
            call()
            dist.barrier()
            took, now = time.perf_counter() - begun, sent()
            dist.barrier()
            if repeat:
                times[name].append(took)
                bytes_[name].append(now - before)
    if rank == 0:
        base = statistics.median(times["DDP"])
        plain = statistics.median(bytes_["DDP"])
        print(f"\n{ranks} ranks, {size:,} parameters, medians of {repeats}\n")
        print("| reduce | time | beside DDP | bytes sent, all ranks | beside DDP |")
        print("|---|---|---|---|---|")
        for name, _ in calls:
            t, b = statistics.median(times[name]), statistics.median(bytes_[name])
            print(f"| {name} | {1000 * t:.0f} ms | {t / base:.2f} | {b / 1e6:.1f} MB | {b / plain:.3f} |")
    dist.destroy_process_group()


def perceptron() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(*(torch.nn.Linear(1024, 1024) for _ in range(24)))


def residual() -> torch.nn.Module:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "python" / "drills"))
    from bad_rank import network

    return network(20)


#: What is trained, and the shape of one of its inputs.
NETWORKS = {
    "24 layers of 1024 × 1024, {} rows": (perceptron, (1024,)),
    "ResNet-20, {} images": (residual, (3, 32, 32)),
}


def train(rank: int, ranks: int, port: int, network: str, rows: int, repeats: int) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=ranks)
    steps = {}
    for name, given in [
        ("DDP", None), ("observe", {"mode": "observe"}),
        ("trimmed mean", {"rule": "trimmed-mean", "mode": "warn"}),
    ]:
        model = torch.nn.parallel.DistributedDataParallel(NETWORKS[network][0]())
        if given is not None:
            vt.Guard(f=1, **given).attach(model)
        steps[name] = (model, torch.optim.SGD(model.parameters(), lr=1e-3))
    draw = torch.Generator().manual_seed(rank)
    batch = torch.randn(rows, *NETWORKS[network][1], generator=draw)
    times: dict[str, list[float]] = {name: [] for name in steps}
    for repeat in range(repeats + 2):
        for name, (model, optimizer) in steps.items():
            dist.barrier()
            begun = time.perf_counter()
            optimizer.zero_grad()
            model(batch).square().mean().backward()
            optimizer.step()
            dist.barrier()
            if repeat > 1:
                times[name].append(time.perf_counter() - begun)
    if rank == 0:
        base = statistics.median(times["DDP"])
        print(f"\n{ranks} ranks, {network.format(rows)} a rank, medians of {repeats}\n")
        print("| step | time | beside DDP |\n|---|---|---|")
        for name, found in times.items():
            middle = statistics.median(found)
            print(f"| {name} | {1000 * middle:.0f} ms | {middle / base:.3f} |")
    dist.destroy_process_group()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--ranks", type=int, nargs="+", default=[4, 8])
    parser.add_argument("--parameters", type=int, default=25_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--sharded", action="store_true", help="no other layouts: less memory")
    parser.add_argument("--work", type=int, help="whole steps on so many rows a rank")
    parser.add_argument("--images", type=int, help="whole steps of ResNet-20 on so many images a rank")
    options = parser.parse_args()
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    alone = own_loopback()
    print("bytes of a loopback of their own" if alone else "bytes of the machine's loopback, others' too")
    for ranks in options.ranks:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        if options.work or options.images:
            network = list(NETWORKS)[0 if options.work else 1]
            given = (ranks, port, network, options.work or options.images, options.repeats)
            torch.multiprocessing.spawn(train, given, nprocs=ranks)
            continue
        given = (ranks, port, options.parameters, options.repeats, options.sharded)
        torch.multiprocessing.spawn(work, given, nprocs=ranks)


if __name__ == "__main__":
    main()
