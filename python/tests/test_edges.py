"""What went wrong once: numbers that were silently others, threads that waited for each other."""

from __future__ import annotations

import concurrent.futures as futures
import copy
import gc
import multiprocessing
import pickle
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import varangian
from varangian import attacks, byzfl, rules, stages

ROWS = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
SMALL: dict[str, Any] = {"n": 5, "f": 1, "steps": 6, "model": "mlp hidden=4", "evaluate_every": 3}


class Counts(varangian.Rule):
    """How often it was called."""

    def __init__(self, f: int | None = None) -> None:
        super().__init__(f)
        self.count = 0.0

    def aggregate(self, rows: np.ndarray, f: int) -> Any:
        self.count += 1
        return np.full(rows.shape[1], self.count)


class First(varangian.Rule):
    def aggregate(self, rows: np.ndarray, f: int) -> Any:
        return rows[0]


def test_structures_go_by_names_wherever_they_are_given() -> None:
    def tree(w: Any, b: Any, turned: bool = False) -> dict[str, Any]:
        pairs = [("w", np.float32(w)), ("b", np.float32(b))]
        return dict(reversed(pairs) if turned else pairs)

    rows = [tree([1, k], [0, 1]) for k in (0, 1, 5)]
    straight = rules.FLTrust(f=1)(rows, server_gradient=tree([1, 0], [0, 3]))
    turned = rules.FLTrust(f=1)(rows, server_gradient=tree([1, 0], [0, 3], True))
    assert straight["w"].tolist() == turned["w"].tolist()
    sent = attacks.SignFlip()([tree([1], [5])] * 3, 1, own=[tree([1], [5], True)])
    assert sent[0]["w"].tolist() == [-1] and sent[0]["b"].tolist() == [-5]


def test_two_leaves_whose_paths_read_alike_stay_apart() -> None:
    def tree(k: float) -> dict[Any, Any]:
        return {"a.b": np.full(2, k, "f4"), "a": {"b": np.full(2, 100 + k, "f4")}, 1: k, "1": -k}

    out = rules.Average()([tree(0), tree(2)])
    assert (out["a.b"][0], out["a"]["b"][0], float(out[1]), float(out["1"])) == (1, 101, 1, -1)


def test_generators_are_gone_through_once() -> None:
    rows = [{"p": (row for row in (ROWS[k], ROWS[k] + 1))} for k in range(9)]
    out = rules.Median(f=2)(rows)
    assert [part.tolist() for part in out["p"]] == [
        np.median(ROWS, axis=0).tolist(), np.median(ROWS + 1, axis=0).tolist()
    ]
    assert len(stages.NNM(f=1)(iter(list(ROWS)))) == 9
    assert len(stages.NNM(f=1)([(row for row in (ROWS[k],)) for k in range(9)])) == 9


@pytest.mark.parametrize("made", [Counts(1), stages.NNM(f=1) | Counts(1)])
def test_copies_of_ones_own_are_apart(made: varangian.Rule) -> None:
    made(ROWS)
    other = made.copy()
    assert (other(ROWS)[0], other(ROWS)[0], made(ROWS)[0]) == (2, 3, 2)
    assert pickle.loads(pickle.dumps(other))(ROWS)[0] == 4
    assert copy.deepcopy(made)(ROWS)[0] == 3
    made.reset()
    assert made(ROWS)[0] == 1 and other(ROWS)[0] == 4
    with pytest.raises(TypeError, match="defines no state_dict"):
        Counts(1).state_dict()


def test_memory_of_ones_own_keeps_signs_and_shapes() -> None:
    class Keeps(varangian.Rule):
        state: Any = None

        def aggregate(self, rows: np.ndarray, f: int) -> Any:
            return rows[0]

        def state_dict(self) -> dict[str, Any]:
            return {"k": -1, "m": np.eye(2), "x": 0.5}

        def load_state_dict(self, state: dict[str, Any]) -> None:
            self.state = state

    rule = Keeps(1)
    rule._load(rule._save())
    assert rule.state["k"] == -1 and rule.state["m"].tolist() == [[1, 0], [0, 1]]
    assert rule.state["x"] == 0.5


