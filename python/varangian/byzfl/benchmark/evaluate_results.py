"""What a folder of results says: the best hyperparameters, curves and heat maps.

Each function reads ``config.json`` in the folder that ``run_benchmark`` wrote, or that ByzFL's
did. The plots want matplotlib.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from varangian.byzfl.benchmark._config import as_list, best_named, named

Colour = str | tuple[float, float, float]

colors: list[Colour] = ["#0072B2", "#D55E00", "#009E73", "#767676", "#AA3377"]
tab_sign = ["-", "--", "-.", ":", "solid"]
markers = ["^", "s", "<", "o", "*"]


class _Results:
    """A folder of results with its config."""

    def __init__(self, path: Any) -> None:
        self.path = Path(path)
        config = self.path / "config.json"
        if not config.is_file():
            raise FileNotFoundError(f"{config} is not there: run_benchmark writes it")
        self.data = json.loads(config.read_text())
        about, model = self.data["benchmark_config"], self.data["model"]
        clients = self.data["honest_clients"]
        self.about = about
        self.delta = self.data["evaluation_and_results"]["evaluation_delta"]
        self.steps = about["nb_steps"]
        self.evaluations = 1 + math.ceil(self.steps / self.delta)
        self.hyper = list(
            itertools.product(
                as_list(model["learning_rate"]), as_list(clients["momentum"]),
                as_list(clients["weight_decay"]),
            )
        )
        self.attacks = [one["name"] for one in as_list(self.data["attack"])]
        self.aggregators = [one["name"] for one in as_list(self.data["aggregator"])]
        before = self.data["pre_aggregators"]
        lists = before if before and isinstance(before[0], list) else [before]
        self.before = ["_".join(one["name"] for one in chain) for chain in lists]
        self.splits = [
            (split["name"], as_list(split.get("distribution_parameter")))
            for split in as_list(about["data_distribution"])
        ]
        self.honest = as_list(about["nb_honest_clients"])
        self.hostile = as_list(about["f"])
        self.told: list[int] | None = None
        if about.get("tolerated_f") is not None:
            self.told = as_list(about["tolerated_f"])

    def parts(self, honest: int, f: int, told: int, **more: Any) -> dict[str, Any]:
        """What a folder's name is made of."""
        fixed = bool(self.about.get("set_honest_clients_as_clients"))
        n = honest if fixed else honest + f
        model = self.data["model"]
        return {
            "dataset": model["dataset_name"], "model": model["name"], "n": n, "f": f,
            "told": told, **more,
        }

    def scenarios(self) -> Iterator[dict[str, Any]]:
        """Every combination but the aggregators, the attacks and the hyperparameters."""
        for honest, f in itertools.product(self.honest, self.hostile):
            for told in self.told or [f]:
                if told < f:
                    continue
                for split, parameters in self.splits:
                    for parameter, before in itertools.product(parameters, self.before):
                        yield self.parts(
                            honest, f, told, split=split, parameter=parameter, before=before
                        )

    def curves(self, parts: dict[str, Any], attack: str, hyper: Any, what: str) -> np.ndarray:
        """The numbers of each seed, one a row."""
        place, rows = self.path / named(parts, attack, hyper), []
        splits, seeds = self.about["nb_data_distribution_seeds"], self.about["nb_training_seeds"]
        for split, seed in itertools.product(range(splits), range(seeds)):
            training = self.about["training_seed"] + seed
            drawn = self.about["data_distribution_seed"] + split
            file = place / f"{what}_tr_seed_{training}_dd_seed_{drawn}.txt"
            if not file.is_file():
                raise FileNotFoundError(f"{file} is not there: that training is not done")
            rows.append(np.atleast_1d(np.genfromtxt(file, delimiter=",")))
        wanted = self.steps if what == "train_loss" else self.evaluations
        if any(len(row) != wanted for row in rows):
            raise ValueError(
                f"{place.name}: a {what} has {wanted} numbers by config.json; found "
                f"{sorted({len(row) for row in rows})}"
            )
        return np.stack(rows)

    def best(self, parts: dict[str, Any]) -> tuple[float, float, float]:
        """The hyperparameters that were found best, or else the first."""
        inner = self.path / "best_hyperparameters" / "hyperparameters"
        file = inner / f"{best_named(parts)}.txt"
        if not file.is_file():
            return self.hyper[0]
        rate, momentum, decay = np.loadtxt(file)
        return float(rate), float(momentum), float(decay)


