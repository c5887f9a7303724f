"""openpi's messages: msgpack, with numpy's arrays and scalars as small mappings of bytes.

An array is `{b"__ndarray__": True, b"data": its bytes in C order, b"dtype": numpy's name of its type, b"shape": ...}`,
a scalar `{b"__npgeneric__": True, b"data": ..., b"dtype": ...}` (openpi, packages/openpi-client, msgpack_numpy). Owns
both directions. What comes in is another's: only numbers, flags and text become arrays, of the size they claim.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgpack
import numpy as np

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""Longest message that is taken: a thousand times what a chunk of actions needs."""
_KINDS = "biufSU"  # numpy's: flags, integers, floats, text; never objects, which would be pickles


class WireError(ValueError):
    """Bytes that are no message of this protocol."""


def pack(document: Mapping[str, Any]) -> bytes:
    """The message of a document. Raises ValueError for arrays that hold other things than numbers, flags and text."""
    packed: bytes = msgpack.packb(document, default=_described)
    return packed


def unpack(message: bytes) -> Any:
    """The document in a message; its arrays are read-only. Raises WireError."""
    try:
        return msgpack.unpackb(message, object_hook=_restored)
    except (ValueError, TypeError, OverflowError, msgpack.UnpackException) as error:
        raise WireError(f"{len(message)} bytes that are no message: {error or type(error).__name__}") from error


def _described(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        _check(value.dtype)
        return {b"__ndarray__": True, b"data": value.tobytes(), b"dtype": value.dtype.str, b"shape": value.shape}
    if isinstance(value, np.generic):
        _check(value.dtype)
        return {b"__npgeneric__": True, b"data": value.item(), b"dtype": value.dtype.str}
    raise TypeError(f"{type(value).__name__} cannot be sent")


def _restored(mapping: dict[Any, Any]) -> Any:
    if b"__ndarray__" in mapping:
        return _array(mapping)
    if b"__npgeneric__" in mapping:
        return _type(mapping).type(mapping.get(b"data"))
    return mapping


def _array(mapping: dict[Any, Any]) -> Any:
    kind, data, shape = _type(mapping), mapping.get(b"data"), mapping.get(b"shape")
    if not isinstance(data, bytes) or not isinstance(shape, list):
        raise ValueError("an array without its bytes or its shape")
    if not all(isinstance(length, int) and length >= 0 for length in shape):
        raise ValueError(f"an array of shape {shape}")
    if math.prod(shape) * kind.itemsize != len(data):
        raise ValueError(f"an array of shape {shape} and type {kind.str} in {len(data)} bytes")
    return np.frombuffer(data, kind).reshape(shape)


def _type(mapping: dict[Any, Any]) -> np.dtype[Any]:
    name = mapping.get(b"dtype")
    if not isinstance(name, str):
        raise ValueError(f"numbers whose type is {name!r}")
    return _check(np.dtype(name))


def _check(kind: np.dtype[Any]) -> np.dtype[Any]:
    if kind.kind not in _KINDS or kind.itemsize == 0:
        raise ValueError(f"an array of type {kind.str}; allowed are numbers, flags and text")
    return kind
