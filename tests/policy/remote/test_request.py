"""What a remote policy is shown: openpi's pictures, and the state in the parts that were asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tests.support.rigs import forward
from xdistill_ros.policy.remote.description import Remote
from xdistill_ros.policy.remote.request import RequestWriter, resize_with_pad
from xdistill_ros.rig import Rig
from xdistill_ros.timeline import Row


def test_the_example_shows_two_pictures_joints_opening_and_prompt(remote: Remote, rig: Rig, row: Row[Any]) -> None:
    shown = RequestWriter(remote, rig, forward).document(row, "pick")
    assert list(shown) == ["base_rgb", "wrist_rgb", "joints", "gripper", "prompt"]
    assert shown["base_rgb"].shape == shown["wrist_rgb"].shape == (224, 224, 3)
    assert (shown["base_rgb"][112, 112], shown["wrist_rgb"][112, 112]) == (pytest.approx(40), pytest.approx(80))
    np.testing.assert_allclose(shown["joints"], rig.arm.home_rad, rtol=1e-6)
    assert shown["joints"].dtype == np.float32
    np.testing.assert_allclose(shown["gripper"], [0.5])
    assert shown["prompt"] == "pick"


def test_keys_inside_one_another_and_colours_first_as_aloha_has_them(
    document: dict[str, Any], rig: Rig, row: Row[Any]
) -> None:
    document["cameras"] = {
        "front": {"key": ["images", "cam_high"], "layout": "chw", "width_px": 64, "height_px": 48},
        "wrist": {"key": ["images", "cam_low"], "layout": "chw"},
    }
    shown = RequestWriter(Remote.model_validate(document), rig, forward).document(row, "pick")
    assert {name: image.shape for name, image in shown["images"].items()} == {
        "cam_high": (3, 48, 64), "cam_low": (3, 224, 224),
    }  # fmt: skip
    assert shown["images"]["cam_high"].flags.c_contiguous


@pytest.mark.parametrize(
    ("part", "wanted"),
    [
        ("joint_velocities", np.arange(6) / 10),
        ("gripper_width", [0.0425]),
        ("gripper_closing", [0.5]),
        ("tcp_position", forward(np.zeros(6))[:3, 3]),
        ("tcp_rotation_vector", Rotation.from_matrix(forward(np.zeros(6))[:3, :3]).as_rotvec()),
        ("tcp_quaternion_xyzw", Rotation.from_matrix(forward(np.zeros(6))[:3, :3]).as_quat(canonical=True)),
        ("tcp_rotation_6d", forward(np.zeros(6))[:2, :3].ravel()),
    ],
)
def test_each_part_of_the_state_is_what_it_is_called(
    document: dict[str, Any], rig: Rig, row: Row[Any], part: str, wanted: Any
) -> None:
    document["state"] = [{"key": "it", "parts": [part]}, {"key": "both", "parts": [part, "gripper_opening"]}]
    row.state.positions[:] = 0.0
    shown = RequestWriter(Remote.model_validate(document), rig, forward).document(row, "pick")
    np.testing.assert_allclose(shown["it"], wanted, atol=1e-6)
    np.testing.assert_allclose(shown["both"], [*wanted, 0.5], atol=1e-6)


def test_w_is_first_where_it_is_called_so(document: dict[str, Any], rig: Rig, row: Row[Any]) -> None:
    document["state"] = [
        {"key": "first", "parts": ["tcp_quaternion_wxyz"]}, {"key": "last", "parts": ["tcp_quaternion_xyzw"]},
    ]  # fmt: skip
    shown = RequestWriter(Remote.model_validate(document), rig, forward).document(row, "pick")
    np.testing.assert_allclose(np.roll(shown["first"], -1), shown["last"])


def test_a_picture_keeps_its_proportions_between_black_bars() -> None:
    wide = resize_with_pad(np.full((480, 640, 3), 200, np.uint8), 224, 224)
    assert wide.shape == (224, 224, 3)
    assert not wide[:28].any(), "640x480 is 224x168 there: 28 rows of black above and below"
    assert not wide[196:].any()
    assert (wide[28:196] == 200).all()
    tall = resize_with_pad(np.full((640, 480, 3), 200, np.uint8), 224, 224)
    np.testing.assert_array_equal(tall, np.moveaxis(wide, 0, 1))


def test_a_picture_of_the_right_size_is_sent_to_the_bit() -> None:
    image = np.random.default_rng(0).integers(0, 256, (224, 224, 3), np.uint8)
    np.testing.assert_array_equal(resize_with_pad(image, 224, 224), image)


def test_fine_stripes_become_grey_and_no_pattern() -> None:
    stripes = np.zeros((480, 640, 3), np.uint8)
    stripes[:, ::2] = 255
    middle = resize_with_pad(stripes, 224, 224)[40:180, 10:214].astype(float)
    assert middle.std() < 30, "what a filter without averaging makes of them is a coarse pattern"
    assert middle.mean() == pytest.approx(127.5, abs=4)