def test_a_pickled_attack_remembers() -> None:
    attack = attacks.DelayedGradient(delay=2)
    honest = [ROWS[:7] * k for k in range(1, 6)]
    for rows in honest[:4]:
        attack(rows, 2)
    other = pickle.loads(pickle.dumps(attack))
    assert other(honest[4], 2).tolist() == attack(honest[4], 2).tolist()


def test_what_is_half_done_of_a_rule_that_forgets_begins_again(tmp_path: Path) -> None:
    class Stops(varangian.Callback):
        def on_step(self, record: dict[str, Any]) -> None:
            if record["step"] == 3:
                raise LookupError

    order = {**SMALL, "rule": Counts()}
    whole = varangian.run(order)[0].parameters
    with pytest.raises(LookupError):
        varangian.run(order, out=tmp_path, version="1", callbacks=[Stops()])
    assert varangian.run(order, out=tmp_path, version="1")[0].parameters == whole


def test_a_run_begins_before_the_first_call() -> None:
    used = Counts(1)
    used(ROWS)
    fresh = varangian.run({**SMALL, "rule": Counts()})[0].parameters
    assert varangian.run({**SMALL, "rule": used})[0].parameters == fresh
    assert used(ROWS)[0] == 2


def test_f_is_one_number(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"f is \[1\]; its rules were made with f = \[2\]"):
        varangian.run({**SMALL, "n": 9, "rule": rules.Krum(f=2)})
    (tmp_path / "e.toml").write_text("n = 9\nsteps = 2\nmodel = 'mlp hidden=4'")
    results = varangian.run(tmp_path / "e.toml", rule=rules.Krum(f=2))
    assert results[0].settings["f"] == 2
    tables = [{"rule": rules.Median(f=1)}, {"rule": rules.Krum(f=2), "n": 9}]
    plain = {key: value for key, value in SMALL.items() if key != "f"}
    both = varangian.run({**plain, "steps": 2, "run": tables})
    assert [run.settings["f"] for run in both] == [1, 2]


def test_whole_numbers_are_exact_or_refused() -> None:
    assert rules.Sum(f=0)(np.full((3, 2), 200, np.uint8)).tolist() == [600, 600]
    with pytest.raises(ValueError, match="beyond ±2⁵³"):
        rules.Median(f=0)(np.full((3, 1), 2**53 + 1))
    with pytest.raises(ValueError, match="is no uint8"):
        rules.Sum(f=0)([{"k": np.full(2, 200, np.uint8)}] * 3)


def test_what_is_not_asked_for_is_refused() -> None:
    with pytest.raises(TypeError, match="weights is for a rule"):
        stages.Clipping(f=1, c=1.0)(ROWS, weights=np.ones(9))
    with pytest.raises(TypeError, match="a callback has some of"):
        varangian.run(SMALL, callbacks=[print])
    with pytest.raises(ValueError, match="out names a folder"):
        varangian.run(SMALL, out="")
    x = np.ones((4, 2))
    with pytest.raises(ValueError, match="as many targets a sample"):
        varangian.Dataset((x, np.ones((4, 2))), (x, np.ones(4)))
    with pytest.raises(ValueError, match="of 10 classes are whole numbers"):
        varangian.Dataset((x, np.ones(4)), (x, np.ones(4)), classes=10)
    with pytest.raises(TypeError, match="is no rule alone"):
        stages.NNM(f=1).kappa(9)


