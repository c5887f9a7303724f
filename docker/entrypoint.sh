#!/usr/bin/env bash
# ROS, the workspace, then the command in this shell's place, so that signals reach it and the arm comes to rest.
set -eo pipefail # not -u: ROS's set-up reads variables that may be unset
source "/opt/ros/$ROS_DISTRO/setup.bash"
source /opt/xdistill_ws/local_setup.bash
exec "$@"
