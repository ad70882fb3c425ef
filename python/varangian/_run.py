"""Experiments: files, dicts and objects in; outcomes, frames and figures out."""

from __future__ import annotations

import base64
import ctypes
import html
import inspect
import json
import os
import pickle
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from varangian import _core
from varangian._attack import Attack
from varangian._data import Dataset
from varangian._entries import Variant
from varangian._kept import held
from varangian._rule import Rule, _count


class Callback:
    """Told of what a run does. Define what you want to hear; the methods come one at a time.

    Each record is a dict. A step's has ``key``, ``rule``, ``attack``, ``setting``, ``seed``,
    ``step``, ``steps``, ``weights`` (each worker's mean so far), ``refused``, ``reasons``,
    ``hostile``, ``expelled``, ``skipped``; an evaluation's has ``metric``, ``evaluated`` (the step)
    and ``value`` besides; a run's at its end has ``settings``, ``curves``, ``finished``, ``error``,
    ``parameters``, ``seconds`` and ``line``, which says it in one line.

    >>> import varangian
    >>> class Loud(varangian.Callback):
    ...     def on_end(self, record):
    ...         print(record["settings"]["rule"], "has ended")
    >>> keys = {"n": 5, "f": 1, "steps": 5, "model": "mlp hidden=8", "rule": "median"}
    >>> _ = varangian.run(keys, callbacks=[Loud()])
    median has ended
    """

    def on_step(self, record: dict[str, Any]) -> None:
        """A step is over."""

    def on_evaluation(self, record: dict[str, Any]) -> None:
        """A model was evaluated."""

    def on_end(self, record: dict[str, Any]) -> None:
        """A run is over."""

    def on_note(self, text: str) -> None:
        """Something that a reader of the results should know."""


@dataclass(frozen=True)
class Run:
    """One run of an experiment."""

    key: str
    settings: dict[str, Any]
    #: By metric: the steps, and the values there.
    curves: dict[str, tuple[np.ndarray, np.ndarray]] = field(repr=False)
    finished: bool
    error: str
    #: BLAKE3 of the last parameters' bytes.
    parameters: str
    seconds: float
    diverged: bool
    collapsed: bool

    @property
    def rule(self) -> str:
        return str(self.settings["rule"])

    @property
    def attack(self) -> str:
        return str(self.settings["attack"])

    @property
    def seed(self) -> int:
        return int(self.settings["seed"])

    @property
    def metric(self) -> str:
        """What its curve shows: "accuracy", or "test_loss" where there are no classes."""
        return "accuracy" if "accuracy" in self.curves else "test_loss"

    @property
    def last(self) -> float:
        """The metric at the end."""
        curve = self.curves.get(self.metric)
        return float(curve[1][-1]) if curve is not None and len(curve[1]) else float("nan")


