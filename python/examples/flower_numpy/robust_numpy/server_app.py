"""The server: a robust rule, a checkpoint a round, evidence of every node."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from flwr.app import Array, ArrayRecord, Context, MetricRecord
from flwr.serverapp import Grid, ServerApp

from robust_numpy import task
from varangian import flower

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    told = context.run_config
    out = Path(str(told["out"])) if told["out"] else None
    strategy = flower.RobustStrategy(
        str(told["rule"]), int(told["f"]), min_train_nodes=int(told["min-nodes"]),
        min_available_nodes=int(told["min-nodes"]), min_evaluate_nodes=2,
        evidence=out / "evidence.jsonl" if out else None,
        checkpoint=out / "round" if out else None,
        resume_from=str(told["resume-from"]) or None,
    )
    x, y = task.samples(5000, 2000)

    def evaluate(number: int, arrays: ArrayRecord) -> MetricRecord:
        model = {name: array.numpy() for name, array in arrays.items()}
        found = task.accuracy(model, x, y)
        if out:
            with (out / "accuracy.jsonl").open("a") as file:
                file.write(json.dumps({"round": number, "accuracy": found}) + "\n")
        return MetricRecord({"accuracy": found})

    result = strategy.start(
        grid=grid,
        initial_arrays=ArrayRecord({k: Array(np.asarray(v)) for k, v in task.start().items()}),
        num_rounds=int(told["num-server-rounds"]),
        timeout=float(told["timeout"]),
        evaluate_fn=evaluate,
    )
    model = {name: array.numpy() for name, array in result.arrays.items()}
    print(f"accuracy {task.accuracy(model, x, y):.3f} after {told['num-server-rounds']} rounds")