def test_threads_wait_for_nobody_who_waits_for_them() -> None:
    code = """
import concurrent.futures as futures, threading, numpy, varangian
from varangian import rules
rows = numpy.random.default_rng(0).normal(size=(9, 4)).astype("f4")
rule = rules.Krum(f=1)
class A(varangian.Rule):
    def aggregate(self, rows, f): return rows[0]
def ask(k): rule(rows); rule.verdict
with futures.ThreadPoolExecutor(8) as pool: list(pool.map(ask, range(400)))
stop = threading.Event()
def others():
    while not stop.is_set(): A(1)(rows)
thread = threading.Thread(target=others); thread.start()
order = {"n": 5, "f": 1, "steps": 3, "model": "mlp hidden=4"}
for _ in range(5): varangian.run({**order, "rule": A()})
with futures.ThreadPoolExecutor(2) as pool:
    list(pool.map(lambda k: varangian.run({**order, "rule": A()}), range(4)))
stop.set(); thread.join(); print("over")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout == "over\n", done.stderr


def test_a_rule_that_asks_itself_is_told_so() -> None:
    class Asks(varangian.Rule):
        def aggregate(self, rows: np.ndarray, f: int) -> Any:
            self.check(len(rows))
            return rows[0]

    with pytest.raises(RuntimeError, match="asks is being called"):
        Asks(1)(ROWS)
    zeno = rules.Zeno(f=1)
    with pytest.raises(RuntimeError, match="is being called"):
        zeno(ROWS, loss=lambda x: zeno.kappa(9) or 0.0)


def _median(_: int) -> str:
    try:
        return str(rules.Median(f=1)(np.ones((9, 100_000), np.float32))[0])
    except RuntimeError as error:
        return str(error)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_says_that_it_is_one() -> None:
    _median(0)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        said = pool.map_async(_median, [0]).get(30)
    assert "was forked" in said[0]


def test_arrays_that_start_anywhere() -> None:
    odd = np.frombuffer(b"\0" + ROWS.tobytes(), "f4", offset=1).reshape(9, 4)
    assert rules.Median(f=1)(odd).tolist() == np.median(ROWS, axis=0).tolist()
    assert rules.Median(f=1)(list(odd)).tolist() == np.median(ROWS, axis=0).tolist()


def test_errors_of_two_runs_stay_with_their_runs() -> None:
    class Wrong(varangian.Rule):
        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

        def aggregate(self, rows: np.ndarray, f: int) -> Any:
            raise KeyError(self.text)

    def run(k: int) -> str:
        try:
            varangian.run({**SMALL, "rule": Wrong(f"mine {k}")})
        except KeyError as error:
            return str(error)
        return "none"

    with futures.ThreadPoolExecutor(4) as pool:
        assert list(pool.map(run, range(8))) == [f"'mine {k}'" for k in range(8)]


def test_a_memory_that_cannot_be_taken_up_changes_nothing() -> None:
    rule, other = rules.CentredClipping(f=2), rules.CentredClipping(f=2)
    rule(ROWS)
    other(ROWS)
    with pytest.raises(ValueError, match="no memory of a rule"):
        rule.load_state_dict({**rule.state_dict(), "memory": b"junk"})
    assert rule(2 * ROWS).tolist() == other(2 * ROWS).tolist()


def test_ones_own_rule_takes_float64_as_it_is() -> None:
    rows = 1 + np.arange(9, dtype=np.float64).reshape(9, 1) * 1e-12
    assert First(1)(rows)[0] == rows[0, 0]
    assert First(1)([[1, 2]] * 3).tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match='two rules are called "median"'):
        type("Median", (First,), {})(1)(ROWS)
    assert byzfl.NNM(1)([row for row in ROWS]).shape == (9, 4)


def test_errors_whose_texts_begin_alike_stay_apart() -> None:
    class Wrong(varangian.Rule):
        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

        def aggregate(self, rows: np.ndarray, f: int) -> Any:
            raise RuntimeError(self.text)

    def run(text: str) -> str:
        try:
            varangian.run({**SMALL, "rule": Wrong(text)})
        except RuntimeError as error:
            return str(error)
        return "none"

    texts = ["x", "xy", "xyz", ""] * 3
    with futures.ThreadPoolExecutor(4) as pool:
        assert list(pool.map(run, texts)) == texts


def test_what_nobody_has_is_let_go() -> None:
    rule, attack = Counts(1), type("Own", (varangian.Attack,), {"forge": lambda s, h, f: h[0]})()
    rule(ROWS)
    chain = stages.NNM(f=1) | rule
    chain(ROWS)
    attack(ROWS, 1)
    varangian.run({**SMALL, "rule": rule, "attack": attack})
    refs = [weakref.ref(rule), weakref.ref(attack)]
    del rule, chain, attack
    gc.collect()
    assert [ref() for ref in refs] == [None, None]


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="Linux says how much is held")
def test_data_sets_are_let_go() -> None:
    def pages() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1])

    inputs, labels = np.zeros((5_000, 1_000), np.float32), np.arange(5_000) % 2
    varangian.Dataset((inputs, labels), (inputs[:10], labels[:10]))
    before = pages()
    for _ in range(10):
        varangian.Dataset((inputs, labels), (inputs[:10], labels[:10]))
    # Ten of 20 MB each.
    assert pages() - before < 60_000_000 // 4096