class Results:
    """What an experiment came to: its runs in the experiment's order, tables and figures.

    >>> import varangian
    >>> results = varangian.run({
    ...     "n": 5, "f": 1, "steps": 5, "model": "mlp hidden=8", "rule": "median", "seed": [1, 2],
    ... })
    >>> [(run.rule, run.seed) for run in results]
    [('median', 1), ('median', 2)]
    >>> sorted(results.records()[0])
    ['attack', 'key', 'metric', 'rule', 'seed', 'step', 'value']
    """

    def __init__(
        self, name: str, runs: list[Run], text: str, notes: list[str], files: dict[str, bytes],
        folder: Path | None,
    ) -> None:
        self.name = name
        self.runs = runs
        #: The tables, as the command prints them.
        self.text = text
        #: What a reader should know.
        self.notes = notes
        #: The folder of results, where one was asked for.
        self.folder = folder
        self._files = files

    def __iter__(self) -> Any:
        return iter(self.runs)

    def __len__(self) -> int:
        return len(self.runs)

    def __getitem__(self, k: int) -> Run:
        return self.runs[k]

    def _varying(self) -> list[str]:
        first = ("rule", "attack", "seed")
        keys = [key for key in self.runs[0].settings if key not in first] if self.runs else []
        return [
            key for key in keys if len({str(run.settings.get(key)) for run in self.runs}) > 1
        ]

    def records(self) -> list[dict[str, Any]]:
        """A dict a measurement: rule, attack, seed, what else varies, metric, step, value."""
        varying = self._varying()
        return [
            {
                "key": run.key,
                "rule": run.rule,
                "attack": run.attack,
                "seed": run.seed,
                **{key: run.settings.get(key) for key in varying},
                "metric": metric,
                "step": int(step),
                "value": float(value),
            }
            for run in self.runs
            for metric, (steps, values) in run.curves.items()
            for step, value in zip(steps, values, strict=True)
        ]

    def frame(self, library: str | None = None) -> Any:
        """:meth:`records` as a frame of pandas, or of polars where that alone is there.

        Parameters
        ----------
        library : "pandas" or "polars", optional
        """
        wanted = [library] if library else ["pandas", "polars"]
        for name in wanted:
            if name not in ("pandas", "polars"):
                raise ValueError(f"a frame is of pandas or polars; got {name!r}")
            try:
                module = __import__(name)
            except ImportError:
                continue
            return module.DataFrame(self.records())
        raise ImportError(f"no {' and no '.join(wanted)} is installed; records() is without them")

    @property
    def figures(self) -> dict[str, bytes]:
        """The pictures as PNG, by name: "accuracy"."""
        return {k[:-4]: v for k, v in self._files.items() if k.endswith(".png")}

    def plot(self, kind: str | None = None, **choices: Any) -> Any:
        """A figure of matplotlib: see :func:`varangian.plot`."""
        from varangian._figures import plot

        return plot(self, kind, **choices)

    def show(self, name: str | None = None) -> Any:
        """A picture for a notebook to show; by default the first."""
        from IPython import display

        image: Any = display.Image
        figures = self.figures
        if not figures:
            raise ValueError("the experiment has no pictures")
        return image(data=figures[name or next(iter(figures))])

    def __repr__(self) -> str:
        return self.text.strip() or f"Results({self.name!r}, {len(self.runs)} runs)"

    def _repr_html_(self) -> str:
        pictures = "".join(
            f'<img alt="{html.escape(name)}" style="max-width:100%" '
            f'src="data:image/png;base64,{base64.b64encode(data).decode()}">'
            for name, data in self.figures.items()
        )
        return f"<pre>{html.escape(self.text)}</pre>{pictures}"


def _value(x: Any) -> str:
    """A value as TOML."""
    if hasattr(x, "tolist") and getattr(x, "ndim", 0) > 0:
        x = x.tolist()
    if hasattr(x, "item") and not isinstance(x, (list, tuple, dict)):
        x = x.item()
    if isinstance(x, bool):
        return "true" if x else "false"
    if isinstance(x, int):
        return str(x)
    if isinstance(x, float):
        return repr(x) if x == x and abs(x) != float("inf") else str(x)
    if isinstance(x, (Rule, Attack)):
        return _value(x.spec)
    if isinstance(x, (Variant, str, Path)):
        return json.dumps(str(x), ensure_ascii=False)
    if isinstance(x, Mapping):
        return "{" + ", ".join(f"{json.dumps(str(k))} = {_value(v)}" for k, v in x.items()) + "}"
    if isinstance(x, (list, tuple, range, np.ndarray)):
        return "[" + ", ".join(_value(item) for item in x) + "]"
    raise TypeError(f"an experiment holds texts, numbers, lists, rules, attacks; got {x!r}")


def _objects(x: Any) -> Iterable[Any]:
    """The rules and attacks that stand somewhere in an experiment."""
    if isinstance(x, (Rule, Attack)):
        yield x
    elif isinstance(x, Mapping):
        for value in x.values():
            yield from _objects(value)
    elif isinstance(x, (list, tuple)):
        for value in x:
            yield from _objects(value)


