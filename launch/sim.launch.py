"""`ros2 launch xdistill_ros sim.launch.py`: the simulated table, standing where the hardware would. What is in it: `xdistill_ros/graph.py`."""

from launch import LaunchDescription

from xdistill_ros.nodes.launching import description


def generate_launch_description() -> LaunchDescription:
    """The graph `sim`."""
    return description("sim")
