"""The aggregator for NVFlare, against contributions made by hand, and in its simulator."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("nvflare.app_common.abstract.aggregator")

from nvflare.apis.dxo import DXO, DataKind, MetaKey  # noqa: E402
from nvflare.apis.fl_constant import ReservedKey, ReturnCode  # noqa: E402
from nvflare.apis.fl_context import FLContext  # noqa: E402
from nvflare.app_common.app_constant import AppConstants  # noqa: E402

import varangian  # noqa: E402
from varangian.nvflare import RobustAggregator  # noqa: E402

JOB = Path(__file__).parents[1] / "examples" / "nvflare_numpy"
MODEL = {"w": np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3), "n": np.array(5)}


def round_of(number: int = 0) -> Any:
    context = FLContext()
    context.set_prop(AppConstants.GLOBAL_MODEL, {"weights": MODEL}, private=True, sticky=False)
    context.set_prop(AppConstants.CURRENT_ROUND, number, private=True, sticky=False)
    return context


def contribution(site: str, data: Any, kind: Any = DataKind.WEIGHTS, **meta: Any) -> Any:
    made = DXO(data_kind=kind, data=data, meta={MetaKey.NUM_STEPS_CURRENT_ROUND: 3, **meta})
    shareable = made.to_shareable()
    shareable.set_peer_props({ReservedKey.IDENTITY_NAME: site})
    return shareable


def honest(n: int) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    return [
        {"w": (MODEL["w"] + rng.normal(size=(2, 3))).astype(np.float32), "n": np.array(5 + k)}
        for k in range(n)
    ]


@pytest.mark.parametrize("kind", [DataKind.WEIGHTS, DataKind.WEIGHT_DIFF])
def test_hostile_sites_are_refused_and_steer_nothing(kind: str, tmp_path: Path) -> None:
    lies: dict[str, Any] = {
        "names": {"v": MODEL["w"], "n": MODEL["n"]}, "shape": {**MODEL, "w": MODEL["w"].T},
        "dtype": {**MODEL, "w": MODEL["w"].astype(float)}, "nan": {**MODEL, "w": MODEL["w"] * np.nan},
        "objects": {**MODEL, "w": np.full((2, 3), None)}, "list": {**MODEL, "w": [[0.0] * 3] * 2},
        "text": {**MODEL, "w": "w"},
    }
    for name, lie in lies.items():
        file, context = tmp_path / name, round_of()
        aggregator = RobustAggregator("nnm | trimmed-mean", 1, evidence=file)
        models = honest(5)
        given = [
            one if kind == DataKind.WEIGHTS else {k: v - MODEL[k] for k, v in one.items()}
            for one in models
        ]
        for k, one in enumerate(given):
            assert aggregator.accept(contribution(f"site-{k}", one, kind), context)
        assert not aggregator.accept(contribution("liar", lie, kind), context), name
        aggregator.aggregate(context)
        last = aggregator.last
        assert last is not None and last.f == 0 and len(last.used) == 5
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        assert [line["site"] for line in lines] == [*(f"site-{k}" for k in range(5)), "liar"]
        assert lines[5]["verdict"] == "refused"


@pytest.mark.parametrize("kind", [DataKind.WEIGHTS, DataKind.WEIGHT_DIFF])
def test_the_answer_has_the_bits_of_the_rule(kind: str) -> None:
    from nvflare.apis.dxo import from_shareable

    context, models = round_of(), honest(5)
    aggregator = RobustAggregator("median", 1)
    rows = np.stack([(one["w"] - MODEL["w"]).ravel() for one in models])
    for k, one in enumerate(models):
        sent = one if kind == DataKind.WEIGHTS else {"w": rows[k].reshape(2, 3), "n": np.array(k)}
        assert aggregator.accept(contribution(f"site-{k}", sent, kind), context)
    made = from_shareable(aggregator.aggregate(context)).data
    expected = varangian.rule("median", f=1)(rows).reshape(2, 3)
    whole = 7 if kind == DataKind.WEIGHTS else 2
    if kind == DataKind.WEIGHTS:
        expected = MODEL["w"] + expected
    assert made["w"].tobytes() == expected.tobytes() and made["n"] == whole


def test_errors_late_ones_and_few_ones_keep_the_model() -> None:
    from nvflare.apis.dxo import from_shareable

    context, models = round_of(3), honest(3)
    aggregator = RobustAggregator("krum", 1)
    late = contribution("late", models[0])
    late.add_cookie(AppConstants.CONTRIBUTION_ROUND, 2)
    broken = contribution("broken", models[1])
    broken.set_return_code(ReturnCode.EXECUTION_EXCEPTION)
    assert not aggregator.accept(late, context) and not aggregator.accept(broken, context)
    assert aggregator.accept(contribution("site", models[2]), context)
    made = from_shareable(aggregator.aggregate(context)).data
    assert made["w"].tobytes() == MODEL["w"].tobytes()
    assert aggregator.last is not None and aggregator.last.f == 1 and aggregator.last.kept


def test_weights_are_by_site_or_declared_and_capped() -> None:
    context, models = round_of(), honest(5)
    for weights, cap in (({f"site-{k}": k + 1.0 for k in range(5)}, None), ("declared", 2.0)):
        aggregator = RobustAggregator("trimmed-mean", 1, weights, weight_cap=cap)
        for k, one in enumerate(models):
            claim = 10**9 if k == 4 else k + 1
            shareable = contribution(f"site-{k}", one, **{MetaKey.NUM_STEPS_CURRENT_ROUND: claim})
            assert aggregator.accept(shareable, context)
        aggregator.aggregate(context)
        last = aggregator.last
        assert last is not None and last.weights is not None
        assert list(last.weights.values()) == [1, 2, 3, 4, 5 if cap is None else 6]
    with pytest.raises(ValueError, match="weight_cap"):
        RobustAggregator("trimmed-mean", 1, "declared")


def test_the_job_runs_in_the_simulator(tmp_path: Path) -> None:
    words = ["-m", "nvflare.private.fed.app.simulator.simulator", str(JOB), "-w", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, *words, "-n", "5", "-t", "5"], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    lines = [json.loads(line) for path in tmp_path.rglob("evidence.jsonl")
             for line in path.read_text().splitlines()]
    assert lines, done.stdout[-3000:]
