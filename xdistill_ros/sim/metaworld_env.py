"""A MetaWorld v3 task as a policy meets it: one camera, where the hand is, four numbers to move it by.

The environments and their scripted policies are Farama's `metaworld` (Yu et al. 2019, arXiv 1910.10897); what is here
makes a scene follow from its seed alone, and renders fast. Knows nothing of rigs: MetaWorld's arm is a hand that is
moved by displacements.
"""

from __future__ import annotations

import warnings
from typing import Self

# isort: split
from . import gl  # first: it picks the renderer before MuJoCo is loaded

# isort: split
import mujoco
import numpy as np
from metaworld.env_dict import ALL_V3_ENVIRONMENTS, ALL_V3_ENVIRONMENTS_GOAL_OBSERVABLE
from metaworld.policies import ENV_POLICY_MAP
from numpy.typing import NDArray

from xdistill_ros.rig.camera import Intrinsics

from .render import SLOW, Millimetres, Pixels, depth

Array = NDArray[np.float64]
TASKS: tuple[str, ...] = tuple(name.removesuffix("-v3") for name in ALL_V3_ENVIRONMENTS)
STEP_LIMIT = 200  # of an episode, as in DP3
ACTION_DIM = 4
CAMERA = "corner2"
CAMERA_POSITION_M = (0.6, 0.295, 0.8)  # DP3 moves this camera nearer
OPENING_M = 0.1  # between the fingers where MetaWorld says 1


class MetaWorld:
    """One task. Owns an OpenGL context once a picture was drawn: close it, or use it in a `with`."""

    def __init__(self, task: str, size_px: int) -> None:
        """size_px: side of the square pictures. Raises ValueError for a task that does not exist."""
        if task not in TASKS:
            raise ValueError(f"MetaWorld has no task {task!r}; it has {', '.join(TASKS)}")
        self.task, self.size_px = task, size_px
        # The goal is part of the state that the scripted policy reads; a learner sees it in the picture alone.
        self._env = ALL_V3_ENVIRONMENTS_GOAL_OBSERVABLE[f"{task}-v3-goal-observable"](seed=0)
        self._env._freeze_rand_vec, self._env.seeded_rand_vec = False, True
        self._env.model.camera(CAMERA).pos[:] = CAMERA_POSITION_M
        self._renderer: mujoco.Renderer | None = None
        self.reset(0)

    def reset(self, seed: int) -> None:
        """A new episode, all of which follows from `seed` and what is done."""
        self._env.seed(seed)
        self._state, _ = self._env.reset()
        mujoco.mj_forward(self._env.model, self._env.data)  # the goal was moved after the last one
        self._expert = ENV_POLICY_MAP[f"{self.task}-v3"]()
        self.steps = self.successes = 0

    def step(self, action: Array) -> None:
        """Moves by action (4,): x, y and z in hundredths of a metre, and the closing effort, each within [-1, 1]."""
        if not np.isfinite(action).all():
            raise ValueError(f"{self.task}: action {action.tolist()} is not finite")
        self._state, _, _, _, told = self._env.step(np.clip(action, -1.0, 1.0).astype(np.float32))
        self.steps += 1
        self.successes += bool(told["success"])

    @property
    def succeeded(self) -> bool:
        """Whether the task was done at any step, which is what DP3 and MetaWorld count."""
        return self.successes > 0

    @property
    def over(self) -> bool:
        """Whether the episode's time is up."""
        return self.steps >= STEP_LIMIT

    def expert(self) -> Array:
        """What the scripted policy does now, (4,), clipped as the environment does."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of what will be clipped, which it is
            action: Array = np.asarray(self._expert.get_action(self._state), float)
        return action.clip(-1.0, 1.0)

    def hand_m(self) -> Array:
        """Where the hand is (3,)."""
        return np.array(self._state[:3])

    def opening_m(self) -> float:
        """How far the fingers are apart."""
        return OPENING_M * float(self._state[3])

    def things_m(self) -> Array:
        """Points (3, 3) that nobody tells a policy: the task's object, its second one (0 for none), the goal."""
        return np.array([self._state[4:7], self._state[11:14], self._state[-3:]])

    def camera_pose(self) -> Array:
        """Pose (4, 4) of the camera's optical frame (x right and y down in the picture, z forward)."""
        camera = self._env.data.camera(CAMERA)
        pose = np.eye(4)
        # the picture is turned by half a turn (see `image`), so MuJoCo's x and y are its own reversed once more
        pose[:3, :3], pose[:3, 3] = camera.xmat.reshape(3, 3) @ np.diag([-1.0, 1.0, -1.0]), camera.xpos
        return pose

    def image(self) -> Pixels:
        """What the camera sees, (size, size, 3) uint8 RGB, the right way up: the camera itself hangs upside down."""
        return np.ascontiguousarray(self._looking().render()[::-1, ::-1])

    def depth(self) -> Millimetres:
        """How far what `image` shows lies along the camera's axis, (size, size) uint16; see `render.depth`."""
        return np.ascontiguousarray(depth(self._looking())[::-1, ::-1])

    def lens(self) -> Intrinsics:
        """Of `image` and `depth`."""
        half, middle = np.radians(self._env.model.camera(CAMERA).fovy.item() / 2), (self.size_px - 1) / 2
        focal_px = self.size_px / 2 / float(np.tan(half))
        return Intrinsics(fx_px=focal_px, fy_px=focal_px, cx_px=middle, cy_px=middle)

    def _looking(self) -> mujoco.Renderer:
        if self._renderer is None:
            self._renderer = self._make_renderer()
        self._renderer.update_scene(self._env.data, CAMERA)
        return self._renderer

    def _make_renderer(self) -> mujoco.Renderer:
        gl.require()
        self._env.model.vis.quality.offsamples = 0  # multisampling takes most of the time without a GPU
        renderer = mujoco.Renderer(self._env.model, self.size_px, self.size_px)
        for flag in SLOW:
            renderer.scene.flags[flag] = False
        return renderer

    def close(self) -> None:
        """Frees the OpenGL context, if there is one."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
