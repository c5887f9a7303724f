"""Pictures and depths of a model, fast on a software renderer: no shadows, no reflections, no multisampling."""

from __future__ import annotations

from typing import Self

import mujoco
import numpy as np
from numpy.typing import NDArray

from xdistill_ros.rig import Rig

from . import gl
from .ink import FULL, Drawn

Pixels = NDArray[np.uint8]
INK_HEIGHT_M = 0.001  # over its body's origin: on a sheet that is a little thinner
_INK_HALF_THICK_M = 0.0002
SLOW = (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION, mujoco.mjtRndFlag.mjRND_HAZE)
Millimetres = NDArray[np.uint16]
FARTHEST_M = 10.0  # what lies beyond is not measured, as by a stereo camera's short baseline


def depth(renderer: mujoco.Renderer) -> Millimetres:
    """Depth (H, W) of the renderer's scene: millimetres along the optical axis, 0 beyond FARTHEST_M.

    A real camera's noise, holes at edges and least distance are not in it.
    """
    renderer.enable_depth_rendering()
    try:
        metres = renderer.render()
    finally:
        renderer.disable_depth_rendering()
    return np.where(metres > FARTHEST_M, 0.0, np.rint(1e3 * metres)).astype(np.uint16)


class Painter:
    """Renders the rig's cameras of one model. Owns an OpenGL context: close it, or use it in a `with`.

    A context belongs to the thread that made it. `scale` renders smaller pictures of the same view.
    """

    def __init__(self, rig: Rig, model: mujoco.MjModel, scale: float = 1.0) -> None:
        gl.require()
        self._model = model
        self._option = mujoco.MjvOption()
        self._option.sitegroup[:] = 0
        sizes = {name: (round(c.height_px * scale), round(c.width_px * scale)) for name, c in rig.cameras.items()}
        model.vis.global_.offwidth = max(width for _, width in sizes.values())
        model.vis.global_.offheight = max(height for height, _ in sizes.values())
        self._by_size: dict[tuple[int, int], mujoco.Renderer] = {}
        for size in sizes.values():
            if size not in self._by_size:
                self._by_size[size] = mujoco.Renderer(model, *size, max_geom=400 + FULL)
        self._renderers = {name: self._by_size[size] for name, size in sizes.items()}
        for renderer in self._by_size.values():
            for flag in SLOW:
                renderer.scene.flags[flag] = False

    def paint(self, data: mujoco.MjData, camera: str, ink: Drawn | None = None) -> Pixels:
        """What `camera` sees of `data`, (H, W, 3) uint8 RGB. Positions in `data` must be up to date (mj_forward)."""
        renderer = self._renderers[camera]
        renderer.update_scene(data, camera, self._option)
        if ink is not None:
            _add_ink(renderer.scene, self._model, data, ink)
        pixels: Pixels = renderer.render()
        return pixels

    def measure(self, data: mujoco.MjData, camera: str) -> Millimetres:
        """How far what `camera` sees of `data` lies along its optical axis; see `depth`. Positions as for `paint`."""
        renderer = self._renderers[camera]
        renderer.update_scene(data, camera, self._option)
        return depth(renderer)

    def close(self) -> None:
        """Frees the OpenGL contexts."""
        for renderer in self._by_size.values():
            renderer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _add_ink(scene: mujoco.MjvScene, model: mujoco.MjModel, data: mujoco.MjData, ink: Drawn) -> None:
    """Lays the lines on their body as flat boxes, which cost little to draw."""
    body = data.body(ink.body)
    rotation, origin = body.xmat.reshape(3, 3), body.xpos
    rgba = model.mat_rgba[model.material(ink.material).id]
    along, count = ink.lines[:, 1] - ink.lines[:, 0], len(ink.lines)
    middles = np.c_[ink.lines.mean(axis=1), np.full(count, INK_HEIGHT_M)] @ rotation.T + origin
    thick = np.full(count, 2.0 * _INK_HALF_THICK_M)
    halves = np.c_[np.hypot(*along.T) + ink.width_m, np.full(count, ink.width_m), thick] / 2.0
    turned = np.zeros((count, 3, 3))
    heading = np.arctan2(along[:, 1], along[:, 0])
    turned[:, 0, 0] = turned[:, 1, 1] = np.cos(heading)
    turned[:, 1, 0], turned[:, 0, 1], turned[:, 2, 2] = np.sin(heading), -np.sin(heading), 1.0
    frames = (rotation @ turned).reshape(count, 9)
    for geom, half, middle, frame in zip(scene.geoms[scene.ngeom :], halves, middles, frames, strict=False):
        mujoco.mjv_initGeom(geom, mujoco.mjtGeom.mjGEOM_BOX, half, middle, frame, rgba)
    scene.ngeom += count
