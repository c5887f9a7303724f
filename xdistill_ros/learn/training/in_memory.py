"""A trained policy as `sim.pilots.PolicyPilot` runs it, without a bundle: its networks are torch's."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from xdistill_ros.learn.policies import Trained
from xdistill_ros.policy.manifest import EncoderEntry, Manifest, Statistics
from xdistill_ros.policy.sampler import Sampler

Array = NDArray[np.float32]


class InMemory:
    """See `sim.pilots.Networks`. The manifest lacks what it says of files."""

    def __init__(self, trained: Trained, device: str) -> None:
        self._trained, self._device = trained, torch.device(device)
        self._eyes = _Encoder(trained, self._device)
        self._denoiser = _Denoiser(trained, self._device)
        self.manifest = Manifest.model_construct(
            name=trained.task, task=trained.task, rig=trained.rig, preprocess=dict(trained.preprocess),
            encoder=EncoderEntry.model_construct(sha256="", feature_dim=trained.encoder.feature_dim),
            proprio=trained.proprio, statistics=Statistics(**trained.statistics._asdict()),
            schedule=trained.head.schedule, created="", provenance={}, files={},
        )  # fmt: skip

    def encoder(self, camera: str) -> _Encoder:
        """One for all cameras."""
        del camera
        return self._eyes

    def sampler(self, seed: int) -> Sampler:
        """A new one of the same networks."""
        return Sampler.of(self.manifest, self._denoiser, seed)


class _Encoder:
    def __init__(self, trained: Trained, device: torch.device) -> None:
        self._encoder, self._device = trained.encoder.to(device).eval(), device

    @torch.inference_mode()
    def encode(self, tensor: Array) -> Array:
        """The feature (F,) of one preprocessed image (1, 3, h, w)."""
        feature: Array = self._encoder(torch.from_numpy(tensor).to(self._device))[0].cpu().numpy()
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
