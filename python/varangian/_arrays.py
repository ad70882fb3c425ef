"""Rows of any library, dtype and structure as one matrix, and answers back in the same.

Nothing that comes in is written to. A contiguous float32 or float64 matrix, of numpy or of torch on
the CPU, is not copied.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from numbers import Number
from types import GeneratorType
from typing import Any

import numpy as np

Restore = Callable[[np.ndarray], Any]

# Above these, whole numbers are no float32, and no float64.
_EXACT = 2**24
_WHOLE = 2**53


def _torch() -> Any:
    """torch where it is imported already: nobody has a tensor without it."""
    return sys.modules.get("torch")


def is_tensor(x: Any) -> bool:
    torch = _torch()
    return torch is not None and isinstance(x, torch.Tensor)


def is_leaf(x: Any) -> bool:
    """Whether something is an array of any library."""
    return isinstance(x, np.ndarray) or is_tensor(x) or hasattr(x, "__dlpack__")


def of_tensor(x: Any, what: str) -> np.ndarray:
    """A torch tensor as numpy, without a copy where that can be."""
    torch = _torch()
    if x.requires_grad and not isinstance(x, torch.nn.Parameter):
        raise ValueError(
            f"{what} requires grad, and aggregation is not differentiated: pass it detached"
        )
    if x.layout is not torch.strided:
        raise TypeError(f"{what} is dense; got {x.layout}")
    x = x.detach()
    if x.is_complex():
        raise TypeError(f"{what} holds real numbers; got {x.dtype}")
    if x.dtype in (torch.float16, torch.bfloat16):
        x = x.float()
    elif x.dtype not in (torch.float32, torch.float64):
        if x.is_floating_point():
            raise TypeError(f"{what} is float16, bfloat16, float32 or float64; got {x.dtype}")
        whole: np.ndarray = x.cpu().numpy()
        return of_array(whole, what)
    array: np.ndarray = x.cpu().resolve_neg().contiguous().numpy()
    return np.require(array, requirements=["C", "A"])


def of_array(x: np.ndarray, what: str) -> np.ndarray:
    """A numpy array as float32 or float64, packed row by row, in the machine's byte order."""
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError(f"{what} is a masked array; rows have no masks")
    kind = x.dtype.kind
    if kind not in "fiub" or x.dtype.itemsize > 8:
        raise TypeError(f"{what} holds real numbers of at most 64 bits; got dtype {x.dtype}")
    if kind in "iu" and x.dtype.itemsize == 8 and x.size:
        # Compared as Python's own numbers: their absolute value has no end.
        if max(int(x.max()), -int(x.min())) > _WHOLE:
            raise ValueError(f"{what} holds whole numbers beyond ±2⁵³, which are no float64")
    single = kind == "f" and x.dtype.itemsize < 8
    wanted = np.float32 if single else np.float64
    return np.require(np.asarray(x), dtype=wanted, requirements=["C", "A"])


def of_leaf(x: Any, what: str) -> np.ndarray:
    """An array of any library as float32 or float64."""
    if isinstance(x, np.ndarray):
        return of_array(x, what)
    if is_tensor(x):
        return of_tensor(x, what)
    try:
        return of_array(np.from_dlpack(x), what)
    except (BufferError, RuntimeError) as error:
        raise TypeError(f"{what} cannot be read on the CPU: {error}") from error


def like(leaf: Any) -> Restore:
    """What makes an answer of the library, dtype and device of ``leaf``."""
    if is_tensor(leaf):
        torch = _torch()
        dtype = leaf.dtype
        if not leaf.is_floating_point():
            return lambda out: torch.from_numpy(np.asarray(out)).to(device=leaf.device)
        return lambda out: torch.from_numpy(out).to(device=leaf.device, dtype=dtype)
    if isinstance(leaf, np.ndarray):
        if leaf.dtype.kind == "f":
            return lambda out: out.astype(leaf.dtype, copy=False)
        return lambda out: out
    space = getattr(leaf, "__array_namespace__", None)
    if space is not None:
        return lambda out: space().from_dlpack(out)
    return lambda out: out


