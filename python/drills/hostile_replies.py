"""What one hostile reply among six does to Flower's strategies and to ours, as a table.

    python python/drills/hostile_replies.py       # needs flwr
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import flwr.serverapp.strategy as theirs  # noqa: E402
from flower_replies import Nodes, begun, numbers, reply  # noqa: E402
from test_flower import CASES, MODEL, updates  # noqa: E402

from varangian.flower import MultiKrum, RobustStrategy  # noqa: E402

STRATEGIES = {
    "Flower's FedAvg": lambda: theirs.FedAvg(),
    "Flower's MultiKrum": lambda: theirs.MultiKrum(num_malicious_nodes=1, num_nodes_to_select=2),
    "our MultiKrum": lambda: MultiKrum(num_malicious_nodes=1, num_nodes_to_select=2),
    "our median": lambda: RobustStrategy("median", f=1),
}


def counted(value: Any) -> Any:
    def make(message: Any, mine: Any) -> Any:
        made = reply(message, mine)
        made.content["metrics"].__dict__["_data"]["num-examples"] = value
        return made

    return make


MORE = {
    "weight NaN": counted(float("nan")), "weight −60": counted(-60), "weight 10¹²": counted(10**12),
    "weight a list": counted([10]), "weight a text": counted("10"),
}


def outcome(strategy: Any, make: Any) -> str:
    messages, models = begun(strategy, MODEL, Nodes(6)), updates(6)
    replies = [reply(m, mine) for m, mine in zip(messages, models, strict=True)]
    replies[2] = make(messages[2], models[2])
    try:
        made, _ = strategy.aggregate_train(1, replies)
    except Exception as error:
        return f"**run ends**: {type(error).__name__}"
    if made is None:
        return "round lost"
    w = numbers(made)["w"].astype(np.float64)
    if not np.isfinite(w).all():
        return "**model not finite**"
    away = float(np.abs(w - np.mean([mine["w"] for mine in models], axis=0)).max())
    # Six honest updates of one deviation: their own mean, median or choice lies within 2.
    return "goes on" if away < 2 else f"**model off by {away:.0e}**"


def main() -> None:
    logging.disable(logging.CRITICAL)
    print("| reply | " + " | ".join(STRATEGIES) + " |")
    print("|---" * (1 + len(STRATEGIES)) + "|")
    for name, make in [*((name, case[0]) for name, case in CASES.items()), *MORE.items()]:
        cells = [outcome(fresh(), make) for fresh in STRATEGIES.values()]
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
