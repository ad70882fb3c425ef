"""What is written down: evidence a line a rank and step, and metrics for Prometheus."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

#: The quantiles of the ranks' lengths and distances that are told.
QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)


class Recorder:
    """Writes evidence of one group, on the rank that does so.

    A file that cannot be written costs a warning and never a step: the other ranks wait in no
    collective for it.
    """

    def __init__(
        self, evidence: str | os.PathLike[str] | None, metrics: str | os.PathLike[str] | None
    ) -> None:
        self._evidence = Path(evidence) if evidence is not None else None
        self._metrics = Path(metrics) if metrics is not None else None
        self._file: Any = None
        self._counts: dict[str, dict[int, float]] = {}
        self._gauges: dict[str, dict[int, float]] = {}
        self.steps = 0
        self.void = 0

    @property
    def active(self) -> bool:
        """Whether anything is written."""
        return self._evidence is not None or self._metrics is not None

    def write(self, records: Sequence[dict[str, Any]], void: str | None) -> None:
        """Writes the records of a step."""
        self.steps += 1
        self.void += void is not None
        for record in records:
            self._count(record)
        try:
            if self._evidence is not None:
                if self._file is None:
                    self._file = self._evidence.open("a", encoding="utf-8")
                self._file.writelines(json.dumps(record) + "\n" for record in records)
                self._file.flush()
            if self._metrics is not None:
                part = self._metrics.with_name(self._metrics.name + ".part")
                part.write_text(self.text(), encoding="utf-8")
                part.replace(self._metrics)
        except Exception as error:
            warnings.warn(f"evidence is lost from here on: {error}", RuntimeWarning, stacklevel=2)
            self._evidence = self._metrics = None

    def _count(self, record: dict[str, Any]) -> None:
        rank = int(record["worker"])
        for name in ("refused", "excluded", "reduced"):
            self._counts.setdefault(name, {}).setdefault(rank, 0)
        alarms = self._counts.setdefault("alarms", {})
        alarms[rank] = alarms.get(rank, 0) + len(record.get("alarms", []))
        if record["verdict"] in self._counts:
            self._counts[record["verdict"]][rank] += 1
        for name in ("norm", "distance", "weight", "sure"):
            value = record.get(name)
            if value is not None:
                self._gauges.setdefault(name, {})[rank] = float(value)
        self._gauges.setdefault("left_out", {})[rank] = float(bool(record.get("convicted")))

    def text(self) -> str:
        """The metrics in Prometheus' text format."""
        lines = [
            "# HELP varangian_steps_total Reduces so far.",
            "# TYPE varangian_steps_total counter",
            f"varangian_steps_total {self.steps}",
            "# HELP varangian_void_steps_total Reduces that no step could be made of.",
            "# TYPE varangian_void_steps_total counter",
            f"varangian_void_steps_total {self.void}",
        ]
        helps = {
            "refused": "Rows of the rank that the rule never saw.",
            "excluded": "Rows of the rank that the rule gave nothing.",
            "reduced": "Rows of the rank that got less than an equal share.",
            "alarms": "Alarms against the rank.",
            "norm": "Length of the rank's last gradient.",
            "distance": "Distance of the rank's last gradient from the aggregate.",
            "weight": "Share of the rank in the last aggregate.",
            "sure": "False-alarm rate at which the rank would be suspected by now.",
            "left_out": "Whether the rank is convicted.",
        }
        for kind, table in (("counter", self._counts), ("gauge", self._gauges)):
            for name, values in table.items():
                full = f"varangian_rank_{name}" + ("_total" if kind == "counter" else "")
                lines += [f"# HELP {full} {helps[name]}", f"# TYPE {full} {kind}"]
                ranks = sorted(values.items())
                lines += [f'{full}{{rank="{rank}"}} {value:g}' for rank, value in ranks]
        return "\n".join(lines) + "\n"

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def quantiles(values: Sequence[float | None]) -> list[float] | None:
    """The quantiles of what is known."""
    known = [value for value in values if value is not None and np.isfinite(value)]
    return [float(x) for x in np.quantile(known, QUANTILES)] if known else None
