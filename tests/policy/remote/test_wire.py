"""Messages: readable by another implementation of the protocol, and harmless whatever they hold."""

from __future__ import annotations

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import openpi_server
from xdistill_ros.policy.remote import wire

ARRAYS = [
    np.arange(6, dtype=np.float32).reshape(2, 3),
    np.arange(24, dtype=np.int16).reshape(2, 3, 4)[:, ::2],
    np.full((4, 5, 3), 200, np.uint8),
    np.array([True, False]),
    np.array(2.5),
    np.zeros((0, 7), np.float64),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}{array.shape}")
def test_arrays_are_read_by_another_implementation_and_read_from_it(array: np.ndarray) -> None:
    sent = openpi_server.unpacked(wire.pack({"nested": {"array": array}}))["nested"]["array"]
    np.testing.assert_array_equal(sent, array)
    assert sent.dtype == array.dtype
    heard = wire.unpack(openpi_server.packed({"array": array, "more": [1, "two", None]}))
    np.testing.assert_array_equal(heard["array"], array)
    assert (heard["array"].dtype, heard["array"].shape, heard["more"]) == (array.dtype, array.shape, [1, "two", None])


@pytest.mark.parametrize("scalar", [np.float32(0.5), np.int64(-3), np.bool_(True)])
def test_scalars_come_back_as_they_were(scalar: np.generic) -> None:
    back = wire.unpack(wire.pack({"value": scalar}))["value"]
    assert back == scalar
    assert type(back) is type(scalar)


def described(**changes: object) -> bytes:
    """An array's mapping, spoiled."""
    fields: dict[str, object] = {"data": bytes(24), "dtype": "<f4", "shape": [2, 3]}
    return bytes(msgpack.packb({b"__ndarray__": True, **{k.encode(): v for k, v in (fields | changes).items()}}))


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xc1",
        described()[:-1],
        described() + b"\x00",
        described(dtype="|O"),
        described(dtype="f4,O"),
        described(dtype="<M8[ns]", shape=[3]),
        described(dtype="nonsense"),
        described(dtype=None),
        described(shape=[2, 4]),
        described(shape=[-1, 3]),
        described(shape=[2**62, 2**62]),
        described(shape="23"),
        described(data="text"),
        msgpack.packb({b"__npgeneric__": True, b"data": b"x", b"dtype": "|O"}),
        msgpack.packb({b"__npgeneric__": True, b"data": "many", b"dtype": "<f4"}),
        b"\x91" * 5000,
    ],
)
def test_what_is_no_message_is_refused(message: bytes) -> None:
    with pytest.raises(wire.WireError, match="no message"):
        wire.unpack(message)


@given(st.binary(max_size=300))
def test_bytes_of_any_kind_are_read_or_refused_and_never_become_objects(message: bytes) -> None:
    try:
        document = wire.unpack(message)
    except wire.WireError:
        document = None
    assert document is None or not isinstance(document, np.ndarray | np.generic) or document.dtype.kind in "biufSU"


@pytest.mark.parametrize("value", [np.array([object()]), np.array([1 + 2j]), object()])
def test_what_the_protocol_has_no_form_for_is_not_sent(value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        wire.pack({"value": value})
