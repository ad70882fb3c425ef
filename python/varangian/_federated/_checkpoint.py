"""A round that was closed, on the disk: whole or not at all, and never a pickle."""

from __future__ import annotations

import io
import json
import os
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

FORMAT = "varangian-federation"


@dataclass
class Checkpoint:
    """What a server must know to go on after a round."""

    #: The last round that was closed, from 1.
    round: int
    #: Of what rule, in its one spelling.
    rule: str
    #: Name, dtype and shape of each array, in the model's order.
    parts: list[tuple[str, str, tuple[int, ...]]]
    arrays: list[np.ndarray]
    memory: bytes = b"{}"
    optimiser: dict[str, np.ndarray] = field(default_factory=dict)
    #: The nodes that a rule with a memory counts, in its order.
    nodes: list[int] = field(default_factory=list)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes it beside the file, and puts it into its place."""
        about = {
            "format": FORMAT, "version": 1, "round": self.round, "rule": self.rule,
            "parts": self.parts, "nodes": self.nodes, "optimiser": sorted(self.optimiser),
        }
        held: dict[str, Any] = {f"array-{k}": array for k, array in enumerate(self.arrays)}
        held |= {f"optimiser-{name}": array for name, array in self.optimiser.items()}
        held["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
        held["memory"] = np.frombuffer(self.memory, np.uint8)
        buffer = io.BytesIO()
        np.savez(buffer, **held)
        target = Path(path)
        part = target.with_name(target.name + ".part")
        with part.open("wb") as file:
            file.write(buffer.getvalue())
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Checkpoint:
        """Reads what :meth:`save` wrote; ValueError where it is something else."""
        try:
            with np.load(path, allow_pickle=False) as held:
                about = json.loads(held["about"].tobytes().decode())
                if about["format"] != FORMAT or about["version"] != 1:
                    raise ValueError(f"{FORMAT} of version 1 is read")
                parts = [(name, dtype, tuple(shape)) for name, dtype, shape in about["parts"]]
                return Checkpoint(
                    round=int(about["round"]),
                    rule=str(about["rule"]),
                    parts=parts,
                    arrays=[held[f"array-{k}"] for k in range(len(parts))],
                    memory=held["memory"].tobytes(),
                    optimiser={name: held[f"optimiser-{name}"] for name in about["optimiser"]},
                    nodes=[int(node) for node in about["nodes"]],
                )
        except FileNotFoundError as error:
            raise ValueError(f"resume_from: there is no {os.fspath(path)}") from error
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"{os.fspath(path)} is no checkpoint, or damaged: {error}") from error
