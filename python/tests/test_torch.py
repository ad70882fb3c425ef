"""Tensors and networks of torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import varangian
from varangian import rules

torch = pytest.importorskip("torch")

ROWS = np.random.default_rng(5).normal(size=(7, 6)).astype(np.float32)
MEDIAN = np.median(ROWS, axis=0)


def median(rows: Any) -> Any:
    return rules.Median(f=2)(rows)


def test_tensors_come_back() -> None:
    out = median(torch.from_numpy(ROWS))
    assert out.dtype == torch.float32 and out.numpy().tolist() == MEDIAN.tolist()
    for dtype in (torch.float64, torch.float16, torch.bfloat16):
        rows = torch.from_numpy(ROWS).to(dtype)
        out = median(rows)
        assert out.dtype == dtype
        # torch's own median of seven is the middle one, and no rounding is left to differ.
        assert torch.equal(out, rows.float().median(dim=0).values.to(dtype))
    out = median([row.reshape(2, 3) for row in torch.from_numpy(ROWS)])
    assert out.shape == (2, 3)


def test_state_dicts_and_parameters() -> None:
    def net(k: int) -> Any:
        torch.manual_seed(k)
        return torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2))

    nets = [net(k) for k in range(7)]
    out = median([one.state_dict() for one in nets])
    net(0).load_state_dict(out)
    assert out["1.num_batches_tracked"].dtype == torch.int64
    # A generator a worker, and parameters that require grad.
    out = median([one.parameters() for one in nets])
    wanted = torch.stack([next(one.parameters()) for one in nets]).median(dim=0).values
    assert torch.equal(out[0], wanted) and not out[0].requires_grad


def test_no_copy_and_no_write() -> None:
    rows = torch.from_numpy(ROWS.copy())
    before = rows.clone()
    rule = varangian.rule("arc | nnm | krum", f=2)
    rule(rows)
    assert torch.equal(rows, before)
    matrix = rule._its_last[0]
    assert matrix.ctypes.data == rows.data_ptr()
    wide = torch.zeros(7, 12)
    wide[:, ::2] = rows
    assert torch.equal(median(wide[:, ::2]), median(rows))


def test_what_cannot_be_read_is_refused() -> None:
    rows = torch.ones(7, 3, requires_grad=True)
    with pytest.raises(ValueError, match="requires grad.*pass it detached"):
        median(rows)
    with pytest.raises(TypeError, match="complex"):
        median(torch.ones(7, 3, dtype=torch.complex64))
    with pytest.raises(TypeError, match="is dense"):
        median(torch.ones(7, 3).to_sparse())
    with pytest.raises(TypeError, match="another library"):
        median([torch.ones(3), np.ones(3, dtype=np.float32)])


SMALL: dict[str, Any] = {
    "dataset": "glyphs", "n": 7, "f": 2, "steps": 30, "evaluate_every": 10,
    "rule": "nnm | median", "attack": "alie",
}


def test_a_network_learns_and_repeats_itself() -> None:
    def make() -> Any:
        return torch.nn.Sequential(
            torch.nn.Flatten(), torch.nn.Linear(784, 16), torch.nn.ReLU(),
            torch.nn.Linear(16, 10),
        )

    state = torch.get_rng_state()
    first = varangian.run(SMALL, model=make)
    assert torch.equal(torch.get_rng_state(), state), "the generator is left as it was"
    again = varangian.run(SMALL, model=make, threads=1)
    assert first[0].last > 0.4
    assert first[0].parameters == again[0].parameters
    other = varangian.run(SMALL, model=make, seed=2)
    assert other[0].parameters != first[0].parameters
    module = make()
    before = [p.detach().clone() for p in module.parameters()]
    varangian.run(SMALL, model=module, steps=3)
    assert all(torch.equal(a, b) for a, b in zip(before, module.parameters(), strict=True))


def test_dropout_and_batch_norm() -> None:
    inputs = np.random.default_rng(1).normal(size=(600, 20)).astype(np.float32)
    labels = (inputs[:, 0] + inputs[:, 1] > 0).astype(np.int64)
    data = varangian.Dataset((inputs[:400], labels[:400]), (inputs[400:], labels[400:]))

    def small() -> Any:
        return torch.nn.Sequential(
            torch.nn.Linear(20, 32), torch.nn.BatchNorm1d(32), torch.nn.ReLU(),
            torch.nn.Dropout(0.2), torch.nn.Linear(32, 2),
        )

    order = {**SMALL, "steps": 60}
    del order["dataset"]
    first = varangian.run(order, model=small, dataset=data)
    assert first[0].last > 0.85
    assert varangian.run(order, model=small, dataset=data)[0].parameters == first[0].parameters


def network() -> Any:
    return torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(784, 16), torch.nn.ReLU(), torch.nn.Linear(16, 10)
    )


def saved(folder: Path) -> dict[str, Any]:
    """The tensors of the one model that a run has saved."""
    (file,) = folder.rglob("*.safetensors")
    content = file.read_bytes()
    head = 8 + int.from_bytes(content[:8], "little")
    about = json.loads(content[8:head])
    about.pop("__metadata__", None)
    return {
        name: torch.frombuffer(
            bytearray(content[slice(*(head + at for at in one["data_offsets"]))]),
            dtype=torch.float32,
        ).reshape(one["shape"])
        for name, one in about.items()
    }


@pytest.mark.parametrize("momentum_at", ["update", "worker"])
@pytest.mark.parametrize("batched", [True, False])
def test_a_network_goes_the_built_in_models_way(
    momentum_at: str, batched: bool, tmp_path: Path
) -> None:
    order = {
        "dataset": "glyphs", "n": 5, "f": 0, "rule": "average", "attack": "none", "seed": 3,
        "steps": 20, "evaluate_every": 1, "learning_rate": 0.5, "momentum": 0.9,
        "momentum_at": momentum_at, "clip": 2, "regulariser": "norm", "regularise": 1e-3,
    }
    own = {"model": "mlp hidden=16"}
    # A rate of next to nothing: what is saved is the start.
    start = {**order, **own, "steps": 1, "learning_rate": 1e-30}
    varangian.run(start, out=tmp_path / "start", save_models=True)
    theirs = saved(tmp_path / "start")
    assert theirs["fc1.weight"].std() == pytest.approx((1 / 784 / 3) ** 0.5, rel=0.02)
    module = network()
    names = ("fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias")
    module.load_state_dict(dict(zip(module.state_dict(), map(theirs.get, names), strict=True)))
    # Both are as torch's layers are at their start: uniform up to one over the root of the width.
    for name, value in network().state_dict().items():
        bound = 784**-0.5 if name.startswith("1") else 16**-0.5
        for one in (value, module.state_dict()[name]):
            assert one.abs().max() <= bound * (1 + 1e-6), name
            # The largest of ten may be small; that of a hundred is not.
            assert one.numel() < 100 or one.abs().max() > 0.8 * bound, name
    built_in = varangian.run({**order, **own})[0].curves["test_loss"][1]
    torchs = varangian.run(order, model=module, batched=batched)[0].curves["test_loss"][1]
    assert torchs == pytest.approx(built_in, rel=1e-4) and built_in[-1] < 0.8 * built_in[0]


def test_workers_are_batched_where_that_can_be_and_it_is_said() -> None:
    order = {**SMALL, "momentum": 0.9, "momentum_at": "worker", "clip": 2}

    def run(make: Any, **more: Any) -> Any:
        return varangian.run(order, model=make, steps=10, evaluate_every=5, **more)

    plain = run(network)
    alone, both = run(network, batched=False), run(network, batched=True)
    assert both[0].parameters == plain[0].parameters == run(network, threads=1)[0].parameters
    for metric in ("accuracy", "test_loss"):
        steps, values = alone[0].curves[metric]
        assert both[0].curves[metric][1] == pytest.approx(values, rel=1e-4, abs=2e-3), metric
    assert not [note for note in plain.notes + alone.notes if "worker by worker" in note]

    def drops() -> Any:
        return torch.nn.Sequential(network(), torch.nn.Dropout(0.1))

    def norms() -> Any:
        return torch.nn.Sequential(network(), torch.nn.BatchNorm1d(10))

    class Asks(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.inner = network()

        def forward(self, x: Any) -> Any:
            out = self.inner(x)
            return out * 2 if out.detach().sum().item() > 1e9 else out

    class Mixes(Asks):
        """Another function where it is transformed."""

        def forward(self, x: Any) -> Any:
            transformed = torch._C._functorch.peek_interpreter_stack() is not None
            return (2.0 if transformed else 1.0) * self.inner(x)

    for made, why in [
        (drops, "random"), (norms, "running statistics"), (Asks, "vmap"), (Mixes, "are others")
    ]:
        notes = [note for note in run(made).notes if "worker by worker" in note]
        assert len(notes) == 1 and why in notes[0], notes
        assert run(made)[0].parameters == run(made, batched=False)[0].parameters
        with pytest.raises(ValueError, match="cannot be batched"):
            run(made, batched=True)
    with pytest.raises(TypeError, match="batched is for a torch model"):
        varangian.run(SMALL, batched=True)
    with pytest.raises(TypeError, match="True, False or None"):
        run(network, batched="yes")


def test_minibatches_of_several_lengths_are_taken_one_by_one() -> None:
    inputs = np.random.default_rng(1).normal(size=(90, 4)).astype(np.float32)
    labels = (inputs[:, 0] > 0).astype(np.int64)
    data = varangian.Dataset((inputs[:60], labels[:60]), (inputs[60:], labels[60:]))
    order = {**SMALL, "partition": "quantity-skew", "batch": 16, "steps": 8}
    del order["dataset"]
    make = lambda: torch.nn.Linear(4, 2)  # noqa: E731
    both = varangian.run(order, model=make, dataset=data)[0]
    alone = varangian.run(order, model=make, dataset=data, batched=False)[0]
    assert both.last == pytest.approx(alone.last, abs=0.1)


def test_a_network_that_does_not_fit_is_refused() -> None:
    def wrong() -> Any:
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3, 10))

    with pytest.raises(ValueError, match="does not take inputs of shape"):
        varangian.run(SMALL, model=wrong)
    with pytest.raises(TypeError, match="a model is a torch.nn.Module; got int"):
        varangian.run(SMALL, model=lambda: 3)
    with pytest.raises(TypeError, match="loss is for a torch model"):
        varangian.run(SMALL, loss=lambda a, b: a)


def test_batch_norm_goes_by_the_house_whatever_its_momentum() -> None:
    inputs = np.random.default_rng(1).normal(2, 3, size=(300, 4)).astype(np.float32)
    labels = (inputs[:, 0] > 2).astype(np.int64)
    data = varangian.Dataset((inputs[:200], labels[:200]), (inputs[200:], labels[200:]))

    def made(momentum: float | None) -> Any:
        torch.manual_seed(1)
        norm = torch.nn.BatchNorm1d(4, momentum=momentum)
        return torch.nn.Sequential(norm, torch.nn.Linear(4, 2))

    order = {key: value for key, value in SMALL.items() if key != "dataset"}
    module = made(None)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    none = varangian.run(order, model=module, dataset=data)[0]
    some = varangian.run(order, model=made(0.1), dataset=data)[0]
    assert none.curves["test_loss"][1] == pytest.approx(some.curves["test_loss"][1], rel=1e-4)
    assert module.training
    assert all(torch.equal(before[k], v) for k, v in module.state_dict().items())


def test_accuracy_wants_a_number_a_class() -> None:
    def wrong() -> Any:
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 1))

    with pytest.raises(ValueError, match="answers 10 numbers a sample"):
        varangian.run(SMALL, model=wrong, loss=lambda out, y: out.mean())
    # A name of the list is no reason to rename a network.
    assert varangian.run({**SMALL, "steps": 2}, model=lambda: Linear(784, 10))[0].finished


class Linear(torch.nn.Linear):  # type: ignore[misc, name-defined]
    def forward(self, x: Any) -> Any:
        return super().forward(x.flatten(1))
