"""Where a training's results are kept, in ByzFL's names and formats."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


class FileManager:
    """Writes into the folder of one setting.

    Parameters
    ----------
    folder : path
        The folder, which is made where it is missing.
    """

    def __init__(self, folder: str | Path) -> None:
        self.files_path = Path(folder)
        self.files_path.mkdir(parents=True, exist_ok=True)
        (self.files_path / "day.txt").write_text(datetime.date.today().strftime("%d_%m_%y"))

    def get_experiment_path(self) -> str:
        """The folder."""
        return str(self.files_path)

    def save_config_dict(self, setting: Mapping[str, Any]) -> None:
        """The setting, as ``config.json``."""
        write_config(self.files_path / "config.json", setting)

    def write_array_in_file(self, array: Any, file_name: str) -> None:
        """Numbers on one line, with four decimals."""
        np.savetxt(self.files_path / file_name, [array], fmt="%.4f", delimiter=",")

    def save_state_dict(self, state: Any, seeds: str, step: int) -> None:
        """The model before a step."""
        import torch

        torch.save(state, self._inner(f"models_{seeds}") / f"model_step_{step}.pth")

    def save_loss(self, losses: Any, seeds: str, client: int) -> None:
        """A client's losses, one a line."""
        inner = self._inner(f"train_loss_{seeds}")
        np.savetxt(inner / f"loss_client_{client}.txt", losses, fmt="%.6f", delimiter=",")

    def save_accuracy(self, accuracies: Any, seeds: str, client: int) -> None:
        """A client's accuracies on its own batches, one a line."""
        inner = self._inner(f"train_accuracy_{seeds}")
        np.savetxt(inner / f"accuracy_client_{client}.txt", accuracies, fmt="%.4f", delimiter=",")

    def _inner(self, name: str) -> Path:
        inner = self.files_path / name
        inner.mkdir(exist_ok=True)
        return inner


def write_config(path: Path, config: Mapping[str, Any]) -> None:
    """A config as ByzFL writes it; a reader meets the old file or the new one."""
    # Trainings of one folder's seeds write it at once.
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(json.dumps(config, indent=4, separators=(",", ": ")))
    beside.replace(path)
