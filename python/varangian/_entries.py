"""Classes made from the lists of entries: one list drives names, parameters and documentation."""

from __future__ import annotations

import inspect
import json
import re
from typing import Any

from varangian import _core

CATALOGUE: dict[str, list[dict[str, Any]]] = json.loads(_core.catalogue())

# What the field writes with other capitals than its words have.
_CAPITALS = {
    "aksel": "AKSEL", "alie": "ALIE", "arc": "ARC", "basgd": "BASGD", "caf": "CAF", "cge": "CGE",
    "cifar10": "CIFAR10", "cifar100": "CIFAR100", "cnn": "CNN", "csv": "CSV", "ctma": "CTMA",
    "dnc": "DnC", "draco": "DRACO", "emnist": "EMNIST", "faba": "FABA", "fedseca": "FedSECA", "fl": "FL",
    "fltrust": "FLTrust", "gas": "GAS", "lasa": "LASA", "rsa": "RSA", "signguard": "SignGuard",
    "iid": "IID", "ipm": "IPM", "kardam": "Kardam", "libsvm": "LibSVM", "linreg": "LinReg",
    "logreg": "LogReg", "mda": "MDA", "meamed": "MeaMed", "mlp": "MLP", "mnist": "MNIST",
    "mnistnet": "MnistNet", "none": "NoAttack", "monna": "MoNNA", "nnm": "NNM", "npz": "NPZ", "poisonedfl": "PoisonedFL",
    "pp": "PP", "resnet18": "ResNet18", "resnet20": "ResNet20", "resnet50": "ResNet50",
    "resnet": "ResNet", "rfa": "RFA", "sgd": "SGD", "smea": "SMEA", "torchnet": "TorchNet",
    "zeno": "Zeno",
}

_TYPES = {"int": int, "float": float, "bool": bool, "str": str, "choice": str}


def class_name(name: str) -> str:
    """The class of an entry: "trimmed-mean" is ``TrimmedMean``, "alie" is ``ALIE``."""
    return "".join(_CAPITALS.get(word, word.capitalize()) for word in re.split(r"[-_]", name.replace("++", "-pp").replace("+", "-plus")))


def argument(param: str) -> str:
    """A parameter's name in Python: "dropout-masks" is ``dropout_masks``."""
    name = param.replace("-", "_")
    return name + "_" if name in ("lambda", "from", "in", "is", "class") else name


def written(value: Any) -> str:
    """A value as texts write it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return ",".join(written(item) for item in value)
    return str(value.item() if hasattr(value, "item") else value)


# Thirteen rows of four numbers, for the examples of rules and attacks.
_ROWS = '>>> rows = numpy.random.default_rng(1).normal(size=(13, 4)).astype("float32")'


def example(entry: dict[str, Any], module: str) -> list[str]:
    """Lines that show how an entry's class is used, as ``doctest`` runs them."""
    facts, its = entry["facts"], f"{module}.{class_name(entry['name'])}"
    if module.endswith(".attacks"):
        if facts["poisons"]:
            call = f"{its}().poison([0, 1, 2], classes=10)"
            return ["Labels come back as many as they were:", "", ">>> import varangian", f">>> len({call})", "3"]
        rule = ', rule="median"' if facts["sees"]["rule"] else ""
        call, shape = f"{its}()(rows, 2{rule})", "(2, 4)"
    elif "family" in facts:
        oracle = ""
        if facts["needs_oracle"]:
            asks_gradient = "gradient" in facts["whole_rows"]
            oracle = ", server_gradient=rows[0]" if asks_gradient else ", loss=lambda x: float(x @ x)"
        made = f"{its}(f=1)"
        if facts["family"] == "meta-aggregation":
            made = f"(varangian.rules.Median(f=1) | {its}())"
        call, shape = f"{made}(rows{oracle})", "(4,)"
        if facts["family"] == "pre-aggregation":
            # Some answer fewer rows than they got, or more.
            call, shape = f"{call}[0]", "(4,)"
    else:
        return ["In an experiment it is the text, or the object:", "", ">>> import varangian", f">>> str({its}())", repr(entry["name"])]
    return [">>> import numpy, varangian", _ROWS, f">>> {call}.shape", shape]


def document(entry: dict[str, Any], extra: list[tuple[str, str]], module: str) -> str:
    lines = [entry["summary"][:1].upper() + entry["summary"][1:] + ".", ""]
    if entry["paper"]:
        lines += [f"Source: {entry['paper']}", ""]
    lines += [f"Differs: {text}" for text in entry["differs"]]
    if entry["differs"]:
        lines.append("")
    bound = entry["facts"].get("bound")
    if bound:
        lines += [f"Needs {bound}.", ""]
    if entry["cost"]:
        lines += [f"Cost: {entry['cost']}", ""]
    lines.append("Parameters")
    lines.append("----------")
    for name, text in extra:
        lines += [name, f"    {text}"]
    for param in entry["params"]:
        default = param["default"] or '""'
        lines += [
            f"{argument(param['name'])} : {param['takes']}, default {default}",
            f"    {param['help']}",
        ]
    lines += ["", "Examples", "--------", *example(entry, module)]
    return "\n".join(lines)


def signature(entry: dict[str, Any], first: list[inspect.Parameter]) -> inspect.Signature:
    named = [
        inspect.Parameter(
            argument(param["name"]),
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=_TYPES[param["kind"]["is"]],
        )
        for param in entry["params"]
    ]
    return inspect.Signature([*first, *named])


def spelling(entry: dict[str, Any], given: dict[str, Any]) -> str:
    """The text of an entry with these parameters; what is None is left at its default."""
    known = {argument(param["name"]): param["name"] for param in entry["params"]}
    pairs = []
    for name, value in given.items():
        if name not in known:
            takes = ", ".join(known) or "none"
            raise TypeError(
                f"{class_name(entry['name'])} has no parameter {name!r}; its parameters: {takes}"
            )
        if value is not None:
            pairs.append((known[name], written(value)))
    return _core.spell(entry["name"], pairs)


class Variant:
    """Something that an experiment names: a model, a data set, a partition, a filter."""

    _entry: dict[str, Any]

    def __init__(self, **parameters: Any) -> None:
        self._given = {name: value for name, value in parameters.items() if value is not None}
        self.spec = spelling(self._entry, parameters)

    def __str__(self) -> str:
        return self.spec

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self._given.items())
        return f"{type(self).__name__}({given})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Variant) and self.spec == other.spec

    def __hash__(self) -> int:
        return hash(self.spec)


def classes(entries: list[dict[str, Any]], base: type, module: str) -> dict[str, type]:
    """A class an entry."""
    made = {}
    for entry in entries:
        name = class_name(entry["name"])
        first = [inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
        extra: list[tuple[str, str]] = []
        if hasattr(base, "_extra"):
            more, extra = base._extra(entry)
            first += more
        fields = {
            "_entry": entry,
            "__doc__": document(entry, extra, module),
            "__module__": module,
            "__signature__": signature(entry, first[1:]),
        }
        made[name] = type(name, (base,), fields)
    return made
