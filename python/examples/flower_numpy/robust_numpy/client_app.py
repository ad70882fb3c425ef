"""A node: honest, or hostile where the run's configuration says so."""

from __future__ import annotations

from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from robust_numpy import task
from varangian import flower


def drill(message: Message, context: Context, call_next: Any) -> Message:
    """Makes the first ``hostile`` nodes send what the attack has them send."""
    mine, hostile = int(context.node_config["partition-id"]), int(context.run_config["hostile"])
    if mine >= hostile:
        return call_next(message, context)
    attack = str(context.run_config["attack"])
    return flower.hostile_mod(attack, f=hostile, colluder=mine)(message, context, call_next)


app = ClientApp(mods=[drill])


def _model(message: Message) -> dict[str, np.ndarray]:
    return {name: array.numpy() for name, array in message.content["arrays"].items()}


@app.train()
def train(message: Message, context: Context) -> Message:
    mine = int(context.node_config["partition-id"])
    x, y = task.samples(mine, task.SAMPLES)
    number = int(message.content["config"]["server-round"])
    model, loss = task.train(_model(message), x, flower.labels(message, y, task.CLASSES), number)
    arrays = ArrayRecord({name: Array(np.asarray(array)) for name, array in model.items()})
    metrics = MetricRecord({"num-examples": len(y), "train_loss": loss})
    return Message(RecordDict({"arrays": arrays, "metrics": metrics}), reply_to=message)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    x, y = task.samples(1000 + int(context.node_config["partition-id"]), task.SAMPLES)
    found = task.accuracy(_model(message), x, y)
    metrics = MetricRecord({"num-examples": len(y), "accuracy": found})
    return Message(RecordDict({"metrics": metrics}), reply_to=message)
