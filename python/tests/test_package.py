"""The package itself: stubs, names, documentation."""

from __future__ import annotations

import doctest
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import varangian
from varangian import attacks, rules, stages
from varangian._entries import CATALOGUE

PYTHON = Path(__file__).parents[1]


def test_the_stubs_are_what_the_lists_say() -> None:
    spec = importlib.util.spec_from_file_location("stubs", PYTHON / "stubs.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, text in module.stubs().items():
        for folder in (PYTHON / "varangian", Path(varangian.__file__).parent):
            assert (folder / f"{name}.pyi").read_text() == text, f"python stubs.py writes {name}.pyi"


def test_every_entry_has_a_class_that_tells_of_it() -> None:
    for kind, modules in [("rules", (rules, stages)), ("attacks", (attacks,))]:
        made = [getattr(m, name) for m in modules for name in m.__all__]
        assert len(made) == len(CATALOGUE[kind])
        for one in made:
            assert one.__doc__ and "Parameters" in one.__doc__
            for param in one._entry["params"]:
                assert param["help"] in one.__doc__


def test_the_examples_of_the_documentation_hold() -> None:
    assert doctest.testmod(varangian).failed == 0


def test_the_command_comes_with_the_wheel() -> None:
    words = [sys.executable, "-m", "varangian"]
    done = subprocess.run([*words, "--version"], capture_output=True, text=True)
    assert done.stdout.strip() == f"varangian {varangian.__version__}"
    wrong = subprocess.run([*words, "rulez"], capture_output=True, text=True)
    assert wrong.returncode == 2 and 'did you mean "rules"' in wrong.stderr


def test_examples_run() -> None:
    for path in sorted((PYTHON / "examples").glob("*.py")):
        if "torch" in path.read_text():
            pytest.importorskip("torch")
        done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True)
        assert done.returncode == 0, f"{path.name}: {done.stderr}"
        assert "%" in done.stdout


def test_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    text = (PYTHON / "README.md").read_text()
    blocks = [block.split("```")[0] for block in text.split("```python\n")[1:]]
    assert len(blocks) == 4
    space: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), space)  # noqa: S102
    assert "reversed" in capsys.readouterr().out
