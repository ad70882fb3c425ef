"""Flower's records as names and arrays, without trusting them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord

from varangian._federated._npy import Refused, is_bfloat16, read, write


def model_of(record: Any) -> dict[str, tuple[str, np.ndarray]]:
    """The server's own arrays, with their dtypes' names."""
    return {name: (str(array.dtype), _own(name, array)) for name, array in record.items()}


def _own(name: str, array: Any) -> np.ndarray:
    made: np.ndarray = array.numpy()
    if made.dtype.kind not in "fiub" and not is_bfloat16(str(array.dtype)):
        raise ValueError(f"a model is of floats and whole numbers; {name} is {made.dtype}")
    return made


def record_of(arrays: Mapping[str, np.ndarray], dtypes: Mapping[str, str]) -> Any:
    """Arrays as Flower's record."""
    return ArrayRecord({
        name: Array(dtypes[name], tuple(array.shape), "numpy.ndarray", write(array))
        for name, array in arrays.items()
    })


def sole(content: Any, kind: str) -> Any:
    """The one ArrayRecord or MetricRecord of a reply."""
    records = getattr(content, kind)
    if len(records) != 1:
        raise Refused(f"{len(records)} records of {kind.removesuffix('_records')}s came, one is wanted")
    (record,) = records.values()
    return record


def reader(record: Any) -> Any:
    """What reads one array of a reply, by the dtype and shape that it must have."""

    def take(name: str, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
        array = record[name]
        stype, told = getattr(array, "stype", None), getattr(array, "shape", None)
        if stype != "numpy.ndarray":
            raise Refused(f"{name} is serialised as {str(stype)[:40]}")
        if getattr(array, "dtype", None) != dtype:
            raise Refused(f"{name} is {str(getattr(array, 'dtype', None))[:40]}, wanted is {dtype}")
        if not isinstance(told, tuple) or told != shape:
            raise Refused(f"{name} has shape {str(told)[:60]}, wanted is {shape}")
        try:
            return read(array.data, dtype, shape)
        except Refused as error:
            raise Refused(f"{name}: {error.reason}", error.proven) from error

    return take
