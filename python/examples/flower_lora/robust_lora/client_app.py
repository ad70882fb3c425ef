"""A node: honest, or hostile where the run's configuration says so."""

from __future__ import annotations

from typing import Any

from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from robust_lora import task
from varangian import flower


def drill(message: Message, context: Context, call_next: Any) -> Message:
    """Makes the first ``hostile`` nodes send what the attack has them send."""
    mine, hostile = int(context.node_config["partition-id"]), int(context.run_config["hostile"])
    if mine >= hostile:
        return call_next(message, context)
    attack = str(context.run_config["attack"])
    return flower.hostile_mod(attack, f=hostile, colluder=mine)(message, context, call_next)


app = ClientApp(mods=[drill])


@app.train()
def train(message: Message, context: Context) -> Message:
    mine = int(context.node_config["partition-id"])
    arrays, count = task.train(message.content["arrays"], mine)
    content = {"arrays": ArrayRecord(arrays), "metrics": MetricRecord({"num-examples": count})}
    return Message(RecordDict(content), reply_to=message)
