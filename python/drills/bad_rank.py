"""One rank of eight goes bad: what plain DDP makes of it, and what a guard does.

    python bad_rank.py                 all of docs/bad-rank.md: about half an hour on two cores
    python bad_rank.py --quick         a few minutes: fewer steps of everything
    python bad_rank.py --depth 20 --part train     the first table with ResNet-20

Three trainings of a small residual network over eight processes (gloo): fault-free DDP, DDP with a
rank whose gradients a broken accelerator falsifies, and the same with a guard. Then, in one process
with the guard's own tests, how many of the faults that matter are named before they are mixed, and
how many alarms there are while nothing is wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import nn

import varangian.torch as vt
from varangian.torch import faults
from varangian.torch._sketch import Sketcher, layers_of
from varangian.torch._suspicion import Suspicion

RANKS, BAD, RATE = 8, 5, 1e-5


class Block(nn.Module):
    """Two convolutions and a way around them, as in ResNet (He et al. 2016)."""

    def __init__(self, come: int, go: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(come, go, 3, stride, 1, bias=False)
        self.norm1, self.norm2 = nn.GroupNorm(4, go), nn.GroupNorm(4, go)
        self.second = nn.Conv2d(go, go, 3, 1, 1, bias=False)
        self.around = nn.Conv2d(come, go, 1, stride, bias=False) if come != go else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = torch.relu(self.norm1(self.first(x)))
        return torch.relu(self.norm2(self.second(out)) + self.around(x))


def network(depth: int = 8) -> nn.Module:
    """ResNet-8, one narrow block a stage, or ResNet-20, three of the width of He et al. 2016.

    Group norm stands in for batch norm, as statistics of a batch are shared by no reduce.
    """
    torch.manual_seed(0)
    wide, blocks = {8: (8, 1), 20: (16, 3)}[depth]
    stages, come = [], wide
    for stage in range(3):
        go = wide << stage
        for k in range(blocks):
            stages.append(Block(come, go, 2 if stage and not k else 1))
            come = go
    return nn.Sequential(
        nn.Conv2d(3, wide, 3, 1, 1, bias=False), nn.GroupNorm(4, wide), nn.ReLU(),
        *stages, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(come, 10),
    )


def glyphs(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Ten shapes of strokes, moved, tinted and noised: data for a machine without a data set."""
    shapes = np.random.default_rng(11).normal(size=(10, 3, 8, 8))
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 10, size=count)
    images = draw.normal(scale=1.2, size=(count, 3, 32, 32))
    for image, label in zip(images, labels):
        i, j = draw.integers(0, 17, size=2)
        image[:, i : i + 16, j : j + 16] += np.kron(shapes[label], np.ones((1, 2, 2)))
    return torch.from_numpy(images.astype(np.float32)), torch.from_numpy(labels)


Part = tuple[torch.Tensor, torch.Tensor]


def cifar(folder: Path) -> tuple[Part, Part]:
    """CIFAR-10 from its authors' binary files: a label and 3072 pixels a record."""
    def read(names: list[str]) -> Part:
        bytes_ = np.concatenate([np.fromfile(folder / name, dtype=np.uint8) for name in names])
        records = torch.from_numpy(bytes_.reshape(-1, 3073))
        return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0].long()

    return read([f"data_batch_{k}.bin" for k in range(1, 6)]), read(["test_batch.bin"])


def pixels(images: torch.Tensor) -> torch.Tensor:
    """Of pixels from 0 to 255 numbers around 0; of others themselves."""
    return (images.float() / 255 - 0.473) / 0.251 if images.dtype == torch.uint8 else images


def data(folder: str | None) -> tuple[Part, Part]:
    return cifar(Path(folder)) if folder else (glyphs(8000, 1), glyphs(1000, 2))


def batch(images: torch.Tensor, labels: torch.Tensor, rank: int, step: int, size: int):
    draw = torch.Generator().manual_seed(1_000_003 * rank + step)
    at = torch.randint(len(labels), (size,), generator=draw)
    return pixels(images[at]), labels[at]


