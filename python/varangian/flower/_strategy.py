"""A strategy for Flower that one hostile reply neither ends nor steers."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
from flwr.app import MetricRecord
from flwr.serverapp.strategy import FedAvg

from varangian._federated import _metrics
from varangian._federated._engine import Engine, Model, Options, Outcome
from varangian._federated._npy import Refused
from varangian._federated._optimisers import ServerOptimiser
from varangian._federated._weights import Given
from varangian._rule import Rule
from varangian._rule import rule as rule_of
from varangian.flower import _messages

log = logging.getLogger("flwr")


class RobustStrategy(FedAvg):
    """Federated training whose aggregate is that of a robust rule.

    A reply that breaks the protocol is refused, with a reason in the log and in the evidence, and
    never ends the run: other names, shapes or dtypes, two records, headers that lie, what is not
    finite, forged counts, two different replies of one node. What is refused so is proven hostile,
    and lowers f by one for the round. Errors and silence prove nothing. Where too few replies are
    left for the rule, the model is kept.

    Parameters
    ----------
    rule : str or Rule
        As in :func:`varangian.rule`: "trimmed-mean", "nnm | multi-krum".
    f : int, or a function of the number of nodes that replied
        How many nodes may be hostile.
    rows : "deltas" or "models"
        What the rule sees of each node: the model it returned less the one it was sent, or the
        model it returned.
    weights : "declared", dict or callable, optional
        How much each node counts: by node id, or a function of it, from the server's records; or as
        the replies claim under ``weighted_by_key``, within the bounds below. For rules that have a
        weighted form.
    weight_floor, weight_cap : float, optional
        Bounds on weights as multiples of the round's median weight; declared ones need a cap.
    momentum : float
        Told to the clients as ``momentum`` of their config, for :func:`momentum_mod`.
    server_optimiser : FedAvgM, FedAdam, FedYogi or FedAdagrad of this package, optional
        What is made of the aggregate; without one, it is added to the model.
    server_update : callable, optional
        For FLTrust: the model as arrays by name, to the same after training on the server's data.
    server_loss : callable, optional
        For Zeno: the model as arrays by name, to the loss on the server's data.
    evaluate_rule : str or Rule
        The rule that metrics are aggregated by, of those that replied.
    evidence : path, optional
        A file to which one JSON object a node and round is appended; ``varangian evidence`` reads it.
    checkpoint : path, optional
        A file that holds the last round that was closed.
    resume_from : path, optional
        A checkpoint to go on from: ``start`` then makes the rounds that are missing.
    seed : int
        Of rules that draw.
    **sampling
        As of Flower's FedAvg: fraction_train, min_train_nodes, weighted_by_key and so on.
    """

    def __init__(
        self,
        rule: str | Rule = "trimmed-mean",
        f: int | Callable[[int], int] | None = None,
        *,
        rows: str = "deltas",
        weights: Given = None,
        weight_floor: float | None = None,
        weight_cap: float | None = None,
        momentum: float = 0.0,
        server_optimiser: ServerOptimiser | None = None,
        server_update: Callable[[Model], Any] | None = None,
        server_loss: Callable[[Model], float] | None = None,
        evaluate_rule: str | Rule = "trimmed-mean",
        evidence: str | os.PathLike[str] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        resume_from: str | os.PathLike[str] | None = None,
        seed: int = 0,
        **sampling: Any,
    ) -> None:
        own = {key: sampling.get(key) for key in ("train_metrics_aggr_fn", "evaluate_metrics_aggr_fn")}
        super().__init__(**sampling)
        if not 0.0 <= momentum < 1.0:
            raise ValueError(f"momentum is at least 0 and below 1; got {momentum}")
        if server_optimiser is not None and not isinstance(server_optimiser, ServerOptimiser):
            raise ValueError(
                "server_optimiser is one of varangian.flower.FedAvgM, FedAdam, FedYogi, FedAdagrad; "
                f"got {server_optimiser!r}"
            )
        options = Options(
            rows=rows, weights=weights, weight_floor=weight_floor, weight_cap=weight_cap, seed=seed,
            server_optimiser=server_optimiser, server_update=server_update, server_loss=server_loss,
            evidence=evidence, checkpoint=checkpoint,
        )
        self.engine = Engine(rule, f, options)
        self._metrics_rule = rule_of(evaluate_rule, 0)
        if not self.engine.weights.equal:
            rule_of(evaluate_rule, 0)(np.arange(3.0)[:, None], [1.0, 1.0, 1.0])
        self.momentum, self.resume_from = momentum, resume_from
        self._own_metrics = own
        self._evaluated: list[int] = []
        self._done = 0
        #: What became of the last round.
        self.last: Outcome | None = None

    def summary(self) -> None:
        log.info("\t├──> Robust rule: %s", self.engine.rule.spec)
        super().summary()

    # Training.

    def configure_train(self, server_round: int, arrays: Any, config: Any, grid: Any) -> Any:
        number = self._done + server_round
        if self.momentum:
            config["momentum"] = float(self.momentum)
        messages = list(super().configure_train(number, arrays, config, grid))
        asked = [message.metadata.dst_node_id for message in messages]
        self.engine.begin(number, _messages.model_of(arrays), asked)
        return messages

    def aggregate_train(self, server_round: int, replies: Iterable[Any]) -> Any:
        engine, reports = self.engine, {}
        dtypes = {part.name: part.dtype for part in engine.layout.parts}
        contents: dict[int, Any] = {}
        for message in replies or []:
            node = _node(message)
            reason: str | None = None
            try:
                content = _content(message)
                record = _messages.sole(content, "array_records")
                reason = engine.offer(
                    node, list(record.keys()), _messages.reader(record),
                    partial(self._count, content),
                )
                contents[node] = content
            except Refused as error:
                reason = self._turned_away(node, error.reason, error.proven)
            except Exception as error:
                # Whatever a reply does, the run goes on; what we did not foresee proves nothing.
                reason = self._turned_away(node, f"{type(error).__name__}: {error}"[:200], False)
            if reason is not None:
                log.warning("round %d: reply of node %s refused: %s", engine.round, node, reason)
            else:
                try:
                    record = _messages.sole(contents[node], "metric_records")
                    reports[node] = _metrics.guarded(record, self.weighted_by_key)
                except Exception as error:
                    log.warning("round %d: metrics of node %s left out: %s", engine.round, node, error)
        outcome = self.last = engine.close()
        if outcome.kept is not None:
            log.warning("round %d: the model is kept: %s", outcome.round, outcome.kept)
        metrics = self._reported("train", outcome, reports, contents)
        metrics |= {
            "accepted": len(outcome.used), "refused": len(outcome.refused),
            "silent": len(outcome.silent), "kept-model": int(outcome.arrays is None),
        }
        made = None if outcome.arrays is None else _messages.record_of(outcome.arrays, dtypes)
        return made, MetricRecord(metrics)

    def _turned_away(self, node: Any, reason: str, proven: bool) -> str:
        try:
            self.engine._demand_asked(node)
        except Refused as error:
            reason, proven = error.reason, False
        return self.engine.refuse(node, reason, proven)

    def _count(self, content: Any) -> Any:
        record = _messages.sole(content, "metric_records")
        if self.weighted_by_key not in record:
            raise Refused(f"it declares no {self.weighted_by_key}")
        return record[self.weighted_by_key]

    def _reported(
        self, what: str, outcome: Outcome, reports: dict[int, Any], contents: dict[int, Any]
    ) -> dict[str, Any]:
        """The metrics of the nodes whose rows were used."""
        own = self._own_metrics[f"{what}_metrics_aggr_fn"]
        nodes = [node for node in outcome.used if node in reports]
        try:
            if own is not None:
                held = [contents[node] for node in outcome.used]
                return dict(own(held, self.weighted_by_key)) if held else {}
            weights = outcome.weights
            mine = None if weights is None else [weights[node] for node in nodes]
            return self._mixed([reports[node] for node in nodes], mine, outcome.f)
        except Exception as error:
            log.warning("round %d: metrics are left out: %s", outcome.round, error)
            return {}

    def _mixed(self, reports: list[Any], weights: list[float] | None, f: int) -> dict[str, Any]:
        return _metrics.aggregate(reports, weights, self._metrics_rule, f) if reports else {}

    # Evaluation.

    def configure_evaluate(self, server_round: int, arrays: Any, config: Any, grid: Any) -> Any:
        messages = list(super().configure_evaluate(self._done + server_round, arrays, config, grid))
        self._evaluated = [message.metadata.dst_node_id for message in messages]
        return messages

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Any]) -> Any:
        number, engine = self._done + server_round, self.engine
        reports: dict[int, Any] = {}
        contents: dict[int, Any] = {}
        weights: dict[int, float] = {}
        refused: dict[Any, bool] = {}
        for message in replies or []:
            node = _node(message)
            try:
                if self._evaluated and node not in self._evaluated:
                    raise Refused("it was not asked", proven=False)
                content = _content(message)
                report = _metrics.guarded(
                    _messages.sole(content, "metric_records"), self.weighted_by_key
                )
                weight = engine.weights.of(node, partial(self._count, content))
                if node in refused or (node in reports and reports[node] != report):
                    raise Refused("two different replies")
                reports[node], contents[node], weights[node] = report, content, weight
            except Exception as error:
                proves = error.proven if isinstance(error, Refused) else True
                refused[node] = proves or refused.get(node, False)
                for held in (reports, contents, weights):
                    held.pop(node, None)
                log.warning("round %d: evaluation of node %s refused: %s", number, node, error)
        if not reports:
            return None
        nodes, proven = sorted(reports), sum(refused.values())
        f = max(0, engine._f(len(nodes) + proven) - proven)
        bounded = engine.weights.bounded([weights[node] for node in nodes])
        outcome = Outcome(number, None, None, nodes, {}, [], f)
        outcome.weights = None if bounded is None else dict(zip(nodes, bounded, strict=True))
        metrics = self._reported("evaluate", outcome, reports, contents)
        return MetricRecord(metrics) if metrics else None

    # The run.

    def start(
        self,
        grid: Any,
        initial_arrays: Any,
        num_rounds: int = 3,
        timeout: float = 3600,
        train_config: Any = None,
        evaluate_config: Any = None,
        evaluate_fn: Callable[[int, Any], Any] | None = None,
    ) -> Any:
        """As Flower's ``start``; with ``resume_from`` it makes the rounds up to ``num_rounds`` that
        the checkpoint has not seen, under their own numbers. The result holds the last model."""
        if self.resume_from is not None:
            kept = self.engine.resume(self.resume_from, _messages.model_of(initial_arrays))
            names = {name: dtype for name, dtype, _ in kept.parts}
            held = {part[0]: array for part, array in zip(kept.parts, kept.arrays, strict=True)}
            initial_arrays = _messages.record_of(held, names)
            self._done = kept.round
            log.info("goes on after round %d", kept.round)

        def evaluate(number: int, arrays: Any) -> Any:
            assert evaluate_fn is not None
            return evaluate_fn(self._done + number, arrays)

        result = super().start(
            grid, initial_arrays, max(0, num_rounds - self._done), timeout, train_config,
            evaluate_config, None if evaluate_fn is None else evaluate,
        )
        if not result.arrays:
            result.arrays = initial_arrays
        if self._done:
            for name in (
                "train_metrics_clientapp", "evaluate_metrics_clientapp", "evaluate_metrics_serverapp",
            ):
                by_round = {self._done + k: value for k, value in getattr(result, name).items()}
                setattr(result, name, by_round)
        return result


def _node(message: Any) -> Any:
    try:
        return message.metadata.src_node_id
    except Exception:
        return None


def _content(message: Any) -> Any:
    if message.has_error():
        reason = str(getattr(message.error, "reason", ""))[:120]
        raise Refused(f"an error: {reason}", proven=False)
    return message.content



