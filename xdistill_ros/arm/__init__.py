"""The arm: consent, kinematics, tracking, the safety envelope and command interfaces. No ROS in here."""

from .command import Command, TickResult
from .control_loop import ControlLoop, Lateness
from .controller import Controller
from .interfaces import ForwardPosition, JointTrajectoryMessage, JointTrajectoryStream, TrajectoryPoint, interface_for
from .kinematics import Kinematics
from .modes import Mode
from .record import CommandedActions

__all__ = [
    "Command", "CommandedActions", "ControlLoop", "Controller", "ForwardPosition", "JointTrajectoryMessage",
    "JointTrajectoryStream", "Kinematics", "Lateness", "Mode", "TickResult", "TrajectoryPoint", "interface_for",
]  # fmt: skip