def _different(x: Any) -> list[Any]:
    """What Python wrote of an experiment's rules and attacks: one of those that are equal."""
    found: dict[tuple[bool, str], Any] = {}
    for thing in _objects(x):
        parts = thing._stages() if isinstance(thing, Rule) else [thing]
        for part in parts:
            if not part._brought():
                continue
            key = (isinstance(part, Rule), part._entry_of_own().name)
            other = found.setdefault(key, part)
            if other is not part and (type(other), _state(other)) != (type(part), _state(part)):
                raise ValueError(
                    f'two different {type(part).__name__} are called "{key[1]}": give one a name '
                    "of its own, in a subclass or as its attribute name"
                )
    return list(found.values())


def _forgets(thing: Any) -> bool:
    """Whether an object may hold what a checkpoint does not."""
    if isinstance(thing, Rule) and type(thing).state_dict is not Rule.state_dict:
        return False
    return bool(held(thing))


def _state(thing: Any) -> Any:
    """What tells two objects of one class apart; itself where nobody can say."""
    try:
        return pickle.dumps(held(thing))
    except Exception:
        return id(thing)


def _alone(experiment: dict[str, Any]) -> dict[str, Any]:
    """The experiment without f of its rules' own, which its key gives where the dict does not."""
    runs = experiment.get("run")
    if isinstance(runs, (list, tuple)) and all(isinstance(one, Mapping) for one in runs):
        plain = {k: v for k, v in experiment.items() if k != "run"}
        tables = [_alone({**({"f": plain["f"]} if "f" in plain else {}), **one}) for one in runs]
        return {**_alone(plain), "run": tables}
    own = [x.f for x in _objects(experiment) if isinstance(x, Rule)]
    given = {f for f in own if f is not None}
    # The mean's own f of 0 says nothing.
    given = given if len(given) < 2 and "f" not in experiment else given - {0}
    if "f" not in experiment and len(given) == 1:
        return {**experiment, "f": next(iter(given))}
    if "f" not in experiment and len(given) > 1:
        raise ValueError(f"rules of one experiment share f, or the key f gives it; got {given}")
    said = np.ravel(experiment.get("f", 0)).tolist()
    if given and not given <= set(said):
        raise ValueError(f"the experiment's f is {said}; its rules were made with f = {sorted(given)}")
    return experiment


