"""ByzFL's names: its answers where they are right, ours where they are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from varangian import byzfl

X5 = np.array([[1, 1], [1.1, 1], [0.9, 1], [1, 1.1], [np.nan, 1]])
GOOD = X5[:4]
ROWS = np.random.default_rng(11).normal(size=(9, 5))


def near(found: Any, wanted: Any = (1, 1), apart: float = 0.2) -> bool:
    return bool(np.isfinite(found).all() and np.abs(np.asarray(found) - wanted).max() < apart)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "made",
    [
        byzfl.Krum(1), byzfl.MultiKrum(1), byzfl.CAF(1), byzfl.Median(), byzfl.Meamed(1),
        byzfl.GeometricMedian(), byzfl.TrMean(1), byzfl.MDA(1), byzfl.SMEA(1), byzfl.MoNNA(1, 0),
        byzfl.CenteredClipping(),
    ],
    ids=lambda made: type(made).__name__,
)
def test_a_row_that_is_not_finite_breaks_nothing(made: Any, bad: float) -> None:
    rows = X5.copy()
    rows[4, 0] = bad
    out = made(rows)
    assert out.dtype == np.float64 and near(out)


def test_an_outlier_ends() -> None:
    rows = np.random.default_rng(1).normal(size=(10, 4))
    rows[9] *= 1e6
    assert np.abs(byzfl.CAF(3)(rows)).max() < 3


@pytest.mark.parametrize("stage", [byzfl.Clipping(2.0), byzfl.ARC(1)])
def test_nothing_is_written_to(stage: Any) -> None:
    rows = ROWS * 10
    before = rows.copy()
    stage(rows)
    assert (rows == before).all()
    rows = X5.copy()
    rows[4, 0] = np.inf
    assert np.isfinite(stage(rows)).all()


def test_the_geometric_median_goes_with_the_rows() -> None:
    rows = np.array([[1.0, 2, 3], [4, 5, 6], [7, 8, 9]])
    assert near(byzfl.GeometricMedian()(rows), [4, 5, 6], 1e-6)
    moved = byzfl.GeometricMedian()(rows + 1000) - 1000
    assert near(moved, [4, 5, 6], 1e-6)


def test_the_same_rows_give_the_same_answer() -> None:
    rows = np.random.default_rng(2).normal(size=(7, 3))
    assert len({tuple(byzfl.SMEA(2)(rows)) for _ in range(5)}) == 1
    assert len({tuple(byzfl.CAF(2)(rows)) for _ in range(5)}) == 1
    equal = np.ones((5, 3))
    assert byzfl.SMEA(1)(equal).tolist() == [1, 1, 1] == byzfl.CAF()(equal).tolist()


def test_krum_counts_as_byzfl_does() -> None:
    # The paper's n − f − 2 neighbours choose 4.
    rows = np.array([[4.0], [12], [10], [0], [5]])
    assert byzfl.Krum(1)(rows).tolist() == [5]
    from varangian import rules

    assert rules.Krum(f=1)(rows).tolist() == [4]
    # Below n = 2f + 3.
    assert byzfl.Krum(1)(np.array([[0.0], [0.1], [9]])).tolist() in ([0.0], [0.1])


def test_centered_clipping_takes_m_and_remembers() -> None:
    clip = byzfl.CenteredClipping(m=np.full(5, 100.0), L=1, tau=1.0)
    first = clip(ROWS)
    assert np.linalg.norm(first - 100) == pytest.approx(1, abs=1e-4)
    assert np.linalg.norm(clip(ROWS) - first) == pytest.approx(1, abs=1e-4)


def test_attacks_return_one_vector() -> None:
    mean, deviation = ROWS.mean(axis=0), ROWS.std(axis=0, ddof=1)
    for attack, wanted in [
        (byzfl.SignFlipping(), -mean),
        (byzfl.InnerProductManipulation(2.0), -2 * mean),
        (byzfl.ALittleIsEnough(1.5), mean + 1.5 * deviation),
        (byzfl.Mimic(3), ROWS[3]),
    ]:
        assert attack(ROWS) == pytest.approx(wanted, abs=1e-5), attack
    assert np.isinf(byzfl.Inf()(ROWS)).all()
    assert byzfl.Gaussian(5.0, 0.1)(ROWS).mean() == pytest.approx(5, abs=1)
    assert byzfl.LabelFlipping()(list(ROWS)) == pytest.approx(mean)


def test_optimal_attacks_leave_the_aggregator_alone() -> None:
    clip = byzfl.CenteredClipping(tau=1.0)
    clip(ROWS)
    before = clip(ROWS).tolist()
    other = byzfl.CenteredClipping(tau=1.0)
    other(ROWS)
    byzfl.Optimal_ALittleIsEnough(other, [byzfl.NNM(2)], 2)(ROWS)
    assert other(ROWS).tolist() == before
    harm = byzfl.Optimal_InnerProductManipulation(byzfl.TrMean(2), f=2)(ROWS)
    assert harm.shape == (5,) and np.isfinite(harm).all()


def test_what_goes_in_and_is_wrong() -> None:
    assert byzfl.TrMean(1)([[1.0], [2.0], [3.0]]).tolist() == [2.0]
    assert byzfl.TrMean(1)(((1, 2), (2, 3), (3, 4))).tolist() == [2.0, 3.0]
    assert byzfl.Clipping(2)(np.array([[3, 4]] * 3)).tolist() == pytest.approx(
        np.array([[1.2, 1.6]] * 3)
    )
    with pytest.raises(TypeError, match="f must be an int"):
        byzfl.TrMean(1.0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="needs n ≥ 2f"):
        byzfl.TrMean(2)(ROWS[:4])
    assert byzfl.NNM(1)(list(ROWS)).shape == ROWS.shape