def _like_part(leaf: Any) -> Restore:
    """As :func:`like` for a part of a structure, which keeps whole numbers whole."""
    whole = not _is_floating(leaf)
    if not whole:
        return like(leaf)
    if is_tensor(leaf):
        torch = _torch()
        if leaf.dtype == torch.bool:
            return lambda out: torch.from_numpy(np.asarray(out) >= 0.5).to(device=leaf.device)
        low, high = torch.iinfo(leaf.dtype).min, torch.iinfo(leaf.dtype).max
    elif leaf.dtype.kind == "b":
        return lambda out: np.asarray(out) >= 0.5
    else:
        low, high = np.iinfo(leaf.dtype).min, np.iinfo(leaf.dtype).max

    def rounded(out: np.ndarray) -> Any:
        made = np.asarray(np.rint(out))
        if made.size and not (made.min() >= low and made.max() <= high):
            raise ValueError(f"the answer {made.max():g} is no {leaf.dtype}")
        if is_tensor(leaf):
            return _torch().from_numpy(made).to(device=leaf.device, dtype=leaf.dtype)
        return made.astype(leaf.dtype)

    return rounded


def _same(rows: Sequence[Any]) -> bool:
    return all(is_leaf(row) for row in rows)


def take(rows: Any) -> tuple[np.ndarray, Restore]:
    """An (n, d) matrix of float32 or float64, and what turns an answer of d numbers back."""
    if is_leaf(rows):
        matrix = of_leaf(rows, "rows")
        if matrix.ndim != 2:
            raise ValueError(
                f"rows are an (n, d) matrix, a row a worker; got shape {tuple(matrix.shape)} "
                "(a list of arrays may have any shape)"
            )
        _demand_some(*matrix.shape)
        return matrix, like(rows)
    if isinstance(rows, (str, bytes, Mapping)):
        raise TypeError(f"rows are a matrix or a list, an item a worker; got {_name(rows)}")
    try:
        items = [_fixed(item) for item in rows]
    except TypeError as error:
        raise TypeError(
            f"rows are a matrix or a list, an item a worker; got {_name(rows)}"
        ) from error
    if not items:
        raise ValueError("rows are at least one; got an empty list")
    if all(isinstance(item, Number) for item in items):
        raise ValueError("rows are an (n, d) matrix, a row a worker; got one vector")
    if all(_is_vector(item) for item in items):
        lengths = {len(item) for item in items}
        if len(lengths) > 1:
            raise ValueError(f"rows are of one length; got lengths {sorted(lengths)}")
        matrix = of_array(np.array(items), "rows")
        _demand_some(*matrix.shape)
        return matrix, lambda out: out
    return _trees(items)


def _name(x: Any) -> str:
    return type(x).__name__


def _demand_some(n: int, d: int) -> None:
    if n == 0 or d == 0:
        raise ValueError(f"rows are at least one, of at least one coordinate; got n = {n}, d = {d}")


def _fixed(item: Any) -> Any:
    """``model.parameters()`` of a worker is a generator, which can be gone through once."""
    if isinstance(item, GeneratorType):
        item = list(item)
    if isinstance(item, Mapping) and any(_moves(value) for value in item.values()):
        return {key: _fixed(value) for key, value in item.items()}
    if isinstance(item, (list, tuple)) and any(_moves(value) for value in item):
        return [_fixed(value) for value in item]
    return item


def _moves(value: Any) -> bool:
    """Whether a generator stands somewhere in a structure."""
    if isinstance(value, Mapping):
        return any(_moves(one) for one in value.values())
    if isinstance(value, (list, tuple)):
        return any(_moves(one) for one in value)
    return isinstance(value, GeneratorType)


def _is_vector(item: Any) -> bool:
    return (
        isinstance(item, (list, tuple))
        and len(item) > 0
        and all(isinstance(x, (Number, np.generic)) for x in item)
    )


Path = tuple[Any, ...]


def _leaves(item: Any, path: Path = ()) -> list[tuple[Path, Any]]:
    """Every array of a structure, with its path."""
    if is_leaf(item):
        return [(path, item)]
    if isinstance(item, (Number, np.generic)) or _is_vector(item):
        return [(path, np.asarray(item))]
    if isinstance(item, Mapping):
        pairs = [((*path, key), value) for key, value in item.items()]
    elif isinstance(item, (list, tuple)):
        pairs = [((*path, (i,)), value) for i, value in enumerate(item)]
    else:
        where = f" at {_told(path)}" if path else ""
        raise TypeError(f"a row is an array, or dicts and lists of arrays; got {_name(item)}{where}")
    return [leaf for inner, value in pairs for leaf in _leaves(value, inner)]


