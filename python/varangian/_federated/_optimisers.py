"""What a server makes of the aggregate: a step along it, with a memory or without.

The formulas are those of Flower's strategies of the same names (Reddi et al. 2021, Adaptive
Federated Optimization, arXiv 2003.00295; Hsu et al. 2019, arXiv 1909.06335), so that a run changes
its rule and nothing else.
"""

from __future__ import annotations

from typing import Any

import numpy as np


class ServerOptimiser:
    """Turns the aggregate of a round, by how much the model should move, into the step."""

    _state: dict[str, np.ndarray]

    def __init__(self) -> None:
        self._state = {}

    def step(self, delta: np.ndarray, number: int) -> np.ndarray:
        """What is added to the model in round ``number``, from 1."""
        raise NotImplementedError

    def state(self) -> dict[str, np.ndarray]:
        """What it remembers."""
        return dict(self._state)

    def load(self, state: dict[str, np.ndarray], d: int) -> None:
        """Takes up what :meth:`state` gave of a model of d numbers."""
        for name, value in state.items():
            if value.shape != (d,):
                raise ValueError(f"the optimiser's {name} has d = {d} numbers; found {value.shape}")
        self._state = dict(state)

    def _held(self, name: str, like: np.ndarray) -> np.ndarray:
        held = self._state.get(name)
        return np.zeros_like(like) if held is None else held


class FedAvgM(ServerOptimiser):
    """Momentum at the server: v ← momentum·v + Δ, θ ← θ + server_learning_rate·v."""

    def __init__(self, server_learning_rate: float = 1.0, server_momentum: float = 0.0) -> None:
        super().__init__()
        self.rate = _positive(server_learning_rate, "server_learning_rate")
        self.momentum = _share(server_momentum, "server_momentum")

    def step(self, delta: np.ndarray, number: int) -> np.ndarray:
        moved = delta.dtype.type(self.momentum) * self._held("momentum", delta) + delta
        self._state["momentum"] = moved
        answer: np.ndarray = delta.dtype.type(self.rate) * moved
        return answer


class FedAdam(ServerOptimiser):
    """Adam at the server, with the bias corrected as Flower corrects it."""

    _bias = True

    def __init__(
        self, eta: float = 0.1, beta_1: float = 0.9, beta_2: float = 0.99, tau: float = 1e-3
    ) -> None:
        super().__init__()
        self.eta, self.tau = _positive(eta, "eta"), _positive(tau, "tau")
        self.beta_1, self.beta_2 = _share(beta_1, "beta_1"), _share(beta_2, "beta_2")

    def step(self, delta: np.ndarray, number: int) -> np.ndarray:
        kind = delta.dtype.type
        first = kind(self.beta_1) * self._held("first", delta) + kind(1 - self.beta_1) * delta
        second = self._second(self._held("second", delta), delta)
        self._state["first"], self._state["second"] = first, second
        rate = self.eta
        if self._bias:
            rate *= float(np.sqrt(1 - self.beta_2 ** (number + 1.0)))
            rate /= 1 - self.beta_1 ** (number + 1.0)
        answer: np.ndarray = kind(rate) * first / (np.sqrt(second) + kind(self.tau))
        return answer

    def _second(self, second: np.ndarray, delta: np.ndarray) -> np.ndarray:
        kind, beta = delta.dtype.type, self.beta_2
        answer: np.ndarray = kind(beta) * second + kind(1 - beta) * delta**2
        return answer


class FedYogi(FedAdam):
    """Yogi at the server."""

    _bias = False

    def __init__(
        self, eta: float = 0.01, beta_1: float = 0.9, beta_2: float = 0.99, tau: float = 1e-3
    ) -> None:
        super().__init__(eta, beta_1, beta_2, tau)

    def _second(self, second: np.ndarray, delta: np.ndarray) -> np.ndarray:
        kind, square = delta.dtype.type, delta**2
        answer: np.ndarray = second - kind(1 - self.beta_2) * square * np.sign(second - square)
        return answer


class FedAdagrad(FedAdam):
    """Adagrad at the server."""

    _bias = False

    def __init__(self, eta: float = 0.1, tau: float = 1e-3) -> None:
        super().__init__(eta, 0.0, 0.0, tau)

    def _second(self, second: np.ndarray, delta: np.ndarray) -> np.ndarray:
        answer: np.ndarray = second + delta**2
        return answer


def _positive(x: Any, what: str) -> float:
    if isinstance(x, bool) or not isinstance(x, (int, float)) or not 0 < x < float("inf"):
        raise ValueError(f"{what} is a number above 0; got {x!r}")
    return float(x)


def _share(x: Any, what: str) -> float:
    if isinstance(x, bool) or not isinstance(x, (int, float)) or not 0 <= x < 1:
        raise ValueError(f"{what} is at least 0 and below 1; got {x!r}")
    return float(x)
