"""Rules, attacks and models that Python writes: alone, in chains, in experiments."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import varangian
from varangian import attacks, rules, stages

ROWS = np.random.default_rng(5).normal(size=(9, 6)).astype(np.float32)
SMALL = {"n": 7, "f": 2, "steps": 30, "model": "mlp hidden=16", "evaluate_every": 10}


class Middle(varangian.Rule):
    """The median, in numpy."""

    def aggregate(self, rows: np.ndarray, f: int) -> Any:
        return np.median(rows, axis=0)


class Slow(varangian.Rule):
    """Half of the last answer, half of the mean."""

    def __init__(self, f: int, keep: float = 0.5) -> None:
        super().__init__(f)
        self.keep, self.last = keep, np.zeros(1)

    def aggregate(self, rows: np.ndarray, f: int) -> Any:
        self.last = self.keep * self.last + (1 - self.keep) * rows.mean(axis=0)
        return self.last

    def state_dict(self) -> dict[str, Any]:
        return {"last": self.last}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.last = np.asarray(state["last"])


class Reversed(varangian.Attack):
    """Minus three times the mean."""

    def forge(self, honest: np.ndarray, f: int) -> Any:
        return -3 * honest.mean(axis=0)


def test_alone_and_in_chains() -> None:
    own = Middle(f=2)
    assert own(ROWS).tolist() == rules.Median(f=2)(ROWS).tolist()
    assert own.spec == "middle"
    chain = stages.NNM(f=2) | own
    wanted = (stages.NNM(f=2) | rules.Median(f=2))(ROWS)
    assert chain.spec == "nnm | middle" and chain(ROWS) == pytest.approx(wanted, abs=1e-6)
    assert own.verdict[0]["weight"] is None


def test_in_an_experiment_beside_the_lists() -> None:
    results = varangian.run({**SMALL, "rule": [Middle(), "median"], "attack": Reversed()})
    mine, theirs = results
    assert (mine.rule, mine.attack, theirs.rule) == ("middle", "reversed", "median")
    # The same answers, so the same bits.
    assert mine.parameters == theirs.parameters
    assert mine.last > 0.5


def test_equal_objects_are_one_and_different_ones_want_names() -> None:
    results = varangian.run({**SMALL, "steps": 2, "rule": [Middle(), stages.NNM(f=2) | Middle()]})
    assert [run.rule for run in results] == ["middle", "nnm | middle"]
    with pytest.raises(ValueError, match='two different Slow are called "slow"'):
        varangian.run({**SMALL, "rule": [Slow(2, 0.5), Slow(2, 0.9)]})
    other = Slow(2, 0.9)
    other.name = "slower"
    results = varangian.run({**SMALL, "steps": 2, "rule": [Slow(2, 0.5), other]})
    assert [run.rule for run in results] == ["slow", "slower"]


def test_memory_of_ones_own() -> None:
    rule = Slow(2)
    first, second = rule(ROWS), rule(2 * ROWS)
    again = Slow(2)
    assert again(ROWS).tolist() == first.tolist() and again(2 * ROWS).tolist() == second.tolist()
    results = varangian.run({**SMALL, "rule": Slow(2)})
    assert results[0].finished


class Weighs(varangian.Rule):
    """Keeps things under names that a rule has, or may well have, for itself."""

    def __init__(self, f: int) -> None:
        super().__init__(f)
        self.weights = np.ones(9)
        self.refused, self.expelled = "none", {4}
        self._f, self._last, self._step, self._start, self._handle = "f", None, -1, [7], "mine"

    def aggregate(self, rows: np.ndarray, f: int) -> Any:
        assert (self._f, self._start, self._handle, self._step) == ("f", [7], "mine", -1)
        assert self.refused == "none" and self.expelled == {4}
        assert self._last is None or self._last.shape == (rows.shape[1],)
        self.weights = self.weights * 0.5
        self._last = self.weights[: len(rows)] @ rows
        return self._last


def test_names_of_ones_own_are_ones_own() -> None:
    rule = Weighs(f=2)
    first, second = rule(ROWS), rule(ROWS)
    assert first == pytest.approx(0.5 * ROWS.sum(axis=0)) and second == pytest.approx(first / 2)
    assert rule.weights is not None and rule.weights[0] == 0.25
    assert rule.copy()(ROWS) == pytest.approx(first / 4)
    rule.reset()
    assert rule(ROWS) == pytest.approx(first)
    assert len(rule.verdict) == 9 and (stages.NNM(f=2) | rule).f == 2
    with pytest.raises(AttributeError, match="is what its last call found"):
        rules.Krum(f=1).weights = [1.0]
    with pytest.raises(TypeError, match="_load: Rule has something of that name for itself"):
        type("Loads", (varangian.Rule,), {"_load": lambda self: None})
    with pytest.raises(TypeError, match="_fresh: Kept has something of that name"):
        type("Fresh", (varangian.Attack,), {"_fresh": 1})


def test_what_it_raises_comes_out() -> None:
    class Wrong(varangian.Rule):
        def aggregate(self, rows: np.ndarray, f: int) -> Any:
            raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        Wrong(f=1)(ROWS)
    with pytest.raises(ZeroDivisionError, match="mine"):
        varangian.run({**SMALL, "rule": Wrong()})


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (None, "got None"),
        (np.zeros(5), r"answers shape \(6,\); got \(5,\)"),
        (np.full(6, np.nan), "finite numbers; that at"),
        (np.array(["a"] * 6), "dtype"),
    ],
)
def test_what_is_no_answer_is_refused(answer: Any, text: str) -> None:
    class Wrong(varangian.Rule):
        def aggregate(self, rows: np.ndarray, f: int) -> Any:
            return answer

    with pytest.raises((ValueError, TypeError), match=text):
        Wrong(f=1)(ROWS)


def test_rows_cannot_be_written_to() -> None:
    class Wrong(varangian.Rule):
        def aggregate(self, rows: np.ndarray, f: int) -> Any:
            rows[0] = 0
            return rows[0]

    with pytest.raises(ValueError, match="read-only"):
        Wrong(f=1)(ROWS)


def test_a_name_that_is_taken_is_refused() -> None:
    class Krum(varangian.Rule):
        def aggregate(self, rows: np.ndarray, f: int) -> Any:
            return rows[0]

    with pytest.raises(ValueError, match='two rules are called "krum"'):
        Krum(f=1)(ROWS)


def test_attacks_over_arrays() -> None:
    honest = ROWS[:7]
    rows = attacks.ALIE(z=1.5)(honest, 2)
    assert rows.shape == (2, 6) and rows.dtype == np.float32
    mean, deviation = honest.mean(axis=0), honest.std(axis=0, ddof=1)
    assert np.abs(np.abs(rows[0] - mean) - 1.5 * deviation).max() < 0.2
    assert Reversed()(honest, 2).tolist() == np.tile(-3 * honest.mean(axis=0), (2, 1)).tolist()
    for name in attacks.__all__:
        attack = getattr(attacks, name)
        facts = attack._entry["facts"]
        if facts["poisons"]:
            continue
        try:
            made = attack()(honest, 2, rule=rules.Median(f=2))
        except ValueError as error:
            assert "needs" in str(error) or "tries" in str(error), (name, error)
            continue
        assert made.shape == (2, 6), name
    flipped = attacks.LabelFlip().poison([0, 1, 9], 10)
    assert flipped.tolist() == [9, 8, 0]


class Line(varangian.Model):
    """Least squares in numpy."""

    def start(self, seed: int) -> Any:
        return np.random.default_rng(seed).normal(size=3)

    def gradient(self, parameters: np.ndarray, inputs: np.ndarray, targets: np.ndarray) -> Any:
        error = inputs @ parameters - targets
        return (error**2).mean(), 2 * inputs.T @ error / len(error)

    def evaluate(self, parameters: np.ndarray, inputs: np.ndarray, targets: np.ndarray) -> Any:
        return ((inputs @ parameters - targets) ** 2).mean(), 0


def test_a_model_and_data_of_ones_own() -> None:
    draw = np.random.default_rng(1)
    inputs = draw.normal(size=(400, 3)).astype(np.float32)
    targets = inputs @ np.array([1.0, -2.0, 3.0], dtype=np.float32)
    data = varangian.Dataset((inputs[:300], targets[:300]), (inputs[300:], targets[300:]))
    order = {**SMALL, "steps": 60, "rule": "median", "attack": "alie", "momentum": 0.0}
    results = varangian.run(order, model=Line(), dataset=data)
    losses = results[0].curves["test_loss"][1]
    assert losses[-1] < losses[0] / 100