def _told(path: Path) -> str:
    words = (f"[{step[0]}]" if isinstance(step, tuple) else f".{step}" for step in path)
    return "".join(words).lstrip(".")


def _rebuilt(item: Any, parts: Any) -> Any:
    """The structure of ``item`` with the next of ``parts`` for each of its arrays."""
    if is_leaf(item) or isinstance(item, (Number, np.generic)) or _is_vector(item):
        return next(parts)
    if isinstance(item, Mapping):
        pairs = [(key, _rebuilt(value, parts)) for key, value in item.items()]
        try:
            return type(item)(pairs)  # type: ignore[call-arg]
        except TypeError:
            return dict(pairs)
    made = [_rebuilt(value, parts) for value in item]
    if isinstance(item, tuple):
        return type(item)(*made) if hasattr(item, "_fields") else tuple(made)
    return made


def _trees(items: list[Any]) -> tuple[np.ndarray, Restore]:
    single = _same(items)
    rows = [_leaves(item) for item in items]
    first = rows[0]
    shapes = [tuple(leaf.shape) for _, leaf in first]
    _demand_some(len(rows), sum(int(np.prod(shape)) for shape in shapes))
    parts: list[list[np.ndarray]] = []
    for i, row in enumerate(rows):
        if len(row) != len(first):
            raise ValueError(f"row {i} has {len(row)} arrays; row 0 has {len(first)}")
        made = []
        # By name: two dicts may hold the same in another order.
        by_name = dict(row) if not single else None
        for k, (path, like_it) in enumerate(first):
            leaf = row[k][1] if by_name is None else by_name.get(path)
            what = f"row {i}" if single else f"row {i}, {_told(path) or 'its number'}"
            if leaf is None:
                raise ValueError(f"row {i} has no {_told(path)}, which row 0 has")
            if tuple(leaf.shape) != shapes[k]:
                raise ValueError(
                    f"{what} has shape {tuple(leaf.shape)}; that of row 0 has {shapes[k]}"
                )
            if is_tensor(leaf) != is_tensor(like_it):
                raise TypeError(f"{what} is of another library than that of row 0")
            array = of_leaf(leaf, what)
            if not _is_floating(leaf) and not single:
                if array.size and np.abs(array).max() > _EXACT:
                    raise ValueError(f"{what} holds whole numbers beyond ±2²⁴, which are no float32")
                array = array.astype(np.float32)
            made.append(array.reshape(-1))
        parts.append(made)
    wide = any(part.dtype == np.float64 for row in parts for part in row)
    sizes = [part.size for part in parts[0]]
    matrix = np.empty((len(rows), sum(sizes)), dtype=np.float64 if wide else np.float32)
    for i, pieces in enumerate(parts):
        np.concatenate(pieces, out=matrix[i], casting="same_kind")
    ends = np.cumsum(sizes)
    restores = [_like_part(leaf) for _, leaf in first]

    def restore(out: np.ndarray) -> Any:
        pieces = np.split(out, ends[:-1])
        made = (
            back(piece.reshape(shape))
            for piece, shape, back in zip(pieces, shapes, restores, strict=True)
        )
        return _rebuilt(items[0], made)

    return matrix, restore


def _is_floating(leaf: Any) -> bool:
    if is_tensor(leaf):
        return bool(leaf.is_floating_point())
    return not isinstance(leaf, np.ndarray) or leaf.dtype.kind == "f"


def vector(x: Any, what: str, rows: Any = None) -> np.ndarray:
    """A vector, or a structure of arrays as those of ``rows``, as d float32 numbers."""
    first = None if rows is None or is_leaf(rows) else next(iter(rows), None)
    if first is None or is_leaf(first) or _is_vector(first):
        made: np.ndarray = take([x])[0][0]
    else:
        # By the names and in the order of the rows.
        try:
            made = take([first, x])[0][1]
        except (TypeError, ValueError) as error:
            raise type(error)(f"{what}, as row 1 beside a row: {error}") from error
    narrow: np.ndarray = made.astype(np.float32)
    if not np.isfinite(narrow).all():
        raise ValueError(f"{what} is finite in float32")
    return narrow
