"""Bags become episodes by the recorder's own alignment; what is wrong in them is named, and the store stays whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support import bags, stores
from tests.support.bags import Message
from tests.support.rigs import forward
from tests.support.stores import BEGIN_NS, joints_at
from xdistill_ros.episodes import Store, StoreError, Writer, layout
from xdistill_ros.episodes.bag import Bag
from xdistill_ros.episodes.import_bag import Imported, import_bag
from xdistill_ros.episodes.verify import verify
from xdistill_ros.rig import Rig
from xdistill_ros.rig.poses import pose_to_rotvec

FRONT = "/front/color/image_raw"


@pytest.fixture(scope="module")
def rig() -> Rig:
    return stores.tiny_rig()


@pytest.fixture(scope="module")
def carried(rig: Rig) -> list[Message]:
    return bags.messages(rig)


def take_in(store: Path, bag: Path, rig: Rig) -> Imported:
    opened = Bag(bag, rig)
    try:
        with Writer(store, rig, "pick") as writer:
            return import_bag(writer, rig, opened, forward, "pick", "ada", lambda: None)
    finally:
        opened.close()


@pytest.fixture(params=["rosbag2", "mcap"])
def bag(request: pytest.FixtureRequest, tmp_path: Path, carried: list[Message]) -> Path:
    is_mcap = request.param == "mcap"
    return bags.write_bag(tmp_path / ("bag.mcap" if is_mcap else "bag"), carried, is_mcap)


def test_a_bag_becomes_an_episode(bag: Path, rig: Rig, tmp_path: Path) -> None:
    done = take_in(tmp_path / "store", bag, rig)
    store = Store(tmp_path / "store")
    assert done == Imported(0, store.ends[-1], 0, {})
    assert store.ends[-1] >= 28  # three seconds at 10 Hz, less what lies before the first and after the last image
    assert verify(store, lambda: None) == []
    about = store.episodes[0].about
    assert (about.task, about.operator) == ("pick", "ada")
    assert {counts.received for counts in about.cameras.values()} == {60}


def test_rows_are_what_the_rig_saw_and_did_at_their_stamps(bag: Path, rig: Rig, tmp_path: Path) -> None:
    take_in(tmp_path / "store", bag, rig)
    store = Store(tmp_path / "store")
    episode = store.episodes[0]
    stamps = store.raw(episode, layout.GRID, "stamp_ns").astype(np.int64)
    for row, stamp in enumerate(stamps.tolist()):
        np.testing.assert_allclose(store.rows(episode, "robot_joint")[row], joints_at(stamp), atol=1e-4)
        np.testing.assert_array_equal(store.rows(episode, "front")[row], stores.picture(stamp, (24, 32, 3)))
        np.testing.assert_array_equal(store.rows(episode, "wrist")[row], stores.picture(stamp + 1, (16, 16, 3)))
    commanded = pose_to_rotvec(forward(joints_at(int(stamps[5]) + 50_000_000)))
    np.testing.assert_allclose(store.rows(episode, "action")[5], [*commanded, 0.05], atol=1e-3)
    assert np.isnan(store.rows(episode, "target").astype(float)).all()
    late = (
        store.raw(episode, "raw/cameras/front", "arrival_ns")[0]
        - store.raw(episode, "raw/cameras/front", "stamp_ns")[0]
    )
    assert int(late) == bags.LATENCY_NS


def test_bags_follow_one_another(bag: Path, rig: Rig, tmp_path: Path) -> None:
    first, second = (take_in(tmp_path / "store", bag, rig) for _ in range(2))
    assert (first.episode, second.episode) == (0, 1)
    assert len(Store(tmp_path / "store").episodes) == 2


def imported(tmp_path: Path, rig: Rig, carried: list[Message]) -> tuple[Imported, Store]:
    done = take_in(tmp_path / "store", bags.write_bag(tmp_path / "bag", carried), rig)
    return done, Store(tmp_path / "store")


def bgr(message: Message) -> Message:
    arrival, topic, kind, one = message
    pixels = one.data.reshape(one.height, one.width, 3)[..., ::-1]
    return arrival, topic, kind, bags.image(stamp_of(one), pixels, "bgr8")


def bgra(message: Message) -> Message:
    arrival, topic, kind, one = message
    pixels = one.data.reshape(one.height, one.width, 3)[..., ::-1]
    return arrival, topic, kind, bags.image(stamp_of(one), np.dstack([pixels, pixels[..., 0]]), "bgra8")


def compressed(message: Message) -> Message:
    arrival, topic, _, one = message
    return (
        arrival,
        f"{topic}/compressed",
        "compressed",
        bags.png(stamp_of(one), one.data.reshape(one.height, one.width, 3)),
    )


def stamp_of(message: Any) -> int:
    return int(message.header.stamp.sec) * 10**9 + int(message.header.stamp.nanosec)


@pytest.mark.parametrize("change", [bgr, bgra, compressed])
def test_images_come_in_the_encodings_that_drivers_send(
    tmp_path: Path, rig: Rig, carried: list[Message], change: Callable[[Message], Message]
) -> None:
    done, store = imported(tmp_path, rig, bags.changed(carried, FRONT, change))
    stamp = int(store.raw(store.episodes[0], layout.GRID, "stamp_ns")[3])
    np.testing.assert_array_equal(store.rows(store.episodes[0], "front")[3], stores.picture(stamp, (24, 32, 3)))
    assert done.unused == {}


def test_the_bridge_s_set_points_are_taken_before_the_controller_s_commands(
    tmp_path: Path, rig: Rig, carried: list[Message]
) -> None:
    names = [*rig.arm.joint_names, rig.gripper.joint]
    extra: list[Message] = [
        (stamp, "/arm/joint_command", "joints", bags.joint_state(stamp, np.full(7, 0.01), names))
        for stamp in range(BEGIN_NS, BEGIN_NS + 3 * 10**9, 10_000_000)
    ]
    _, store = imported(tmp_path, rig, sorted([*carried, *extra], key=lambda one: one[0]))
    expected = [*pose_to_rotvec(forward(np.full(6, 0.01))), 0.01]
    np.testing.assert_allclose(store.rows(store.episodes[0], "action")[5], expected)


def test_a_trajectory_controller_s_commands_are_read(tmp_path: Path, rig: Rig, carried: list[Message]) -> None:
    interface = rig.arm.interface.model_copy(update={"kind": "joint_trajectory"})
    by_trajectory = rig.model_copy(update={"arm": rig.arm.model_copy(update={"interface": interface})})

    def change(message: Message) -> Message:
        arrival, topic, _, one = message
        return arrival, topic, "trajectory", bags.trajectory(list(rig.arm.joint_names), one.data)

    _, store = imported(tmp_path, by_trajectory, bags.changed(carried, rig.arm.interface.topic, change))
    stamp = int(store.raw(store.episodes[0], layout.GRID, "stamp_ns")[5])
    expected = [*pose_to_rotvec(forward(joints_at(stamp + 50_000_000))), 0.05]
    np.testing.assert_allclose(store.rows(store.episodes[0], "action")[5], expected, atol=1e-3)


def test_an_operator_s_target_is_kept(tmp_path: Path, rig: Rig, carried: list[Message]) -> None:
    point = bags.TYPES.types["geometry_msgs/msg/Point"](0.4, 0.1, 0.2)
    turn = bags.TYPES.types["geometry_msgs/msg/Quaternion"](1.0, 0.0, 0.0, 0.0)
    pose = bags.TYPES.types["geometry_msgs/msg/Pose"](point, turn)
    stamped = bags.TYPES.types["geometry_msgs/msg/PoseStamped"]
    extra: list[Message] = [
        (stamp + 5_000, "/teleop/target", "pose", stamped(bags.header(stamp), pose))
        for stamp in range(BEGIN_NS, BEGIN_NS + 3 * 10**9, 20_000_000)
    ]
    _, store = imported(tmp_path, rig, sorted([*carried, *extra], key=lambda one: one[0]))
    target = store.rows(store.episodes[0], "target")[5]
    np.testing.assert_allclose(target, [0.4, 0.1, 0.2, np.pi, 0.0, 0.0, 0.05], atol=1e-9)


def test_depth_is_kept_where_the_rig_has_it(tmp_path: Path) -> None:
    rig = stores.tiny_rig(depth=True)
    carried = bags.messages(rig)
    extra: list[Message] = []
    for arrival, topic, _, one in carried:
        if topic.endswith("image_raw"):
            depth = np.full((one.height, one.width), 650, np.uint16)
            extra.append((arrival + 1, topic.replace("color/image_raw", "aligned_depth_to_color/image_raw"), "image",
                          bags.image(stamp_of(one), depth, "16UC1")))  # fmt: skip
    done, store = imported(tmp_path, rig, sorted([*carried, *extra], key=lambda one: one[0]))
    assert done.unused == {}
    assert set(np.unique(store.rows(store.episodes[0], "wrist_depth"))) == {650}


# ---- what is wrong in a bag


def test_lost_frames_become_gaps_that_are_counted(tmp_path: Path, rig: Rig, carried: list[Message]) -> None:
    hole = (BEGIN_NS + 1_000_000_000, BEGIN_NS + 1_400_000_000)
    kept = [one for one in carried if one[1] != FRONT or not hole[0] < stamp_of(one[3]) < hole[1]]
    done, store = imported(tmp_path, rig, kept)
    assert done.gaps == 3
    assert store.episodes[0].about.cameras["front"].dropped == 7
    assert [one.what for one in verify(store, lambda: None) if one.what.startswith("gap")] == ["gap: rows are missing"]


def test_messages_that_cannot_be_used_are_counted_by_reason(tmp_path: Path, rig: Rig, carried: list[Message]) -> None:
    odd = bags.image(BEGIN_NS + 1_500_000_000, np.zeros((10, 10, 3), np.uint8), "rgb8")
    strange = bags.image(BEGIN_NS + 1_510_000_000, np.zeros((24, 32), np.uint8), "mono8")
    late = (
        BEGIN_NS + 2_000_000_000,
        "/joint_states",
        "joints",
        next(one[3] for one in carried if one[1] == "/joint_states"),
    )
    partial = bags.joint_state(BEGIN_NS + 1_520_000_000, np.zeros(1), ["joint1"])
    extra: list[Message] = [
        (BEGIN_NS + 1_600_000_000, FRONT, "image", odd), (BEGIN_NS + 1_600_000_000, FRONT, "image", strange), late,
        (BEGIN_NS + 1_600_000_000, "/joint_states", "joints", partial),
    ]  # fmt: skip
    done, store = imported(tmp_path, rig, sorted([*carried, *extra], key=lambda one: one[0]))
    assert done.unused == {
        f"{FRONT}: image is 10x10, the rig's camera is 32x24": 1,
        f"{FRONT}: encoding is 'mono8', allowed are rgb8, bgr8, rgba8, bgra8": 1,
        "/joint_states: no joint2, joint3, joint4, joint5, joint6, gripper among joint1": 1,
        "state: stamp_backwards": 1,
    }
    assert verify(store, lambda: None) == []


@pytest.mark.parametrize("topic", [FRONT, "/joint_states", "/forward_position_controller/commands"])
def test_a_bag_without_a_stream_is_refused_with_what_it_has(
    tmp_path: Path, rig: Rig, carried: list[Message], topic: str
) -> None:
    path = bags.write_bag(tmp_path / "bag", [one for one in carried if one[1] != topic])
    with pytest.raises(StoreError, match=rf"has no {topic}.*which rows of rig sim_table need; it has .*/wrist/color"):
        Bag(path, rig)


def test_a_bag_without_any_gripper_command_says_why_no_row_came_of_it(
    tmp_path: Path, rig: Rig, carried: list[Message]
) -> None:
    with pytest.raises(StoreError, match=r"not one row could be made of it.*no gripper width before it on"):
        imported(tmp_path, rig, [one for one in carried if one[1] != rig.gripper.topic])


def test_a_bag_of_which_nothing_comes_leaves_the_store_as_it_was(
    tmp_path: Path, rig: Rig, carried: list[Message]
) -> None:
    take_in(tmp_path / "store", bags.write_bag(tmp_path / "good", carried), rig)
    apart = bags.changed(carried, FRONT, lambda one: (one[0], one[1], one[2], shifted(one[3])))
    with pytest.raises(StoreError, match="cameras_apart"):
        take_in(tmp_path / "store", bags.write_bag(tmp_path / "apart", apart), rig)
    assert len(Store(tmp_path / "store").episodes) == 1
    assert verify(Store(tmp_path / "store"), lambda: None) == []


def shifted(message: Any) -> Any:
    """An image stamped a day before."""
    return bags.image(
        stamp_of(message) - 86_400 * 10**9, message.data.reshape(message.height, message.width, 3), "rgb8"
    )


def test_what_is_no_bag_is_refused(tmp_path: Path, rig: Rig, carried: list[Message]) -> None:
    with pytest.raises(StoreError, match="no bag there"):
        Bag(tmp_path / "none", rig)
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError, match="no rosbag2 folder or MCAP file that can be read"):
        Bag(tmp_path / "folder", rig)
    (tmp_path / "text.mcap").write_text("no bag")
    with pytest.raises(StoreError, match="no rosbag2 folder or MCAP file that can be read"):
        Bag(tmp_path / "text.mcap", rig)
    whole = bags.write_bag(tmp_path / "bag.mcap", carried, mcap=True)
    whole.write_bytes(whole.read_bytes()[:-5000])
    with pytest.raises(StoreError, match="no rosbag2 folder or MCAP file that can be read"):
        Bag(whole, rig)
