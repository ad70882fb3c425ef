"""PyTorch on the CPU beside `cargo bench --bench gradients`, and the same gradient in both.

    python gradients.py time [--compile] [W1 W2 W3 W4]
    python gradients.py compare FOLDER MODEL CHANNELS HEIGHT WIDTH

`time` prints seconds per worker gradient (forward, backward, gradients flattened into one vector)
with 1 and 2 threads: eager, channels last, vmap over workers where the model is dense, and
torch.compile where asked (it wants a C++ compiler and minutes). A convolutional step is timed on
two workers' batches: eager takes one after the other, so that more change nothing. Run it on the
machine that ran the Rust bench, one after the other, nothing else running. MKL, under the linear
layers, runs at half speed on processors that are not Intel's: the first line says which this is.

`compare` reads what `cargo run --release --example gradient` wrote and prints the relative distance
of loss and of each tensor's gradient. Convolutional networks differ at ties: a rectifier or a
maximum decides otherwise in the last bit, in any two implementations.

Needs torch, numpy and safetensors; no part of the build.
"""

import statistics
import sys
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


class Mlp(nn.Module):
    def __init__(self, shape, classes=10, hidden=100):
        super().__init__()
        self.fc1 = nn.Linear(int(np.prod(shape)), hidden)
        self.fc2 = nn.Linear(hidden, classes)

    def forward(self, x):
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


class Softmax(nn.Module):
    def __init__(self, shape, classes=10):
        super().__init__()
        self.linear = nn.Linear(int(np.prod(shape)), classes)

    def forward(self, x):
        return self.linear(x.flatten(1))


