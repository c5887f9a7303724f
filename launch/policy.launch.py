"""Encoder, sampler and arm bridge, for a rig whose cameras and arm are up; started from `xdistill_ros/graph.py`.

ros2 launch xdistill_ros policy.launch.py --show-args
"""

from launch import LaunchDescription
from xdistill_ros.nodes.launching import description


def generate_launch_description() -> LaunchDescription:
    """The graph `policy`."""
    return description("policy")
