"""Sign votes on MNIST with mnistnet in PyTorch on one GPU: what dropout masks do to a vote under attack.

    python sign_votes.py DATA [--learner signsgd] [--attack kill] [--masks shared own] [--seeds 1 2 3]

The setting of Akoun & Meyer 2022 (arXiv 2202.02085): n = 10 workers, 4 of them hostile where an attack
is named, batches of 12, 500 steps an epoch, rate 1e-5, ternary signs (zeros abstain, ties do not move).
An implementation of its own, beside experiments/signsgd/mnist-mnistnet.toml; DATA holds MNIST's four
.gz files. Masks: own, every worker draws its own; shared, all honest workers draw the same in a step;
all-but-one, one of them does not. Each run prints the test loss and accuracy by epoch, and the means
over the steps of epoch 2 of four shares of the coordinates: those that move, those that move against the
sum of the other workers' signs, those on which all of these agree, and the abstentions of one worker.

A step is one CUDA graph with a stream for each worker: about 2.7 ms on an H100, in full float32.
"""

import argparse
import gzip
import math
import struct
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

N, HOSTILE, BATCH, STEPS, RATE = 10, 4, 12, 500, 1e-5
DROPOUT = [((64, 14, 14), 0.25), ((64, 7, 7), 0.25), ((128,), 0.5)]
GPU = torch.device("cuda")


def read(path):
    """An IDX file of bytes."""
    raw = gzip.decompress(path.read_bytes())
    head = 4 + 4 * raw[3]
    return torch.frombuffer(bytearray(raw[head:]), dtype=torch.uint8).reshape(struct.unpack(f">{raw[3]}I", raw[4:head]))


def initial(seed):
    """PyTorch's parameters of mnistnet under a seed, layer by layer."""
    torch.manual_seed(seed)
    convolutions = [nn.Conv2d(1, 64, 5), nn.Conv2d(64, 64, 5), nn.Conv2d(64, 64, 3), nn.Conv2d(64, 64, 3)]
    layers = [*convolutions, nn.Linear(3136, 128), nn.Linear(128, 10)]
    return [p.detach().clone() for layer in layers for p in (layer.weight, layer.bias)]


def mnistnet(p, x, masks=None):
    thin = (lambda x, k: x * masks[k]) if masks else (lambda x, _: x)
    x = F.relu(F.conv2d(x, p[0], p[1], padding=2))
    x = F.max_pool2d(F.relu(F.conv2d(x, p[2], p[3], padding=2)), 2)
    x = F.relu(F.conv2d(thin(x, 0), p[4], p[5], padding=1))
    x = F.max_pool2d(F.relu(F.conv2d(x, p[6], p[7], padding=1)), 2)
    x = F.relu(F.linear(thin(x, 1).flatten(1), p[8], p[9]))
    return F.linear(thin(x, 2), p[10], p[11])


def total(signs, attack):
    """The sum of all votes, from the signs of the workers that are not Byzantine, and their own sum."""
    own = signs.sum(0)
    if attack == "blind":
        own = own - 2 * signs[:HOSTILE].sum(0)
    if attack != "kill":
        return own, own
    strong = own.abs() > HOSTILE
    cancelled = -torch.remainder(HOSTILE - own.abs(), 2) * own.sign()
    return torch.where(strong, own - HOSTILE * own.sign(), cancelled), own


