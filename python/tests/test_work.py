"""Workers of a served run in Python: built-in model, torch module, plain protocol."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import varangian

FILE = """
name = "small"
dataset = "logreg"
model = "logreg-net"
n = 3
f = 0
batch = 8
steps = 12
evaluate_every = 12
learning_rate = 0.05
rule = "median"
momentum = 0.9
momentum_at = "worker"
"""


class Served:
    def __init__(self, folder: Path, text: str = FILE) -> None:
        (folder / "e.toml").write_text(text)
        self.out = folder / "served"
        self.log = folder / "server.log"
        command = "import sys, varangian._core as c; sys.exit(c.command(sys.argv[1:]))"
        words = ["serve", "e.toml", "--insecure", "--listen", "127.0.0.1:0", "--out", "served"]
        self.process = subprocess.Popen(
            [sys.executable, "-c", command, "varangian", *words],
            cwd=folder,
            stderr=self.log.open("w"),
            stdout=subprocess.DEVNULL,
        )
        for _ in range(600):
            found = re.search(r"workers at (127\.0\.0\.1:\d+)", self.log.read_text())
            if found:
                self.address = found[1]
                return
            time.sleep(0.1)
        raise AssertionError(self.log.read_text())

    def parameters(self) -> str:
        assert self.process.wait(60) == 0, self.log.read_text()
        text = next((self.out / "runs").glob("*.json")).read_text()
        found = re.search(r'"parameters":\s*"(\w+)"', text)
        assert found
        return found[1]

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


def test_workers_in_python_give_the_bits_of_a_run(tmp_path: Path) -> None:
    here = varangian.run(tmp_path_file(tmp_path))[0].parameters
    served = Served(tmp_path)
    try:
        with ThreadPoolExecutor(3) as pool:
            part = lambda k: varangian.worker(address=served.address, worker=k)  # noqa: E731
            worked = list(pool.map(part, range(3)))
        assert [w.worker for w in worked] == [0, 1, 2]
        assert all(w.finished and w.admitted == 12 and w.refused == 0 for w in worked)
        assert served.parameters() == here
    finally:
        served.close()


def tmp_path_file(folder: Path) -> Path:
    path = folder / "here.toml"
    path.write_text(FILE)
    return path


def test_a_torch_module_on_its_own_samples_is_a_worker(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    x = rng.normal(size=(200, 784)).astype("float32")
    y = rng.integers(0, 10, 200)
    text = FILE.replace('"logreg"', '"glyphs"').replace('"logreg-net"', '"mlp hidden=5"')
    served = Served(tmp_path, text.replace("steps = 12", "steps = 300"))
    net = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(784, 5), torch.nn.ReLU(), torch.nn.Linear(5, 10)
    )
    samples = ((x, y), (x[:50], y[:50]))
    loss = torch.nn.functional.cross_entropy
    try:
        with ThreadPoolExecutor(3) as pool:
            parts = [
                pool.submit(varangian.worker, address=served.address, worker=k) for k in (0, 1)
            ]
            wrong = torch.nn.Linear(784, 10)
            with pytest.raises((ValueError, ConnectionError), match="the server"):
                varangian.worker(wrong, samples, served.address, worker=2, loss=loss)
            worked = varangian.worker(net, samples, served.address, worker=2, loss=loss)
            [part.result() for part in parts]
        # The one that was turned away had joined: rounds may have begun before the right one came.
        assert worked.admitted > 0 and worked.refused == 0 and worked.finished
        served.parameters()
    finally:
        served.close()


def test_a_worker_of_one_page_without_the_wheel(tmp_path: Path) -> None:
    pytest.importorskip("grpc_tools")
    text = FILE.replace('"logreg"', '"glyphs"').replace('"logreg-net"', '"linear"')
    served = Served(tmp_path, text.replace("momentum = 0.9", "momentum = 0"))
    page = Path(__file__).resolve().parents[2] / "net" / "examples" / "worker.py"
    try:
        words = [sys.executable, str(page), served.address]
        run = lambda k: subprocess.run(  # noqa: E731
            [*words, str(k)], capture_output=True, text=True, check=False, timeout=300
        )
        with ThreadPoolExecutor(3) as pool:
            done = list(pool.map(run, range(3)))
        for k, one in enumerate(done):
            assert f"worker {k}: 12 messages" in one.stdout, one.stderr
        served.parameters()
    finally:
        served.close()


def test_what_a_worker_cannot_be_is_said() -> None:
    with pytest.raises(TypeError, match="worker= on loopback, or by tls= and name="):
        varangian.worker()
    with pytest.raises(TypeError, match="give both"):
        varangian.worker(tls="certificates")
    with pytest.raises(ConnectionError, match="no server at 127.0.0.1:9"):
        varangian.worker(address="127.0.0.1:9", worker=0, patience=0)
    with pytest.raises(ValueError, match="loopback alone"):
        varangian.worker(address="192.0.2.1:7070", worker=0)
