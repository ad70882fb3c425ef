"""The model, and data that every node draws itself: ten noisy patterns, one a class."""

from __future__ import annotations

import numpy as np

CLASSES, INPUTS, SAMPLES = 10, 64, 300


def samples(of: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    patterns = np.random.default_rng(0).normal(size=(CLASSES, INPUTS))
    rng = np.random.default_rng([1, of])
    labels = rng.integers(CLASSES, size=count)
    return (patterns[labels] + 2.0 * rng.normal(size=(count, INPUTS))).astype(np.float32), labels


def start() -> dict[str, np.ndarray]:
    return {
        "weights": np.zeros((INPUTS, CLASSES), np.float32), "bias": np.zeros(CLASSES, np.float32),
        "steps": np.zeros((), np.int64),
    }


def _probabilities(model: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    scores = x @ model["weights"] + model["bias"]
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def train(
    model: dict[str, np.ndarray], x: np.ndarray, y: np.ndarray, seed: int, rate: float = 0.1
) -> tuple[dict[str, np.ndarray], float]:
    made = {name: array.copy() for name, array in model.items()}
    losses = []
    for batch in np.array_split(np.random.default_rng(seed).permutation(len(y)), 10):
        p = _probabilities(made, x[batch])
        losses.append(-np.log(p[np.arange(len(batch)), y[batch]] + 1e-9).mean())
        p[np.arange(len(batch)), y[batch]] -= 1
        made["weights"] -= np.float32(rate / len(batch)) * (x[batch].T @ p)
        made["bias"] -= np.float32(rate / len(batch)) * p.sum(axis=0)
        made["steps"] += 1
    return made, float(np.mean(losses))


def accuracy(model: dict[str, np.ndarray], x: np.ndarray, y: np.ndarray) -> float:
    return float((_probabilities(model, x).argmax(axis=1) == y).mean())
