"""Pipelines and rules of one's own, judged by the benchmark's protocol from Python."""

from __future__ import annotations

import json
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
from varangian import attacks, rules, stages

#: A setting, a search and one of the usual five, two seeds.
PART: dict[str, Any] = {
    "dataset": "logreg", "partition": "iid", "f": 2, "seed": [1, 2],
    "attack": ["ipm", "worst budget=32 objective=distance"],
}
WORDS = [
    "--only", "dataset=logreg", "--only", "partition=iid", "--only", "f=2", "--only", "seed=1,2",
    "--only", "attack=ipm,worst budget=32 objective=distance",
]


class Middle(varangian.Rule):
    """The median, in numpy."""

    def aggregate(self, rows: np.ndarray, f: int) -> Any:
        return np.median(rows, axis=0)


def numbers(entry: dict[str, Any]) -> dict[str, Any]:
    """What two judgements of the same answers share."""
    other = ("rule", "own", "cost", "configuration", "kappa")
    return {key: value for key, value in entry.items() if key not in other}


def test_the_command_judges_alike(tmp_path: Path) -> None:
    ours = varangian.benchmark("median", out=tmp_path / "ours", only=PART)
    words = ["benchmark", "median", "--out", "theirs", "-q", *WORDS]
    subprocess.run([sys.executable, "-m", "varangian", *words], cwd=tmp_path, check=True)
    theirs = json.loads((tmp_path / "theirs" / ours.path.relative_to(tmp_path / "ours")).read_text())
    assert json.loads(ours.path.read_text()) == ours
    assert {**theirs, "cost": 0} == {**ours, "cost": 0}
    assert len(ours["cells"]) == 1 and ours["cells"][0]["worst"] == ours["score"] <= ours["usual"]
    assert str(ours).startswith("median: ") and "only {'attack'" in str(ours)
    # Nobody is calm in a part with f = 2 alone, and it is no entry beside whole ones.
    assert ours["calm"] == [] and ours.path.parent.name.startswith("part-")


def test_rules_of_ones_own_are_searched_as_those_of_the_lists(tmp_path: Path) -> None:
    def central(rows: np.ndarray, f: int) -> Any:
        return np.median(rows, axis=0)

    theirs = varangian.benchmark(rules.Median(f=1), out=tmp_path, only=PART)
    brought: list[tuple[Any, str]] = [
        (Middle(3), "middle"), (Middle, "middle"), (central, "central"),
    ]
    for own, name in brought:
        ours = varangian.benchmark(own, out=tmp_path, only=PART)
        assert (ours["rule"], ours["own"], theirs["own"]) == (name, True, False)
        assert numbers(ours) == numbers(theirs)
        assert ours.path == theirs.path.with_name(f"{name}.json")
    chain = varangian.benchmark(stages.NNM() | Middle(), out=tmp_path, only={**PART, "attack": "ipm"})
    plain = varangian.benchmark("nnm | median", out=tmp_path, only={**PART, "attack": attacks.IPM()})
    assert chain["rule"] == "nnm | middle" and chain.path.parent == plain.path.parent
    assert chain["score"] == pytest.approx(plain["score"], abs=1e-3)
    board = subprocess.run(
        [sys.executable, "-m", "varangian", "leaderboard", str(theirs.path.parent)],
        capture_output=True, text=True, check=True,
    ).stdout
    assert all(name in board for name in ("median", "middle", "central")), board
    assert "A part of the protocol alone: attack=ipm,worst" in board


def test_what_is_over_is_done_again_only_without_a_version(tmp_path: Path) -> None:
    calls = 0

    class Counted(varangian.Rule):
        def aggregate(self, rows: np.ndarray, f: int) -> Any:
            nonlocal calls
            calls += rows.shape[1] > 2          # not those of the search for kappa
            return rows.mean(axis=0)

    part = {**PART, "attack": "ipm"}

    def judged(version: str, out: str) -> int:
        nonlocal calls
        calls = 0
        varangian.benchmark(Counted, out=tmp_path / out, only=part, version=version)
        return calls

    timed = judged("1", "one") - judged("1", "one")
    # Steps of four candidates once, and of the chosen one with two seeds, under two attacks.
    assert timed == 80 * 2 * (4 + 2)
    assert judged("", "other") == judged("", "other") > timed
    # What another code has left is not replaced unasked.
    with pytest.raises(ValueError, match="results of 8 runs of other settings"):
        judged("2", "one")


def test_what_raises_in_a_rule_comes_out_as_it_was_raised(tmp_path: Path) -> None:
    def fails(rows: np.ndarray, f: int) -> Any:
        raise LookupError("not today")

    with pytest.raises(LookupError, match="not today"):
        varangian.benchmark(fails, out=tmp_path, only=PART)


def test_what_is_wrong_is_said_before_anything_runs(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def refused(error: type[Exception], match: str, rule: Any = "median", **choices: Any) -> None:
        with pytest.raises(error, match=match):
            varangian.benchmark(rule, **{"out": out, **choices})

    refused(ValueError, 'unknown rule "medain"; did you mean "median"', "medain")
    refused(ValueError, 'unknown tier "tiny"', tier="tiny")
    refused(ValueError, 'unknown key of a part "rule"', only={"rule": "median"})
    refused(ValueError, 'no run of the protocol has f = "3"; it has 2, 4, 0', only={"f": 3})
    refused(ValueError, "kardam is a filter", "kardam")
    refused(ValueError, "a rule has a name", lambda rows, f: rows[0])
    refused(TypeError, "a text, a Rule or a function", 3)
    refused(ValueError, "out names a folder", out="")
    assert not out.exists()


def test_control_c_keeps_what_is_done(tmp_path: Path) -> None:
    class Presses(varangian.Callback):
        ends = 0

        def on_end(self, record: dict[str, Any]) -> None:
            self.ends += 1
            if self.ends == 2:
                os.kill(os.getpid(), signal.SIGINT)
                # The step at hand is ended first: give the signal time to be seen.
                time.sleep(0.2)

    heard = Presses()
    with pytest.raises(KeyboardInterrupt):
        varangian.benchmark("average", out=tmp_path, only=PART, callbacks=[heard], threads=1)
    assert threading.active_count() >= 1 and not list(tmp_path.rglob("average.json"))
    again = Presses()
    again.ends = 2
    entry = varangian.benchmark("average", out=tmp_path, only=PART, callbacks=[again], threads=1)
    # Three attacks, four candidates and two seeds; what was done is not done again.
    assert again.ends - 2 <= 3 * (4 + 2) - heard.ends and entry.path.is_file()
