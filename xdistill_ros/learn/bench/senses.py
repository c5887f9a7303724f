"""How a policy sees MetaWorld: in colour, or as points of depth. There is no rig; the camera is where DP3 has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.learn.data.eyes import Colours, Eye, Points
from xdistill_ros.learn.data.points import View, shrunk
from xdistill_ros.learn.data.view import uncropped
from xdistill_ros.learn.networks import zoo
from xdistill_ros.learn.networks.encoders import InputSpec
from xdistill_ros.learn.training.settings import TrainSettings
from xdistill_ros.perception import Preprocess, PreprocessSpec
from xdistill_ros.rig import Rig
from xdistill_ros.sim.metaworld_env import CAMERA, MetaWorld

from .scripted import Look

BOX_M = np.array([-0.7, 0.1, 0.005]), np.array([0.7, 1.2, 0.8])
"""Corners of what counts of the points: over the table, which is cut away as DP3 cuts it."""


@dataclass(frozen=True)
class Sense:
    """look: what is drawn, colours (H, W, 3) uint8 or depth (H, W) uint16. shrink: what is kept of it, resized and not
    cropped. eye: what becomes of that before the encoder.
    """

    spec: PreprocessSpec
    look: Look
    shrink: Callable[[NDArray[Any]], NDArray[Any]]
    eye: Eye


def sense(settings: TrainSettings, wanted: InputSpec, env: MetaWorld) -> Sense:
    """For the encoder of `settings`, which takes `wanted`, in `env`."""
    side, points = env.size_px, zoo.sees_points(settings.encoder.word)
    spec = settings.image.preprocess(cast(Rig, _Cameras(side)), wanted, points)[CAMERA]
    if not points:
        colours = Colours(spec, settings.image.augmentation)
        return Sense(spec, MetaWorld.image, Preprocess(uncropped(spec)).geometry, colours)
    size = spec.resize_height_px, spec.resize_width_px
    view = View.through(env.lens(), (side, side), size, env.camera_pose(), BOX_M)
    return Sense(spec, MetaWorld.depth, partial(shrunk, spec=spec), Points([view]))


class _Cameras:
    """All that preparing images asks of a rig."""

    def __init__(self, side_px: int) -> None:
        self.cameras: Mapping[str, Any] = {CAMERA: _Camera(side_px, side_px)}


class _Camera(NamedTuple):
    width_px: int
    height_px: int
