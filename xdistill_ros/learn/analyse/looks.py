"""Where an encoder looks: saliency and Grad-CAM of a scalar, by torch's gradients.

The scalar of a policy is half the squared length of the plan that it makes of a moment: T actions at network scale
(each channel's range in training is [-1, 1]), denoised by the whole DDIM sampler from one fixed noise. Its gradient is
the plan itself, so each channel counts as far as it is commanded off the middle of its range.

The scalar of an encoder alone is half the squared length of its standardised feature: how far the moment is from the
store's average, with every number of the feature counting alike. It says what the encoder finds remarkable, not what a
policy would do with it.

Both are differentiated with respect to the newest image of each camera. Saliency is the largest of the three colours'
absolute gradients at each pixel (Simonyan et al. 2014, arXiv 1312.6034). Grad-CAM weighs the last feature maps by the
mean of the gradient over each, adds them up, and drops what is negative (Selvaraju et al. 2017, arXiv 1610.02391).
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xdistill_ros.learn.networks.head import Head
from xdistill_ros.learn.policies import Trained
from xdistill_ros.policy import actions as meaning

from .bars import track
from .features import Typical
from .rows import Moments
from .subjects import Subject
from .tap import Tap

Maps = NDArray[np.float32]
_BATCH = 16


@dataclass(frozen=True)
class Looks:
    """By camera: saliency (B, h, w) on the encoder's input, cam (B, h', w') a value a cell. Neither is negative."""

    saliency: Mapping[str, Maps]
    cam: Mapping[str, Maps]


def looks(subject: Subject, typical: Typical, moments: Moments, seed: int) -> Looks:
    """Where `subject` looks at each of B moments; `seed` draws the noise that a policy's plans start from."""
    starts = range(0, len(moments), _BATCH)
    parts = [
        _looks(subject, typical, moments.part(slice(at, at + _BATCH)), seed)
        for at in track(starts, f"where {subject.name} looks")
    ]
    return Looks(
        saliency={camera: np.concatenate([part.saliency[camera] for part in parts]) for camera in subject.preprocess},
        cam={camera: np.concatenate([part.cam[camera] for part in parts]) for camera in subject.preprocess},
    )


def _looks(subject: Subject, typical: Typical, moments: Moments, seed: int) -> Looks:
    inputs, features, maps = [], [], []
    with torch.enable_grad(), Tap(subject.encoder) as tap:
        for camera in subject.preprocess:
            inputs.append(subject.tensor(camera, moments.images[camera][:, -1]).requires_grad_())
            features.append(subject.encoder(inputs[-1]))
            maps.append(tap.maps)
        newest = torch.cat(features, dim=1)
        if subject.policy is None:
            mean, spread = torch.from_numpy(typical.mean), torch.from_numpy(typical.spread)
            scalar = 0.5 * ((newest - mean) / spread).square().sum()
        else:
            scalar = _plan_length(subject, subject.policy, moments, newest, seed)
        gradients = torch.autograd.grad(scalar, [*inputs, *maps])
    by_pixel, by_map = gradients[: len(inputs)], gradients[len(inputs) :]
    cams = [
        (tap.spatial(gradient).mean((2, 3), keepdim=True) * tap.spatial(values.detach())).sum(1).clamp(min=0.0)
        for gradient, values in zip(by_map, maps, strict=True)
    ]
    return Looks(
        saliency={camera: one.abs().amax(1).numpy() for camera, one in zip(subject.preprocess, by_pixel, strict=True)},
        cam={camera: one.numpy() for camera, one in zip(subject.preprocess, cams, strict=True)},
    )


def _plan_length(subject: Subject, policy: Trained, moments: Moments, newest: Tensor, seed: int) -> Tensor:
    """The policies' scalar, added up over the moments, with `newest` (B, n_cam * F) as the newest step's features."""
    features = torch.stack([*_older(subject, moments), newest], dim=1)
    proprio = meaning.proprioception(policy.proprio, moments.poses, moments.widths, moments.joints)
    normalised = torch.from_numpy(policy.statistics.proprio.normalise(proprio).astype(np.float32))
    condition = torch.cat([features, normalised], dim=2).flatten(1)
    noise = torch.from_numpy(np.random.default_rng(seed).standard_normal(policy.head.shape, dtype=np.float32))
    with_gradient = inspect.unwrap(Head.sample)  # the sampler itself, without `inference_mode` around it
    plan: Tensor = with_gradient(policy.head, condition, noise.expand(len(moments), -1, -1))
    return 0.5 * plan.square().sum()


@torch.no_grad()
def _older(subject: Subject, moments: Moments) -> list[Tensor]:
    """Features (B, n_cam * F) of each observation step but the newest."""
    return [
        torch.cat([
            subject.encoder(subject.tensor(camera, moments.images[camera][:, step])) for camera in subject.preprocess
        ], dim=1)
        for step in range(moments.widths.shape[1] - 1)
    ]  # fmt: skip
