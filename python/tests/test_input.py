"""Rows of every kind, and everything that is no row."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
import pytest

import varangian
from varangian import rules

ROWS = np.random.default_rng(5).normal(size=(7, 6)).astype(np.float32)
MEDIAN = np.median(ROWS, axis=0)


def median(rows: Any, **more: Any) -> Any:
    return rules.Median(f=2)(rows, **more)


def test_lists_tuples_and_nested_numbers() -> None:
    for rows in (list(ROWS), tuple(ROWS), [row.copy() for row in ROWS]):
        out = median(rows)
        assert out.dtype == np.float32 and out.tolist() == MEDIAN.tolist()
    out = median(ROWS.astype(np.float64).tolist())
    assert out.dtype == np.float64 and out == pytest.approx(MEDIAN)


def test_dtypes_come_back() -> None:
    half = median(ROWS.astype(np.float16))
    assert half.dtype == np.float16
    assert half.tolist() == np.median(ROWS.astype(np.float16), axis=0).tolist()
    whole = median(np.arange(21).reshape(7, 3))
    assert whole.dtype == np.float64 and whole.tolist() == [9, 10, 11]
    big = median(ROWS.astype(">f4"))
    assert big == pytest.approx(MEDIAN)


def test_float64_is_exact() -> None:
    # In float32 all of these are 1.
    rows = 1 + np.arange(7, dtype=np.float64).reshape(7, 1) * 1e-12
    assert median(rows)[0] == rows[3, 0]
    with pytest.raises(ValueError, match="computes in float32, and rounding would change"):
        varangian.rule("safeguard", f=2)(rows)
    # What float32 holds may come as float64.
    varangian.rule("safeguard", f=2)(ROWS.astype(np.float64))


def test_views_need_not_be_packed() -> None:
    wide = np.asfortranarray(ROWS)
    assert median(wide).tolist() == MEDIAN.tolist()
    assert median(np.repeat(ROWS, 2, axis=1)[:, ::2]).tolist() == MEDIAN.tolist()
    assert median(ROWS[::-1]).tolist() == MEDIAN.tolist()
    assert median(np.broadcast_to(ROWS[0], (7, 6))).tolist() == ROWS[0].tolist()


def test_structures_come_back() -> None:
    def tree(row: np.ndarray) -> dict[str, Any]:
        return OrderedDict(
            [("a.weight", row[:4].reshape(2, 2)), ("b", [row[4:5], (row[5:6],)]), ("count", np.int64(9))]
        )

    out = median([tree(row) for row in ROWS])
    assert type(out) is OrderedDict and list(out) == ["a.weight", "b", "count"]
    assert out["a.weight"].shape == (2, 2)
    assert out["a.weight"].ravel().tolist() == MEDIAN[:4].tolist()
    assert out["b"][0].tolist() == MEDIAN[4:5].tolist() and isinstance(out["b"][1], tuple)
    # The order of a dict's keys is none of its meaning.
    turned = [tree(row) for row in ROWS]
    turned[2] = OrderedDict(reversed(turned[2].items()))
    assert median(turned)["a.weight"].tolist() == out["a.weight"].tolist()


class Reader:
    """An array of somebody else's."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __dlpack__(self, **more: Any) -> Any:
        return self.array.__dlpack__()

    def __dlpack_device__(self) -> Any:
        return self.array.__dlpack_device__()


def test_anything_with_dlpack() -> None:
    assert median(Reader(ROWS.copy())).tolist() == MEDIAN.tolist()


@pytest.mark.parametrize(
    ("rows", "error", "text"),
    [
        (ROWS[0], ValueError, r"rows are an \(n, d\) matrix.*got shape \(6,\)"),
        (ROWS.reshape(7, 2, 3), ValueError, r"got shape \(7, 2, 3\)"),
        (np.float32(3), TypeError, "rows are a matrix or a list"),
        (3.0, TypeError, "rows are a matrix or a list"),
        ("rows", TypeError, "rows are a matrix or a list"),
        ({"a": ROWS}, TypeError, "got dict"),
        (None, TypeError, "got NoneType"),
        ([], ValueError, "got an empty list"),
        (np.zeros((0, 4), np.float32), ValueError, "n = 0, d = 4"),
        (np.zeros((7, 0), np.float32), ValueError, "n = 7, d = 0"),
        ([[1.0, 2.0], [1.0]], ValueError, r"got lengths \[1, 2\]"),
        ([1.0, 2.0], ValueError, "got one vector"),
        ([np.zeros(3), np.zeros(4)], ValueError, r"row 1 has shape \(4,\)"),
        ([{"a": ROWS}, {"b": ROWS}], ValueError, "row 1 has no a, which row 0 has"),
        ([{"a": ROWS[0]}, {"a": ROWS[0], "b": ROWS[0]}], ValueError, "row 1 has 2 arrays"),
        ([{"a": object()}] * 7, TypeError, "got object at a"),
        (ROWS.astype(object), TypeError, "dtype object"),
        (ROWS.astype(complex), TypeError, "dtype complex128"),
        (np.array([["a"]] * 7), TypeError, "dtype <U1"),
        (np.ma.masked_array(ROWS), TypeError, "masked array"),
        ([{"steps": np.int64(2**40)}] * 7, ValueError, "no float32"),
        (ROWS[:4], ValueError, "median needs n ≥ 2f \\+ 1; got n = 4, f = 2"),
    ],
)
def test_what_is_no_row_is_refused(rows: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        median(rows)


def test_n_and_f_are_the_commands_words() -> None:
    with pytest.raises(ValueError, match=r"krum needs n ≥ 2f \+ 3; got n = 7, f = 3"):
        rules.Krum(f=3)(ROWS)
    with pytest.raises(ValueError, match="needs f below n"):
        rules.Median(f=9)(ROWS)
    with pytest.raises(ValueError, match="how many rows may be hostile"):
        rules.Median()(ROWS)
    with pytest.raises(TypeError, match="f is a whole number; got 1.5"):
        rules.Median(f=1.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="f is 0 to"):
        rules.Median(f=-1)
    assert rules.Average()(ROWS) == pytest.approx(ROWS.mean(axis=0), abs=1e-6)


def test_words_that_are_wrong_are_guessed() -> None:
    with pytest.raises(ValueError, match='unknown rule "krumm"; did you mean "krum"'):
        varangian.rule("krumm", f=1)
    with pytest.raises(TypeError, match="Krum has no parameter 'm'; its parameters: "):
        rules.Krum(f=1, m=3)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="one of"):
        rules.Krum(f=1, variant="mine")  # type: ignore[arg-type]


def test_rows_that_are_not_finite_count_as_hostile() -> None:
    rows = ROWS.copy()
    rows[1, 3], rows[4, 0] = np.inf, np.nan
    out = median(rows)
    assert out.tolist() == np.median(rows[[0, 2, 3, 5, 6]], axis=0).tolist()
    rows[5] = np.nan
    with pytest.raises(ValueError, match="at most f = 2 rows may be hostile; 3 are not finite: 1, 4, 5"):
        median(rows)
