"""The notebooks run from the first cell to the last as Jupyter runs them, and show what they say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "examples" / "notebooks"
NOTEBOOKS = sorted(path.stem for path in FOLDER.glob("*.ipynb"))


@pytest.fixture(scope="module")
def executed() -> Any:
    """What a notebook's cells of code put out, executed once, in a kernel of its own."""
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    pytest.importorskip("matplotlib")
    kept: dict[str, list[dict[str, Any]]] = {}

    def outputs(name: str) -> list[dict[str, Any]]:
        if name not in kept:
            book = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
            nbformat.validate(book)
            nbclient.NotebookClient(book, timeout=600, kernel_name="python3").execute()
            cells = [cell for cell in book.cells if cell.cell_type == "code"]
            kept[name] = [output for cell in cells for output in cell.outputs]
        return kept[name]

    return outputs


def printed(outputs: list[dict[str, Any]]) -> str:
    return "".join(output["text"] for output in outputs if output.get("name") == "stdout")


def pictures(outputs: list[dict[str, Any]]) -> int:
    return sum("image/png" in output.get("data", {}) for output in outputs)


def test_there_are_three_and_none_is_forgotten_here() -> None:
    assert NOTEBOOKS == ["bad_rank", "own_rule", "read_results"]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_they_are_kept_without_outputs_and_lead_to_files_that_are_there(name: str) -> None:
    book = json.loads((FOLDER / f"{name}.ipynb").read_text(encoding="utf-8"))
    for cell in book["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None
        for target in re.findall(r"\]\(([^):]+)\)", "".join(cell["source"])):
            assert (FOLDER / target).is_file(), target


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_every_cell_runs_and_a_figure_is_shown(name: str, executed: Any) -> None:
    outputs = executed(name)
    assert pictures(outputs) == 1
    assert all(output["output_type"] != "error" for output in outputs)
    # Progress is a line of the notebook's own; whatever else is said on standard error is a warning.
    assert not [output["text"] for output in outputs if output.get("name") == "stderr"]


def test_a_rule_of_ones_own_stands_in_the_table_beside_five(executed: Any) -> None:
    text = printed(executed("own_rule"))
    table = [line.rsplit(maxsplit=4) for line in text.splitlines() if line.count(".") == 4]
    worst = {line[0].strip(): float(line[-1]) for line in table}
    assert len(worst) == 6 and "midrange" in worst
    assert list(worst.values()) == sorted(worst.values(), reverse=True)
    assert worst["average"] < 20 < 60 < worst["midrange"]


def test_the_progress_of_a_run_ends_at_all_of_it(executed: Any) -> None:
    shown = [output["data"]["text/plain"] for output in executed("own_rule") if "data" in output]
    assert any("54/54 runs, 100 %" in line for line in shown)


def test_the_broken_worker_is_named_with_its_step_and_no_other(executed: Any) -> None:
    text = printed(executed("bad_rank"))
    assert "the least p is row 5's" in text
    assert "worker 5 stands out since step 2 (4 of 4 steps from there)" in text
    counts = dict(re.findall(r"^row (\d): (\d) of 6 steps", text, re.M))
    assert len(counts) == 9 and counts.pop("5") == "4" and set(counts.values()) == {"0"}
    mean, robust = (float(far) for far in re.findall(r"is +([\d.]+) from the honest mean", text))
    assert robust < mean / 3


def test_a_folder_is_loaded_and_its_statistics_are_paired(executed: Any) -> None:
    outputs = executed("read_results")
    text = printed(outputs)
    assert re.search(r"measurements of 48 runs", text)
    assert len(re.findall(r"under the worse attack$", text, re.M)) == 6
    assert len(re.findall(r"[+-][\d.]+ ± [\d.]+ points$", text, re.M)) == 2
    assert "mean rank" in text and "Friedman's test" in text
    shown = [output["data"]["text/plain"] for output in outputs if "data" in output]
    assert "['comparisons', 'ranks']" in shown
