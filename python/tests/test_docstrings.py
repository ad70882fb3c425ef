"""The examples in docstrings are what a reader would see: each is run as it stands."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import inspect
import pkgutil
from types import ModuleType

import pytest

import varangian
from varangian import attacks, datasets, filters, models, partitions, rules, stages

LISTS = (rules, stages, attacks, filters, models, datasets, partitions)
# What is documented without an example: a server to work for, and what runs, sweeps and judgements
# answer, whose examples stand at `run`, `sweep`, `Results` and `benchmark`; an exception.
WITHOUT = {"worker", "Worked", "Run", "Sweep", "Entry", "Defect"}


def found() -> list[ModuleType]:
    """The package's modules, without those that want what is not installed."""
    out = [varangian]
    for info in pkgutil.walk_packages(varangian.__path__, "varangian.", onerror=lambda _: None):
        if info.name == "varangian.__main__":
            continue
        try:
            out.append(importlib.import_module(info.name))
        except ImportError:
            continue
    return out


def examples() -> list[doctest.DocTest]:
    # As in a session of the reader's: nothing is imported but what the example imports.
    finder = doctest.DocTestFinder(exclude_empty=True)
    every = [one for m in found() for one in finder.find(m, m.__name__, globs={"__name__": "__main__"})]
    return [one for one in every if one.examples]


TESTS = examples()


@pytest.mark.parametrize("one", TESTS, ids=[one.name for one in TESTS])
def test_the_example_holds(one: doctest.DocTest) -> None:
    if "matplotlib" in (one.docstring or "") and importlib.util.find_spec("matplotlib") is None:
        pytest.skip("there is no matplotlib")
    said: list[str] = []
    result = doctest.DocTestRunner(verbose=False).run(one, out=said.append)
    assert result.attempted and not result.failed, "".join(said)


def test_every_door_and_every_entry_has_an_example() -> None:
    names = {one.name for one in TESTS}
    for module in LISTS:
        assert module.__name__ in names
        for entry in module.__all__:
            assert f"{module.__name__}.{entry}" in names
    doors = [getattr(varangian, name) for name in varangian.__all__ if name not in WITHOUT]
    doors = [door for door in doors if not inspect.ismodule(door)]
    assert len(doors) >= 10
    for door in doors:
        assert f"{door.__module__}.{door.__name__}" in names, door
    for name in WITHOUT:
        assert inspect.getdoc(getattr(varangian, name)), name
