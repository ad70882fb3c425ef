"""The examples run as they stand, and Flower's apps ask for nothing that Flower cannot install."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def test_the_rule_of_ones_own_runs(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLES / "own_rule.py"), run_name="__main__")
    assert capsys.readouterr().out.count("after 60 steps under ALIE") == 3


def test_the_torch_model_runs() -> None:
    pytest.importorskip("torch")
    runpy.run_path(str(EXAMPLES / "torch_model.py"), run_name="__main__")


@pytest.mark.parametrize("app", sorted(EXAMPLES.glob("flower_*")), ids=lambda app: app.name)
def test_flower_finds_the_dependencies_of_the_apps(app: Path) -> None:
    # For anything beside itself Flower makes an environment, where varangian would be missing.
    found = re.search(r"^dependencies = \[(.*)\]$", (app / "pyproject.toml").read_text(), re.M)
    assert found is not None and found[1] == '"flwr>=1.28"'
