"""What a ``config.json`` asks for: its defaults, its combinations, the names of its folders."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any

Setting = dict[str, Any]

#: Lists under these keys are values themselves, unless they hold lists.
WHOLE = ("pre_aggregators", "milestones")

#: Splits without a parameter.
PLAIN = ("iid", "extreme_niid")

#: What a config that leaves a key out means by it.
DEFAULTS: dict[str, dict[str, Any]] = {
    "benchmark_config": {
        "device": "cpu",
        "training_seed": 0,
        "nb_training_seeds": 1,
        "nb_honest_clients": 10,
        "f": 0,
        "set_honest_clients_as_clients": False,
        "size_train_set": 0.8,
        "data_distribution_seed": 0,
        "nb_data_distribution_seeds": 1,
        "data_distribution": {"name": "iid", "distribution_parameter": None},
        "training_algorithm": {"name": "DSGD", "parameters": {}},
        "nb_steps": 1000,
    },
    "model": {
        "name": "cnn_mnist",
        "dataset_name": "mnist",
        "nb_labels": 10,
        "loss": "NLLLoss",
        "learning_rate": 0.1,
        "learning_rate_decay": 1.0,
        "milestones": [],
    },
    "honest_clients": {"momentum": 0.9, "weight_decay": 1e-4, "batch_size": 32},
    "evaluation_and_results": {
        "evaluation_delta": 50,
        "batch_size_evaluation": 128,
        "evaluate_on_test": True,
        "store_per_client_metrics": True,
        "store_models": False,
        "data_folder": "./data",
        "results_directory": "./results",
    },
}

#: What is written where there is no config.json yet.
EXAMPLE: dict[str, Any] = {
    **DEFAULTS,
    "benchmark_config": {
        **DEFAULTS["benchmark_config"],
        "nb_steps": 800,
        "nb_training_seeds": 3,
        "f": [1, 2, 3, 4],
        "data_distribution": [
            {"name": "gamma_similarity_niid", "distribution_parameter": [1.0, 0.66, 0.33, 0.0]}
        ],
    },
    "aggregator": [
        {"name": "GeometricMedian", "parameters": {"nu": 0.1, "T": 3}},
        {"name": "TrMean", "parameters": {}},
    ],
    "pre_aggregators": [
        {"name": "Clipping", "parameters": {}}, {"name": "NNM", "parameters": {}},
    ],
    "attack": [
        {"name": name, "parameters": {}}
        for name in [
            "SignFlipping", "Optimal_InnerProductManipulation", "Optimal_ALittleIsEnough",
        ]
    ],
}


def as_list(value: Any) -> list[Any]:
    """A value that may stand for itself, as a list."""
    return value if isinstance(value, list) else [value]


def _each(value: Any, change: Any) -> Any:
    return [change(one) for one in value] if isinstance(value, list) else change(value)


def completed(data: Mapping[str, Any]) -> dict[str, Any]:
    """The same with every key that is read later.

    Rates, momenta and weight decays become floats, and the parameter of a split that has none
    null: so the folders' names are those under which the results are looked for.
    """
    if not isinstance(data, Mapping):
        raise TypeError(f"config.json holds an object; got {type(data).__name__}")
    whole: dict[str, Any] = copy.deepcopy(dict(data))
    for section, defaults in DEFAULTS.items():
        given = whole.setdefault(section, {})
        if not isinstance(given, dict):
            raise TypeError(f"{section} is an object; got {given!r}")
        for key, value in defaults.items():
            if given.get(key) is None:
                given[key] = copy.deepcopy(value)
    whole.setdefault("aggregator", {"name": "Average", "parameters": {}})
    whole.setdefault("attack", {"name": "NoAttack", "parameters": {}})
    whole["pre_aggregators"] = whole.get("pre_aggregators") or []
    for section, key in [
        ("model", "learning_rate"), ("honest_clients", "momentum"),
        ("honest_clients", "weight_decay"),
    ]:
        whole[section][key] = _each(whole[section][key], float)
    for split in as_list(whole["benchmark_config"]["data_distribution"]):
        name, parameter = split["name"], split.get("distribution_parameter")
        if name in PLAIN:
            parameter = None
        elif parameter is None:
            raise ValueError(f"{name} needs distribution_parameter")
        else:
            parameter = _each(parameter, float)
        split["distribution_parameter"] = parameter
    return whole


def _variants(key: str, value: Any) -> Iterator[Any]:
    """Every value that a list of alternatives stands for, at any depth of dicts."""
    if isinstance(value, list):
        if not value or (key in WHOLE and not isinstance(value[0], list)):
            yield value
            return
        for one in value:
            if isinstance(one, dict):
                yield from _variants(key, one)
            else:
                yield one
    elif isinstance(value, dict):
        keys = list(value)
        for parts in itertools.product(*(list(_variants(key, value[key])) for key in keys)):
            yield dict(zip(keys, parts, strict=True))
    else:
        yield value


def _tolerated(setting: Setting) -> bool:
    """Gives the rules the f that they are told; False where it is below the true one."""
    about = setting["benchmark_config"]
    told = about.setdefault("tolerated_f", about["f"])
    for one in [setting["aggregator"], *setting["pre_aggregators"], setting["attack"]]:
        one.setdefault("parameters", {})
    for one in [setting["aggregator"], *setting["pre_aggregators"]]:
        one["parameters"]["f"] = told
    about["nb_workers"] = about["nb_honest_clients"]
    if about["set_honest_clients_as_clients"]:
        about["nb_honest_clients"] -= about["f"]
    else:
        about["nb_workers"] += about["f"]
    return bool(told >= about["f"])


def settings(data: Mapping[str, Any]) -> list[Setting]:
    """One dict a training: every combination of the lists, with every seed."""
    found: dict[str, Setting] = {}
    for one in _variants("", dict(data)):
        base = copy.deepcopy(one)
        if not _tolerated(base):
            continue
        about = base["benchmark_config"]
        for training in range(about["nb_training_seeds"]):
            for split in range(about["nb_data_distribution_seeds"]):
                seeded = copy.deepcopy(base)
                seeded["benchmark_config"]["training_seed"] += training
                seeded["benchmark_config"]["data_distribution_seed"] += split
                found.setdefault(json.dumps(seeded, sort_keys=True), seeded)
    _apart(list(found.values()))
    return list(found.values())


def _apart(found: list[Setting]) -> None:
    """Refuses two settings that would write into one folder, each over the other's results."""
    seen: dict[tuple[str, str], Setting] = {}
    for setting in found:
        place = (folder(setting), seeds(setting))
        other = seen.setdefault(place, setting)
        if other is not setting:
            key, one, two = next(differences(other, setting))
            raise ValueError(
                f"results/{place[0]} is the folder of two settings of this config: {key} is not "
                f"part of its name, and is {one!r} in one and {two!r} in the other. Write a "
                "config for each, with a results_directory of its own"
            )


