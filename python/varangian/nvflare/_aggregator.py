"""An aggregator for NVFlare's workflows that one hostile site neither ends nor steers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from nvflare.apis.dxo import DXO, DataKind, MetaKey, from_shareable
from nvflare.apis.fl_constant import ReservedKey, ReturnCode
from nvflare.app_common.abstract.aggregator import Aggregator
from nvflare.app_common.app_constant import AppConstants

from varangian._federated._engine import Engine, Options, Outcome
from varangian._federated._npy import Refused


class RobustAggregator(Aggregator):
    """What sites send becomes rows of a robust rule.

    Sites send weights or differences of weights as arrays by name. What breaks the protocol is
    refused with a reason, is proven hostile, and lowers f by one for the round: other names, shapes
    or dtypes, what is not finite, forged counts, two different contributions. Where too few are
    left for the rule, the model is kept.

    Parameters
    ----------
    rule : str
        As in :func:`varangian.rule`.
    f : int
        How many sites may be hostile.
    weights : dict by site, or "declared", optional
        How much a site counts: by the server's records, or by the number of steps that it claims
        (NUM_STEPS_CURRENT_ROUND), within the bounds below.
    weight_floor, weight_cap : float, optional
        Bounds on weights as multiples of the round's median weight; declared ones need a cap.
    evidence : path, optional
        A file to which one JSON object a site and round is appended, with the site's number as
        ``worker`` and its name as ``site``.
    checkpoint : path, optional
        A file that holds the last round that was closed.
    seed : int
        Of rules that draw.
    """

    def __init__(
        self,
        rule: str = "trimmed-mean",
        f: int = 1,
        weights: Any = None,
        weight_floor: float | None = None,
        weight_cap: float | None = None,
        evidence: str | os.PathLike[str] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        # By these NVFlare writes a job's configuration.
        self.rule, self.f, self.weights, self.seed = rule, f, weights, seed
        self.weight_floor, self.weight_cap = weight_floor, weight_cap
        self.evidence, self.checkpoint = evidence, checkpoint
        self._sites: list[str] = []
        given = weights
        if isinstance(weights, Mapping):
            by_name = dict(weights)
            given = lambda number: by_name.get(self._sites[number], 0.0)  # noqa: E731
        self._engine = Engine(rule, f, Options(
            weights=given, weight_floor=weight_floor, weight_cap=weight_cap, seed=seed,
            evidence=evidence, checkpoint=checkpoint,
        ))
        self._engine.beside = lambda number: {"site": self._sites[number]}
        self._open = False
        self._kind = str(DataKind.WEIGHTS)
        #: What became of the last round.
        self.last: Outcome | None = None

    def reset(self, fl_ctx: Any) -> None:
        """Forgets what came in the round at hand."""
        self._open = False

    def accept(self, shareable: Any, fl_ctx: Any) -> bool:
        """Takes one site's contribution; answers whether the rule will see it."""
        name = str(shareable.get_peer_prop(key=ReservedKey.IDENTITY_NAME, default="?"))
        reason = self._offer(name, shareable, fl_ctx)
        if reason is not None:
            self.log_warning(fl_ctx, f"contribution of {name} refused: {reason}")
        return reason is None

    def _offer(self, name: str, shareable: Any, fl_ctx: Any) -> str | None:
        if not self._open:
            self._begin(fl_ctx)
        engine = self._engine
        if name not in self._sites:
            self._sites.append(name)
        site = self._sites.index(name)
        if site not in engine.asked:
            engine.asked.append(site)
        try:
            code = shareable.get_return_code()
            if code and code != ReturnCode.OK:
                raise Refused(f"an error: {code}"[:120], proven=False)
            round_of_it = shareable.get_cookie(AppConstants.CONTRIBUTION_ROUND)
            if round_of_it is not None and round_of_it != engine.round - 1:
                raise Refused(f"it is of round {round_of_it}"[:60], proven=False)
            dxo = from_shareable(shareable)
            if dxo.data_kind not in (DataKind.WEIGHTS, DataKind.WEIGHT_DIFF):
                raise Refused(f"its data kind is {str(dxo.data_kind)[:40]}")
            self._kind = dxo.data_kind
            if not isinstance(dxo.data, Mapping):
                raise Refused("it holds no arrays by name")
            return engine.offer(
                site, list(dxo.data), _reader(dxo.data), lambda: _claim(dxo),
                difference=dxo.data_kind == DataKind.WEIGHT_DIFF,
            )
        except Refused as error:
            return engine.refuse(site, error.reason, error.proven)
        except Exception as error:
            # Whatever a site sends, the run goes on.
            # What we did not foresee proves nothing.
            return engine.refuse(site, f"{type(error).__name__}: {error}"[:200], False)

    def aggregate(self, fl_ctx: Any) -> Any:
        """The new weights, or how they move, in the form in which the sites sent theirs."""
        if not self._open:
            self._begin(fl_ctx)
        engine = self._engine
        outcome = self.last = engine.close()
        self._open = False
        if outcome.kept is not None:
            self.log_warning(fl_ctx, f"the model is kept: {outcome.kept}")
        if self._kind == DataKind.WEIGHTS:
            data = outcome.arrays or engine.sent()
        else:
            data = engine.difference(outcome)
        return DXO(data_kind=self._kind, data=data).to_shareable()

    def _begin(self, fl_ctx: Any) -> None:
        learnable = fl_ctx.get_prop(AppConstants.GLOBAL_MODEL)
        held = (learnable or {}).get("weights")
        if not isinstance(held, Mapping) or not held:
            raise RuntimeError("the workflow has published no global model of arrays by name")
        model = {name: np.asarray(array) for name, array in held.items()}
        number = int(fl_ctx.get_prop(AppConstants.CURRENT_ROUND, 0) or 0)
        known = {name: (str(array.dtype), array) for name, array in model.items()}
        self._engine.begin(number + 1, known, self._asked(fl_ctx))
        self._open = True

    def _asked(self, fl_ctx: Any) -> list[int]:
        """The sites of the job, as far as the server says; others are met when they come."""
        try:
            names = sorted(client.name for client in fl_ctx.get_engine().get_clients())
        except Exception:
            names = []
        self._sites += [name for name in names if name not in self._sites]
        return [self._sites.index(name) for name in names]


def _claim(dxo: Any) -> Any:
    claimed = dxo.get_meta_prop(MetaKey.NUM_STEPS_CURRENT_ROUND)
    if claimed is None:
        raise Refused("it declares no NUM_STEPS_CURRENT_ROUND")
    return claimed.item() if isinstance(claimed, np.generic) else claimed


def _reader(data: Mapping[str, Any]) -> Any:
    def take(name: str, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
        array = data[name]
        if isinstance(array, np.generic):
            array = np.asarray(array)
        if type(array) is not np.ndarray:
            raise Refused(f"{name} is {type(array).__name__} and no array")
        if str(array.dtype) != dtype:
            raise Refused(f"{name} is {array.dtype}, wanted is {dtype}"[:120])
        if array.shape != shape:
            raise Refused(f"{name} has shape {array.shape}, wanted is {shape}"[:120])
        return array

    return take
