"""What crosses into the core and back: each argument arrives where it belongs."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest

import varangian
from varangian import attacks, rules, stages

ROWS = np.random.default_rng(8).normal(size=(9, 5)).astype(np.float32)
BAD = ROWS.copy()
BAD[2, 3] = np.inf
LEFT = np.delete(ROWS, 2, axis=0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_refused_row_takes_its_weight_and_its_place_along(dtype: type) -> None:
    weights = np.arange(1.0, 10.0)
    rule = rules.TrimmedMean(f=1)
    out = rule(BAD.astype(dtype), weights=weights)
    assert out == pytest.approx(
        rules.TrimmedMean(f=0)(LEFT.astype(dtype), weights=np.delete(weights, 2)), rel=1e-5
    )
    assert rule.refused[0][0] == 2
    krum = rules.Krum(f=2)
    krum(BAD.astype(dtype))
    other = rules.Krum(f=1)
    other(LEFT.astype(dtype))
    assert np.delete(krum.weights, 2).tolist() == other.weights and krum.weights[2] == 0.0
    assert max(krum.weights) == 1.0 and krum.weights.index(1.0) > 2, "one behind the gap"
    records = krum.verdict
    assert [one["worker"] for one in records] == list(range(9))
    assert [one["weight"] for one in records if one["weight"]] == [1.0]
    assert records[krum.weights.index(1.0)]["weight"] == 1.0


def test_a_refusal_names_the_coordinate_and_the_number() -> None:
    for dtype in (np.float32, np.float64):
        rule = rules.Median(f=1)
        rule(BAD.astype(dtype))
        assert rule.refused == [(2, "inf at coordinate 3")]


@pytest.mark.parametrize("rows", [ROWS, BAD, ROWS.astype(np.float64)])
def test_draws_go_by_seed_and_step_whatever_the_rows(rows: np.ndarray) -> None:
    rule = varangian.rule("bucketing s=2 | krum", f=1)

    def call(seed: int, step: int) -> list[float]:
        return list(rule(rows, seed=seed, step=step).tolist())

    assert call(1, 0) == call(1, 0)
    assert len({tuple(call(seed, 0)) for seed in range(9)}) > 1
    assert len({tuple(call(1, step)) for step in range(9)}) > 1
    alone = stages.Bucketing(f=1, s=2)

    def buckets(seed: int, step: int) -> bytes:
        return bytes(alone(rows, seed=seed, step=step).tobytes())

    assert buckets(1, 0) == buckets(1, 0)
    assert len({buckets(seed, 0) for seed in range(9)}) > 1
    assert len({buckets(1, step) for step in range(9)}) > 1


@pytest.mark.parametrize("text", ["median", "nnm | krum", "trimmed-mean"])
def test_doubles_keep_their_last_places(text: str) -> None:
    rows = np.tile(1 + 1e-12 * np.arange(3.0), (9, 1))
    assert varangian.rule(text, f=2)(rows) == pytest.approx(rows[0], rel=1e-15)
    rows[4, 1] = np.nan
    assert varangian.rule(text, f=2)(rows) == pytest.approx(rows[0], rel=1e-15)


class Keeps(varangian.Rule):
    """Writes into the list that it began with."""

    def __init__(self) -> None:
        super().__init__(2)
        self.seen: list[float] = []

    def aggregate(self, rows: np.ndarray, f: int) -> Any:
        self.seen.append(float(rows[0, 0]))
        return rows[0]


def test_what_a_rule_forgets_stays_forgotten() -> None:
    rule = Keeps()
    for _ in range(3):
        rule(ROWS)
        rule(ROWS)
        assert len(rule.seen) == 2
        rule.reset()
        assert rule.seen == []


def test_attacks_draw_by_seed_and_step() -> None:
    attack = attacks.Gaussian()
    a = attack(ROWS, 2, seed=1, step=3)
    assert a.tolist() == attack(ROWS, 2, seed=1, step=3).tolist()
    assert a.tolist() != attack(ROWS, 2, seed=2, step=3).tolist()
    assert a.tolist() != attack(ROWS, 2, seed=1, step=4).tolist()
    assert a[0].tolist() != a[1].tolist()


class Told(varangian.Rule):
    """Keeps what it was told."""

    calls: list[tuple[Any, ...]] = []

    def aggregate(self, rows: np.ndarray, f: int) -> Any:
        Told.calls.append((rows.copy(), f, rows.flags.writeable))
        return rows[0]


def test_ones_own_rule_is_told_the_rows_and_f() -> None:
    Told.calls.clear()
    Told(f=2)(ROWS)
    Told(f=2)(BAD)
    (first, f, writeable), (second, left, _) = Told.calls
    assert (first == ROWS).all() and f == 2 and not writeable
    assert (second == LEFT).all() and left == 1, "a refused row is one of f"


@pytest.mark.parametrize("text", ["median", "krum"])
@pytest.mark.parametrize("rows", [ROWS, BAD, ROWS.astype(np.float64)])
def test_records_are_of_the_calls_step(text: str, rows: np.ndarray) -> None:
    rule = varangian.rule(text, f=2)
    for wanted in range(3):
        rule(rows)
        assert {one["step"] for one in rule.verdict} == {wanted}
    rule(rows, step=7)
    assert {one["step"] for one in rule.verdict} == {7}


def test_the_servers_gradient_arrives_whole() -> None:
    gradient = np.array([1.0, -2.0, 3.0, -4.0, 5.0], dtype=np.float32)
    rule = rules.FLTrust(f=1)
    out = rule(np.stack([gradient] * 9), server_gradient=gradient)
    assert out == pytest.approx(gradient, rel=1e-5)


def test_answers_are_the_callers() -> None:
    rule = rules.Krum(f=2)
    out = rule(ROWS)
    distances = [one["distance"] for one in rule.verdict]
    out += 100
    assert [one["distance"] for one in rule.verdict] == distances


def test_a_loaded_memory_goes_on_at_its_step() -> None:
    rule = varangian.rule("bucketing s=2 | centred-clipping", f=1)
    for _ in range(3):
        rule(ROWS, seed=5)
    other = varangian.rule("bucketing s=2 | centred-clipping", f=1)
    other.load_state_dict(rule.state_dict())
    assert other(ROWS, seed=5).tolist() == rule(ROWS, seed=5).tolist()


def test_the_interpreter_is_let_go_while_a_rule_computes() -> None:
    rows = np.random.default_rng(1).normal(size=(40, 100_000)).astype(np.float32)
    rule = varangian.rule("nnm | krum", f=3)
    rule(rows)
    over, most = threading.Event(), [0]

    def count() -> None:
        ticks = 0
        while not over.is_set():
            ticks += 1
            most[0] = ticks
            time.sleep(0)

    thread = threading.Thread(target=count)
    thread.start()
    try:
        gained = []
        for _ in range(20):
            before = most[0]
            rule._its_handle.aggregate(rows, 3, CALL)
            gained.append(most[0] - before)
    finally:
        over.set()
        thread.join()
    assert max(gained) > 20, "another thread counts on meanwhile"


CALL: dict[str, Any] = {
    "weights": None, "seed": 0, "step": 0, "params": None, "learning_rate": 0.0,
    "server_gradient": None, "loss": None,
}


def test_one_label_makes_another_data_set() -> None:
    inputs = np.random.default_rng(2).normal(size=(60, 4)).astype(np.float32)
    labels = (inputs[:, 0] > 0).astype(np.int64)
    changed = labels.copy()
    changed[7] = 1 - changed[7]
    order = {
        "n": 5, "f": 1, "steps": 3, "model": "linear", "rule": "median", "attack": "none",
        "seed": 1, "batch": 4,
    }

    def run(targets: np.ndarray) -> Any:
        data = varangian.Dataset((inputs, targets), (inputs, labels))
        return varangian.run(order, dataset=data)[0]

    first = run(labels)
    assert run(labels).key == first.key and run(changed).key != first.key


def test_negated_views_of_tensors_are_read() -> None:
    torch = pytest.importorskip("torch")
    whole = torch.complex(torch.zeros(9, 5), torch.from_numpy(ROWS))
    negated = whole.conj().imag
    assert negated.is_neg()
    packed = torch._neg_view(torch.from_numpy(ROWS))
    assert packed.is_neg() and packed.is_contiguous()
    for view in (negated, packed):
        assert rules.Median(f=1)(view).numpy().tolist() == rules.Median(f=1)(-ROWS).tolist()
