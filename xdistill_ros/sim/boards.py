"""Calibration boards of the simulated table: one lies on it, one is in the hand. Out of sight unless asked for.

Geometry is that of `calibrate.Board`'s default, so that a measured camera can be compared with the true one.
"""

from __future__ import annotations

from typing import Literal

import mujoco
import numpy as np
from numpy.typing import NDArray

from xdistill_ros.calibrate import Board
from xdistill_ros.rig.poses import pose_matrix, quaternion_from_rotation

from .arm_shapes import NO_CONTACT

Place = Literal["", "table", "hand"]
PLACES: tuple[Place, ...] = ("", "table", "hand")
BOARD = Board()

_PIXELS = 8  # of the texture for one of the pattern's cells
_HALF_THICK_M = 0.001
_TEXTURE = "calibration_board"
# Rows: the board's x (along its rows), y (down), and z (into the paper), in the frame of what carries it.
_ON_TABLE = pose_matrix(np.array([0.40, 0.0, 0.006]), np.array([[0.0, -1, 0], [-1, 0, 0], [0, 0, -1]]).T)
"""Its middle before the arm, its rows from left to right as the arm sees them."""
_LEAN = np.radians(30.0)
_IN_HAND = pose_matrix(
    0.10 * np.array([np.sin(_LEAN), 0.0, np.cos(_LEAN)]),
    np.array([[0.0, -1, 0], [np.sin(_LEAN), 0, np.cos(_LEAN)], [-np.cos(_LEAN), 0, np.sin(_LEAN)]]).T,
)
"""Below the fingertips, in the TCP's frame, leaning back so that a camera beyond the table sees its face."""


def add_boards(spec: mujoco.MjSpec, base: str, tcp: str) -> None:
    """Adds both, out of sight: on body `base`, and on body `tcp`."""
    pixels = np.repeat(np.kron(BOARD.pattern(), np.ones((_PIXELS, _PIXELS), np.uint8))[..., None], 3, axis=2)
    texture = spec.add_texture(
        name=_TEXTURE, type=mujoco.mjtTexture.mjTEXTURE_2D, width=pixels.shape[1], height=pixels.shape[0], nchannel=3
    )
    texture.data = pixels.tobytes()
    by_role = [""] * mujoco.mjtTextureRole.mjNTEXROLE
    by_role[mujoco.mjtTextureRole.mjTEXROLE_RGB] = _TEXTURE
    spec.add_material(name=_TEXTURE, textures=by_role, specular=0.0, shininess=0.0)
    for where, parent, middle in (("table", base, _ON_TABLE), ("hand", tcp, _IN_HAND)):
        _add(spec.body(parent), _geom(where), middle)


def show(model: mujoco.MjModel, where: Place) -> None:
    """Puts the board there, or away."""
    for place in PLACES[1:]:
        model.geom(_geom(place)).rgba[3] = float(place == where)


def pose_in_carrier(where: Place) -> NDArray[np.float64]:
    """The board's frame (4, 4) (see `calibrate.board`) in the base, or in the TCP's frame."""
    middle = _ON_TABLE if where == "table" else _IN_HAND
    corner = middle.copy()
    corner[:3, 3] = middle[:3, 3] - middle[:3, :3] @ (BOARD.centre - [0.0, 0.0, -_HALF_THICK_M])
    return corner


def _geom(where: str) -> str:
    return f"board_{where}"


def _add(body: mujoco.MjsBody, name: str, middle: NDArray[np.float64]) -> None:
    width, height = BOARD.size_m
    turned = middle[:3, :3] @ np.diag([1.0, -1.0, -1.0])  # a box's upper side, x right and y up, is what is printed on
    carried = body.add_body(name=name)  # MuJoCo finds no centre of two massless geoms in one body
    carried.add_geom(
        name=name, type=mujoco.mjtGeom.mjGEOM_BOX, pos=middle[:3, 3], quat=quaternion_from_rotation(turned),
        size=[width / 2, height / 2, _HALF_THICK_M], material=_TEXTURE, rgba=[1.0, 1.0, 1.0, 0.0], mass=0.0,
        **NO_CONTACT,
    )  # fmt: skip
