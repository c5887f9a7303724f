"""A trained policy as `sim.pilots.PolicyPilot` runs it, without a bundle: its networks are torch's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xdistill_ros.learn.data.points import View, shrunk
from xdistill_ros.learn.errors import LearnError
from xdistill_ros.learn.networks.encoders import Encoder
from xdistill_ros.learn.networks.pointnet import PointNet
from xdistill_ros.learn.policies import Trained
from xdistill_ros.perception import Preprocess
from xdistill_ros.policy.manifest import EncoderEntry, Manifest, Statistics
from xdistill_ros.policy.sampler import Sampler

if TYPE_CHECKING:  # whoever trains need not have MuJoCo
    from xdistill_ros.sim import Frame

Array = NDArray[np.float32]


class InMemory:
    """See `sim.pilots.Networks`. The manifest lacks what it says of files."""

    def __init__(self, trained: Trained, device: str) -> None:
        self._trained, self._device = trained, torch.device(device)
        self._encoder = trained.encoder.to(self._device).eval()
        self._denoiser = _Denoiser(trained, self._device)
        self.manifest = Manifest.model_construct(
            name=trained.task, task=trained.task, rig=trained.rig, preprocess=dict(trained.preprocess),
            encoder=EncoderEntry.model_construct(sha256="", feature_dim=trained.encoder.feature_dim),
            proprio=trained.proprio, statistics=Statistics(**trained.statistics._asdict()),
            schedule=trained.head.schedule, created="", provenance={}, files={},
        )  # fmt: skip

    def eye(self, camera: str) -> _Eye:
        """All cameras' frames go through one encoder: their pictures, or the points of their depth."""
        look = _points if isinstance(self._encoder, PointNet) else _picture
        return _Eye(look(self._trained, camera), self._encoder, self._device)

    def sampler(self, seed: int) -> Sampler:
        """A new one of the same networks."""
        return Sampler.of(self.manifest, self._denoiser, seed)


Look = Callable[["Frame"], Tensor]
"""A frame as the encoder takes it, (1, 3, h, w) float32."""


def _picture(trained: Trained, camera: str) -> Look:
    preprocess = Preprocess(trained.preprocess[camera])
    return lambda frame: torch.from_numpy(preprocess(frame.pixels))


def _points(trained: Trained, camera: str) -> Look:
    spec = trained.preprocess[camera]
    view = View.of(trained.rig, camera, spec.resize_height_px, spec.resize_width_px)

    def look(frame: Frame) -> Tensor:
        if frame.depth is None:
            raise LearnError(
                f"the policy sees the depth of camera {camera}, and this rig's camera gives none: set "
                f"cameras.{camera}.depth in it"
            )
        return view.points(torch.from_numpy(shrunk(frame.depth, spec))[None])

    return look


class _Eye:
    """See `sim.pilots.Eye`."""

    def __init__(self, look: Look, encoder: Encoder, device: torch.device) -> None:
        self._look, self._encoder, self._device = look, encoder, device

    @torch.inference_mode()
    def feature(self, frame: Frame) -> Array:
        feature: Array = self._encoder(self._look(frame).to(self._device))[0].cpu().numpy()
        return feature


class _Denoiser:
    """See `policy.sampler.Denoiser`."""

    provider = "torch"

    def __init__(self, trained: Trained, device: torch.device) -> None:
        self._head, self._device = trained.head.to(device).eval(), device
        self.step_film: Array = self._head.step_table().numpy()

    @torch.inference_mode()
    def film(self, condition: Array) -> Array:
        """(1, W) of (1, C)."""
        film: Array = self._head.film.condition(torch.from_numpy(condition).to(self._device)).cpu().numpy()
        return film

    @torch.inference_mode()
    def predict(self, sample: Array, film: Array) -> Array:
        """(1, T, A) of (1, T, A) and (1, W)."""
        inputs = (torch.from_numpy(np.asarray(one, np.float32)).to(self._device) for one in (sample, film))
        prediction: Array = self._head.unet(*inputs).cpu().numpy()
        return prediction
