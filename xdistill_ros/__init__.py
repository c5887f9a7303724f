"""xdistill_ros: from a handful of VR demonstrations to a measured policy on a table-top arm."""

__version__ = "0.1.0"
