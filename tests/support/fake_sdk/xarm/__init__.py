"""Stands in for xarm-python-sdk where the controller box would begin; put on PYTHONPATH before the real one."""
