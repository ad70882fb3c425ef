"""Metrics that nodes report, of which f may lie: one value each, robustly."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from varangian._federated._npy import Refused
from varangian._rule import Rule

#: More numbers than this in one report are refused.
MOST = 100_000

#: By metric, whether it is a list, and its numbers.
Report = dict[str, tuple[bool, list[float]]]


def guarded(record: Any, skip: str) -> Report:
    """A report's numbers, and which of them are lists. Raises Refused."""
    if not isinstance(record, Mapping):
        raise Refused(f"its metrics are {type(record).__name__}")
    report: Report = {}
    for name, value in record.items():
        if not isinstance(name, str):
            raise Refused("a metric's name is no text")
        if name == skip:
            continue
        values = value if isinstance(value, list) else [value]
        if len(values) > MOST:
            raise Refused(f"its metric {name[:40]} has {len(values)} numbers")
        report[name] = (isinstance(value, list), [_number(x, name) for x in values])
    return report


def _number(x: Any, name: str) -> float:
    if isinstance(x, bool) or not isinstance(x, (int, float)):
        raise Refused(f"its metric {name[:40]} is {type(x).__name__}")
    try:
        number = float(x)
    except OverflowError as error:
        raise Refused(f"its metric {name[:40]} is beyond every float") from error
    if not math.isfinite(number):
        raise Refused(f"its metric {name[:40]} is {number}")
    return number


def aggregate(
    reports: list[Report], weights: list[float] | None, rule: Rule, f: int
) -> dict[str, float | list[float]]:
    """The rule's value of each metric, over those that report it.

    What counts as a metric is what more than half of the reports have, in one length. Raises
    ValueError where too few reports are left for the rule.
    """
    shapes = Counter(
        (name, is_list, len(values))
        for report in reports
        for name, (is_list, values) in report.items()
    )
    answer: dict[str, float | list[float]] = {}
    for (name, is_list, length), count in sorted(shapes.items()):
        if 2 * count <= len(reports) or length == 0:
            continue
        alike = [_shape(report.get(name)) == (is_list, length) for report in reports]
        have = [k for k, same in enumerate(alike) if same]
        # Who leaves a metric out has proven nothing: f stays what it is.
        rows = np.array([reports[k][name][1] for k in have], dtype=np.float64)
        mine = None if weights is None else [weights[k] for k in have]
        values = rule(rows, weights=mine, f=f).tolist()
        answer[name] = values if is_list else values[0]
    return answer


def _shape(reported: tuple[bool, list[float]] | None) -> tuple[bool, int] | None:
    return None if reported is None else (reported[0], len(reported[1]))
