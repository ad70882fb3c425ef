"""The package itself: stubs, names, documentation."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import sysconfig
import zipfile
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


def wheel(folder: Path, name: str, bill: dict[str, object] | None) -> None:
    version = name.split("-")[1]
    with zipfile.ZipFile(folder / name, "w") as archive:
        for file in ("_core.abi3.so", "py.typed", "rules.pyi"):
            archive.writestr(f"varangian/{file}", "")
        tag = name.removesuffix(".whl").split("-", 2)[2]
        archive.writestr(f"varangian-{version}.dist-info/WHEEL", f"Tag: {tag}\n")
        if bill is not None:
            archive.writestr(f"varangian-{version}.dist-info/sboms/one.json", json.dumps(bill))


def test_wheels_are_looked_at(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("wheels", PYTHON / "wheels.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    parts = [{"name": "varangian-rules"}, {"name": "pyo3"}, {"name": "numpy"}]
    crate = {"name": "varangian-python", "version": "0.1.0"}
    bill: dict[str, object] = {"metadata": {"component": crate}, "components": parts}
    right = "varangian-0.1.0-cp310-abi3-linux_x86_64.whl"

    def faults(*wheels: tuple[str, dict[str, object] | None]) -> str:
        for old in tmp_path.iterdir():
            old.unlink()
        for name, about in wheels:
            wheel(tmp_path, name, about)
        return "; ".join(module.faults(tmp_path, "0.1.0"))

    assert faults((right, bill)) == ""
    assert "one wheel serves every CPython" in faults()
    assert "found varangian 0.2.0" in faults((right.replace("0.1.0", "0.2.0"), bill))
    other = right.replace("cp310-abi3", "cp313-cp313t")
    assert "its tag is cp310-abi3; found cp313-cp313t" in faults((other, bill))
    assert "one wheel serves" in faults((right, bill), (other, bill))
    assert "a list of what it is built from" in faults((right, None))
    assert "lacks numpy, pyo3" in faults((right, {**bill, "components": parts[:1]}))


def test_the_core_asks_for_the_interpreters_lock_until_it_ran_without() -> None:
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        assert sys._is_gil_enabled()  # type: ignore[attr-defined]
    text = (PYTHON / "src" / "lib.rs").read_text()
    assert "#[pymodule(gil_used = true)]" in text, "PyO3 leaves it out where nothing is said"
