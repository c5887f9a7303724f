"""What the pages are shown, from what the graph says: nodes, rates, events, plans in pictures."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.rigs import sim_table
from xdistill_ros.arm.kinematics import Kinematics
from xdistill_ros.dashboard.log import Log
from xdistill_ros.dashboard.overview import GONE_S, SILENT_S, Overview
from xdistill_ros.dashboard.scene import Scene
from xdistill_ros.policy.chunk import Chunk
from xdistill_ros.rig.poses import pose_to_9d
from xdistill_ros.timeline import ArmState
from xdistill_ros.trials.projection import project

RIG = sim_table()
HOME = np.array(RIG.arm.home_rad)


def state(stamp_ns: int, turned_rad: float = 0.0) -> ArmState:
    """The arm at home, turned about its first joint."""
    positions = HOME + np.array([turned_rad, 0, 0, 0, 0, 0])
    return ArmState(stamp_ns, positions, np.zeros(6), RIG.gripper.open_width_m)


def chunk(observed_ns: int) -> Chunk:
    """From home downwards, opening the gripper."""
    times = observed_ns + np.arange(8, dtype=np.int64) * 100_000_000
    actions = np.tile(np.append(pose_to_9d(Kinematics(RIG).forward(HOME)), 0.0), (8, 1))
    actions[:, 2] -= 0.02 * np.arange(8)
    actions[:, -1] = np.linspace(0.0, RIG.gripper.open_width_m, 8)
    return Chunk(observed_ns, times, actions)


# ---- the plan in the pictures


def test_the_plan_is_drawn_where_the_calibration_puts_it_and_from_the_pictures_time_on() -> None:
    scene = Scene(RIG)
    planned = chunk(1_000_000_000)
    scene.planned(planned)
    path = scene.path("front", 1_250_000_000)
    assert len(path) == 5, "three actions were due before this picture"
    pixels, inside = project(planned.actions[3:, :3], RIG.cameras["front"])
    assert inside.all()
    assert np.allclose(np.array(path)[:, :2] * [640, 480], pixels, atol=0.1)
    assert path[-1][2] == 1.0, "the gripper is open at the end"


def test_in_a_camera_on_the_arm_the_plan_moves_with_the_arm() -> None:
    scene = Scene(RIG)
    scene.planned(chunk(1_000_000_000))
    assert scene.path("wrist", 1_000_000_000) == [], "nobody knows yet where the camera was"
    scene.measured(state(900_000_000))
    scene.measured(state(1_100_000_000, 0.2))
    early, between, late = (scene.path("wrist", ns)[-1][0] for ns in (900_000_000, 1_000_000_000, 1_100_000_000))
    assert early < between < late or early > between > late, "between two samples it is where the arm was between them"


def test_an_old_plan_is_drawn_no_more_nor_one_of_another_world() -> None:
    scene = Scene(RIG)
    scene.planned(chunk(1_000_000_000))
    assert scene.path("front", 1_200_000_000)
    assert scene.path("front", 4_000_000_000) == []
    scene.forget()
    assert scene.path("front", 1_200_000_000) == []


def test_what_is_plotted_has_a_value_for_each_channel() -> None:
    scene = Scene(RIG)
    names = [channel["name"] for channel in scene.channels]
    values = dict(zip(names, scene.values(state(0)), strict=True))
    assert names[:4] == ["x", "y", "z", "gripper"]
    assert (values["x"], values["gripper"]) == (pytest.approx(0.36, abs=1e-3), 0.085)
    planned = scene.planned(chunk(1_000_000_000))
    assert len(planned["values"]) == len(names)
    assert planned["values"][2][-1] == pytest.approx(planned["values"][2][0] - 0.14, abs=1e-3)
    assert planned["values"][4:] == [None] * 6, "this policy plans poses, not joints"


def test_a_policy_of_joint_angles_is_plotted_and_drawn_by_forward_kinematics() -> None:
    space = RIG.policy.action_space.model_copy(update={"kind": "joint_position", "reference": "absolute"})
    rig = RIG.model_copy(update={"policy": RIG.policy.model_copy(update={"action_space": space})})
    scene = Scene(rig)
    times = 1_000_000_000 + np.arange(4, dtype=np.int64) * 100_000_000
    planned = scene.planned(Chunk(int(times[0]), times, np.tile([*HOME, 0.04], (4, 1))))
    assert planned["values"][0] == pytest.approx([0.36] * 4, abs=1e-3)
    assert planned["values"][5] == pytest.approx([HOME[1]] * 4)
    assert len(scene.path("front", int(times[0]))) == 4


# ---- nodes, rates


def test_a_node_that_says_nothing_is_silent_and_then_gone() -> None:
    overview = Overview()
    overview.hear("sampler_node", 1, "stale_image: ...", {"state": "active", "reason": "stale_image"}, 0.0)
    assert overview.nodes(0.5) == [
        {"name": "sampler_node", "state": "active", "level": 1, "message": "stale_image: ..."}
    ]
    assert (overview.nodes(SILENT_S + 0.1)[0]["state"], overview.nodes(SILENT_S + 0.1)[0]["level"]) == ("silent", 3)
    assert overview.nodes(GONE_S + 0.1) == []
    assert overview.value("sampler_node", "reason") == ""


def test_counters_become_rates_and_a_node_that_was_started_anew_has_none_below_nought() -> None:
    overview = Overview()
    for now_s, frames in ((0.0, 100), (1.0, 120), (2.0, 140)):
        overview.hear("camera_front", 0, "", {"frames": str(frames), "dropped": "3", "rate_hz": "20"}, now_s)
    assert overview.streams() == [{"node": "camera_front", "what": "frames", "hz": 20.0, "lost": 3}]
    overview.hear("camera_front", 0, "", {"frames": "5", "dropped": "0"}, 4.0)
    assert overview.streams()[0]["hz"] == 0.0


def test_interventions_and_refusals_are_summed_over_all_nodes() -> None:
    overview = Overview()
    overview.hear("arm_bridge_node", 0, "", {"intervention.velocity_limit": "7", "intervention.workspace": "9"}, 0.0)
    overview.hear("encoder_node", 0, "", {"refused.stale_image": "2", "stage.encode": "5.1 7.2 400"}, 0.0)
    overview.hear("sampler_node", 0, "", {"refused.stale_image": "3"}, 0.0)
    assert overview.interventions() == {"workspace": 9, "velocity_limit": 7}
    assert overview.refusals() == {"stale_image": 5}


# ---- events


def test_what_grows_is_an_event_and_what_was_there_before_is_none() -> None:
    log = Log()
    log.interventions({"velocity_limit": 40}, 1.0)
    assert log.events() == []
    log.interventions({"velocity_limit": 43, "workspace": 1}, 2.0)
    log.interventions({"velocity_limit": 43, "workspace": 5}, 3.0)
    assert [(event["text"], event["times"]) for event in log.events()] == [("workspace", 5), ("velocity_limit", 3)]


def test_a_standing_refusal_is_one_event_until_it_changes() -> None:
    log = Log()
    for now_s, reason in ((1.0, "stale_image"), (1.5, "stale_image"), (2.0, ""), (2.5, "stale_image")):
        log.node("encoder_node", reason, now_s)
    (event,) = log.events()
    assert (event["text"], event["times"], event["at_s"]) == ("encoder_node: stale_image", 2, 2.5)
    log.add("arm", "policy", 3.0)
    assert log.events()[0]["text"] == "policy"
