"""Flower as it is run: an app in its simulation, and a SuperLink with nodes that have keys."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("flwr.serverapp.strategy")
pytest.importorskip("ray")

PYTHON = Path(__file__).parents[1]


@pytest.mark.parametrize("app, rounds, least", [("numpy", 3, 0.9), ("lora", 6, 0.7), ("torch", 3, 0.7)])
def test_the_apps_run_in_the_simulation(app: str, rounds: int, least: float, tmp_path: Path) -> None:
    if app == "torch":
        pytest.importorskip("torch")
    home, out = tmp_path / "home", tmp_path / "out"
    home.mkdir()
    out.mkdir()
    (home / "config.toml").write_text('[superlink]\ndefault = "local"\n\n[superlink.local]\naddress = ":local:"\n')
    told = {
        **os.environ, "FLWR_TELEMETRY_ENABLED": "0", "FLWR_HOME": str(home),
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1", "RAY_USAGE_STATS_ENABLED": "0",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    settings = f"hostile=1 min-nodes=5 num-server-rounds={rounds}"
    settings += f' out="{out}"' if app == "numpy" else ""
    words = ["flwr", "run", str(PYTHON / "examples" / f"flower_{app}"), "local", "--stream"]
    words += ["--federation-config", "num-supernodes=5", "--run-config", settings]
    try:
        done = subprocess.run(words, env=told, capture_output=True, text=True, timeout=500)
    finally:
        # The SuperLink that Flower starts for simulations outlives the run.
        for folder in Path("/proc").iterdir():
            try:
                line = (folder / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if folder.name.isdigit() and "flower-superlink" in line and str(home) in line:
                os.kill(int(folder.name), 15)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found = re.search(rf"accuracy (0\.\d+) after {rounds} rounds", done.stdout + done.stderr)
    assert found is not None and float(found[1]) > least, done.stdout[-3000:]
    if app == "numpy":
        lines = [json.loads(line) for line in (out / "evidence.jsonl").read_text().splitlines()]
        assert len(lines) == 15


def test_a_drill_on_a_superlink_ends_where_a_calm_run_ends(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("superlink", PYTHON / "drills" / "superlink.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    calm, rough = module.drill(tmp_path, 6)
    assert calm > 0.9 and abs(calm - rough) < 0.02
