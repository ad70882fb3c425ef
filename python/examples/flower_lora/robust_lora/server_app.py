"""The server: a robust rule, and how well the model does on samples of the server's."""

from __future__ import annotations

from flwr.app import ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp

from robust_lora import task
from varangian import flower

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    told = context.run_config
    nodes = int(told["min-nodes"])
    strategy = flower.RobustStrategy(
        str(told["rule"]), int(told["f"]), fraction_evaluate=0.0, min_train_nodes=nodes,
        min_available_nodes=nodes,
    )
    start = ArrayRecord(task.start())
    result = strategy.start(grid=grid, initial_arrays=start, num_rounds=int(told["num-server-rounds"]))
    print(f"accuracy {task.accuracy(result.arrays):.3f} after {told['num-server-rounds']} rounds")
