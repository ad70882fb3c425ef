"""Data sets from Python: arrays of samples, or what has a length and samples."""

from __future__ import annotations

from typing import Any

import numpy as np

from varangian import _arrays, _core


class Dataset:
    """A training and a test split as arrays, for experiments.

    Parameters
    ----------
    train, test : (inputs, targets), or a torch ``Dataset`` of such pairs
        ``inputs`` is samples × features or samples × channels × height × width; ``targets`` is a
        class from 0 a sample, or real numbers for regression.
    classes : int, optional
        The number of classes; by default one more than the greatest label. 0 for regression.
    name : str
        What experiments and results call it.

    Examples
    --------
    >>> import numpy, varangian
    >>> x = numpy.random.default_rng(1).normal(size=(200, 5))
    >>> y = (x[:, 0] > 0).astype(int)
    >>> varangian.Dataset((x[:150], y[:150]), (x[150:], y[150:]))
    Dataset('arrays': 150 + 50 samples of 5, 2 classes)
    """

    def __init__(
        self, train: Any, test: Any, *, classes: int | None = None, name: str = "arrays"
    ) -> None:
        self.name = name
        self._train, self._test = _pair(train, "train"), _pair(test, "test")
        whole = self._train[1].dtype.kind in "iu"
        if whole != (self._test[1].dtype.kind in "iu"):
            raise TypeError("targets of train and test are both classes or both real numbers")
        if classes and not whole:
            kind = self._train[1].dtype
            raise ValueError(f"targets of {classes} classes are whole numbers; got {kind}")
        if whole and classes == 0:
            self._train, self._test = (
                (x, y.astype(np.float32)) for x, y in (self._train, self._test)
            )
        if classes is None and whole and not (len(self._train[1]) and len(self._test[1])):
            raise ValueError("train and test have no samples")
        if classes is None:
            classes = int(max(part[1].max() for part in (self._train, self._test))) + 1 if whole else 0
        self.classes = classes
        self._own = _core.dataset(name, self._train, self._test, classes)

    def __repr__(self) -> str:
        (train, _), (test, _) = self._train, self._test
        kind = f"{self.classes} classes" if self.classes else "real targets"
        shape = " × ".join(str(k) for k in train.shape[1:])
        return f"Dataset({self.name!r}: {len(train)} + {len(test)} samples of {shape}, {kind})"


def _pair(part: Any, which: str) -> tuple[np.ndarray, np.ndarray]:
    if not isinstance(part, (tuple, list)) and hasattr(part, "__getitem__") and hasattr(part, "__len__"):
        samples = [part[i] for i in range(len(part))]
        if not samples:
            raise ValueError(f"{which}: there are no samples")
        part = (
            np.stack([_array(x, which) for x, _ in samples]),
            np.stack([np.asarray(_number(y)) for _, y in samples]),
        )
    try:
        inputs, targets = part
    except (TypeError, ValueError) as error:
        raise TypeError(f"{which} is (inputs, targets); got {type(part).__name__}") from error
    inputs = np.ascontiguousarray(_array(inputs, which), dtype=np.float32)
    targets = np.asarray(_number(targets))
    if targets.dtype.kind in "iub":
        targets = np.ascontiguousarray(targets, dtype=np.int64)
    elif targets.dtype.kind == "f":
        targets = np.ascontiguousarray(targets, dtype=np.float32)
    else:
        raise TypeError(f"{which}: targets are numbers; got dtype {targets.dtype}")
    return inputs, targets


def _array(x: Any, which: str) -> np.ndarray:
    return _arrays.of_leaf(x, f"{which}: inputs") if _arrays.is_leaf(x) else np.asarray(x)


def _number(y: Any) -> Any:
    return y.detach().cpu().numpy() if _arrays.is_tensor(y) else y
