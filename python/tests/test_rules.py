"""Rules and stages over numpy: the same answers as the command's, whatever the rows came as."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import varangian
from varangian import rules, stages

ROWS = np.random.default_rng(7).normal(size=(11, 40)).astype(np.float32)


def command(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "varangian", *words], capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.mark.parametrize("text", ["krum", "nnm | trimmed-mean", "geometric-median", "arc | median"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_bits_are_those_of_the_command(tmp_path: Path, text: str, dtype: type) -> None:
    rows = ROWS.astype(dtype) * dtype(1.1)
    np.save(tmp_path / "rows.npy", rows)
    where = str(tmp_path / "rows.npy")
    told = json.loads(
        command("aggregate", "--rule", text, "--f", "2", "--input", where, "--json")
    )
    rule = varangian.rule(text, f=2)
    out = rule(rows)
    assert out.dtype == dtype
    assert out.tolist() == np.array(told["aggregate"], dtype=dtype).tolist()
    assert rule.verdict == told["evidence"]
    assert rule.weights == told["weights"]


def test_every_rule_and_stage_answers_or_says_what_it_needs() -> None:
    rows = np.random.default_rng(3).normal(size=(25, 12)).astype(np.float32)
    for name in rules.__all__:
        rule = getattr(rules, name)(f=2)
        if rule._its_handle.needs_oracle:
            with pytest.raises(ValueError, match="asks for the server's own data"):
                rule(rows)
            continue
        out = rule(rows)
        assert out.shape == (12,) and out.dtype == np.float32 and np.isfinite(out).all(), name
        assert eval(repr(rule), dict(vars(rules))).spec == rule.spec
    for name in stages.__all__:
        stage = getattr(stages, name)
        chain = (
            stage(f=2) | rules.Average()
            if stage._entry["facts"]["family"] == "pre-aggregation"
            else rules.Median(f=2) | stage()
        )
        assert np.isfinite(chain(rows)).all(), name


def test_a_chain_is_its_text() -> None:
    chain = stages.NNM(f=2) | rules.TrimmedMean(f=2)
    text = varangian.rule("nnm | trimmed-mean", f=2)
    assert (chain.spec, chain.f) == (text.spec, 2)
    assert chain(ROWS).tolist() == text(ROWS).tolist()
    with pytest.raises(ValueError, match="share one f"):
        _ = stages.NNM(f=1) | rules.TrimmedMean(f=2)
    mixed = stages.NNM(f=2)(ROWS)
    assert mixed.shape == ROWS.shape
    assert rules.TrimmedMean(f=2)(mixed).tolist() == pytest.approx(text(ROWS).tolist(), abs=1e-6)


def test_zeno_and_fltrust_take_what_the_server_knows() -> None:
    good = np.ones((3, 4), dtype=np.float32)
    rows = np.concatenate([good, -good])
    out = rules.Zeno(f=4)(rows, loss=lambda x: float((x + 1) @ (x + 1)), parameters=np.zeros(4))
    assert (out > 0).all()
    trusted = rules.FLTrust(f=3)(rows, server_gradient=np.ones(4))
    assert (trusted > 0).all()
    with pytest.raises(ZeroDivisionError):
        rules.Zeno(f=4)(rows, loss=lambda x: 1 / 0)


def test_weights_count_rows() -> None:
    rows = np.array([[1.0], [1.1], [0.9], [1000.0]], dtype=np.float32)
    out = rules.TrimmedMean(f=1)(rows, weights=[100, 100, 100, 5])
    assert 0.9 <= out[0] <= 1.1
    with pytest.raises(ValueError, match="weights"):
        rules.SMEA(f=1)(rows, weights=[1, 1, 1, 1])
    with pytest.raises(ValueError, match="one a row; got 3 for 4 rows"):
        rules.Median(f=1)(rows, weights=[1, 2, 3])


def test_memory_is_kept_copied_saved_and_forgotten() -> None:
    steps = [ROWS * k for k in (1, 2, 3)]
    rule = rules.CentredClipping(f=2)
    outs = [rule(rows) for rows in steps]
    rule.reset()
    first = rule(steps[0])
    assert first.tolist() == outs[0].tolist()
    for other in (copy.deepcopy(rule), rule.copy(), pickle.loads(pickle.dumps(rule))):
        assert other(steps[1]).tolist() == outs[1].tolist()
    fresh = type(rule)(f=2)
    fresh.load_state_dict(rule.state_dict())
    assert fresh(steps[1]).tolist() == outs[1].tolist()
    # None of them moved the one that was copied.
    assert rule(steps[1]).tolist() == outs[1].tolist()
    with pytest.raises(ValueError, match="this is the memory of"):
        rules.Median(f=2).load_state_dict(rule.state_dict())


def test_evidence_names_the_rows() -> None:
    rows = ROWS.copy()
    rows[3] = np.nan
    rows[10] = 1e6
    rule = varangian.rule("krum", f=2)
    rule(rows)
    found = rule.verdict
    assert [one["worker"] for one in found] == list(range(11))
    assert found[3]["verdict"] == "refused" and found[3]["reason"] == "NaN at coordinate 0"
    assert found[10]["verdict"] == "excluded" and found[10]["norm"] > 1e6
    assert rule.refused == [(3, "NaN at coordinate 0")]
    rows[0] *= -1
    with pytest.raises(RuntimeError, match="changed since the call"):
        rule.verdict  # noqa: B018


def test_what_comes_in_is_never_written_to() -> None:
    frozen = ROWS.copy()
    frozen.setflags(write=False)
    before = frozen.copy()
    for text in ("clipping c=0.1 | median", "arc | nnm | krum", "bucketing s=2 | average"):
        varangian.rule(text, f=2)(frozen)
    assert (frozen == before).all()


def test_threads_share_a_rule() -> None:
    rule = varangian.rule("nnm | geometric-median", f=2)
    wanted = rule(ROWS).tolist()
    failed: list[object] = []

    def work() -> None:
        for _ in range(50):
            if rule(ROWS).tolist() != wanted:
                failed.append("another answer")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


def test_draws_are_those_of_seed_and_step() -> None:
    rule = varangian.rule("bucketing s=2 | median", f=1)
    a, b = rule(ROWS, seed=1, step=0), rule(ROWS, seed=1, step=0)
    c = rule(ROWS, seed=2, step=0)
    assert a.tolist() == b.tolist() != c.tolist()
    # Without a step, calls count.
    rule.reset()
    assert rule(ROWS, seed=1).tolist() == a.tolist()
    assert rule(ROWS, seed=1).tolist() != a.tolist()
