"""`ros2 launch xdistill_ros demo.launch.py`: the simulated table, the policy, and scored trials. What is in it: `xdistill_ros/graph.py`."""

from launch import LaunchDescription

from xdistill_ros.nodes.launching import description


def generate_launch_description() -> LaunchDescription:
    """The graph `demo`."""
    return description("demo")
