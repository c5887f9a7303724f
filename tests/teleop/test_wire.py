"""Messages of a page are read whole or refused with a word about what is wrong."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.hands import fields
from xdistill_ros.rig import Reason, Refusal
from xdistill_ros.teleop.wire import MAX_BYTES, Action, Call, Sample, read


def test_a_sample_is_read_with_its_pose() -> None:
    found = read(json.dumps(fields(1.25, (0.1, 0.2, -0.3), trigger=0.5)))
    assert isinstance(found, Sample)
    assert found.time_s == 1.25
    assert found.pose is not None
    assert np.allclose(found.pose[:3, 3], [0.1, 0.2, -0.3])
    assert read(json.dumps({"type": "call", "action": "arm_stop"})) == Call(type="call", action=Action.ARM_STOP)


def test_a_sample_fits_many_times_into_what_is_read() -> None:
    assert len(json.dumps(fields(123456.789012345, (0.123456789012345,) * 3))) < MAX_BYTES / 4


@pytest.mark.parametrize(
    "change",
    [
        {"position": [float("nan"), 0, 0]}, {"position": [0, float("inf"), 0]}, {"position": [0, 0]},
        {"position": [0, 0, 1e9]}, {"position": ["0", 0, 0]}, {"position": None}, {"orientation": [0, 0, 0, 0]},
        {"orientation": [0, 0, 0, 0.5]}, {"orientation": [float("nan"), 0, 0, 1]}, {"trigger": 1.5},
        {"trigger": float("nan")}, {"clutch": "yes"}, {"clutch": 1}, {"time_ms": -1}, {"time_ms": float("inf")},
        {"device": "robot"}, {"extra": 1}, {"type": "exec"}, {"type": ["sample"]},
    ],
    ids=str,
)  # fmt: skip
def test_a_sample_with_one_fault_is_refused_and_the_fault_named(change: dict[str, Any]) -> None:
    refusal = read(json.dumps(fields(1.0) | change))
    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.MESSAGE_INVALID
    assert next(iter(change)) in refusal.sentence or "position" in refusal.sentence or "type" in refusal.sentence


@pytest.mark.parametrize("missing", list(fields(1.0)))
def test_nothing_may_be_left_out(missing: str) -> None:
    short = {name: value for name, value in fields(1.0).items() if name != missing}
    assert isinstance(read(json.dumps(short)), Refusal)


@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", "7", "{", '"sample"', "{}", '{"type": "call", "action": "rm -rf"}',
     '{"type": "settings", "scale": 100, "yaw_rad": 0}', '{"type": "release", "why": "because"}', "[" * 1000],
)  # fmt: skip
def test_what_is_no_message_is_refused(text: str) -> None:
    assert isinstance(read(text), Refusal)


@given(st.text())
def test_no_text_breaks_the_reader(text: str) -> None:
    read(text)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner)))
def test_no_value_in_any_field_breaks_the_reader(value: Any) -> None:
    for name in fields(1.0):
        read(json.dumps(fields(1.0) | {name: value}))
