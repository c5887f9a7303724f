"""A table, the recorder, and who demonstrates; what it starts is in `xdistill_ros/graph.py`.

ros2 launch xdistill_ros record.launch.py --show-args
"""

from launch import LaunchDescription
from xdistill_ros.nodes.launching import description


def generate_launch_description() -> LaunchDescription:
    """The graph `record`."""
    return description("record")