def accuracy(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    with torch.no_grad():
        found = torch.cat([model(pixels(part)).argmax(1) for part in images.split(500)])
    share: float = (found == labels).float().mean().item()
    return share


# Trainings over processes.


def train(rank: int, port: int, how: dict, out: str) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=RANKS)
    (images, labels), (tests, answers) = data(how["data"])
    tests, answers = tests[:1000], answers[:1000]
    for name in ("fault-free", "plain", "guarded"):
        model = nn.parallel.DistributedDataParallel(network(how["depth"]))
        guard = None
        if name == "guarded":
            guard = vt.Guard(
                "trimmed-mean", f=1, mode="exclude", false_alarms=RATE,
                evidence=Path(out) / "evidence.jsonl",
            )
            guard.attach(model)
        injector = None
        if name != "fault-free" and rank == BAD:
            injector = faults.Injector(model, "mix", start=how["start"], share=0.3, seed=3)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        curve, begun = [], time.perf_counter()
        for step in range(how["steps"]):
            if step % how["every"] == 0 and rank == 0:
                curve.append((step, accuracy(model.module, tests, answers)))
            if injector is not None:
                injector.begin()
            optimizer.zero_grad()
            x, y = batch(images, labels, rank, step, 8)
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
        first = injector.fired[0].step if injector is not None else None
        if injector is not None:
            injector.assert_fired(how["steps"] // 20)
        told = [None] * RANKS
        dist.all_gather_object(told, first)
        if rank == 0:
            curve.append((how["steps"], accuracy(model.module, tests, answers)))
            alarms = [(a.rank, a.step, str(a)) for a in guard.alarms] if guard else []
            result = {
                "curve": curve, "first_fault": told[BAD], "alarms": alarms,
                "seconds": time.perf_counter() - begun,
            }
            (Path(out) / f"{name}.json").write_text(json.dumps(result))
    dist.destroy_process_group()


def trainings(how: dict, out: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(train, (port, how, str(out)), nprocs=RANKS)
    print("| training | final accuracy | lowest after the first fault | alarms against others |")
    print("|---|---|---|---|")
    for name in ("fault-free", "plain", "guarded"):
        result = json.loads((out / f"{name}.json").read_text())
        late = [a for step, a in result["curve"] if step > how["start"]]
        others = sum(1 for rank, _, _ in result["alarms"] if rank != BAD)
        told = str(others) if name == "guarded" else "–"
        print(f"| {name} | {100 * late[-1]:.1f} % | {100 * min(late):.1f} % | {told} |")
        if name == "guarded":
            print(f"\nfirst fault at step {result['first_fault']}; "
                  f"first alarm: {result['alarms'][0][2] if result['alarms'] else 'none'} "
                  f"at step {result['alarms'][0][1] if result['alarms'] else '–'}")


# The guard's tests, in one process.


class Ranks:
    """The gradients of eight ranks, one after the other, of a small network on glyphs."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Flatten(), nn.Linear(192, 24), nn.Tanh(), nn.Linear(24, 10))
        images, self.labels = glyphs(20000, 5)
        self.images = nn.functional.avg_pool2d(images, 4)
        named = [(name, p.numel()) for name, p in self.model.named_parameters()]
        self.sketcher = Sketcher(layers_of(named))
        names = [layer.name for layer in self.sketcher.layers]
        self.suspicion = Suspicion(names, RANKS, RATE)
        self.last: torch.Tensor | None = None
        self.draw = torch.Generator().manual_seed(0)

    def rows(self) -> list[torch.Tensor]:
        """The gradient of each parameter for every rank, by one pass over copies of the network."""
        at = torch.randint(len(self.labels), (RANKS, 16), generator=self.draw)
        whole = [p.detach().expand(RANKS, *p.shape) for p in self.model.parameters()]
        own = [p.clone().requires_grad_() for p in whole]
        first, shift, second, last = own
        x = self.images[at].flatten(2)
        hidden = torch.tanh(torch.baddbmm(shift.unsqueeze(1), x, first.mT))
        out = torch.baddbmm(last.unsqueeze(1), hidden, second.mT)
        # Of 16 samples a rank each, the mean within a rank.
        loss = nn.functional.cross_entropy(out.flatten(0, 1), self.labels[at].flatten()) * RANKS
        return list(torch.autograd.grad(loss, own))

    def look(self, rows: torch.Tensor, step: int) -> set[int]:
        """The ranks that are named; one whose sketch is not finite is, as in a guard."""
        sketches = np.stack([self.sketcher.sketch(row, self.last) for row in rows])
        odd = np.flatnonzero(~np.isfinite(sketches).all(axis=(1, 2)))
        return {alarm.rank for alarm in self.suspicion.look(sketches, step)} | set(odd.tolist())

    def move(self, mean: torch.Tensor) -> None:
        self.last = mean
        at = 0
        with torch.no_grad():
            for p in self.model.parameters():
                p -= 0.05 * mean[at : at + p.numel()].view_as(p)
                at += p.numel()

    def loss(self, mean: torch.Tensor) -> float:
        before = [p.detach().clone() for p in self.model.parameters()]
        last = self.last
        self.move(mean)
        with torch.no_grad():
            loss = nn.functional.cross_entropy(self.model(self.images[:500]), self.labels[:500])
            for p, old in zip(self.model.parameters(), before):
                p.copy_(old)
        self.last = last
        return float(loss)


def flat(gradients: list[torch.Tensor]) -> torch.Tensor:
    return torch.cat([g.flatten(1) for g in gradients], dim=1)


def named(steps: int) -> None:
    """How many of the faults that change the loss by more than 1 % are named in their step."""
    ranks, draw = Ranks(), np.random.default_rng(2)
    shares = np.asarray([share for share, _ in faults.MIX.values()])
    sizes = np.asarray([p.numel() for p in ranks.model.parameters()], dtype=float)
    count: dict[str, list[int]] = {name: [0, 0, 0] for name in faults.MIX}
    for step in range(steps):
        gradients = ranks.rows()
        clean = flat(gradients)
        if step < 200 or draw.random() > 0.3:
            ranks.look(clean, step)
            ranks.move(clean.mean(0))
            continue
        kind = list(faults.MIX)[int(draw.choice(len(shares), p=shares))]
        where = int(draw.choice(len(sizes), p=sizes / sizes.sum()))
        changed = gradients[where].clone()
        changed[BAD] = faults.MIX[kind][1](changed[BAD], draw)
        rows = flat([changed if k == where else g for k, g in enumerate(gradients)])
        count[kind][0] += 1
        right, wrong = ranks.loss(clean.mean(0)), ranks.loss(rows.mean(0))
        caught = BAD in ranks.look(rows, step)
        if not abs(wrong / right - 1) <= 0.01:
            count[kind][1] += 1
            count[kind][2] += caught
        ranks.move(clean.mean(0))
    print("\n| fault | injected | change the loss by more than 1 % | of these named at once |")
    print("|---|---|---|---|")
    for name, (all_, matter, caught) in count.items():
        print(f"| {name} | {all_} | {matter} | {caught} |")
    all_, matter, caught = (sum(one[k] for one in count.values()) for k in range(3))
    print(f"| all | {all_} | {matter} | {caught} ({100 * caught / max(matter, 1):.1f} %) |")


def false_alarms(steps: int) -> None:
    """How many alarms there are while nothing is wrong."""
    ranks, alarms = Ranks(), 0
    for step in range(steps):
        rows = flat(ranks.rows())
        alarms += len(ranks.look(rows, step))
        ranks.move(rows.mean(0))
        if (step + 1) % 10_000 == 0:
            print(f"{step + 1} clean steps: {alarms} alarms", file=sys.stderr, flush=True)
    print(f"\n{alarms} false alarms in {steps} clean steps of {RANKS} ranks: "
          f"{alarms / steps:.1e} a step; asked for: at most {RATE:.0e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer steps of everything")
    parser.add_argument("--data", help="the folder cifar-10-batches-bin; glyphs without it")
    parser.add_argument("--out", help="where the evidence goes")
    parser.add_argument("--part", choices=["train", "named", "clean"], help="one part alone")
    parser.add_argument("--depth", type=int, choices=[8, 20], default=8, help="of the network")
    parser.add_argument("--steps", type=int, help="of a training; faults begin after a third")
    options = parser.parse_args()
    if sys.flags.interactive:
        return
    with tempfile.TemporaryDirectory() as made:
        out = Path(options.out or made)
        out.mkdir(parents=True, exist_ok=True)
        torch.set_num_threads(1)
        quick = options.quick
        steps = options.steps or (90 if quick else 600)
        how = {
            "steps": steps, "start": 45 if quick and not options.steps else steps // 3,
            "every": 30 if quick else 50, "data": options.data, "depth": options.depth,
        }
        if options.part in (None, "train"):
            trainings(how, out)
        if options.part in (None, "named"):
            named(400 if quick else 4000)
        if options.part in (None, "clean"):
            false_alarms(300 if quick else 100_000)


if __name__ == "__main__":
    main()
