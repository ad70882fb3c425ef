"""Ctrl-C while what the user wrote does not return."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import varangian

SMALL = {"n": 5, "f": 1, "steps": 6, "model": "linear", "evaluate_every": 3, "seed": 1}

#: Set while objects hang, and once one does.
HANGS, HUNG = threading.Event(), threading.Event()


def hang(step: int) -> None:
    if HANGS.is_set() and step == 3:
        HUNG.set()
        while HANGS.is_set():
            pass


class Hanging(varangian.Rule):
    def __init__(self) -> None:
        super().__init__(1)
        self.calls = 0

    def aggregate(self, rows: np.ndarray, f: int) -> Any:
        self.calls += 1
        hang(self.calls)
        return rows.mean(axis=0)


class Forging(varangian.Attack):
    calls = 0

    def forge(self, honest: np.ndarray, f: int) -> Any:
        self.calls += 1
        hang(self.calls)
        return honest.mean(axis=0)


class Listening(varangian.Callback):
    def on_step(self, record: dict[str, Any]) -> None:
        hang(record["step"])


@contextmanager
def pressed(times: int, after: float = 0.3) -> Iterator[None]:
    """Ctrl-C, once something hangs."""
    HUNG.clear()
    HANGS.set()

    def press() -> None:
        assert HUNG.wait(20)
        for _ in range(times):
            time.sleep(after)
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    try:
        yield
    finally:
        HANGS.clear()
        thread.join()


@pytest.mark.parametrize("where", ["rule", "attack", "callback"])
def test_control_c_reaches_what_does_not_return(where: str) -> None:
    keys: dict[str, Any] = dict(SMALL)
    callbacks: list[Any] = []
    if where == "rule":
        keys["rule"] = Hanging()
    elif where == "attack":
        keys["attack"] = Forging()
    else:
        callbacks.append(Listening())
    begun = time.monotonic()
    with pressed(2), pytest.raises(KeyboardInterrupt) as raised:
        varangian.run(keys, callbacks=callbacks)
    assert time.monotonic() - begun < 4, "the second Ctrl-C does not wait"
    assert "left behind" not in str(raised.value)
    # Nothing of it is left: the next run is as any.
    assert varangian.run(keys, callbacks=callbacks)[0].finished


def test_one_control_c_waits_for_the_step_and_then_no_longer(tmp_path: Path) -> None:
    order: dict[str, Any] = {**SMALL, "rule": ["average", Hanging()]}
    ends: list[str] = []

    class Ends(varangian.Callback):
        def on_end(self, record: dict[str, Any]) -> None:
            ends.append(record["settings"]["rule"])

    begun = time.monotonic()
    with pressed(1), pytest.raises(KeyboardInterrupt):
        varangian.run(order, out=tmp_path / "out", version="1", jobs=1, callbacks=[Ends()])
    assert 4 < time.monotonic() - begun < 15
    assert ends == ["average"], "what was interrupted is no run that failed"
    # What was done is kept; what was interrupted ends as if nothing had been.
    after = varangian.run(order, out=tmp_path / "out", version="1", callbacks=[Ends()])
    whole = varangian.run(order)
    assert [run.parameters for run in after] == [run.parameters for run in whole]
    assert ends == ["average", "hanging"] and all(run.finished for run in after)


class Waiting(varangian.Rule):
    """Waits outside of the interpreter, where no exception arrives."""

    over = threading.Event()

    def aggregate(self, rows: np.ndarray, f: int) -> Any:
        HUNG.set()
        assert Waiting.over.wait(60)
        return rows.mean(axis=0)


def test_what_waits_outside_of_the_interpreter_is_left_behind() -> None:
    begun = time.monotonic()
    with pressed(3), pytest.raises(KeyboardInterrupt, match="left behind: a thread"):
        varangian.run({**SMALL, "rule": Waiting(f=1)})
    assert time.monotonic() - begun < 8
    Waiting.over.set()
    assert varangian.run({**SMALL, "rule": Waiting(f=1)})[0].finished


def test_the_process_ends_though_a_thread_is_left_behind() -> None:
    code = f"""
import time, varangian
class Sleeping(varangian.Rule):
    def aggregate(self, rows, f):
        print("asleep", flush=True)
        time.sleep(1000)
varangian.run({SMALL!r} | {{"rule": Sleeping(f=1)}})
"""
    run = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert run.stdout is not None and run.stdout.readline() == "asleep\n"
    for _ in range(3):
        time.sleep(0.4)
        run.send_signal(signal.SIGINT)
    _, said = run.communicate(timeout=20)
    assert run.returncode != 0 and "KeyboardInterrupt: left behind" in said


def test_a_network_that_does_not_return_is_interrupted() -> None:
    torch = pytest.importorskip("torch")

    class Net(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.calls = torch.nn.Linear(784, 10), 0

        def forward(self, x: Any) -> Any:
            self.calls += 1
            hang(3 if self.calls > 20 else 0)
            return self.layer(x.flatten(1))

    keys = {key: value for key, value in SMALL.items() if key != "model"}
    loss = torch.nn.functional.cross_entropy
    with pressed(2), pytest.raises(KeyboardInterrupt):
        varangian.run(keys, model=Net, batched=False, loss=loss, steps=40)
