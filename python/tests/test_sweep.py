"""Sweeps over executors, and over a stand-in for Slurm."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import varangian

EXPERIMENT = """
name = "small"
dataset = "glyphs"
model = "linear"
n = 5
f = 1
steps = 6
evaluate_every = 3
test_samples = 50
batch = 4
rule = ["median", "krum"]
attack = ["none", "sign-flip"]
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sweep") / "small.toml"
    path.write_text(EXPERIMENT)
    return path


def parts(folder: Path) -> dict[str, Any]:
    """What a folder says of its runs, without how long they took."""
    tables: dict[str, Any] = {
        path.name: path.read_bytes() for path in sorted(folder.glob("*.csv")) + sorted(folder.glob("*.png"))
    }
    for path in sorted((folder / "runs").glob("*.json")):
        record = json.loads(path.read_text())
        tables[path.name] = {
            k: v for k, v in record.items() if "second" not in k and k not in ("created", "host", "check")
        }
    return tables


@pytest.fixture(scope="module")
def local(file: Path) -> dict[str, Any]:
    varangian.run(file, out=file.parent / "local", progress=False)
    return parts(file.parent / "local")


@pytest.mark.parametrize("executor", ["none", "threads", "processes", "ray"])
def test_every_executor_gives_the_bytes_of_a_run_here(
    executor: str, file: Path, tmp_path: Path, local: dict[str, Any]
) -> None:
    out = tmp_path / "swept"
    if executor == "ray":
        pytest.importorskip("ray")
    if executor == "threads":
        with ThreadPoolExecutor(2) as pool:
            done = varangian.sweep(file, out, pool)
    elif executor == "processes":
        with ProcessPoolExecutor(2) as pool:
            done = varangian.sweep(file, out, pool)
    else:
        done = varangian.sweep(file, out, "ray" if executor == "ray" else None, jobs=2)
    assert len(done.runs) == 4 and not done.failed
    found = parts(out)
    assert found.keys() == local.keys()
    for name in local:
        assert found[name] == local[name], name
    again = varangian.sweep(file, out)
    assert again.runs == done.runs and parts(out) == found


class Broken:
    """An executor that loses the second task at its first attempt, or always."""

    def __init__(self, always: bool) -> None:
        self.always, self.tasks = always, 0
        self.pool = ThreadPoolExecutor(1)

    def submit(self, work: Any, words: list[str]) -> Any:
        self.tasks += 1
        lost = words[-1].startswith("2/") and (self.always or self.tasks <= 4)

        def lose() -> Any:
            raise OSError("the machine is gone")

        return self.pool.submit(lose) if lost else self.pool.submit(work, words)


def test_failures_are_tried_again_and_recorded(
    file: Path, tmp_path: Path, local: dict[str, Any]
) -> None:
    out = tmp_path / "swept"
    pool: Any = Broken(always=True)
    done = varangian.sweep(file, out, pool)
    assert pool.tasks == 5 and list(done.failed) == [done.runs[1]]
    assert json.loads((out / "failures.json").read_text()) == done.failed
    assert done.failed[done.runs[1]] == "OSError: the machine is gone"
    # The same call goes on: one run is missing.
    pool = Broken(always=False)
    pool.tasks = 4
    again = varangian.sweep(file, out, pool)
    assert pool.tasks == 5 and not again.failed and not (out / "failures.json").exists()
    assert parts(out) == local


def test_a_slurm_array_of_a_stand_in_scheduler(
    file: Path, tmp_path: Path, local: dict[str, Any]
) -> None:
    out = tmp_path / "a folder"
    script = varangian.submit_script(file, out, at_once=3, options=["--time=1:00:00"])
    assert "#SBATCH --array=1-4%3" in script and "#SBATCH --time=1:00:00" in script
    path = tmp_path / "sweep.sh"
    path.write_text(script)
    # What sbatch does with an array, in the worst order and with a task that is requeued.
    for task in [4, 3, 3, 1, 2]:
        told = {**os.environ, "SLURM_ARRAY_TASK_ID": str(task), "SLURM_CPUS_PER_TASK": "1"}
        done = subprocess.run(["bash", str(path)], env=told, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert parts(out) == local


def test_a_narrow_terminal_changes_no_plan(
    file: Path, tmp_path: Path, local: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    done = varangian.sweep(file, tmp_path / "out", ThreadPoolExecutor(2))
    assert len(done.runs) == 4 and done.failed == {} and parts(tmp_path / "out") == local


def test_wrong_sweeps_are_refused_before_anything_runs(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "swept"
    with pytest.raises(ValueError, match="did you mean"):
        varangian.sweep(file, out, rule="medain")
    with pytest.raises(ValueError, match='"ray"'):
        varangian.sweep(file, out, "dask")
    with pytest.raises(ValueError, match="attempts"):
        varangian.sweep(file, out, attempts=0)
    with pytest.raises(TypeError, match="experiment file"):
        varangian.sweep({"rule": "median"}, out)  # type: ignore[arg-type]
    assert not out.exists() and sys.executable
