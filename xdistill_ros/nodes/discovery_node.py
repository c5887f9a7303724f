"""The discovery server of a rig with `network.discovery: server`: the process that all others ask who else is there.

Runs on the rig's first host. What runs already goes on without it; what is started later waits until it is back. It
is a DDS participant with a profile of its own, and takes no part in the graph.
"""

from __future__ import annotations

import os

from xdistill_ros import resources
from xdistill_ros.graph import profile_variable


def main() -> int:
    """Serves until a signal; the process's exit status."""
    os.environ[profile_variable()] = str(resources.config("discovery_server.xml"))
    os.environ.pop("ROS_DISCOVERY_SERVER", None)  # it would make this one a client of itself
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "SYSTEM_DEFAULT"  # the profile alone says how to discover
    import rclpy
    from rclpy.executors import ExternalShutdownException

    with rclpy.init(args=[]):
        node = rclpy.create_node("discovery_node")
        try:
            rclpy.spin(node)
        except (KeyboardInterrupt, ExternalShutdownException):
            node.destroy_node()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
