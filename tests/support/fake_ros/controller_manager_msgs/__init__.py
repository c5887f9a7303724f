"""Stands in for ros2_control's messages, which no Python index has; put on PYTHONPATH before real ones."""