def find_best_hyperparameters(path_to_results: Any) -> None:
    """Chooses learning rate, momentum and weight decay by validation, for each aggregator.

    Best is the choice whose worst attack leaves the highest accuracy, an attack's being the
    highest on the mean curve over the seeds. Writes the three numbers to
    ``best_hyperparameters/hyperparameters``, and the step of each attack's highest accuracy to
    ``best_hyperparameters/better_step``.
    """
    results = _Results(path_to_results)
    best = results.path / "best_hyperparameters"
    (best / "hyperparameters").mkdir(parents=True, exist_ok=True)
    (best / "better_step").mkdir(exist_ok=True)
    for parts, aggregator in itertools.product(results.scenarios(), results.aggregators):
        parts = {**parts, "aggregator": aggregator}
        # A row a choice, a column an attack.
        found = np.array([
            [results.curves(parts, attack, hyper, "val_accuracy").mean(axis=0)
             for attack in results.attacks]
            for hyper in results.hyper
        ])
        chosen = int(found.max(axis=2).min(axis=1).argmax())
        stem = best_named(parts)
        np.savetxt(best / "hyperparameters" / f"{stem}.txt", np.array(results.hyper[chosen]))
        for attack, curve in zip(results.attacks, found[chosen], strict=True):
            step = np.array([float(curve.argmax() * results.delta)])
            np.savetxt(best / "better_step" / f"{stem}_{attack}.txt", step)


def _plotting(path_to_plot: Any) -> tuple[Any, Path]:
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("the plots want matplotlib: pip install matplotlib") from error
    folder = Path(path_to_plot)
    folder.mkdir(parents=True, exist_ok=True)
    return plt, folder


def test_accuracy_curve(
    path_to_results: Any,
    path_to_plot: Any,
    colors: Sequence[Any] = colors,
    tab_sign: Sequence[str] = tab_sign,
    markers: Sequence[str] = markers,
) -> None:
    """A picture for each scenario and aggregator: test accuracy over the steps, a curve an attack.

    The band is ±1.96 standard errors over the seeds.
    """
    results = _Results(path_to_results)
    plt, folder = _plotting(path_to_plot)
    steps = np.arange(results.evaluations) * results.delta
    for parts, aggregator in itertools.product(results.scenarios(), results.aggregators):
        parts = {**parts, "aggregator": aggregator}
        hyper = results.best(parts)
        figure, axes = plt.subplots()
        for k, attack in enumerate(results.attacks):
            curves = results.curves(parts, attack, hyper, "test_accuracy")
            mean, error = curves.mean(axis=0), 1.96 * curves.std(axis=0) / math.sqrt(len(curves))
            axes.plot(
                steps, mean, label=attack, color=colors[k % len(colors)],
                linestyle=tab_sign[k % len(tab_sign)], marker=markers[k % len(markers)],
            )
            axes.fill_between(
                steps, mean - error, mean + error, alpha=0.25, color=colors[k % len(colors)]
            )
        axes.set(xlabel="Round", ylabel="Accuracy", xlim=(0, steps[-1]), ylim=(0, 1))
        axes.grid()
        axes.legend()
        rate, momentum, decay = hyper
        stem = named(parts, "", hyper).replace("__lr_", "_lr_")
        figure.savefig(folder / f"{stem}_plot.pdf")
        plt.close(figure)


def _worst(results: _Results, parts: dict[str, Any], what: str) -> float:
    """The best value on the mean curve over the seeds, for the worst of the attacks."""
    hyper = results.best(parts)
    means = [
        results.curves(parts, attack, hyper, what).mean(axis=0) for attack in results.attacks
    ]
    if what == "train_loss":
        return max(float(mean.min()) for mean in means)
    return min(float(mean.max()) for mean in means)


