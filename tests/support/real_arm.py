"""What stands on a real arm's side of the bridge: ros2_control's controller with its parameters, and joint states.

In real time and in the probe's process. The rig is a shipped one of hardware, patient enough for a busy machine.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from tests.support.fake_ros.controller_manager_msgs.srv import ListControllers, controller_state
from tests.support.graph import Probe
from tests.support.jtc import JointTrajectoryController
from xdistill_ros import resources
from xdistill_ros.arm.interfaces import JointTrajectoryMessage, TrajectoryPoint
from xdistill_ros.arm.kinematics import Kinematics
from xdistill_ros.nodes.base import messages
from xdistill_ros.policy.chunk import Chunk
from xdistill_ros.rig.poses import pose_to_9d

SHIPPED = resources.config("rigs/xarm6_realsense.yaml")
CONTROLLER = "xarm6_traj_controller"
ROS2_CONTROL = {
    "driver": None,
    "interface": {
        "kind": "joint_trajectory",
        "topic": f"/{CONTROLLER}/joint_trajectory",
        "rate_hz": 75.0,
        "on_silence": "each message ends at rest",
    },
}
UPDATE_HZ = 100.0
STATES_HZ = 50.0
JTC = "joint_trajectory_controller/JointTrajectoryController"
FAKE_ROS = Path(__file__).parent / "fake_ros"
EXTRA = "linear_track"


def write_real_rig(folder: Path, source: Path = SHIPPED, **arm: object) -> Path:
    """A shipped rig of hardware whose patience suits a busy machine; `arm` replaces fields of its arm section."""
    document = yaml.safe_load(source.read_text(encoding="utf-8"))
    document["arm"] |= {"urdf": str((source.parent / document["arm"]["urdf"]).resolve()), **arm}
    document["arm"]["safety"] |= {"watchdog_s": 1.0, "following_error_s": 1.0, "following_error_rad": 0.5}
    document["observation"] |= {"joint_state_s": 1.0, "future_s": 0.5}
    path = folder / "rig.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return path


class JointStates:
    """The broadcaster: the arm's joints in an order of its own, with one that is none of the rig's."""

    def __init__(self, probe: Probe) -> None:
        self.rig = probe.rig
        self.positions = np.array(self.rig.arm.home_rad)
        self.spoiled: dict[str, Any] = {}
        """Fields that a message gets instead of its own."""
        self._pushed = 0.0, 0  # rad/s, since when: one value, for two threads
        self._publisher = probe.node.create_publisher(JointState, "/joint_states", probe.qos.stream())
        probe.node.create_timer(1.0 / STATES_HZ, self._publish)

    def push(self, speed_rad_s: float) -> int:
        """Somebody pushes every joint at this speed from now on; at 0 they are where they were before. ROS time."""
        since_ns = time.time_ns()
        self._pushed = speed_rad_s, since_ns
        return since_ns

    def _publish(self) -> None:
        names = [self.rig.gripper.joint, EXTRA, *reversed(self.rig.arm.joint_names)]
        (speed_rad_s, since_ns), now_ns = self._pushed, time.time_ns()
        positions = self.positions + speed_rad_s * (now_ns - since_ns) * 1e-9
        message = JointState(name=names, position=[0.4, 9.0, *positions[::-1].tolist()])
        message.velocity = [0.0] * len(names)
        message.header.stamp = messages.to_stamp(now_ns)
        for field, value in self.spoiled.items():
            setattr(message, field, value)
        self._publisher.publish(message)


@contextlib.contextmanager
def trajectory_controller(
    probe: Probe, states: JointStates, **parameters: object
) -> Iterator[JointTrajectoryController]:
    """A joint_trajectory_controller's node: its parameters, its topic, and its cycle, which moves the arm."""
    names = probe.rig.arm.joint_names
    controller = JointTrajectoryController(names, 1.0 / UPDATE_HZ)
    with probe.beside(CONTROLLER, joints=list(names), **parameters) as node:
        began_s = time.monotonic()

        def cycle() -> None:
            states.positions = controller.update(time.monotonic() - began_s, states.positions)

        def receive(message: JointTrajectory) -> None:
            assert messages.to_ns(message.header.stamp) == 0, "a stream begins at once"
            points = [
                TrajectoryPoint(list(one.positions), list(one.velocities), messages.to_ns(one.time_from_start) * 1e-9)
                for one in message.points
            ]
            controller.receive(JointTrajectoryMessage(tuple(message.joint_names), points))

        node.create_timer(1.0 / UPDATE_HZ, cycle)
        node.create_subscription(JointTrajectory, probe.rig.arm.interface.topic, receive, probe.qos.command())
        yield controller


class Swaying:
    """The policy: chunks that sway the TCP by centimetres about home."""

    def __init__(self, probe: Probe) -> None:
        self._rig = probe.rig
        self._home = Kinematics(probe.rig).forward(np.array(probe.rig.arm.home_rad))
        self._publisher = probe.node.create_publisher(JointTrajectory, "/policy/action_chunk", probe.qos.stream())
        self._timer = probe.node.create_timer(0.3, self._propose)

    def stop(self) -> None:
        """No further chunks."""
        self._timer.cancel()

    def _propose(self) -> None:
        period_ns = round(1e9 / self._rig.policy.rate_hz)
        now_ns = time.time_ns()
        times = now_ns + np.arange(self._rig.policy.prediction_horizon, dtype=np.int64) * period_ns
        actions = np.tile(np.append(pose_to_9d(self._home), 0.04), (len(times), 1))
        actions[:, 1] += 0.03 * np.sin(2.0 * (times % 10**12) * 1e-9)
        chunk = Chunk(int(times[0]), times, actions)
        self._publisher.publish(messages.chunk_message(chunk, self._rig.channels, self._rig.arm.base_frame))


class ControllerManager:
    """ros2_control's, as far as it is asked: it lists one controller."""

    def __init__(self, node: Any, state: str) -> None:
        self.node, self.state, self.asked = node, state, 0
        node.create_service(ListControllers, "/controller_manager/list_controllers", self._list)

    def _list(self, _request: Any, response: Any) -> Any:
        self.asked += 1
        response.status = [controller_state(CONTROLLER, self.state, JTC)]
        return response
