"""A network with batch norm, whose running statistics and counter are sent with its weights."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch
from flwr.app import Array
from torch import nn

CLASSES, INPUTS, SAMPLES = 10, 64, 300


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(INPUTS, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, CLASSES)
    )


def samples(of: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    patterns = torch.randn(CLASSES, INPUTS, generator=torch.Generator().manual_seed(0))
    rng = torch.Generator().manual_seed(1 + of)
    labels = torch.randint(CLASSES, (count,), generator=rng)
    return patterns[labels] + 2 * torch.randn(count, INPUTS, generator=rng), labels


def _arrays(model: nn.Module) -> dict[str, Any]:
    return {name: Array(tensor.cpu().numpy()) for name, tensor in model.state_dict().items()}


def _model(record: Any) -> nn.Module:
    model = network()
    # A copy, as arrays that came over the wire cannot be written to.
    held = OrderedDict((name, torch.tensor(array.numpy())) for name, array in record.items())
    model.load_state_dict(held)
    return model


def start() -> dict[str, Any]:
    return _arrays(network())


def train(record: Any, mine: int) -> tuple[dict[str, Any], int]:
    model, (x, y) = _model(record).train(), samples(mine, SAMPLES)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    for batch in torch.arange(SAMPLES).split(30):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
        optimiser.step()
    return _arrays(model), SAMPLES


def accuracy(record: Any) -> float:
    model, (x, y) = _model(record).eval(), samples(5000, 2000)
    with torch.no_grad():
        return float((model(x).argmax(dim=1) == y).float().mean())