Table = tuple[np.ndarray, dict[str, Any], list[int], list[Any], str]


def _tables(results: _Results, aggregators: Sequence[str], what: str) -> Iterator[Table]:
    """The worst values by split parameter (upwards) and f: a table for all else."""
    if results.told is None:
        ends: list[tuple[int | None, str]] = [(None, "tolerated_f_equal_real")]
    else:
        ends = [(told, f"tolerated_f_{told}") for told in results.told]
    for before, (split, parameters), honest, (told, end) in itertools.product(
        results.before, results.splits, results.honest, ends
    ):
        hostile = [f for f in results.hostile if told is None or f <= told]
        if not hostile:
            continue
        table = np.zeros((len(parameters), len(hostile)))
        for (x, parameter), (y, f) in itertools.product(
            enumerate(parameters), enumerate(hostile)
        ):
            parts = results.parts(
                honest, f, f if told is None else told, split=split, parameter=parameter,
                before=before,
            )
            values = [_worst(results, {**parts, "aggregator": one}, what) for one in aggregators]
            table[len(parameters) - 1 - x, y] = max(values)
        about = {"split": split, "before": before, "honest": honest}
        yield table, about, hostile, parameters, end


def _heat(plt: Any, file: Path, table: Table, colours: str) -> None:
    values, _, hostile, parameters, _ = table
    figure, axes = plt.subplots()
    image = axes.imshow(values, cmap=colours, aspect="auto")
    figure.colorbar(image)
    middle = (values.min() + values.max()) / 2
    dark_is_high = colours.endswith("_r")
    for (x, y), value in np.ndenumerate(values):
        light = (value > middle) == dark_is_high
        axes.text(
            y, x, f"{value:.2g}", ha="center", va="center", color="white" if light else "black"
        )
    axes.set_xticks(range(len(hostile)), [str(f) for f in hostile])
    axes.set_yticks(range(len(parameters)), [str(one) for one in reversed(parameters)])
    axes.set(xlabel="Number of Byzantine clients", ylabel="Data heterogeneity level")
    figure.tight_layout()
    figure.savefig(file)
    plt.close(figure)


def _heatmaps(path_to_results: Any, path_to_plot: Any, what: str, stem: str) -> None:
    results = _Results(path_to_results)
    plt, folder = _plotting(path_to_plot)
    model = results.data["model"]
    start = f"{stem}_{model['dataset_name']}_{model['name']}"
    # One picture an aggregator, or one in which the best of them counts.
    groups = [results.aggregators] if stem == "best_test" else [[a] for a in results.aggregators]
    for group in groups:
        for table in _tables(results, group, what):
            _, about, _, _, end = table
            middle = f"{about['split']}_{about['before']}_"
            if stem != "best_test":
                middle += f"{group[0]}_"
            name = f"{start}_{middle}nb_honest_clients_{about['honest']}_{end}.pdf"
            _heat(plt, folder / name, table, "magma_r" if what == "train_loss" else "magma")


def loss_heatmap(path_to_results: Any, path_to_plot: Any) -> None:
    """The lowest training loss under the worst attack, by f and heterogeneity: a picture each."""
    _heatmaps(path_to_results, path_to_plot, "train_loss", "train_loss")


def test_heatmap(path_to_results: Any, path_to_plot: Any) -> None:
    """The highest test accuracy under the worst attack, by f and heterogeneity: a picture each."""
    _heatmaps(path_to_results, path_to_plot, "test_accuracy", "test")


def aggregated_test_heatmap(path_to_results: Any, path_to_plot: Any) -> None:
    """The same, with the best aggregator of each cell."""
    _heatmaps(path_to_results, path_to_plot, "test_accuracy", "best_test")


# Their names look like tests to pytest.
for _function in (test_accuracy_curve, test_heatmap):
    _function.__test__ = False  # type: ignore[attr-defined]

__all__ = [
    "aggregated_test_heatmap", "find_best_hyperparameters", "loss_heatmap", "test_accuracy_curve",
    "test_heatmap",
]