class EmpireCnn(nn.Module):
    def __init__(self, shape, classes=10, hidden=128, drop=0.25):
        super().__init__()
        widths = [shape[0], 64, 64, 128, 128]
        for i in range(4):
            self.add_module(f"conv{i + 1}", nn.Conv2d(widths[i], widths[i + 1], 3, padding=1))
            self.add_module(f"bn{i + 1}", nn.BatchNorm2d(widths[i + 1]))
        self.fc1 = nn.Linear(128 * (shape[1] // 4) * (shape[2] // 4), hidden)
        self.fc2 = nn.Linear(hidden, classes)
        self.drop = drop

    def forward(self, x):
        for i in (1, 2, 3, 4):
            x = getattr(self, f"bn{i}")(F.relu(getattr(self, f"conv{i}")(x)))
            if i % 2 == 0:
                x = F.dropout(F.max_pool2d(x, 2), self.drop)
        return self.fc2(F.dropout(F.relu(self.fc1(x.flatten(1))), self.drop))


class MnistNet(nn.Module):
    def __init__(self, shape, classes=10, drop=0.25):
        super().__init__()
        for i, size in enumerate((5, 5, 3, 3)):
            channels = shape[0] if i == 0 else 64
            self.add_module(f"conv{i + 1}", nn.Conv2d(channels, 64, size, padding=size // 2))
        self.fc1 = nn.Linear(64 * (shape[1] // 4) * (shape[2] // 4), 128)
        self.fc2 = nn.Linear(128, classes)
        self.drop = drop

    def forward(self, x):
        for i in (1, 2, 3, 4):
            x = F.relu(getattr(self, f"conv{i}")(x))
            if i % 2 == 0:
                x = F.dropout(F.max_pool2d(x, 2), self.drop)
        return self.fc2(F.dropout(F.relu(self.fc1(x.flatten(1))), 2 * self.drop))


class Block(nn.Module):
    def __init__(self, before, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.shortcut = nn.Sequential()
        if stride > 1:
            conv = nn.Conv2d(before, width, 1, stride, bias=False)
            self.shortcut = nn.Sequential(conv, nn.BatchNorm2d(width))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self.shortcut(x))


class WideBlock(nn.Module):
    def __init__(self, before, width, stride, drop):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(before)
        self.conv1 = nn.Conv2d(before, width, 3, 1, 1)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1)
        self.drop = drop
        self.shortcut = nn.Sequential()
        if stride > 1 or before != width:
            self.shortcut = nn.Sequential(nn.Conv2d(before, width, 1, stride))

    def forward(self, x):
        y = F.dropout(self.conv1(F.relu(self.bn1(x))), self.drop)
        return self.conv2(F.relu(self.bn2(y))) + self.shortcut(x)


class WideResNet(nn.Module):
    """`wide-resnet`: WRN-28-10."""

    def __init__(self, shape, classes=10, depth=28, widen=10, drop=0.3):
        super().__init__()
        self.conv1 = nn.Conv2d(shape[0], 16, 3, 1, 1)
        before = 16
        for i, width in enumerate((16 * widen, 32 * widen, 64 * widen)):
            blocks = []
            for b in range((depth - 4) // 6):
                stride = 2 if i and not b else 1
                blocks.append(WideBlock(before, width, stride, drop))
                before = width
            self.add_module(f"layer{i + 1}", nn.Sequential(*blocks))
        self.bn1 = nn.BatchNorm2d(before)
        self.linear = nn.Linear(before, classes)

    def forward(self, x):
        x = F.relu(self.bn1(self.layer3(self.layer2(self.layer1(self.conv1(x))))))
        return self.linear(x.mean((2, 3)))


class ResNet20(nn.Module):
    """With convolutions in the shortcuts: `resnet20 shortcut=conv`."""

    def __init__(self, shape, classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(shape[0], 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        before = 16
        for i, width in enumerate((16, 32, 64)):
            blocks = []
            for b in range(3):
                blocks.append(Block(before, width, 2 if i and not b else 1))
                before = width
            self.add_module(f"layer{i + 1}", nn.Sequential(*blocks))
        self.linear = nn.Linear(64, classes)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x))))))
        return self.linear(x.mean((2, 3)))


MODELS = {
    "mlp": Mlp,
    "linear": Softmax,
    "empire-cnn": EmpireCnn,
    "mnistnet": MnistNet,
    "resnet20": ResNet20,
    "wide-resnet": WideResNet,
}
LOADS = {
    "W1": ("mlp", (1, 28, 28), 83, 27),
    "W2": ("empire-cnn", (3, 32, 32), 50, 14),
    "W3": ("linear", (1, 28, 28), 32, 20),
    "W4": ("resnet20", (3, 32, 32), 32, 10),
}


def gradient(model, x, y, out):
    """The mean loss's gradient, flattened into `out`."""
    model.zero_grad(set_to_none=True)
    F.cross_entropy(model(x), y).backward()
    torch.cat([p.grad.flatten() for p in model.parameters()], out=out)


def median_seconds(step, workers):
    step()
    samples, begin = [], time.perf_counter()
    while len(samples) < 3 or time.perf_counter() - begin < 2:
        start = time.perf_counter()
        step()
        samples.append((time.perf_counter() - start) / workers)
    return statistics.median(samples)


def eager(model, batches, rows):
    def step():
        for (x, y), row in zip(batches, rows):
            gradient(model, x, y, row)

    return median_seconds(step, len(batches))


def vmapped(model, batches):
    from torch.func import functional_call, grad, vmap

    params = {name: p.detach() for name, p in model.named_parameters()}
    x = torch.stack([x for x, _ in batches])
    y = torch.stack([y for _, y in batches])

    def loss(params, x, y):
        return F.cross_entropy(functional_call(model, params, (x,)), y)

    every = vmap(grad(loss), in_dims=(None, 0, 0))

    def step():
        grads = every(params, x, y)
        torch.cat([g.flatten(1) for g in grads.values()], dim=1)

    return median_seconds(step, len(batches))


def vendor():
    try:
        lines = open("/proc/cpuinfo").read().splitlines()
    except OSError:
        return "unknown"
    found = [line.split(":")[1].strip() for line in lines if line.startswith("vendor_id")]
    return found[0] if found else "unknown"


def time_all(names):
    compiled = "--compile" in names
    names = [name for name in names if name != "--compile"] or list(LOADS)
    torch.manual_seed(1)
    speed = "full" if vendor() == "GenuineIntel" else "half"
    print(f"torch {torch.__version__}; processor of {vendor()}: MKL runs at {speed} speed")
    for name in names:
        kind, shape, size, workers = LOADS[name]
        workers = workers if kind in ("mlp", "linear") else 2
        for threads in (1, 2):
            torch.set_num_threads(threads)
            model = MODELS[kind](shape)
            d = sum(p.numel() for p in model.parameters())
            rows = torch.empty(workers, d)
            batches = [
                (torch.randn(size, *shape), torch.randint(0, 10, (size,)))
                for _ in range(workers)
            ]
            found = {"eager": eager(model, batches, rows)}
            if compiled:
                found["compile"] = eager(torch.compile(model), batches, rows)
            if kind in ("mlp", "linear"):
                found["vmap"] = vmapped(model, batches)
            else:
                last = {"memory_format": torch.channels_last}
                batches = [(x.to(**last), y) for x, y in batches]
                found["channels last"] = eager(model.to(**last), batches, rows)
            text = ", ".join(f"{how} {seconds * 1e6:.1f} µs" for how, seconds in found.items())
            print(f"{name} {kind}: d = {d}, b = {size}, {threads} threads: {text}")


def compare(folder, kind, shape):
    from safetensors.torch import load_file

    options = {"drop": 0.0} if kind in ("empire-cnn", "mnistnet", "wide-resnet") else {}
    model = MODELS[kind](shape, **options)
    model.load_state_dict(load_file(f"{folder}/state.safetensors"), strict=False)
    wanted = load_file(f"{folder}/gradient.safetensors")
    x = torch.from_numpy(np.fromfile(f"{folder}/inputs.f32", "<f4").reshape(-1, *shape))
    y = torch.from_numpy(np.fromfile(f"{folder}/labels.u32", "<u4").astype(np.int64))
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    ours = float(open(f"{folder}/loss.txt").read())
    print(f"{kind}: loss {ours} here, {loss.item()} in torch")
    worst = 0.0
    every, apart = 0.0, 0.0
    for name, p in model.named_parameters():
        difference, norm = (wanted[name] - p.grad).norm().item(), p.grad.norm().item()
        every, apart = every + norm**2, apart + difference**2
        worst = max(worst, difference / max(norm, 1e-12))
        print(f"  {name}: {difference / max(norm, 1e-12):.2e}")
    print(f"{kind}: whole gradient {(apart / every) ** 0.5:.2e}, worst tensor {worst:.2e}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["time"]:
        time_all(sys.argv[2:])
    elif sys.argv[1:2] == ["compare"] and len(sys.argv) == 7:
        compare(sys.argv[2], sys.argv[3], tuple(int(x) for x in sys.argv[4:7]))
    else:
        sys.exit(__doc__)
