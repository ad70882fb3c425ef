"""The ``.npy`` format as far as it is needed, read without trusting one byte of it.

numpy evaluates the header, and allocates what it claims, before it looks at the data. Here the
shape and the dtype are known beforehand: the header either says just that, or is refused.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

#: What may stand before the data: magic, version, length and a header.
LONGEST = 4096

_MAGIC = b"\x93NUMPY"
_HEADER = re.compile(
    rb"\{ ?'descr': ?'([<>=|]?[A-Za-z][0-9]{1,3})', ?'fortran_order': ?(True|False), "
    rb"?'shape': ?\(([0-9, ]{0,1024})\),? ?\} *\n?"
)


class Refused(Exception):
    """A reply that the rule never sees.

    ``proven`` says whether nobody who follows the protocol sends such a thing: then the node is
    hostile, or wrong, and one fewer of the others may be.
    """

    def __init__(self, reason: str, proven: bool = True) -> None:
        super().__init__(reason)
        self.reason, self.proven = reason, proven


def is_bfloat16(dtype: str) -> bool:
    """numpy has no such dtype of its own; its name is all there is."""
    return dtype == "bfloat16"


def read(data: Any, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """The array that ``data`` holds, a view of it, where it is of this dtype and shape."""
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise Refused(f"its data are {type(data).__name__} and no bytes")
    raw = np.dtype("V2") if is_bfloat16(dtype) else np.dtype(dtype)
    count = math.prod(shape)
    if len(data) > count * raw.itemsize + LONGEST:
        wanted = count * raw.itemsize
        raise Refused(f"too long: {len(data)} bytes came, {wanted} and a header are wanted")
    head = bytes(data[:LONGEST])
    if len(head) < 10 or head[:6] != _MAGIC or head[6] not in (1, 2, 3):
        raise Refused("it is no .npy")
    first = 10 if head[6] == 1 else 12
    at = first + int.from_bytes(head[8:first], "little")
    if at > len(head):
        raise Refused(f"its header claims {at - first} bytes")
    said = _HEADER.fullmatch(head[first:at])
    if said is None:
        raise Refused("its header is none that numpy writes for numbers")
    _demand_shape(said[3], shape)
    found = _dtype(said[1].decode())
    order = raw if found == raw else raw.newbyteorder("S")
    if found not in (raw, order):
        raise Refused(f"its dtype is {said[1].decode()}, wanted is {dtype}")
    if len(data) - at != count * raw.itemsize:
        raise Refused(f"{len(data) - at} bytes of data came, {count * raw.itemsize} are wanted")
    flat = np.frombuffer(data, dtype=order, count=count, offset=at)
    array = flat.reshape(shape, order="F" if said[2] == b"True" else "C")
    return array if found.isnative else array.astype(raw)


def _demand_shape(text: bytes, shape: tuple[int, ...]) -> None:
    words = [word.strip() for word in text.split(b",")]
    # One comma may stand at the end.
    words = words[:-1] if words[-1] == b"" else words
    said = text.decode().strip()
    if any(not word.isdigit() or len(word) > 19 for word in words):
        raise Refused(f"its shape is ({said[:40]})")
    if tuple(int(word) for word in words) != shape:
        raise Refused(f"its shape is ({said[:60]}), wanted is {shape}")


def _dtype(text: str) -> np.dtype[Any]:
    try:
        return np.dtype(text)
    except TypeError as error:
        raise Refused(f"its dtype is {text}") from error


def write(array: np.ndarray) -> bytes:
    """An array as ``.npy``, without objects."""
    from io import BytesIO

    buffer = BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def widened(raw: np.ndarray) -> np.ndarray:
    """bfloat16 as its two bytes each, in float32."""
    bits = np.ascontiguousarray(raw).view(np.uint16).astype(np.uint32) << 16
    return bits.view(np.float32)


def narrowed(wide: np.ndarray) -> np.ndarray:
    """float32 as the two bytes of bfloat16, rounded to the nearest, ties to even."""
    bits = np.ascontiguousarray(wide, dtype=np.float32).view(np.uint32)
    rounded = (bits + (((bits >> 16) & 1) + np.uint32(0x7FFF))) >> 16
    return rounded.astype(np.uint16).view(np.dtype("V2"))
