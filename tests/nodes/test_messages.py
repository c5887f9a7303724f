"""Messages to value types and back, and the messages that are refused."""

from __future__ import annotations

import array
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image

from tests.support.rigs import sim_table
from xdistill_ros.nodes.base import messages, raw_image
from xdistill_ros.policy.chunk import Chunk
from xdistill_ros.rig import Reason, Refusal
from xdistill_ros.timeline.state import ArmState

RIG = sim_table()
JOINTS = len(RIG.arm.joints)


@given(st.integers(-(2**31) * 10**9, (2**31 - 1) * 10**9))
def test_durations_keep_every_nanosecond(time_ns: int) -> None:
    assert messages.to_ns(messages.to_duration(time_ns)) == time_ns


@given(
    stamp_ns=st.integers(-(2**31) * 10**9, (2**31 - 1) * 10**9),
    frame=st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=9),
    encoding=st.sampled_from(["", "rgb8", "16UC1", "bayer_rggb16"]),
    data=st.binary(max_size=50),
)
def test_an_image_read_from_its_bytes_is_the_message(stamp_ns: int, frame: str, encoding: str, data: bytes) -> None:
    message = Image(height=len(data), width=2**32 - 1, encoding=encoding, step=7)
    message.header.stamp, message.header.frame_id = messages.to_stamp(stamp_ns), frame
    message.data = array.array("B", data)
    read = raw_image.read(serialize_message(message))
    assert (read.stamp_ns, read.height, read.width) == (stamp_ns, len(data), 2**32 - 1)
    assert (read.encoding, read.step, bytes(read.data)) == (encoding, 7, data)


def test_an_image_of_a_computer_of_the_other_byte_order_is_read_too() -> None:
    said = struct.pack(">4siII4sIII5s3xII3s", b"\0\0\0\0", -2, 5, 4, b"cam\0", 480, 640, 5, b"rgb8\0", 3, 3, b"abc")
    read = raw_image.read(said)
    assert (read.stamp_ns, read.height, read.width, read.encoding) == (5 - 2 * 10**9, 480, 640, "rgb8")
    assert bytes(read.data) == b"abc"


@given(st.integers(0, 2**40), st.lists(st.integers(1, 10**9), min_size=1, max_size=20))
def test_a_chunk_survives_the_wire(observation_ns: int, gaps: list[int]) -> None:
    times = observation_ns + np.cumsum(gaps) - gaps[0]
    actions = np.random.default_rng(len(gaps)).normal(size=(len(gaps), len(RIG.channels)))
    back = messages.chunk_of(
        messages.chunk_message(Chunk(observation_ns, times, actions), RIG.channels, "base_link"), RIG.channels
    )
    assert isinstance(back, Chunk)
    assert back.observation_ns == observation_ns
    assert np.array_equal(back.times_ns, times)
    assert np.array_equal(back.actions, actions)


def test_a_chunk_of_other_channels_or_of_uneven_rows_is_refused() -> None:
    message = messages.chunk_message(
        Chunk(0, np.arange(2), np.zeros((2, len(RIG.channels)))), RIG.channels, "base_link"
    )
    message.points[1].positions = [0.0]
    for channels in (RIG.channels, RIG.channels[::-1]):
        refusal = messages.chunk_of(message, channels)
        assert isinstance(refusal, Refusal)
        assert refusal.reason is Reason.CHUNK_CHANNELS


def test_pixels_survive_the_wire_without_a_copy_of_their_meaning() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (480, 640, 3), dtype=np.uint8)
    message = messages.image_message(pixels, 123_456_789_012, "front")
    assert messages.to_ns(message.header.stamp) == 123_456_789_012
    assert np.array_equal(messages.pixels_of(message, "front", RIG.cameras["front"]), pixels)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"encoding": "bgr8"}, Reason.IMAGE_ENCODING),
        ({"width": 320}, Reason.IMAGE_GEOMETRY),
        ({"step": 1}, Reason.IMAGE_GEOMETRY),
        ({"data": b"\0" * 7}, Reason.IMAGE_GEOMETRY),
    ],
)
def test_an_image_that_is_not_the_cameras_is_refused(change: dict[str, object], reason: Reason) -> None:
    message = messages.image_message(np.zeros((480, 640, 3), np.uint8), 0, "front")
    for name, value in change.items():
        setattr(message, name, value)
    refusal = messages.pixels_of(message, "front", RIG.cameras["front"])
    assert isinstance(refusal, Refusal)
    assert refusal.reason is reason
    assert "front" in refusal.sentence


def test_features_of_another_bundle_are_refused() -> None:
    message = messages.feature_message(np.ones(6, np.float32), 0, "front@aaaa")
    assert isinstance(messages.feature_of(message, "front", "front@aaaa"), np.ndarray)
    refusal = messages.feature_of(message, "front", "front@bbbb")
    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.OTHER_BUNDLE


def state() -> ArmState:
    return ArmState(5, np.arange(JOINTS) * 0.1, np.arange(JOINTS) * 0.01, 0.03)


def test_joint_states_are_read_by_name_in_any_order_and_among_others() -> None:
    message = messages.state_message(state(), RIG)
    order = [*range(JOINTS + 1)][::-1]
    message.name = [*(message.name[i] for i in order), "lamp"]
    message.position = [*(message.position[i] for i in order), 9.0]
    message.velocity = [*(message.velocity[i] for i in order), 9.0]
    back = messages.StateReader(RIG).read(message)
    assert isinstance(back, ArmState)
    assert np.array_equal(back.positions, state().positions)
    assert np.array_equal(back.velocities, state().velocities)
    assert back.gripper_width_m == 0.03


@pytest.mark.parametrize("spoil", ["missing", "lengths", "nan"])
def test_joint_states_that_cannot_be_used_are_refused(spoil: str) -> None:
    message = messages.state_message(state(), RIG)
    if spoil == "missing":
        message.name[2] = "elbow"
    elif spoil == "lengths":
        message.position = message.position[:-1]
    else:
        message.position[0] = float("nan")
    refusal = messages.StateReader(RIG).read(message)
    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.JOINT_STATE_INVALID


def test_a_driver_without_velocities_is_read_once_its_positions_tell_them() -> None:
    reader = messages.StateReader(RIG)
    read = []
    for k in range(12):
        message = messages.state_message(state(), RIG)
        message.velocity = []
        message.position[0] += 0.005 * k
        message.header.stamp = messages.to_stamp(k * 10_000_000)
        read.append(reader.read(message))
    for early in read[:10]:
        assert isinstance(early, Refusal)
        assert "sends no velocities" in early.sentence
    for late in read[10:]:
        assert isinstance(late, ArmState)
        assert late.velocities == pytest.approx([0.5, *[0.0] * (JOINTS - 1)])
