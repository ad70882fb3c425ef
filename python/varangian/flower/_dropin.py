"""Strategies under Flower's names and signatures, on our rules and behind our guards."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar

from varangian.flower._strategy import RobustStrategy

_NODES = (
    "fraction_train", "fraction_evaluate", "min_train_nodes", "min_evaluate_nodes",
    "min_available_nodes",
)
_KEYS = (
    "weighted_by_key", "arrayrecord_key", "configrecord_key", "train_metrics_aggr_fn",
    "evaluate_metrics_aggr_fn",
)


class DropIn(RobustStrategy):
    """What the strategies of Flower's names share: arguments in Flower's order.

    Every argument of :class:`RobustStrategy` but rule and f may follow by name. Unlike Flower's,
    they let no client choose its weight: give ``weights=`` where nodes count differently.
    """

    #: Flower's own arguments, in its order, and the defaults of those that are this strategy's.
    _order: ClassVar[tuple[str, ...]] = (*_NODES, *_KEYS)
    _defaults: ClassVar[dict[str, Any]] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        name = type(self).__name__
        if len(args) > len(self._order):
            raise TypeError(f"{name} takes {len(self._order)} arguments by place; got {len(args)}")
        given = dict(zip(self._order, args, strict=False))
        twice = sorted(given.keys() & kwargs.keys())
        if twice:
            raise TypeError(f"{name} got {twice[0]} by place and by name")
        given |= kwargs
        mine = {key: given.pop(key, default) for key, default in self._defaults.items()}
        for key in ("rule", "f"):
            if key in given:
                raise TypeError(f"{name} is a rule already: RobustStrategy takes {key}")
        rule, f = self._rule(**mine)
        for key, value in mine.items():
            setattr(self, key, value)
        super().__init__(rule, f, **given)

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        cls.__signature__ = inspect.Signature([  # type: ignore[attr-defined]
            *(inspect.Parameter(name, kind, default=cls._defaults.get(name)) for name in cls._order),
            inspect.Parameter("robust", inspect.Parameter.VAR_KEYWORD),
        ])

    def _rule(self, **mine: Any) -> tuple[str, int | Callable[[int], int]]:
        raise NotImplementedError


class Krum(DropIn):
    """The model of least Krum score; n ≥ 2·num_malicious_nodes + 3 replies."""

    _order = (*_NODES, "num_malicious_nodes", *_KEYS)
    _defaults: ClassVar[dict[str, Any]] = {"num_malicious_nodes": 0}

    def _rule(self, **mine: Any) -> tuple[str, int]:
        return "krum", mine["num_malicious_nodes"]


class MultiKrum(DropIn):
    """The mean of the models of least Krum score."""

    _order = (*_NODES, "num_malicious_nodes", "num_nodes_to_select", *_KEYS)
    _defaults: ClassVar[dict[str, Any]] = {"num_malicious_nodes": 0, "num_nodes_to_select": 1}

    def _rule(self, **mine: Any) -> tuple[str, int]:
        return f"multi-krum m={mine['num_nodes_to_select']}", mine["num_malicious_nodes"]


class Bulyan(DropIn):
    """Bulyan; n ≥ 4·num_malicious_nodes + 3 replies."""

    _order = (*_NODES, "num_malicious_nodes", *_KEYS, "selection_rule")
    _defaults: ClassVar[dict[str, Any]] = {"num_malicious_nodes": 0, "selection_rule": None}

    def _rule(self, **mine: Any) -> tuple[str, int]:
        if mine["selection_rule"] is not None:
            raise ValueError('selection_rule is Krum\'s; RobustStrategy("bulyan …") has variants')
        return "bulyan", mine["num_malicious_nodes"]


class FedMedian(DropIn):
    """The coordinate-wise median of whoever replied; fewer than half of them may be hostile."""

    def _rule(self, **mine: Any) -> tuple[str, Callable[[int], int]]:
        return "median", lambda n: max(0, (n - 1) // 2)


class FedTrimmedAvg(DropIn):
    """The mean of each coordinate without the share ``beta`` of the largest and of the smallest."""

    _order = (*_NODES, *_KEYS, "beta")
    _defaults: ClassVar[dict[str, Any]] = {"beta": 0.2}

    def _rule(self, **mine: Any) -> tuple[str, Callable[[int], int]]:
        beta = mine["beta"]
        if isinstance(beta, bool) or not isinstance(beta, (int, float)) or not 0.0 <= beta < 0.5:
            raise ValueError(f"beta is at least 0 and below 0.5; got {beta!r}")
        return "trimmed-mean", lambda n: int(beta * n)


class FLTrust(RobustStrategy):
    """Updates rescaled to the server's own, weighted by how far they point along it.

    Parameters
    ----------
    server_update : callable
        The model as arrays by name, to the same after training on the server's data.
    num_malicious_nodes : int
        How many nodes may be hostile; any number may.
    """

    def __init__(self, server_update: Any, num_malicious_nodes: int = 0, **kwargs: Any) -> None:
        super().__init__("fltrust", num_malicious_nodes, server_update=server_update, **kwargs)


class Zeno(RobustStrategy):
    """The mean of the n − b updates that lower the loss on the server's data most.

    Parameters
    ----------
    server_loss : callable
        The model as arrays by name, to the loss on the server's data.
    num_malicious_nodes : int
        b: how many updates are left out.
    rho : float, optional
        The weight of the penalty on an update's squared length.
    """

    def __init__(
        self, server_loss: Any, num_malicious_nodes: int = 0, rho: float | None = None, **kwargs: Any
    ) -> None:
        rule = "zeno" if rho is None else f"zeno rho={rho}"
        super().__init__(rule, num_malicious_nodes, server_loss=server_loss, **kwargs)
