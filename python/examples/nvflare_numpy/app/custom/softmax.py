"""Softmax regression over sites that draw their own data; hostile ones send ten times the opposite."""

from __future__ import annotations

from typing import Any

import numpy as np
from nvflare.apis.dxo import DXO, DataKind, MetaKey, from_shareable
from nvflare.apis.executor import Executor
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.shareable import make_reply
from nvflare.app_common.abstract.model import ModelLearnableKey, make_model_learnable
from nvflare.app_common.abstract.model_persistor import ModelPersistor

CLASSES, INPUTS, SAMPLES = 10, 64, 300


def samples(of: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    patterns = np.random.default_rng(0).normal(size=(CLASSES, INPUTS))
    rng = np.random.default_rng([1, of])
    labels = rng.integers(CLASSES, size=count)
    return (patterns[labels] + 2.0 * rng.normal(size=(count, INPUTS))).astype(np.float32), labels


def probabilities(model: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    scores = x @ model["weights"] + model["bias"]
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def accuracy(model: dict[str, np.ndarray]) -> float:
    x, y = samples(5000, 2000)
    return float((probabilities(model, x).argmax(axis=1) == y).mean())


class Start(ModelPersistor):
    """The model at the start, and its accuracy after each round."""

    def load_model(self, fl_ctx: Any) -> Any:
        weights = np.zeros((INPUTS, CLASSES), np.float32)
        return make_model_learnable({"weights": weights, "bias": np.zeros(CLASSES, np.float32)}, {})

    def save_model(self, model: Any, fl_ctx: Any) -> None:
        self.log_info(fl_ctx, f"accuracy {accuracy(model[ModelLearnableKey.WEIGHTS]):.3f}")


class Trainer(Executor):
    """One pass over the site's samples."""

    def __init__(self, hostile: Any = ()) -> None:
        super().__init__()
        self.hostile = list(hostile)

    def execute(self, task_name: str, shareable: Any, fl_ctx: Any, abort_signal: Any) -> Any:
        if task_name != "train":
            return make_reply(ReturnCode.TASK_UNKNOWN)
        site = fl_ctx.get_identity_name()
        sent = from_shareable(shareable).data
        x, y = samples(int(site.rsplit("-", 1)[-1]), SAMPLES)
        made = {name: np.array(array) for name, array in sent.items()}
        for batch in np.array_split(np.arange(len(y)), 10):
            p = probabilities(made, x[batch])
            p[np.arange(len(batch)), y[batch]] -= 1
            made["weights"] -= np.float32(0.1 / len(batch)) * (x[batch].T @ p)
            made["bias"] -= np.float32(0.1 / len(batch)) * p.sum(axis=0)
        if site in self.hostile:
            made = {name: sent[name] - 10 * (array - sent[name]) for name, array in made.items()}
        meta = {MetaKey.NUM_STEPS_CURRENT_ROUND: 10}
        return DXO(data_kind=DataKind.WEIGHTS, data=made, meta=meta).to_shareable()
