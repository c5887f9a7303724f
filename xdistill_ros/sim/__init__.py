"""The simulated table: a MuJoCo world that stands where the hardware would, with its latencies; tasks and experts.

Imported nowhere on the path that drives a real arm. The OpenGL backend is chosen here, before mujoco is loaded.
"""

from . import gl

gl.choose()

from .conditions import CONDITIONS, IN_DISTRIBUTION, VARIANTS  # noqa: E402
from .expert import Expert  # noqa: E402
from .tasks import TASKS, Region, Task  # noqa: E402
from .world import Frame, World  # noqa: E402

__all__ = [
    "CONDITIONS", "IN_DISTRIBUTION", "TASKS", "VARIANTS", "Expert", "Frame", "Region", "Task", "World",
]  # fmt: skip
