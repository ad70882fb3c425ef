"""ByzFL's run_benchmark, on drawn digits in MNIST's files."""

from __future__ import annotations

import copy
import gzip
import importlib.util
import json
import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from varangian import byzfl  # noqa: E402
from varangian.byzfl.benchmark import _config, _training, evaluate_results  # noqa: E402


def digits(folder: Path, part: str, count: int, seed: int, gz: bool) -> None:
    """Ten squares at ten places, as IDX files."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 10, count).astype(np.uint8)
    images = draw.integers(0, 60, size=(count, 28, 28)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        y, x = divmod(int(label), 5)
        image[4 + 12 * y : 12 + 12 * y, 5 * x : 5 * x + 6] += 180
    for what, array in [("images-idx3", images), ("labels-idx1", labels)]:
        head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
        content = head + array.tobytes()
        name = f"{part}-{what}-ubyte"
        if gz:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)


CONFIG: dict[str, Any] = {
    "benchmark_config": {
        "training_algorithm": {"name": "DSGD", "parameters": {}},
        "nb_steps": 7, "device": "cpu", "training_seed": 3, "nb_training_seeds": 2,
        "nb_honest_clients": 4, "f": [1], "data_distribution_seed": 0,
        "nb_data_distribution_seeds": 1,
        "data_distribution": [
            {"name": "gamma_similarity_niid", "distribution_parameter": [1.0, 0.5]},
        ],
    },
    "model": {
        "name": "fc_mnist", "dataset_name": "mnist", "nb_labels": 10, "loss": "NLLLoss",
        "learning_rate": [0.001, 0.2], "learning_rate_decay": 1.0, "milestones": [],
    },
    "aggregator": [{"name": "TrMean", "parameters": {}}],
    "pre_aggregators": [{"name": "Clipping", "parameters": {}}, {"name": "NNM", "parameters": {}}],
    "honest_clients": {"momentum": 0.5, "weight_decay": 0.0001, "batch_size": 20},
    "attack": [{"name": "SignFlipping", "parameters": {}}, {"name": "LabelFlipping"}],
    "evaluation_and_results": {
        "evaluation_delta": 3, "batch_size_evaluation": 64, "evaluate_on_test": True,
        "store_per_client_metrics": True, "store_models": True,
        "data_folder": "./data", "results_directory": "./results",
    },
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    raw = tmp_path / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    digits(raw, "train", 500, 1, gz=False)
    digits(raw, "t10k", 120, 2, gz=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(changes: dict[str, dict[str, Any]] | None = None) -> dict[str, Any]:
    config = copy.deepcopy(CONFIG)
    for section, values in (changes or {}).items():
        if isinstance(config.get(section), dict):
            config[section].update(values)
        else:
            config[section] = values
    Path("config.json").write_text(json.dumps(config))
    return config


SMALL: dict[str, Any] = {
    "benchmark_config": {
        "nb_training_seeds": 1, "nb_steps": 4,
        "data_distribution": {"name": "iid", "distribution_parameter": 1.0},
    },
    "model": {"learning_rate": 1},
    "attack": {"name": "SignFlipping"},
}


def small(**more: Any) -> dict[str, Any]:
    changes = copy.deepcopy(SMALL)
    for section, values in more.items():
        if isinstance(changes.get(section), dict):
            changes[section].update(values)
        else:
            changes[section] = values
    return write(changes)


def folder(parameter: Any, attack: str, rate: float) -> Path:
    return Path("results") / (
        f"mnist_fc_mnist_n_5_f_1_d_1_gamma_similarity_niid_{parameter}_TrMean_Clipping_NNM_"
        f"{attack}_lr_{rate}_mom_0.5_wd_0.0001"
    )


def test_a_benchmark_from_its_config_to_its_plots(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write()
    byzfl.run_benchmark(2)
    said = capsys.readouterr().out
    assert "Total trainings to do: 16" in said and "Training 15 done" in said and "Done" in said
    # The files of one training are ByzFL's, with its number of decimals.
    one = folder(0.5, "LabelFlipping", 0.2)
    end = "tr_seed_4_dd_seed_0.txt"
    line = (one / f"test_accuracy_{end}").read_text()
    assert line.count(",") == 3 and line.split(",")[0].count(".") == 1
    assert all(len(number.strip().split(".")[1]) == 4 for number in line.split(","))
    assert np.genfromtxt(one / f"train_loss_{end}", delimiter=",").shape == (7,)
    assert np.loadtxt(one / f"train_loss_{end[:-4]}" / "loss_client_3.txt").shape == (7,)
    assert np.loadtxt(one / f"train_accuracy_{end[:-4]}" / "accuracy_client_0.txt").shape == (7,)
    assert float((one / f"train_time_{end}").read_text()) > 0
    models = sorted(file.name for file in (one / f"models_{end[:-4]}").iterdir())
    assert models == [f"model_step_{step}.pth" for step in (0, 3, 6, 7)]
    config = json.loads((one / "config.json").read_text())
    assert config["aggregator"]["parameters"] == {"f": 1}
    assert config["benchmark_config"]["nb_workers"] == 5
    # A rate of 0.001 learns nothing in seven steps: the other is chosen, and learns.
    best = Path("results/best_hyperparameters")
    stem = "mnist_fc_mnist_n_5_f_1_d_1_gamma_similarity_niid_0.5_Clipping_NNM_TrMean"
    assert np.loadtxt(best / "hyperparameters" / f"{stem}.txt").tolist() == [0.2, 0.5, 0.0001]
    flips = folder(0.5, "SignFlipping", 0.2)
    curves = [
        np.genfromtxt(flips / f"val_accuracy_tr_seed_{seed}_dd_seed_0.txt", delimiter=",")
        for seed in (3, 4)
    ]
    step = np.loadtxt(best / "better_step" / f"{stem}_SignFlipping.txt")
    assert step == 3 * np.mean(curves, axis=0).argmax()
    assert np.mean(curves, axis=0).max() > 0.5
    plots(place)


def plots(place: Path) -> None:
    if importlib.util.find_spec("matplotlib") is None:
        return
    importlib.import_module("matplotlib").use("Agg")
    middle = "mnist_fc_mnist_gamma_similarity_niid_Clipping_NNM"
    end = "nb_honest_clients_4_tolerated_f_equal_real.pdf"
    byzfl.test_accuracy_curve("results", "plots/curves")
    names = [file.name for file in Path("plots/curves").iterdir()]
    start = "mnist_fc_mnist_n_5_f_1_d_1_gamma_similarity_niid_"
    rest = "_TrMean_Clipping_NNM_lr_0.2_mom_0.5_wd_0.0001_plot.pdf"
    assert sorted(names) == [f"{start}0.5{rest}", f"{start}1.0{rest}"]
    for draw, name in [
        (byzfl.loss_heatmap, f"train_loss_{middle}_TrMean_{end}"),
        (byzfl.test_heatmap, f"test_{middle}_TrMean_{end}"),
        (byzfl.aggregated_test_heatmap, f"best_test_{middle}_{end}"),
    ]:
        draw("results", "plots/maps")
        assert (Path("plots/maps") / name).read_bytes()[:5] == b"%PDF-"
    table, about, hostile, parameters, _ = next(
        evaluate_results._tables(evaluate_results._Results("results"), ["TrMean"], "test_accuracy")
    )
    worst = min(
        np.mean([
            np.genfromtxt(folder(0.5, attack, 0.2) / f"test_accuracy_tr_seed_{seed}_dd_seed_0.txt",
                          delimiter=",")
            for seed in (3, 4)
        ], axis=0).max()
        for attack in ("SignFlipping", "LabelFlipping")
    )
    # The last parameter is the first row, as the axis points upwards.
    assert table[0, 0] == worst and hostile == [1] and parameters == [1.0, 0.5]
    # Where ByzFL itself is installed, its own plotting finds the same.
    if importlib.util.find_spec("byzfl") is None:
        return
    theirs = importlib.import_module("byzfl.benchmark.evaluate_results")
    for draw in (theirs.test_accuracy_curve, theirs.loss_heatmap, theirs.test_heatmap):
        draw("results", "plots/theirs")
    theirs.aggregated_test_heatmap("results", "plots/theirs")
    ours = {*os.listdir("plots/curves"), *os.listdir("plots/maps")}
    assert set(os.listdir("plots/theirs")) == ours


def test_what_is_done_stays_done_and_what_is_other_is_not_taken_for_it(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small()
    byzfl.run_benchmark()
    name = "mnist_fc_mnist_n_5_f_1_d_1_iid_None_TrMean_Clipping_NNM_SignFlipping_lr_1.0_"
    name += "mom_0.5_wd_0.0001"
    losses = Path("results") / name / "train_loss_tr_seed_3_dd_seed_0.txt"
    first = losses.read_text()
    assert "Total trainings to do: 1" in capsys.readouterr().out
    small(benchmark_config={"nb_training_seeds": 2})
    byzfl.run_benchmark()
    assert "Total trainings to do: 1" in capsys.readouterr().out
    assert losses.read_text() == first
    # Other settings under the same name: trained again, with the same numbers for the same.
    small(attack={"name": "SignFlipping"}, model={"milestones": [2], "learning_rate_decay": 0.5})
    byzfl.run_benchmark()
    assert "model.learning_rate_decay was 1.0 and is 0.5" in (said := capsys.readouterr().out)
    assert "Total trainings to do: 1" in said
    other = losses.read_text()
    assert other != first
    small()
    byzfl.run_benchmark()
    assert losses.read_text() == first


@pytest.mark.parametrize(
    "changes",
    [
        {"benchmark_config": {
            "training_algorithm": {
                "name": "FedAvg",
                "parameters": {"proportion_selected_clients": 1.0, "local_steps_per_client": 3},
            },
        }, "aggregator": {"name": "Median"}, "pre_aggregators": []},
        {"attack": {"name": "Optimal_ALittleIsEnough"}, "aggregator": {"name": "GeometricMedian"}},
        {"benchmark_config": {"size_train_set": 1.0}, "attack": {"name": "Gaussian"}},
    ],
    ids=["fedavg", "optimal", "nothing held out"],
)
def test_every_way_of_training_learns(place: Path, changes: dict[str, Any]) -> None:
    small(**{**changes, "model": {"learning_rate": 0.2}})
    config = json.loads(Path("config.json").read_text())
    config["benchmark_config"]["nb_steps"] = 30
    config["evaluation_and_results"]["store_models"] = False
    Path("config.json").write_text(json.dumps(config))
    byzfl.run_benchmark()
    (result,) = Path("results").glob("mnist_*")
    accuracy = np.genfromtxt(result / "test_accuracy_tr_seed_3_dd_seed_0.txt", delimiter=",")
    assert accuracy[0] < 0.4 and accuracy.max() > 0.8
    assert not (result / "models_tr_seed_3_dd_seed_0").exists()
    whole = config["benchmark_config"].get("size_train_set") == 1.0
    assert Path("results/best_hyperparameters").exists() != whole


def test_lists_are_alternatives_and_the_rules_are_told_f() -> None:
    config = copy.deepcopy(CONFIG)
    about = config["benchmark_config"]
    about.update(f=[1, 2], tolerated_f=[1, 2, 2], nb_training_seeds=1)
    config["pre_aggregators"] = [[{"name": "NNM"}], []]
    config["attack"] = [{"name": "Gaussian", "parameters": {"sigma": 2.0}}]
    found = _config.settings(_config.completed(config))
    # f and what is told: (1, 1), (1, 2), (2, 2); two splits, two rates, two chains.
    assert len(found) == 3 * 2 * 2 * 2
    for one in found:
        told = one["benchmark_config"]["tolerated_f"]
        assert one["benchmark_config"]["f"] <= told
        assert one["aggregator"]["parameters"]["f"] == told
        assert [stage["parameters"]["f"] for stage in one["pre_aggregators"]] in ([told], [])
        assert one["benchmark_config"]["nb_workers"] == 4 + one["benchmark_config"]["f"]
        assert one["attack"]["parameters"] == {"sigma": 2.0}
    about["set_honest_clients_as_clients"] = True
    for one in _config.settings(_config.completed(config)):
        assert one["benchmark_config"]["nb_workers"] == 4
        assert one["benchmark_config"]["nb_honest_clients"] == 4 - one["benchmark_config"]["f"]
    config["attack"][0]["parameters"]["sigma"] = [1.0, 2.0]
    with pytest.raises(ValueError, match=r"attack\.parameters\.sigma is not part of its name"):
        _config.settings(_config.completed(config))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": {"dataset_name": "cifar10"}}, "dataset_name is mnist here; got 'cifar10'"),
        ({"model": {"name": "ResNet18"}}, "fc_mnist, cnn_mnist, logreg_mnist; got 'ResNet18'"),
        ({"attack": {"name": "NoAttack"}}, "1 clients are hostile and the attack is NoAttack"),
        ({"benchmark_config": {"size_train_set": 0}}, r"size_train_set is in \(0, 1\]; got 0"),
        ({"benchmark_config": {"training_algorithm": {"name": "Sync"}}}, "DSGD or FedAvg"),
        ({"benchmark_config": {"training_algorithm": {"name": "FedAvg"}}},
         "proportion_selected_clients"),
        ({"benchmark_config": {"data_distribution": {"name": "dirichlet_niid"}}},
         "dirichlet_niid needs distribution_parameter"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is(
    place: Path, changes: dict[str, Any], said: str
) -> None:
    small(**changes)
    with pytest.raises(ValueError, match=said):
        byzfl.run_benchmark()
    assert not Path("results").exists()


def test_a_training_that_fails_is_told_and_the_others_are_done(place: Path) -> None:
    small(aggregator=[{"name": "Median"}, {"name": "Krum"}, {"name": "Nothing"}])
    failed = r"1 of 3 trainings failed:\n.*_Nothing_.*unknown aggregator 'Nothing'"
    with pytest.raises(RuntimeError, match=failed):
        byzfl.run_benchmark()
    assert len(list(Path("results").glob("*/train_time_*"))) == 2


def test_files_that_are_not_there_or_cut_are_named(place: Path) -> None:
    raw = Path("data/MNIST/raw")
    images = raw / "train-images-idx3-ubyte"
    images.write_bytes(images.read_bytes()[:-5])
    with pytest.raises(ValueError, match=r"has 391995 bytes of data; its head says \[500, 28, 28\]"):
        _training.mnist("data", "train")
    images.unlink()
    with pytest.raises(FileNotFoundError, match="train-images-idx3-ubyte.*nothing is downloaded"):
        _training.mnist("data", "train")
    pixels = _training.mnist("data", "t10k")
    assert pixels.images.shape == (120, 1, 28, 28) and pixels.targets.dtype == torch.int64
    assert float(pixels.images.min()) >= -0.1307 / 0.3081 - 1e-6


def test_without_a_config_one_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    byzfl.run_benchmark()
    assert "Set it up and run again" in capsys.readouterr().out
    made = json.loads(Path("config.json").read_text())
    assert len(_config.settings(_config.completed(made))) == 4 * 4 * 2 * 3 * 3
    with pytest.raises(ValueError, match="nb_jobs is a whole number from 1; got 0"):
        byzfl.run_benchmark(0)


def test_ctrl_c_ends_the_trainings_and_keeps_what_is_done(place: Path) -> None:
    small(benchmark_config={"nb_steps": 100_000, "nb_training_seeds": 2})
    code = "from varangian import byzfl; byzfl.run_benchmark(2)"
    run = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while len(list(Path("results").glob("*/test_accuracy_tr_seed_*"))) < 2:
        assert time.monotonic() < deadline and run.poll() is None
        time.sleep(0.1)
    os.killpg(run.pid, signal.SIGINT)
    _, said = run.communicate(timeout=30)
    assert run.returncode != 0 and said.rstrip().endswith("KeyboardInterrupt")
    assert len(list(Path("results").glob("*/test_accuracy_tr_seed_*"))) == 2
    assert not list(Path("results").glob("*/train_time_*"))


def test_the_example_sets_cells_of_the_default_grid_beside_published_ones(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Path(__file__).resolve().parents[1] / "drills" / "byzfl_grid.py"
    words = ["--data", "data", "--out", "grid", "--gamma", "0.0", "--f", "1", "--aggregators", "TrMean"]
    monkeypatch.setattr(sys, "argv", [str(script), *words, "--seeds", "1", "--steps", "1"])
    runpy.run_path(str(script), run_name="__main__")
    said = capsys.readouterr().out
    assert "Total trainings to do: 3" in said
    cell = said.splitlines()[-1].split()
    assert cell[:4] == ["TrMean", "0.0", "1", "0.87"]
    values = [float(value) for value in cell[4:]]
    assert len(values) == 4 and values[0] == min(values[1:]) and 0 <= min(values) <= max(values) <= 1
