"""The simulated table, a policy, and scored trials of it; what it starts is in `xdistill_ros/graph.py`.

ros2 launch xdistill_ros trial.launch.py --show-args
"""

from launch import LaunchDescription
from xdistill_ros.nodes.launching import description


def generate_launch_description() -> LaunchDescription:
    """The graph `trial`."""
    return description("trial")
