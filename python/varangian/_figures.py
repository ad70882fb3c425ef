"""Figures of results with matplotlib, in the words of ``varangian plot``."""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from varangian._run import Results

# As in every picture of the command: a rule's place in the experiment is its colour and its dashes.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
DASHES: tuple[Any, ...] = (
    "solid", (0, (7, 3)), (0, (2, 3)), (0, (9, 3, 2, 3)), (0, (4, 2, 1, 2, 1, 2)),
)
MARKS = ("o", "s", "^", "D", "v", "x")

# The 97.5 % quantiles of Student's t for 1 to 9 degrees of freedom.
_STUDENT = (12.7062, 4.30265, 3.18245, 2.77645, 2.57058, 2.44691, 2.36462, 2.30600, 2.26216)

_STYLE = {
    "rules", "where", "labels", "rows", "columns", "x", "value", "rest", "spread", "kind", "title",
    "width", "aspect", "font_size", "font", "formats",
}


def student(values: Sequence[float]) -> float:
    """Half of Student's 95 % interval of the mean; NaN for fewer than three values."""
    k = len(values)
    if k < 3:
        return float("nan")
    freedom, z = k - 1, 1.959963984540054
    if freedom <= len(_STUDENT):
        t = _STUDENT[freedom - 1]
    else:
        t = z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        t += (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    return float(t * np.std(values, ddof=1) / np.sqrt(k))


class _Run:
    """A run with its settings as texts."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self.settings = dict(settings)
        self.curves: dict[str, list[tuple[int, float]]] = {}

    def rest(self, keys: Sequence[str]) -> tuple[str, ...]:
        """Everything but the seed and these keys."""
        return tuple(v for k, v in sorted(self.settings.items()) if k != "seed" and k not in keys)

    def tail(self, metric: str) -> float:
        """The mean of the last ten evaluations after the start."""
        trained = [value for step, value in self.curves.get(metric, []) if step > 0][-10:]
        return float(np.mean(trained)) if trained else float("nan")


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _of_folder(folder: Path) -> list[_Run]:
    table = folder / "results.csv"
    if not table.is_file():
        raise FileNotFoundError(f"{folder} holds no results: it has no results.csv")
    runs: dict[str, _Run] = {}
    with table.open(newline="", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            key, metric = row.pop("run"), row.pop("metric")
            step, value = int(row.pop("step")), float(row.pop("value"))
            settings = {k: _text(_number(v)) for k, v in row.items()}
            run = runs.setdefault(key, _Run(settings))
            run.curves.setdefault(metric, []).append((step, value))
    return list(runs.values())


def _number(text: str) -> Any:
    try:
        return float(text) if text not in ("inf", "nan") else text
    except ValueError:
        return text


def _of_results(results: Results) -> list[_Run]:
    out = []
    for run in results.runs:
        own = _Run({key: _text(value) for key, value in run.settings.items()})
        for metric, (steps, values) in run.curves.items():
            own.curves[metric] = list(zip(map(int, steps), map(float, values), strict=True))
        out.append(own)
    return out


def _style(path: str | Path) -> dict[str, Any]:
    if sys.version_info < (3, 11):
        raise ImportError("style files want Python 3.11 or later; give the choices as arguments")
    import tomllib

    with open(path, "rb") as file:
        style = tomllib.load(file)
    odd = sorted(set(style) - _STYLE)
    if odd:
        raise ValueError(f"{path}: a style has {', '.join(sorted(_STYLE))}; found {', '.join(odd)}")
    if "font" in style:
        style["font"] = str(Path(path).parent / str(style["font"]))
    return style


def _font(own: Mapping[str, Any]) -> dict[str, Any]:
    """The font of a file, as matplotlib wants it asked for."""
    if not own.get("font"):
        return {}
    from matplotlib import font_manager

    path = Path(str(own["font"]))
    if not path.is_file():
        raise FileNotFoundError(f"font is a file, such as DejaVuSans.ttf; there is no {path}")
    try:
        font_manager.fontManager.addfont(str(path))
        name = font_manager.FontProperties(fname=str(path)).get_name()
    except (OSError, RuntimeError) as error:
        raise ValueError(f"font is a file of a font; {path}: {error}") from error
    return {"font.family": name}


class _Choice:
    """What is shown, and how."""

    def __init__(self, runs: list[_Run], style: Mapping[str, Any]) -> None:
        self._labels = dict(style.get("labels", {}))
        self.x = str(style.get("x", "step"))
        self.column = str(style.get("columns", "attack"))
        self.rest = str(style.get("rest", "worst"))
        if self.rest not in ("worst", "mean"):
            raise ValueError(f'rest is "worst" or "mean"; got {self.rest!r}')
        first = [run.settings["rule"] for run in runs]
        self.all_rules = list(dict.fromkeys(first))
        wanted = style.get("rules") or self.all_rules
        odd = [rule for rule in wanted if rule not in self.all_rules]
        if odd:
            raise ValueError(f"these results have the rules {self.all_rules}; got {odd[0]!r}")
        pairs = [str(pair).split("=", 1) for pair in style.get("where", [])]
        for pair in pairs:
            if len(pair) != 2 or pair[0] not in runs[0].settings:
                known = ", ".join(runs[0].settings)
                raise ValueError(f"where takes key=value of {known}; got {'='.join(pair)!r}")
        self.runs = [
            run for run in runs
            if run.settings["rule"] in wanted
            and all(run.settings[key] == value for key, value in pairs)
        ]
        if not self.runs:
            raise ValueError("no run has " + " and ".join("=".join(pair) for pair in pairs))
        self.rules = [rule for rule in wanted if any(r.settings["rule"] == rule for r in self.runs)]
        for key in {self.column} | ({self.x} - {"step"}):
            if key not in runs[0].settings:
                known = ", ".join(runs[0].settings)
                raise ValueError(f"these results differ by {known}; got {key!r}")
        accurate = any("accuracy" in run.curves for run in self.runs)
        self.metric = "accuracy" if accurate else "test_loss"

    def label(self, text: str) -> str:
        """What is shown for a text."""
        return str(self._labels.get(text, text))

    def values(self, key: str) -> list[str]:
        """Rules in the order asked for, numbers by size, others as they come."""
        if key == "rule":
            return self.rules
        found = list(dict.fromkeys(run.settings[key] for run in self.runs))
        try:
            return sorted(found, key=float)
        except ValueError:
            return found

    def behind(self, **at: str) -> list[list[_Run]]:
        """The runs of these settings, by seed: of the worst combination of all else, or of all."""
        own = [run for run in self.runs if all(run.settings[k] == v for k, v in at.items())]
        combos: dict[tuple[str, ...], list[_Run]] = {}
        for run in own:
            if run.curves.get(self.metric):
                combos.setdefault(run.rest(()), []).append(run)
        if not combos:
            return []
        if self.rest == "worst":
            sign = 1.0 if self.metric == "accuracy" else -1.0

            def worth(runs: list[_Run]) -> float:
                mean = sign * float(np.mean([run.tail(self.metric) for run in runs]))
                return mean if np.isfinite(mean) else -np.inf

            return [[run] for run in min(combos.values(), key=worth)]
        seeds: dict[str, list[_Run]] = {}
        for run in own:
            if run.curves.get(self.metric):
                seeds.setdefault(run.settings["seed"], []).append(run)
        return list(seeds.values())

    def pooled(self, keys: Sequence[str]) -> list[str]:
        """What varies beside these keys and the seed."""
        return [
            key for key in self.runs[0].settings
            if key not in (*keys, "seed") and len({run.settings[key] for run in self.runs}) > 1
        ]


def plot(
    results: Results | str | Path,
    kind: str | None = None,
    *,
    style: str | Path | None = None,
    **choices: Any,
) -> Any:
    """A figure of matplotlib, as ``varangian plot`` draws it.

    Parameters
    ----------
    results : Results, or a folder of results
    kind : "curves" (accuracy or test loss), "heatmap" (rules by ``columns``) or "boxes"
    style : a TOML file with any of the choices, kept beside a paper
    **choices : ``rules`` (which, in this order), ``where`` (["f_real=4"]), ``labels`` (other
        names), ``columns`` (a panel for each value; attack), ``x`` (step, bytes, or a key), ``rest``
        ("worst" or "mean" of what nothing tells apart), ``title``, ``width`` in inches,
        ``aspect``, ``font_size`` in points, ``font`` (a file; in a style, beside that file).
        ``formats`` of a style are what the command writes; here ``savefig`` says it

    Bands are Student's 95 % interval over seeds, from three seeds on; what is pooled is said below.

    Examples
    --------
    >>> import matplotlib, varangian
    >>> matplotlib.use("Agg")                    # without a window
    >>> results = varangian.run({
    ...     "n": 7, "f": 2, "steps": 10, "model": "mlp hidden=8", "rule": ["average", "median"],
    ...     "attack": ["none", "sign-flip"],
    ... })
    >>> figure = varangian.plot(results, labels={"average": "mean"})
    >>> [axes.get_title() for axes in figure.axes]
    ['none', 'sign-flip']
    >>> [line.get_label() for line in figure.axes[0].get_lines()]
    ['mean', 'median']
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("figures want matplotlib: pip install matplotlib") from error
    own = {**(_style(style) if style is not None else {}), **choices}
    odd = sorted(set(own) - _STYLE)
    if odd:
        raise TypeError(f"plot() takes {', '.join(sorted(_STYLE))}; got {', '.join(odd)}")
    kind = kind or str(own.get("kind", "curves"))
    runs = _of_folder(Path(results)) if isinstance(results, (str, Path)) else _of_results(results)
    if not runs:
        raise ValueError("these results hold no run that is over")
    choice = _Choice(runs, own)
    draw = {"curves": _curves, "heatmap": _heatmap, "boxes": _boxes}.get(kind)
    if draw is None:
        raise ValueError(f'a figure is "curves", "heatmap" or "boxes"; got {kind!r}')
    looks: Any = {"font.size": float(own.get("font_size", 9.0)), **_font(own)}
    with plt.rc_context(looks):
        figure, note = draw(choice, own, plt)
        if own.get("title"):
            if figure.legends:
                # Above the names: a title of the figure would stand on top of them.
                figure.legends[0].set_title(str(own["title"]), prop={"size": "large"})
            else:
                figure.suptitle(str(own["title"]))
        if note:
            figure.supxlabel(note, fontsize="small")
    return figure


def _size(own: Mapping[str, Any], columns: int, rows: int = 1) -> tuple[float, float]:
    width = float(own.get("width", min(3.2 * columns, 10.0)))
    return width, rows * width / columns * float(own.get("aspect", 0.85))


def _note(choice: _Choice, keys: Sequence[str]) -> str:
    rest = choice.pooled(keys)
    if not rest:
        return ""
    return ("the worst over " if choice.rest == "worst" else "means over ") + ", ".join(rest)


def _curves(choice: _Choice, own: Mapping[str, Any], plt: Any) -> tuple[Any, str]:
    titles = choice.values(choice.column)
    columns = min(3, len(titles))
    rows = -(-len(titles) // columns)
    figure, grid = plt.subplots(
        rows, columns, sharex=True, sharey=True, squeeze=False, layout="constrained",
        figsize=_size(own, columns, rows),
    )
    places = choice.values(choice.x) if choice.x != "step" else []
    try:
        at: list[Any] = [float(place) for place in places]
    except ValueError:
        at = [choice.label(place) for place in places]
    for panel, title in enumerate(titles):
        axes = grid[panel // columns][panel % columns]
        axes.set_title(choice.label(title), fontsize="medium")
        for rule in choice.rules:
            line = choice.all_rules.index(rule)
            look = {
                "color": COLOURS[line % len(COLOURS)],
                "linestyle": DASHES[line % len(DASHES)],
                "label": choice.label(rule),
            }
            mark = MARKS[line % len(MARKS)]
            if choice.x == "step":
                _curve(axes, choice, choice.behind(rule=rule, **{choice.column: title}), look, mark)
                continue
            points = []
            for place, x in zip(places, at, strict=True):
                behind = choice.behind(**{"rule": rule, choice.column: title, choice.x: place})
                values = [float(np.mean([r.tail(choice.metric) for r in seed])) for seed in behind]
                if values:
                    points.append((x, float(np.mean(values)), student(values)))
            if points:
                xs, means, halves = zip(*points, strict=True)
                axes.plot(xs, means, marker=mark, **look)
                bars = np.where(np.isfinite(halves), halves, 0.0)
                axes.errorbar(xs, means, yerr=bars, fmt="none", ecolor=look["color"], alpha=0.6)
        if choice.metric == "accuracy":
            axes.set_ylim(0, 1)
            axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f} %")
        axes.grid(alpha=0.3)
    for axes in grid.flat[len(titles):]:
        axes.set_visible(False)
    for axes in grid[:, 0]:
        axes.set_ylabel(choice.label(choice.metric.replace("_", " ")))
    for axes in grid[-1]:
        axes.set_xlabel(choice.label(choice.x))
    handles, names = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=min(3, max(1, len(names))))
    return figure, _note(choice, ["rule", choice.column, choice.x])


def _curve(
    axes: Any, choice: _Choice, seeds: list[list[_Run]], look: Mapping[str, Any], mark: str
) -> None:
    if not seeds:
        return
    curves = [[run.curves[choice.metric] for run in seed] for seed in seeds]
    length = min(len(curve) for seed in curves for curve in seed)
    steps = [step for step, _ in curves[0][0][:length]]
    values = np.array(
        [np.mean([[v for _, v in curve[:length]] for curve in seed], axis=0) for seed in curves]
    )
    axes.plot(steps, values.mean(axis=0), marker=mark, markevery=max(1, length // 5), **look)
    if len(values) >= 3:
        half = np.array([student(column) for column in values.T.tolist()])
        low, high = values.mean(axis=0) - half, values.mean(axis=0) + half
        axes.fill_between(steps, low, high, color=look["color"], alpha=0.15, linewidth=0)


def _heatmap(choice: _Choice, own: Mapping[str, Any], plt: Any) -> tuple[Any, str]:
    row = str((own.get("rows") or ["rule"])[0])
    rows, columns = choice.values(row), choice.values(choice.column)
    table = np.full((len(rows), len(columns)), np.nan)
    for i, one in enumerate(rows):
        for j, two in enumerate(columns):
            behind = choice.behind(**{row: one, choice.column: two})
            if behind:
                means = [np.mean([run.tail(choice.metric) for run in seed]) for seed in behind]
                table[i, j] = np.mean(means)
    width = float(own.get("width", 2.0 + 1.1 * len(columns)))
    figure, axes = plt.subplots(figsize=(width, 1.0 + 0.4 * len(rows)), layout="constrained")
    share = choice.metric == "accuracy"
    image = axes.imshow(table, cmap="cividis", aspect="auto", **({"vmin": 0, "vmax": 1} if share else {}))
    axes.set_xticks(range(len(columns)), [choice.label(one) for one in columns])
    axes.set_yticks(range(len(rows)), [choice.label(one) for one in rows])
    for (i, j), value in np.ndenumerate(table):
        if np.isfinite(value):
            ink = "black" if image.norm(value) > 0.5 else "white"
            text = f"{100 * value:.1f}" if share else f"{value:.3g}"
            axes.text(j, i, text, ha="center", va="center", color=ink)
    axes.set_xlabel(choice.label(choice.column))
    return figure, _note(choice, [row, choice.column])


def _boxes(choice: _Choice, own: Mapping[str, Any], plt: Any) -> tuple[Any, str]:
    values = []
    for rule in choice.rules:
        tails = [r.tail(choice.metric) for r in choice.runs if r.settings["rule"] == rule]
        values.append([tail for tail in tails if np.isfinite(tail)])
    width = float(own.get("width", 1.5 + 0.9 * len(values)))
    figure, axes = plt.subplots(figsize=(width, 3.0), layout="constrained")
    boxes = axes.boxplot(values, patch_artist=True)
    axes.set_xticks(range(1, len(values) + 1), [choice.label(rule) for rule in choice.rules])
    for rule, box in zip(choice.rules, boxes["boxes"], strict=True):
        box.set(facecolor=COLOURS[choice.all_rules.index(rule) % len(COLOURS)], alpha=0.5)
    axes.set_ylabel(choice.label(choice.metric.replace("_", " ")))
    rest = ", ".join([*choice.pooled(["rule"]), "seed"])
    return figure, f"all runs of a rule, over {rest}"