def differences(one: Any, two: Any, at: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(key, value here, value there) of all in which two settings differ."""
    if isinstance(one, dict) and isinstance(two, dict):
        for key in [*one, *(key for key in two if key not in one)]:
            inner = f"{at}.{key}" if at else key
            yield from differences(one.get(key), two.get(key), inner)
    elif one != two:
        yield at, one, two


def named(parts: Mapping[str, Any], attack: str, hyper: tuple[Any, Any, Any]) -> str:
    """The folder of one setting, under ByzFL's name for it."""
    rate, momentum, decay = hyper
    return (
        f"{_scenario(parts)}_{parts['aggregator']}_{parts['before']}_{attack}_"
        f"lr_{rate}_mom_{momentum}_wd_{decay}"
    )


def best_named(parts: Mapping[str, Any]) -> str:
    """The stem of the files that hold what was best there."""
    return f"{_scenario(parts)}_{parts['before']}_{parts['aggregator']}"


def _scenario(parts: Mapping[str, Any]) -> str:
    return (
        f"{parts['dataset']}_{parts['model']}_n_{parts['n']}_f_{parts['f']}_d_{parts['told']}_"
        f"{parts['split']}_{parts['parameter']}"
    )


def folder(setting: Setting) -> str:
    """The name of the folder that this setting's results are kept in."""
    about, split = setting["benchmark_config"], setting["benchmark_config"]["data_distribution"]
    parts = {
        "dataset": setting["model"]["dataset_name"],
        "model": setting["model"]["name"],
        "n": about["nb_workers"],
        "f": about["f"],
        "told": about["tolerated_f"],
        "split": split["name"],
        "parameter": split["distribution_parameter"],
        "aggregator": setting["aggregator"]["name"],
        "before": "_".join(one["name"] for one in setting["pre_aggregators"]),
    }
    clients = setting["honest_clients"]
    hyper = (setting["model"]["learning_rate"], clients["momentum"], clients["weight_decay"])
    return named(parts, setting["attack"]["name"], hyper)


def seeds(setting: Setting) -> str:
    """The end of the names of a training's files."""
    about = setting["benchmark_config"]
    return f"tr_seed_{about['training_seed']}_dd_seed_{about['data_distribution_seed']}"


def deciding(setting: Mapping[str, Any]) -> dict[str, Any]:
    """What decides the numbers that a folder holds, beside the seeds."""
    aside = (
        "training_seed", "nb_training_seeds", "data_distribution_seed",
        "nb_data_distribution_seeds", "device",
    )
    about = {k: v for k, v in setting["benchmark_config"].items() if k not in aside}
    evaluation = setting["evaluation_and_results"]
    kept = ("evaluation_delta", "evaluate_on_test")
    return {
        **{k: setting[k] for k in ["aggregator", "pre_aggregators", "honest_clients", "attack"]},
        "model": setting["model"],
        "benchmark_config": about,
        "evaluation_and_results": {k: evaluation[k] for k in kept},
    }
