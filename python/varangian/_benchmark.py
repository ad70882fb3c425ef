"""The benchmark: a pipeline, or a rule of your own, judged by its worst case."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from varangian import _core
from varangian._attack import Attack
from varangian._entries import Variant
from varangian._kept import hyphened
from varangian._rule import Rule, _count
from varangian._run import _different, _forgets, _Heard


class Entry(dict[str, Any]):
    """What the benchmark found of a pipeline: the keys of the file at :attr:`path`.

    ``score`` is the mean over settings of the accuracy under the worst attack, ``usual`` what the
    five usual attacks alone would have said, ``clean`` the accuracy without an attack; ``cells``
    holds each setting with every attack, ``kappa`` and ``cost`` what they say. ``backdoors``, of a
    whole judgement, says how many of the images with a hidden patch are taken for what the hostile
    workers want, and how many by chance.
    """

    def __init__(self, entry: Mapping[str, Any], path: Path) -> None:
        super().__init__(entry)
        #: The file in which it stands: ``varangian leaderboard`` reads its folder.
        self.path = path

    def __str__(self) -> str:
        def percent(key: str) -> str:
            return "-" if self[key] is None else f"{100 * self[key]:.1f}"

        part = f"; only {self['only']}" if self.get("only") else ""
        return (
            f"{self['rule']}: {percent('score')} % in the worst case (± {percent('half')}), usual five "
            f"{percent('usual')} %, no attack {percent('clean')} %{part}"
        )


def benchmark(
    rule: str | Rule | type[Rule] | Callable[[np.ndarray, int], Any],
    *,
    tier: str = "small",
    out: str | os.PathLike[str] = "benchmark",
    only: Mapping[str, Any] | None = None,
    data: str | os.PathLike[str] | None = None,
    callbacks: Iterable[Any] = (),
    threads: int | None = None,
    jobs: int | None = None,
    replace: bool = False,
    version: str = "",
    progress: bool | None = None,
) -> Entry:
    """Judges a pipeline by the benchmark's protocol, as ``varangian benchmark`` does.

    The numbers are those of the command. A rule that you wrote is searched as the others are: the
    attacks of kind "search" try their rows on copies of it, some hundred thousand calls in all.

    Parameters
    ----------
    rule : str, Rule, a class of rules, or a function
        A text, ``"nnm | median"``; rules and stages of the lists; a :class:`Rule` of your own, alone
        or in a chain; or a function of the rows, (n, d) float32, and f that answers d numbers and
        remembers nothing. f is the protocol's, whatever the rule was made with.
    tier : "small" or "full"
        Minutes on data that the program draws, or days on data from files.
    out : folder
        Of entries: RULE.json, and the runs beside it. The same call goes on where an earlier one
        stopped.
    only : dict, optional
        A part of the protocol, for a first look: of ``attack``, ``dataset``, ``f``, ``partition`` or
        ``seed`` a value or a list of them, ``{"dataset": "logreg", "attack": ["alie", "worst"]}``.
        Its entry stands in a folder below ``out``, and beside no whole one.
    data : folder, optional
        Of data files, for the full tier.
    callbacks : iterable, optional
        Objects with some of the methods of :class:`Callback`.
    threads, jobs : int, optional
        Threads in all, and runs at a time.
    replace : bool
        Does runs again that are over.
    version : str, optional
        The version of your own rule. Where there is none, its runs are done again each time, as
        nobody can tell whether the code is what it was.
    progress : bool, optional
        A line that says how far it is; by default on a terminal and in a notebook.

    Returns
    -------
    Entry
        The entry as a dict, with its ``path``.

    Raises
    ------
    ValueError
        If the rule, the tier or the part is wrong: nothing is run then.
    KeyboardInterrupt
        After Ctrl-C, as :func:`run`; what is done is kept.

    A whole judgement takes minutes, and what cannot be judged is said at once:

    >>> from varangian import benchmark
    >>> benchmark("medain", out="entries")
    Traceback (most recent call last):
    ValueError: unknown rule "medain"; did you mean "median"?
    """
    if not os.fspath(out):
        raise ValueError("out names a folder; got an empty text")
    given = rule if isinstance(rule, (str, Variant)) else _judged(rule)
    own_objects = _different(given)
    # Every run begins before the first call. The copies live as long as the judgement.
    fresh = [thing._fresh() for thing in own_objects]
    if version and any(_forgets(thing) for thing in own_objects):
        # Its memory cannot be saved: nothing is taken from disk.
        version = ""
    heard = _Heard(callbacks, progress)
    order = {
        "rule": given.spec if isinstance(given, Rule) else str(given),
        "tier": tier,
        "only": [(str(key), _texts(values)) for key, values in (only or {}).items()],
        "out": os.fspath(out),
        "data": None if data is None else os.fspath(data),
        "threads": _count(threads),
        "jobs": _count(jobs),
        "replace": replace,
        "version": version,
        "own": [thing._entry_of_own() for thing in fresh],
        "told": heard,
        "steps": heard.steps,
    }
    try:
        text, path = _core.benchmark(order)
    finally:
        heard.close()
    return Entry(json.loads(text), path)


def _judged(rule: Any) -> Rule:
    """A rule of what may be judged: an object, a class, a function."""
    if isinstance(rule, Rule):
        return rule
    if isinstance(rule, type) and issubclass(rule, Rule):
        return rule()
    if callable(rule) and not isinstance(rule, (type, Attack)):
        name = getattr(rule, "__name__", type(rule).__name__)
        if not name.isidentifier():
            raise ValueError(f"a rule has a name, by which its entry is found; got {name}")
        body = {
            "aggregate": lambda self, rows, f: rule(rows, f),
            "name": hyphened(name),
            "__doc__": getattr(rule, "__doc__", None),
        }
        made: Rule = type(name, (Rule,), body)()
        return made
    raise TypeError(f"a text, a Rule or a function of rows and f is judged; got {rule!r}")


def _texts(values: Any) -> list[str]:
    """The values of a key of a part, as the protocol spells them."""
    several = isinstance(values, (list, tuple, set, range, np.ndarray))
    each = values if several else [values]
    return [one.spec if isinstance(one, Attack) else str(one) for one in each]
