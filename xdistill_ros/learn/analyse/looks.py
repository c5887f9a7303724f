"""Where an encoder looks: saliency and Grad-CAM, by torch's gradients with respect to the newest images.

Saliency is the largest of the three colours' absolute gradients at each pixel (Simonyan et al. 2014, arXiv 1312.6034).
Grad-CAM weighs the last feature maps by the mean of the gradient over each, adds them up, and drops what is negative
(Selvaraju et al. 2017, arXiv 1610.02391). Both are of a scalar; what a policy answers is a plan.

Of a policy: the plan is T actions at network scale (each channel's range in training is [-1, 1]), denoised by the
whole DDIM sampler from one fixed noise. Each of its T * A numbers has a gradient and a Grad-CAM of its own, with its
sign; what is shown is the length of the vector of all of them: how far the plan changes, whichever way, when there is a
little more of what is seen at a place. The squared length is estimated without bias by random projections of the plan
(Hutchinson), the same ones at every moment.

Of an encoder alone: the scalar is half the squared length of its standardised feature, how far the moment is from the
store's average, with every number of the feature counting alike. It says what the encoder finds remarkable, not what a
policy would do with it.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
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
_OF_MAPS, _OF_PIXELS = 32, 4  # projections; pixels need the gradient through the whole encoder


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
            of_pixels = of_maps = [0.5 * ((newest - mean) / spread).square().sum()]
        else:
            plan = _plan(subject, subject.policy, moments, newest, seed)
            drawn = directions(_OF_MAPS, subject.policy.head.shape, seed)
            of_maps = [(plan * one).sum() for one in drawn]
            of_pixels = of_maps[:_OF_PIXELS]
        by_pixel = _gradients(of_pixels, inputs)
        by_map = _gradients(of_maps, maps)
    signed = subject.policy is None
    cams = [_cam([tap.spatial(one) for one in found], tap.spatial(values.detach()), signed)
            for found, values in zip(by_map, maps, strict=True)]  # fmt: skip
    saliencies = [torch.stack(found).square().mean(0).sqrt().amax(1) for found in by_pixel]
    return Looks(
        saliency={camera: one.numpy() for camera, one in zip(subject.preprocess, saliencies, strict=True)},
        cam={camera: one.numpy() for camera, one in zip(subject.preprocess, cams, strict=True)},
    )


def directions(count: int, shape: tuple[int, int], seed: int) -> Tensor:
    """(count, T, A) random ones, along which the mean squared change of a plan is its squared length."""
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((count, *shape), dtype=np.float32))


def _gradients(scalars: Sequence[Tensor], tensors: Sequence[Tensor]) -> list[list[Tensor]]:
    """For each of `tensors`, the gradient of each of `scalars`."""
    found = [torch.autograd.grad(scalar, tensors, retain_graph=True) for scalar in scalars]
    return [[one[index] for one in found] for index in range(len(tensors))]


def _cam(gradients: Sequence[Tensor], maps: Tensor, signed: bool) -> Tensor:
    """(B, h', w') of maps (B, C, h', w') and gradients of their shape: one scalar's Grad-CAM, or the length of many."""
    each = torch.stack([(one.mean((2, 3), keepdim=True) * maps).sum(1) for one in gradients])
    return each[0].clamp(min=0.0) if signed else each.square().mean(0).sqrt()


def _plan(subject: Subject, policy: Trained, moments: Moments, newest: Tensor, seed: int) -> Tensor:
    """Plans (B, T, A) at network scale, with `newest` (B, n_cam * F) as the newest step's features."""
    features = torch.stack([*_older(subject, moments), newest], dim=1)
    proprio = meaning.proprioception(policy.proprio, moments.poses, moments.widths, moments.joints)
    normalised = torch.from_numpy(policy.statistics.proprio.normalise(proprio).astype(np.float32))
    condition = torch.cat([features, normalised], dim=2).flatten(1)
    noise = torch.from_numpy(np.random.default_rng(seed).standard_normal(policy.head.shape, dtype=np.float32))
    with_gradient = inspect.unwrap(Head.sample)  # the sampler itself, without `inference_mode` around it
    plan: Tensor = with_gradient(policy.head, condition, noise.expand(len(moments), -1, -1))
    return plan


@torch.no_grad()
def _older(subject: Subject, moments: Moments) -> list[Tensor]:
    """Features (B, n_cam * F) of each observation step but the newest."""
    return [
        torch.cat([
            subject.encoder(subject.tensor(camera, moments.images[camera][:, step])) for camera in subject.preprocess
        ], dim=1)
        for step in range(moments.widths.shape[1] - 1)
    ]  # fmt: skip