class Run:
    """One step of a learner under an attack, captured."""

    def __init__(self, data, learner, attack, masks):
        self.images, self.labels, self.test_images, self.test_labels = data
        self.beta = 0.9 if learner == "signum" else 0.0
        self.attack, self.masks = attack, masks
        self.workers = N - HOSTILE if attack == "kill" else N
        self.streams = [torch.cuda.Stream() for _ in range(self.workers)]
        self.params = [p.to(GPU).requires_grad_() for p in initial(0)]
        self.momenta = [torch.zeros(self.workers, *p.shape, device=GPU) for p in self.params]
        self.samples = torch.zeros(self.workers, BATCH, dtype=torch.long, device=GPU)
        self.counts = torch.zeros(4, dtype=torch.float64, device=GPU)
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(3):
                self.step()
        torch.cuda.current_stream().wait_stream(aside)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.step()

    def step(self):
        draws = {"own": self.workers, "shared": 1, "all-but-one": 2}[self.masks]
        masks = [(torch.rand(draws, BATCH, *shape, device=GPU) >= p) / (1 - p) for shape, p in DROPOUT]
        main, start = torch.cuda.current_stream(), torch.cuda.Event()
        start.record(main)
        gradients = []
        for worker, stream in enumerate(self.streams):
            stream.wait_event(start)
            with torch.cuda.stream(stream):
                k = {"own": worker, "shared": 0, "all-but-one": int(worker == 0)}[self.masks]
                x, y = self.images[self.samples[worker]], self.labels[self.samples[worker]]
                loss = F.cross_entropy(mnistnet(self.params, x, [mask[k] for mask in masks]), y)
                gradients.append(torch.autograd.grad(loss, self.params))
            main.wait_stream(stream)
        with torch.no_grad():
            for k, (p, momentum) in enumerate(zip(self.params, self.momenta)):
                momentum.mul_(self.beta).add_(torch.stack([g[k] for g in gradients]), alpha=1 - self.beta)
                signs = momentum.sign()
                votes, own = total(signs, self.attack)
                p.sub_(votes.sign(), alpha=RATE)
                shares = [votes != 0, votes * own < 0, own.abs() == self.workers, signs == 0]
                self.counts += torch.stack([share.sum() for share in shares])

    def train(self, start, seed, epochs):
        with torch.no_grad():
            for p, value in zip(self.params, initial(start)):
                p.copy_(value)
            for momentum in self.momenta:
                momentum.zero_()
        torch.cuda.manual_seed(seed)
        orders = torch.Generator(device=GPU).manual_seed(seed + 1)
        shares = torch.randperm(60_000, generator=orders, device=GPU).reshape(N, -1)[: self.workers]
        ends, counts = [], None
        for epoch in range(1, epochs + 1):
            shuffled = [s[torch.randperm(6_000, generator=orders, device=GPU)] for s in shares]
            batches = torch.stack(shuffled).reshape(self.workers, STEPS, BATCH)
            self.counts.zero_()
            for step in range(STEPS):
                self.samples.copy_(batches[:, step])
                self.graph.replay()
            with torch.no_grad():
                answers = torch.cat([mnistnet(self.params, x) for x in self.test_images.split(2_000)])
                loss = F.cross_entropy(answers, self.test_labels).item()
                ends.append((loss, 100 * (answers.argmax(1) == self.test_labels).double().mean().item()))
            if epoch == 2:
                d = sum(math.prod(p.shape) for p in self.params)
                counts = (self.counts / (STEPS * d)).tolist()
                counts[3] /= self.workers
        return ends, counts


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--learner", nargs="+", choices=["signsgd", "signum"], default=["signsgd"])
    parser.add_argument("--attack", nargs="+", choices=["none", "blind", "kill"], default=["kill"])
    parser.add_argument("--masks", nargs="+", choices=["own", "shared", "all-but-one"], default=["shared", "own"])
    parser.add_argument("--init-seed", type=int, default=8005)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1], help="of masks and orders")
    parser.add_argument("--epochs", type=int, default=25)
    options = parser.parse_args()
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    images = [read(options.data / f"{part}-images-idx3-ubyte.gz").to(GPU).float().div(255)[:, None] for part in ("train", "t10k")]
    labels = [read(options.data / f"{part}-labels-idx1-ubyte.gz").to(GPU).long() for part in ("train", "t10k")]
    data = images[0], labels[0], images[1], labels[1]
    print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}", flush=True)
    for seed in options.seeds:
        for learner in options.learner:
            for attack in options.attack:
                for masks in options.masks:
                    begin = time.time()
                    ends, counts = Run(data, learner, attack, masks).train(options.init_seed, seed, options.epochs)
                    loss, accuracy = ends[-1]
                    print(f"{learner} {attack} {masks} seed {seed}: loss {loss:.3f}, accuracy {accuracy:.1f} %, {time.time() - begin:.0f} s")
                    print("  by epoch:", " ".join(f"{a:.1f}" for _, a in ends))
                    if counts:
                        names = ["move", "move against", "agreed by all", "abstentions"]
                        print("  epoch 2:", ", ".join(f"{n} {100 * c:.2f} %" for n, c in zip(names, counts)), flush=True)


if __name__ == "__main__":
    main()
