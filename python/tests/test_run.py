"""Experiments from Python."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import varangian
from varangian import attacks, models, rules, stages

SMALL: dict[str, Any] = {
    "n": 7, "f": 2, "steps": 20, "model": "mlp hidden=16", "evaluate_every": 10, "seed": [1, 2],
    "rule": ["average", "nnm | median"], "attack": ["none", "alie"],
}
FILE = """
name = "small"
n = 7
f = 2
steps = 20
model = "mlp hidden=16"
evaluate_every = 10
seed = [1, 2]
rule = ["average", "nnm | median"]
attack = ["none", "alie"]
"""


def test_a_dict_a_file_and_the_command_give_the_same_bits(tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(FILE)
    ours = varangian.run(SMALL)
    file = varangian.run(tmp_path / "small.toml", out=tmp_path / "out")
    objects = varangian.run({
        **SMALL,
        "rule": [rules.Average(), stages.NNM(f=2) | rules.Median(f=2)],
        "attack": ["none", attacks.ALIE()],
        "model": models.MLP(hidden=16),
    })
    words = [sys.executable, "-m", "varangian", "run", "small.toml", "--out", "theirs", "-q"]
    subprocess.run(words, cwd=tmp_path, check=True)
    import csv

    with open(tmp_path / "theirs/runs.csv") as table:
        command = [row["parameters"].removeprefix("b3-") for row in csv.DictReader(table)]
    hashes = [run.parameters for run in ours]
    assert len(hashes) == 8
    assert [run.parameters for run in file] == hashes == [run.parameters for run in objects]
    assert sorted(command) == sorted(hashes)
    assert (tmp_path / "out/accuracy.png").is_file()


def test_nothing_is_left_where_nothing_was_asked_for(tmp_path: Path) -> None:
    before = os.getcwd()
    os.chdir(tmp_path)
    try:
        results = varangian.run({**SMALL, "steps": 2})
    finally:
        os.chdir(before)
    assert list(tmp_path.iterdir()) == []
    assert results.folder is None and results.figures["accuracy"].startswith(b"\x89PNG")
    assert "Results:" not in results.text


def test_frames_and_curves() -> None:
    results = varangian.run(SMALL, steps=10, n=[7, 9])
    records = results.records()
    assert {"rule", "attack", "seed", "n", "metric", "step", "value"} <= set(records[0])
    assert {record["n"] for record in records} == {7, 9}
    steps, values = results[0].curves["accuracy"]
    assert steps.tolist() == [0, 10] and values.dtype == np.float64
    pandas = pytest.importorskip("pandas")
    frame = results.frame()
    assert isinstance(frame, pandas.DataFrame) and len(frame) == len(records)
    assert "nnm | median" in repr(results) and "average" in repr(results)
    assert "<img" in results._repr_html_()


def test_callbacks_hear_steps_evaluations_and_ends() -> None:
    class Heard(varangian.Callback):
        def __init__(self) -> None:
            self.steps = 0
            self.values: list[Any] = []
            self.ends: list[str] = []

        def on_step(self, record: dict[str, Any]) -> None:
            self.steps += 1

        def on_evaluation(self, record: dict[str, Any]) -> None:
            self.values.append((record["rule"], record["evaluated"], record["value"]))

        def on_end(self, record: dict[str, Any]) -> None:
            self.ends.append(record["line"])

    heard = Heard()
    results = varangian.run(SMALL, callbacks=[heard], seed=1)
    assert heard.steps == 4 * 20 and len(heard.ends) == 4
    assert {value[0] for value in heard.values} == {"average", "nnm | median"}
    assert len(results) == 4


def test_what_a_callback_raises_ends_the_run() -> None:
    class Stops(varangian.Callback):
        def on_step(self, record: dict[str, Any]) -> None:
            raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        varangian.run(SMALL, steps=10_000, callbacks=[Stops()])


def test_what_is_wrong_is_said_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='did you mean "krum"'):
        varangian.run({**SMALL, "rule": "krumm"})
    with pytest.raises(ValueError, match="unknown key"):
        varangian.run({**SMALL, "workers": 3})
    with pytest.raises(ValueError, match="threads must be 1 to 1024, not 0"):
        varangian.run(SMALL, threads=0)
    with pytest.raises(ValueError, match="cannot read"):
        varangian.run(tmp_path / "none.toml")
    with pytest.raises(TypeError, match="an experiment holds"):
        varangian.run({**SMALL, "rule": object()})
    with pytest.raises(TypeError, match="a path or a dict; got int"):
        varangian.run(3)  # type: ignore[arg-type]


def test_control_c_keeps_what_is_done(tmp_path: Path) -> None:
    order = {**SMALL, "steps": 2_000, "seed": 1}

    def press() -> None:
        time.sleep(0.4)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        varangian.run({**order, "steps": 10_000_000}, out=tmp_path / "long")
    thread.join()
    assert time.monotonic() - begun < 10
    assert any((tmp_path / "long").iterdir())


def test_f_of_rule_objects_is_the_experiments() -> None:
    order = {key: value for key, value in SMALL.items() if key != "f"}
    results = varangian.run({**order, "rule": [rules.Median(f=2), "average"], "steps": 2, "seed": 1})
    assert {run.settings["f"] for run in results} == {2}
    with pytest.raises(ValueError, match="share f"):
        varangian.run({**order, "rule": [rules.Median(f=2), rules.Median(f=3)]})


@pytest.mark.parametrize(
    ("train", "text"),
    [
        ((np.zeros((4, 3)), np.array([0, 1, 2, 3])), None),
        ((np.zeros((4, 3)), np.array([0, 1, 2])), "a target a sample; got 3 for 4 samples"),
        ((np.zeros((4, 3, 3)), np.zeros(4, int)), "samples × features or"),
        ((np.full((4, 3), np.nan), np.zeros(4, int)), "inputs are finite; sample 0 is not"),
        ((np.zeros((4, 3)), np.array([0, 1, 2, -1])), "that of sample 3 is -1"),
        ((np.zeros((0, 3)), np.zeros(0, int)), "no samples|zero-size"),
    ],
)
def test_data_sets_are_looked_at(train: Any, text: str | None) -> None:
    test = (np.zeros((2, 3)), np.array([0, 3]))
    if text is None:
        assert varangian.Dataset(train, test).classes == 4
    else:
        with pytest.raises(ValueError, match=text):
            varangian.Dataset(train, test)
