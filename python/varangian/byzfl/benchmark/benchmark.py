"""``run_benchmark``: every training that ``config.json`` asks for, in processes."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from varangian.byzfl.benchmark import _config
from varangian.byzfl.benchmark._files import write_config
from varangian.byzfl.benchmark.evaluate_results import find_best_hyperparameters


def run_benchmark(nb_jobs: int = 1) -> None:
    """Runs every training that ``./config.json`` asks for, ``nb_jobs`` at a time.

    Lists in the file stand for alternatives, as in ByzFL. Each setting has a folder in
    ``results_directory`` under ByzFL's name for it, with ByzFL's files in it; trainings that are
    done already are left out. With a part of the training set held out (``size_train_set`` below
    1), the best learning rate, momentum and weight decay are chosen at the end. Without a
    ``config.json`` one is written.

    MNIST's files are read from ``data_folder`` or ``data_folder/MNIST/raw``; nothing is
    downloaded. Each job is a process of its own, so that no ``if __name__ == "__main__"`` is
    wanted. Ctrl-C ends them; what is done stays done.

    Raises
    ------
    RuntimeError
        Where trainings failed, with what each said, after the others are done.
    """
    if not isinstance(nb_jobs, int) or nb_jobs < 1:
        raise ValueError(f"nb_jobs is a whole number from 1; got {nb_jobs!r}")
    path = Path("config.json")
    if not path.is_file():
        write_config(path, _config.EXAMPLE)
        print("'config.json' is not there; one has been written. Set it up and run again.")
        return
    data = _config.completed(json.loads(path.read_text()))
    settings = _config.settings(data)
    from varangian.byzfl.benchmark._training import check

    for setting in settings:
        check(setting)
    results = Path(data["evaluation_and_results"]["results_directory"])
    results.mkdir(parents=True, exist_ok=True)
    write_config(results / "config.json", data)
    todo = _todo(settings, results)
    print(f"Total trainings to do: {len(todo)}")
    print(f"Running {nb_jobs} trainings in parallel...")
    _all(todo, nb_jobs)
    print("All trainings finished.")
    if float(data["benchmark_config"]["size_train_set"]) == 1.0:
        print("No hyperparameter exploration done: no part of the training set is held out.")
    else:
        print("Selecting Best Hyperparameters...")
        find_best_hyperparameters(results)
        print("Done")


def _todo(settings: list[_config.Setting], results: Path) -> list[_config.Setting]:
    """Those that are not done. What was done under other settings does not count."""
    kept: dict[str, bool] = {}
    todo = []
    for setting in settings:
        name = _config.folder(setting)
        if name not in kept:
            kept[name] = _is_of(results / name, setting)
        if not (results / name / f"train_time_{_config.seeds(setting)}.txt").is_file():
            todo.append(setting)
    return todo


def _is_of(folder: Path, setting: _config.Setting) -> bool:
    """Whether a folder's results are of this setting; where not, its trainings count as undone.

    *Differs:* ByzFL goes by the folder's name alone, which says neither steps nor parameters.
    """
    config = folder / "config.json"
    if not config.is_file():
        return True
    try:
        found = _config.deciding(json.loads(config.read_text()))
        apart = next(_config.differences(found, _config.deciding(setting)), None)
    except (KeyError, ValueError, TypeError):
        apart = ("config.json", "unreadable", "as asked")
    if apart is None:
        return True
    key, one, two = apart
    print(f"{folder.name}: {key} was {one!r} and is {two!r}; it is trained again")
    for done in folder.glob("train_time_*.txt"):
        done.unlink()
    return False


class _Worker:
    """A process that trains one setting after another."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.process = subprocess.Popen(
            [sys.executable, "-m", "varangian.byzfl.benchmark._worker"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=os.environ
            | {"RAYON_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
            # Threads that wait in a loop take the cores from each other.
            | {"OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "PASSIVE")},
        )

    def train(self, setting: _config.Setting) -> str:
        """What went wrong, or nothing."""
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            order = {"threads": self.threads, "setting": setting}
            self.process.stdin.write(json.dumps(order) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except (BrokenPipeError, ValueError):
            line = ""
        if line:
            return str(json.loads(line)["error"])
        return f"its process ended with exit code {self.process.wait()}"

    def end(self) -> None:
        """Ends the process; whoever reads from it finds its end."""
        self.process.kill()
        self.process.wait()


class _Crew:
    """The processes that train, and what became of the settings."""

    def __init__(self, todo: list[_config.Setting], jobs: int) -> None:
        self.jobs = max(1, min(jobs, len(todo)))
        self.threads = max(1, (os.cpu_count() or 1) // self.jobs)
        self.left: queue.SimpleQueue[_config.Setting] = queue.SimpleQueue()
        for setting in todo:
            self.left.put(setting)
        self.lock, self.done, self.stopping = threading.Lock(), 0, False
        self.failed: list[str] = []
        self.workers: list[_Worker] = []

    def work(self) -> None:
        """Trains what is left; a process that ended is followed by another."""
        worker: _Worker | None = None
        while True:
            try:
                setting = self.left.get_nowait()
            except queue.Empty:
                return
            with self.lock:
                if self.stopping:
                    return
                if worker is None or worker.process.poll() is not None:
                    worker = _Worker(self.threads)
                    self.workers.append(worker)
            wrong = worker.train(setting)
            with self.lock:
                if self.stopping:
                    return
                if wrong:
                    name = f"{_config.folder(setting)} {_config.seeds(setting)}"
                    self.failed.append(f"{name}: {wrong}")
                else:
                    print(f"Training {self.done} done")
                self.done += 1

    def run(self) -> None:
        """Until nothing is left, or Ctrl-C."""
        pool = ThreadPoolExecutor(self.jobs)
        try:
            for one in [pool.submit(self.work) for _ in range(self.jobs)]:
                one.result()
        finally:
            with self.lock:
                self.stopping = True
            for worker in self.workers:
                worker.end()
            pool.shutdown()


def _all(todo: list[_config.Setting], jobs: int) -> None:
    crew = _Crew(todo, jobs)
    crew.run()
    if crew.failed:
        failures = "\n".join(crew.failed)
        raise RuntimeError(f"{len(crew.failed)} of {len(todo)} trainings failed:\n{failures}")
