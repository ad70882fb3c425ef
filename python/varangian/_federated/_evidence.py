"""What was found of each node, a line a node and round, as ``varangian evidence`` reads it."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class Evidence:
    """A file that records are appended to. One that cannot be written costs no round."""

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        self._path = None if path is None else Path(path)

    @property
    def active(self) -> bool:
        return self._path is not None

    def write(self, records: Sequence[dict[str, Any]]) -> None:
        """Appends the records of a round."""
        if self._path is None:
            return
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(record) + "\n" for record in records)
        except OSError as error:
            warnings.warn(f"evidence is lost from here on: {error}", RuntimeWarning, stacklevel=2)
            self._path = None


def refused(
    rule: str, shape: tuple[int, int, int], step: int, node: int, reason: str
) -> dict[str, Any]:
    """The record of a node whose row the rule never saw."""
    n, f, d = shape
    return {
        "format": "varangian-evidence", "version": 1, "rule": rule, "n": n, "f": f, "d": d,
        "step": step, "worker": node, "weight": 0.0, "norm": None, "distance": None,
        "verdict": "refused", "reason": reason, "p": None,
    }
