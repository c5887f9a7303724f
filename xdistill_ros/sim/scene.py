"""Builds the simulated table as one compiled MuJoCo model: room, arm, cameras, distractors and a task's things.

Owns the physics options and the calibration of the cameras; knows nothing of time, latencies or success.
"""

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np

from xdistill_ros.rig import Camera, Rig
from xdistill_ros.rig.poses import quaternion_from_rotation, rotation_from_quaternion

from . import boards, textures
from .arm_model import WORLD_CONTACT, add_arm
from .frames import OPTICAL_TO_MUJOCO, upright
from .looks import LIGHTS, TABLE, table_material
from .table import Table
from .tasks.base import Task

STEP_NS = 2_000_000
# Shape, half sizes [m] and colour of what may lie about; parked out of sight unless a condition wants them.
DISTRACTORS = (
    (mujoco.mjtGeom.mjGEOM_CYLINDER, (0.022, 0.03, 0), (0.25, 0.55, 0.75)),
    (mujoco.mjtGeom.mjGEOM_BOX, (0.035, 0.018, 0.015), (0.75, 0.6, 0.2)),
    (mujoco.mjtGeom.mjGEOM_BOX, (0.02, 0.02, 0.032), (0.45, 0.3, 0.6)),
)  # fmt: skip
PARKED_Z = -3.0


def build(rig: Rig, task: Task) -> mujoco.MjModel:
    """The compiled model of the table set for `task`, seen by the rig's cameras."""
    spec = mujoco.MjSpec()
    spec.compiler.degree = False
    _set_physics(spec)
    _add_room(spec)
    for material, colour in task.paint.items():
        spec.add_material(name=material, rgba=[*colour, 1.0], specular=0.15, shininess=0.3)
    add_arm(spec, rig.arm, rig.gripper)
    boards.add_boards(spec, rig.arm.base_frame, rig.arm.tcp_frame)
    for name, camera in rig.cameras.items():
        _add_camera(spec, name, camera)
    task.build(spec)
    _add_distractors(spec)
    return spec.compile()


def _set_physics(spec: mujoco.MjSpec) -> None:
    option = spec.option
    option.timestep = STEP_NS * 1e-9
    option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC  # with the high ratio below, what is grasped does not creep
    option.impratio = 10.0
    option.iterations = 30
    option.ls_iterations = 20
    visual = spec.visual
    visual.quality.offsamples = 0  # multisampling costs ten times the frame on a software renderer
    visual.quality.shadowsize = 0
    visual.map.znear, visual.map.zfar = 0.01, 20.0
    visual.headlight.diffuse = [0.12, 0.12, 0.12]
    visual.headlight.specular = [0.0, 0.0, 0.0]


def _add_room(spec: mujoco.MjSpec) -> None:
    spec.add_texture(
        name="sky", type=mujoco.mjtTexture.mjTEXTURE_SKYBOX, builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
        rgb1=[0.80, 0.83, 0.87], rgb2=[0.46, 0.49, 0.54], width=128, height=768,
    )  # fmt: skip
    for name, pixels in textures.tables().items():
        _add_table_top(spec, table_material(name), pixels)
    spec.worldbody.add_geom(
        name=TABLE, type=mujoco.mjtGeom.mjGEOM_BOX, pos=[0.30, 0, -0.02], size=[0.56, 0.60, 0.02],
        material=table_material(textures.NOMINAL), friction=[0.8, 0.01, 0.0005], **WORLD_CONTACT,
    )  # fmt: skip
    for name in LIGHTS:
        spec.worldbody.add_light(name=name, directional=True, pos=[0, 0, 2], castshadow=False)


def _add_table_top(spec: mujoco.MjSpec, name: str, pixels: textures.Pixels) -> None:
    texture = spec.add_texture(
        name=name, type=mujoco.mjtTexture.mjTEXTURE_2D, width=textures.SIZE, height=textures.SIZE, nchannel=3
    )
    texture.data = pixels.tobytes()
    by_role = [""] * mujoco.mjtTextureRole.mjNTEXROLE
    by_role[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name
    spec.add_material(name=name, textures=by_role, texrepeat=[1.7, 1.7], texuniform=True, specular=0.1, shininess=0.2)


def _add_camera(spec: mujoco.MjSpec, name: str, camera: Camera) -> None:
    """A camera whose pixels are where the rig's calibration says."""
    body = spec.body(camera.parent_frame)
    if body is None:
        raise ValueError(f"cameras.{name}.parent_frame: the arm has no link {camera.parent_frame}")
    intrinsics, pose = camera.intrinsics, camera.optical_pose
    rotation = rotation_from_quaternion(np.array(pose.quaternion_wxyz)) @ OPTICAL_TO_MUJOCO
    size = np.array([camera.width_px, camera.height_px])
    # A pixel corner's coordinates: OpenCV puts pixel (0, 0)'s centre at 0, MuJoCo's image begins at its corner.
    centre = np.array([intrinsics.cx_px, intrinsics.cy_px]) + 0.5
    offset = (size / 2 - centre) * [1.0, -1.0]
    body.add_camera(
        name=name, pos=pose.position_m, quat=quaternion_from_rotation(rotation), resolution=size.tolist(),
        focal_pixel=[intrinsics.fx_px, intrinsics.fy_px], principal_pixel=offset.tolist(),
        sensor_size=(size * 1e-5).tolist(),
    )  # fmt: skip


def _add_distractors(spec: mujoco.MjSpec) -> None:
    for index, (shape, size, colour) in enumerate(DISTRACTORS):
        # Weightless while parked, so that they cost no contacts; who places one gives it its weight.
        body = spec.worldbody.add_body(name=f"distractor{index}", pos=[0.3 * index, 0, PARKED_Z], gravcomp=1)
        body.add_freejoint(name=f"distractor{index}")
        spec.add_material(name=f"distractor{index}", rgba=[*colour, 1.0], specular=0.15)
        body.add_geom(type=shape, size=list(size), material=f"distractor{index}", mass=0.15, **WORLD_CONTACT)


def place_distractors(table: Table, where: Sequence[tuple[float, float, float]]) -> None:
    """Stands the first distractors at (x, y, yaw) on the table and parks the others out of sight."""
    for index, (shape, size, _) in enumerate(DISTRACTORS):
        name = f"distractor{index}"
        present = index < len(where)
        x, y, yaw = where[index] if present else (0.3 * index, 0.0, 0.0)
        height = size[1] if shape == mujoco.mjtGeom.mjGEOM_CYLINDER else size[2]
        table.place(name, upright(x, y, height if present else PARKED_Z, yaw))
        table.model.body_gravcomp[table.model.body(name).id] = 0.0 if present else 1.0