class _Progress(Callback):
    """A line on a terminal, or in a notebook, that says how far everything is."""

    def __init__(self) -> None:
        self._runs, self._steps, self._done, self._at = 0, 0, 0, {}  # type: ignore[var-annotated]
        self._display: Any = None

    def begin(self, runs: int, steps: int) -> None:
        self._runs, self._steps, self._done, self._at = runs, steps, 0, {}

    def on_evaluation(self, record: dict[str, Any]) -> None:
        self._at[record["key"]] = record["step"]
        self._say(f"{record['rule']} × {record['attack']}: {record['value']:.4g}")

    def on_end(self, record: dict[str, Any]) -> None:
        self._done += 1
        self._at[record["key"]] = record["settings"]["steps"]
        self._say(record["line"])

    def _say(self, what: str) -> None:
        share = sum(self._at.values()) / self._steps if self._steps else 0.0
        line = f"{self._done}/{self._runs} runs, {100 * min(share, 1):.0f} %: {what}"
        if "IPython" in sys.modules and "ipykernel" in sys.modules:
            from IPython import display

            show: Any = display.display
            if self._display is None:
                self._display = show(line, display_id=True, raw=False)
            else:
                self._display.update(line)
        else:
            width = os.get_terminal_size(2).columns if sys.stderr.isatty() else 80
            print(f"\r\x1b[K{line[: width - 1]}", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        if self._display is None:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _wants(callback: Any, method: str) -> Callable[..., Any] | None:
    """A callback's method, unless it is the one that does nothing."""
    found = getattr(callback, method, None)
    if found is None or getattr(type(callback), method, None) is getattr(Callback, method, object()):
        return None
    if not callable(found):
        raise TypeError(f"{type(callback).__name__}.{method} is called; got {found!r}")
    result: Callable[..., Any] = found
    return result


class _Heard:
    """Who is told of runs: callbacks, and a line that says how far everything is."""

    def __init__(self, callbacks: Iterable[Any], progress: bool | None) -> None:
        if progress is None:
            progress = sys.stderr.isatty() or "ipykernel" in sys.modules
        heard = list(callbacks)
        hears = ("on_step", "on_evaluation", "on_end", "on_note")
        for callback in heard:
            if not any(callable(getattr(callback, name, None)) for name in hears):
                raise TypeError(f"a callback has some of {', '.join(hears)}; got {callback!r}")
        self._shown = _Progress() if progress else None
        if self._shown is not None:
            heard.append(self._shown)
        self._methods = {
            what: [m for m in (_wants(c, f"on_{what}") for c in heard) if m is not None]
            for what in ("step", "evaluation", "end", "note")
        }
        self.texts: list[str] = []
        self.notes: list[str] = []

    @property
    def steps(self) -> bool:
        """Whether anybody wants to hear of each step."""
        return bool(self._methods["step"])

    def __call__(self, what: str, about: Any) -> None:
        if what == "text":
            self.texts.append(about)
        elif what == "note":
            self.notes.append(about)
        elif what == "begin" and self._shown is not None:
            self._shown.begin(*about)
        for method in self._methods.get(what, ()):
            method(about)

    def close(self) -> None:
        if self._shown is not None:
            self._shown.close()


def run(
    experiment: str | os.PathLike[str] | Mapping[str, Any],
    out: str | os.PathLike[str] | None = None,
    data: str | os.PathLike[str] | None = None,
    model: Any = None,
    dataset: Any = None,
    callbacks: Iterable[Any] = (),
    *,
    loss: Callable[[Any, Any], Any] | None = None,
    batched: bool | None = None,
    threads: int | None = None,
    jobs: int | None = None,
    replace: bool = False,
    save_models: bool = False,
    version: str = "",
    progress: bool | None = None,
    **keys: Any,
) -> Results:
    """Runs an experiment and returns what it came to.

    Parameters
    ----------
    experiment : path or dict
        An experiment file, or its keys: ``varangian keys`` lists them. Values may be lists, of
        which all combinations are run, and objects: rules, attacks, models of the lists.
    out : path, optional
        The folder of results, as the command writes it: the same call goes on where an earlier one
        stopped. Without it nothing is left on the disk.
    data : path, optional
        The folder of data files, for sets that are read from files.
    model : torch.nn.Module, a callable that makes one, or varangian.Model, optional
        The model of all runs. A module starts every seed from the parameters that it has; a class
        or function makes a start for each seed.
    dataset : varangian.Dataset, or ((inputs, targets), (inputs, targets)), optional
        The data set of all runs: training and test samples.
    callbacks : iterable, optional
        Objects with some of the methods of :class:`Callback`.
    loss : callable, optional
        With a torch model: (outputs, targets) to the mean loss.
    batched : bool, optional
        With a torch model: whether the gradients of all workers of a step are one call of
        ``torch.func.vmap``. By default where that can be; where not, a note says why. The same seed
        gives the same bits either way, but the two ways may differ in a gradient's last places.
    threads, jobs : int, optional
        Threads in all, and runs at a time.
    version : str, optional
        The version of your own rules, attacks and model. Where there is none, runs with them are
        done again each time, as nobody can tell whether the code is what it was.
    progress : bool, optional
        A line that says how far it is; by default on a terminal and in a notebook.
    **keys
        Keys that win over the experiment's: ``steps=50``.

    Raises
    ------
    ValueError
        If anything is wrong with any run: nothing is run then.
    KeyboardInterrupt
        After Ctrl-C; with ``out``, what is done is kept. The step at hand is ended first; an
        object of yours that has not returned after five seconds, or at a second Ctrl-C, is
        interrupted, and left behind where it waits for something outside of the interpreter.

    Examples
    --------
    Two rules under one attack, on digits that the program draws itself:

    >>> import varangian
    >>> from varangian import attacks, rules
    >>> results = varangian.run({
    ...     "n": 7, "f": 2, "steps": 30, "model": "mlp hidden=16", "attack": attacks.SignFlip(scale=4),
    ...     "rule": [rules.Average(), rules.Median(f=2)],
    ... })
    >>> [run.rule for run in results]
    ['average', 'median']
    >>> results[0].last < 0.2 < 0.4 < results[1].last        # accuracy after the last step
    True
    """
    own: dict[int, Any] = {}

    def bring(entry: Any) -> str:
        own[id(entry)] = entry
        return str(entry.name)

    order: dict[str, Any] = {"path": None, "text": None, "set": []}
    given = dict(keys)
    if isinstance(experiment, Mapping):
        given = {**experiment, **given}
    own_objects = _different(given)
    # Every run begins before the first call. The copies live as long as the run.
    fresh = [thing._fresh() for thing in own_objects]
    for thing in fresh:
        bring(thing._entry_of_own())
    if version and any(_forgets(thing) for thing in own_objects):
        # Its memory cannot be saved: what is half done begins again, and nothing is taken from disk.
        version = ""
    if isinstance(experiment, Mapping):
        tables = {k: v for k, v in given.items() if isinstance(v, Mapping)}
        plain = _alone({k: v for k, v in given.items() if k not in tables})
        lines = [f"{json.dumps(str(k))} = {_value(v)}" for k, v in plain.items()]
        for name, table in tables.items():
            lines.append(f"[{name}]")
            lines += [f"{json.dumps(str(k))} = {_value(v)}" for k, v in table.items()]
        order["text"] = "\n".join(lines)
    elif isinstance(experiment, (str, os.PathLike)):
        order["path"] = os.fspath(experiment)
        order["set"] = [f"{key}={_value(value)}" for key, value in _alone(given).items()]
    else:
        raise TypeError(f"an experiment is a path or a dict; got {type(experiment).__name__}")

    order["model"] = order["dataset"] = None
    network = None
    if isinstance(model, (str, Variant)):
        order["model"] = str(model)
    elif model is not None:
        from varangian._model import brought

        entry, told_apart, network = brought(model, loss, batched)
        order["model"] = bring(entry)
        # A start is no code: results of another one are others.
        version = f"{version} {told_apart}" if version else version
    elif loss is not None or batched is not None:
        name = "loss" if batched is None else "batched"
        raise TypeError(f"{name} is for a torch model; give model= too")
    if isinstance(dataset, (str, Variant)):
        order["dataset"] = str(dataset)
    elif dataset is not None:
        made = dataset if isinstance(dataset, Dataset) else _dataset(dataset)
        order["dataset"] = bring(made._own)

    heard = _Heard(callbacks, progress)
    threads, jobs = _count(threads), _count(jobs)
    if out is not None and not os.fspath(out):
        raise ValueError("out names a folder; got an empty text")

    with tempfile.TemporaryDirectory(
        prefix="varangian-", ignore_cleanup_errors=True
    ) as scratch:
        folder = Path(scratch) / "results" if out is None else Path(out)
        order |= {
            "out": str(folder),
            "data": None if data is None else os.fspath(data),
            "threads": threads,
            "jobs": jobs,
            "replace": replace,
            "save_models": save_models,
            "version": version,
            "own": list(own.values()),
            "told": heard,
            "steps": heard.steps,
        }
        try:
            name, outcomes = _core.run(order)
            if network is not None and network.why and batched is None:
                heard("note", f"gradients were taken worker by worker: {network.why}")
        finally:
            heard.close()
        files = {p.name: p.read_bytes() for p in sorted(folder.glob("*.png")) if p.is_file()}
    kept = [
        Run(
            **{k: outcome[k] for k in inspect.signature(Run).parameters},
        )
        for outcome in outcomes
    ]
    text = "\n".join(heard.texts)
    if out is None:
        text = "\n".join(line for line in text.split("\n") if not line.startswith("Results: "))
    return Results(name, kept, text, heard.notes, files, None if out is None else folder)


def _interrupt(thread: int) -> None:
    """Raises KeyboardInterrupt in a thread of the core's that runs Python, at its next bytecode."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread), ctypes.py_object(KeyboardInterrupt)
    )


def _dataset(given: Any) -> Dataset:
    try:
        train, test = given
    except (TypeError, ValueError) as error:
        raise TypeError("dataset is a Dataset, or (train, test) of (inputs, targets) each") from error
    return Dataset(train, test)

