"""Sweeps: the runs of an experiment over many processes or machines that share a folder.

A task is one whole run, started as the command starts it: ``varangian run FILE --shard I/N``, where
N is the number of runs. So the folder is the same as that of a run on one machine, and whoever is
interrupted goes on with the same call.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from varangian._run import _value

#: What came of one task: its exit code, and what it said on standard error.
Done = tuple[int, str]


@dataclass(frozen=True)
class Sweep:
    """What a sweep came to."""

    folder: Path
    #: The keys of all runs, in the experiment's order.
    runs: list[str]
    #: Of the runs that are not over, why.
    failed: dict[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        over = len(self.runs) - len(self.failed)
        return f"Sweep({str(self.folder)!r}, {over} of {len(self.runs)} runs are over)"


def sweep(
    experiment: str | os.PathLike[str],
    out: str | os.PathLike[str],
    executor: str | Executor | None = None,
    *,
    data: str | os.PathLike[str] | None = None,
    jobs: int | None = None,
    attempts: int = 2,
    task: Mapping[str, Any] | None = None,
    **keys: Any,
) -> Sweep:
    """Runs an experiment file, a run a task, over an executor.

    Runs that are over are never done again; a task that fails is tried again, and what still fails
    is kept in ``failed`` and in the folder's ``failures.json``, while all others go on.

    Parameters
    ----------
    experiment : path
        An experiment file.
    out : folder
        Where results go; all machines see it under this name.
    executor : "ray", an Executor of concurrent.futures, or None
        Where tasks run: on the Ray cluster that ``ray.init`` has joined (on this machine without
        one), on an executor of threads or processes, or here, ``jobs`` at a time. Ray runs whatever
        code its clients send: on trusted machines only.
    data : folder, optional
        Of data files.
    jobs : int, optional
        Tasks at a time, each with one thread; without it as many as this machine has cores, or as
        the executor takes.
    attempts : int
        How often a task is tried.
    task : dict, optional
        Ray's options of a task: ``{"num_cpus": 2}``.
    **keys
        Keys that win over the experiment's: ``steps=50``.

    Raises
    ------
    ValueError
        If anything is wrong with the experiment: nothing is run then.

    Examples
    --------
    >>> import pathlib, tempfile, varangian
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> text = 'n = 5\\nf = 1\\nsteps = 5\\nmodel = "mlp hidden=8"\\nrule = ["average", "median"]'
    >>> _ = (folder / "two.toml").write_text(text)
    >>> done = varangian.sweep(folder / "two.toml", folder / "out", jobs=2)
    >>> len(done.runs), done.failed, (folder / "out" / "results.csv").is_file()
    (2, {}, True)
    """
    if not isinstance(attempts, int) or attempts < 1:
        raise ValueError(f"attempts is a whole number from 1; got {attempts!r}")
    words = _words(experiment, out, data, keys)
    runs = list(_planned(words))
    todo = [k for k, (_, state) in enumerate(runs) if state == "to do"]
    commands = {k: [*words, "--quiet", "--threads", "1", "--shard", f"{k + 1}/{len(runs)}"] for k in todo}
    failed: dict[int, str] = {}
    for _ in range(attempts):
        failed = {}
        for k, (code, said) in _over(executor, commands, jobs, dict(task or {})):
            if code != 0:
                failed[k] = said.strip()[-2000:] or f"exit code {code}"
        commands = {k: commands[k] for k in failed}
        if not commands:
            break
    folder = Path(out)
    if not failed:
        # The tables of all runs: whoever ended last may have seen others half written.
        code, said = _run([*words, "--quiet"])
        if code != 0:
            raise RuntimeError(said.strip() or f"exit code {code}")
    left = {key: state for key, state in _planned(words) if state == "to do"}
    names = {runs[k][0]: why for k, why in failed.items()}
    report = {key: names.get(key, "it is not over") for key in left}
    path = folder / "failures.json"
    if report:
        path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    elif path.is_file():
        path.unlink()
    return Sweep(folder, [key for key, _ in runs], report)


def submit_script(
    experiment: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    data: str | os.PathLike[str] | None = None,
    at_once: int | None = None,
    options: Sequence[str] = (),
    **keys: Any,
) -> str:
    """A script for Slurm's ``sbatch``: an array with a task a run, and nothing that must be edited.

    Parameters
    ----------
    experiment, out, data, keys
        As of :func:`sweep`; paths that all nodes see.
    at_once : int, optional
        The most tasks at a time.
    options : texts, optional
        Of ``#SBATCH`` lines: ``["--time=1:00:00", "--partition=cpu"]``.

    Examples
    --------
    >>> import pathlib, tempfile, varangian
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "two.toml"
    >>> _ = file.write_text('n = 5\\nf = 1\\nsteps = 5\\nrule = ["average", "median"]')
    >>> script = varangian.submit_script(file, "out", at_once=1, options=["--time=1:00:00"])
    >>> [line for line in script.splitlines() if line.startswith("#SBATCH --array")]
    ['#SBATCH --array=1-2%1']
    """
    words = _words(experiment, out, data, keys)
    count = len(list(_planned(words)))
    limit = "" if at_once is None else f"%{at_once}"
    quoted = " ".join(_quoted(word) for word in words)
    lines = [
        "#!/bin/bash",
        "#SBATCH --job-name=varangian",
        f"#SBATCH --array=1-{count}{limit}",
        "#SBATCH --cpus-per-task=1",
        "#SBATCH --requeue",
        *(f"#SBATCH {option}" for option in options),
        "# A run a task. A task that is requeued goes on where it was; the last one to end leaves the",
        "# tables of all.",
        "set -euo pipefail",
        f'exec {_quoted(sys.executable)} {quoted} --quiet --threads "${{SLURM_CPUS_PER_TASK:-1}}" \\',
        f'    --shard "$SLURM_ARRAY_TASK_ID/{count}"',
    ]
    return "\n".join(lines) + "\n"


def _quoted(word: str) -> str:
    import shlex

    return shlex.quote(word)


def _words(experiment: Any, out: Any, data: Any, keys: Mapping[str, Any]) -> list[str]:
    if not isinstance(experiment, (str, os.PathLike)):
        raise TypeError(f"a sweep is of an experiment file; got {type(experiment).__name__}")
    if not os.fspath(out):
        raise ValueError("out names a folder; got an empty text")
    words = ["-m", "varangian", "run", str(Path(experiment).absolute()), "--out", str(Path(out).absolute())]
    if data is not None:
        words += ["--data", str(Path(data).absolute())]
    for key, value in keys.items():
        words += ["--set", f"{key}={_value(value)}"]
    return words


def _planned(words: list[str]) -> Iterator[tuple[str, str]]:
    """The runs of an experiment: key and state."""
    done = subprocess.run(
        [sys.executable, *words, "--dry-run", "--json"],
        capture_output=True, text=True, stdin=subprocess.DEVNULL,
    )
    if done.returncode != 0:
        text = done.stderr.strip().removeprefix("error: ")
        raise ValueError(text or f"varangian run: exit code {done.returncode}")
    for run in json.loads(done.stdout)["runs"]:
        yield run["key"], "over" if run["over"] else "to do"


def _run(words: Sequence[str]) -> Done:
    """One task, wherever it is."""
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    return done.returncode, done.stderr


def _over(
    executor: str | Executor | None, commands: Mapping[int, list[str]], jobs: int | None,
    task: dict[str, Any],
) -> Iterator[tuple[int, Done]]:
    """What becomes of the tasks, as they end."""
    if isinstance(executor, str):
        if executor != "ray":
            raise ValueError(f'an executor is "ray" or one of concurrent.futures; got {executor!r}')
        yield from _over_ray(commands, jobs, task)
    elif executor is None:
        with ThreadPoolExecutor(jobs or os.cpu_count() or 1) as pool:
            yield from _over_futures(pool, commands)
    elif hasattr(executor, "submit"):
        yield from _over_futures(executor, commands)
    else:
        raise ValueError(f'an executor is "ray" or one of concurrent.futures; got {executor!r}')


def _over_futures(pool: Executor, commands: Mapping[int, list[str]]) -> Iterator[tuple[int, Done]]:
    waiting = {pool.submit(_run, words): k for k, words in commands.items()}
    for future in as_completed(waiting):
        try:
            yield waiting[future], future.result()
        except Exception as error:
            yield waiting[future], (1, f"{type(error).__name__}: {error}")


def _over_ray(
    commands: Mapping[int, list[str]], jobs: int | None, task: dict[str, Any]
) -> Iterator[tuple[int, Done]]:
    try:
        import ray
    except ImportError as error:
        raise ImportError('executor="ray" needs ray: pip install varangian[ray]') from error
    if not ray.is_initialized():
        ray.init(log_to_driver=False, include_dashboard=False)
    # The sweep tries again itself, and records what it saw.
    remote: Callable[..., Any] = ray.remote(**{"num_cpus": 1, "max_retries": 0, **task})(_run)
    at_once = jobs or len(commands) or 1
    todo = list(commands)
    waiting: dict[Any, int] = {}
    while todo or waiting:
        while todo and len(waiting) < at_once:
            k = todo.pop(0)
            waiting[remote.remote(commands[k])] = k  # type: ignore[attr-defined]
        ready, _ = ray.wait(list(waiting), num_returns=1)
        for one in ready:
            k = waiting.pop(one)
            try:
                yield k, ray.get(one)
            except Exception as error:
                yield k, (1, f"{type(error).__name__}: {error}"[-2000:])
