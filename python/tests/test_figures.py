"""Figures with matplotlib: the same numbers, order and colours as the command's."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

import varangian
from varangian import _figures

EXPERIMENT = {
    "name": "drawn",
    "dataset": "logreg",
    "model": "logreg-net",
    "n": 7,
    "f": 2,
    "batch": 8,
    "steps": 40,
    "evaluate_every": 10,
    "rule": ["median", "krum"],
    "attack": ["none", "sign-flip"],
    "momentum_at": ["update", "worker"],
    "seed": [1, 2, 3],
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> varangian.Results:
    if importlib.util.find_spec("matplotlib") is None:
        pytest.skip("there is no matplotlib")
    import matplotlib

    matplotlib.use("Agg")
    return varangian.run(EXPERIMENT, out=tmp_path_factory.mktemp("out") / "drawn")


def test_students_interval_is_that_of_tables() -> None:
    assert np.isnan(_figures.student([1.0, 2.0]))
    assert _figures.student([1.0, 2.0, 3.0]) == pytest.approx(4.30265 / 3**0.5, rel=1e-4)
    # t of 20 and of 60 degrees of freedom at 97.5 %: 2.085963 and 2.000298.
    for count, t in ((21, 2.085963), (61, 2.000298)):
        values = np.arange(count, dtype=float)
        half = t * values.std(ddof=1) / count**0.5
        assert _figures.student(values.tolist()) == pytest.approx(half, rel=1e-4)


def test_a_folder_and_results_draw_the_same_lines(results: varangian.Results) -> None:
    assert results.folder is not None
    figures = [varangian.plot(results.folder), results.plot()]
    data = []
    for figure in figures:
        panels = [axes for axes in figure.axes if axes.get_visible()]
        assert [axes.get_title() for axes in panels] == ["none", "sign-flip"]
        lines = {
            (axes.get_title(), line.get_label()): line.get_ydata()
            for axes in panels
            for line in axes.get_lines()
        }
        data.append(lines)
    assert data[0].keys() == data[1].keys() and len(data[0]) == 4
    for key, values in data[0].items():
        np.testing.assert_allclose(values, data[1][key])
    # The worst placement of momentum by the mean of the last ten, over seeds.
    own = [run for run in results if run.rule == "krum" and run.attack == "sign-flip"]
    curves = {
        at: np.mean([r.curves[r.metric][1] for r in own if r.settings["momentum_at"] == at], axis=0)
        for at in ("update", "worker")
    }
    worst = min(curves.values(), key=lambda curve: curve[1:][-10:].mean())
    np.testing.assert_allclose(data[0]["sign-flip", "krum"], worst)


def test_order_names_and_files_are_as_asked(results: varangian.Results, tmp_path: Path) -> None:
    figure = results.plot(
        rules=["krum", "median"], labels={"krum": "Krum"}, where=["attack=sign-flip"],
        columns="momentum_at", width=5.0,
    )
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["Krum", "median"]
    assert figure.axes[0].get_lines()[0].get_color() == _figures.COLOURS[1]
    assert figure.get_size_inches()[0] == 5.0
    figure.savefig(tmp_path / "f.pdf")
    assert (tmp_path / "f.pdf").read_bytes().startswith(b"%PDF")
    for kind in ("heatmap", "boxes"):
        assert results.plot(kind).axes
    assert results.plot(x="momentum_at").axes[0].get_lines()
    with pytest.raises(ValueError, match="got 'krumm'"):
        results.plot(rules=["krumm"])
    with pytest.raises(ValueError, match="got 'batsch'"):
        results.plot(columns="batsch")
    with pytest.raises(TypeError, match="colour"):
        results.plot(colour="red")
    with pytest.raises(FileNotFoundError, match="holds no results"):
        varangian.plot(tmp_path)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib")
def test_a_style_file_serves_the_command_and_python(results: varangian.Results, tmp_path: Path) -> None:
    file = tmp_path / "paper.toml"
    file.write_text('rules = ["krum"]\nwhere = ["attack=none"]\n[labels]\nkrum = "K"\n')
    figure = results.plot(style=file)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["K"]
    file.write_text("colour = 3\n")
    with pytest.raises(ValueError, match="found colour"):
        results.plot(style=file)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib")
def test_a_font_stands_beside_its_style(results: varangian.Results, tmp_path: Path) -> None:
    import matplotlib

    font = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSerif.ttf"
    (tmp_path / "own.ttf").write_bytes(font.read_bytes())
    (tmp_path / "paper.toml").write_text('font = "own.ttf"\nformats = ["pdf"]\n')
    figure = results.plot(style=tmp_path / "paper.toml")
    assert figure.axes[0].title.get_fontname() == "DejaVu Serif"
    assert results.plot().axes[0].title.get_fontname() != "DejaVu Serif"
    with pytest.raises(FileNotFoundError, match=r"there is no .*none\.ttf"):
        results.plot(font="none.ttf")
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    with pytest.raises(ValueError, match="font is a file of a font"):
        results.plot(font=str(tmp_path / "broken.ttf"))


def test_a_title_stands_above_the_names_and_on_none_of_them(results: varangian.Results) -> None:
    figure = results.plot(title="Two rules")
    assert figure.legends[0].get_title().get_text() == "Two rules" and not figure.get_suptitle()
    boxes = results.plot("boxes", title="Two rules")
    assert boxes.get_suptitle() == "Two rules" and not boxes.legends
