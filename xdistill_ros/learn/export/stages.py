"""The same observation and noise through torch and through a bundle, compared stage by stage.

Torch is the policy as it was trained, with its own preprocessing and diffusers' scheduler; the bundle is what a robot
runs. Each goes its whole way alone, so that a difference at one stage shows in those after it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from xdistill_ros.learn.data.view import network_input, uncropped
from xdistill_ros.learn.errors import LearnError
from xdistill_ros.learn.networks.rounding import Precision
from xdistill_ros.learn.policies import Trained
from xdistill_ros.perception import Preprocess
from xdistill_ros.policy import actions as meaning
from xdistill_ros.policy.bundle import Bundle
from xdistill_ros.policy.observation import Observation
from xdistill_ros.policy.sampler import GraphDenoiser, Sampler

from .example import Example

Array = NDArray[np.float32]
Trace = dict[str, NDArray[Any]]
"""What each stage made, by its name, in the order of the walk."""
LIMIT_FP32 = 1e-4
"""Largest difference of an action that fp32 may have: metres, radians, rotation entries."""
LIMIT_ROUNDED = 1e-2
"""The same where weights are stored in fewer bits, as a share of the range of that channel in the training set."""
_NOISES = 4


@dataclass(frozen=True)
class Stage:
    """How far a bundle is from torch at one stage: the largest absolute difference, beside the largest value."""

    name: str
    largest: float
    difference: float


@dataclass(frozen=True)
class Parity:
    """Torch against a bundle, over several draws of noise."""

    precision: Precision
    stages: tuple[Stage, ...]
    action_share: float
    """Largest difference of an action at network scale, as a share of its channel's range."""

    @property
    def action(self) -> float:
        """Largest difference of an action: metres, radians, rotation entries."""
        return self.stages[-1].difference

    @property
    def verdict(self) -> str:
        """What was found against what is allowed, in words."""
        if self.precision == "fp32":
            return f"actions differ by {self.action:.1e} at most, allowed is {LIMIT_FP32:.0e} (fp32)"
        return (
            f"actions differ by {self.action_share:.2%} of their range at most, allowed is {LIMIT_ROUNDED:.0%} "
            f"({self.precision})"
        )

    def check(self) -> None:
        """Raises LearnError when the bundle is not the policy that was trained."""
        if self.action <= LIMIT_FP32 if self.precision == "fp32" else self.action_share <= LIMIT_ROUNDED:
            return  # NaN is neither
        advice = {"fp32": "the stages say where it comes in, or is magnified", "fp16": "use --precision fp32"}
        remedy = advice.get(self.precision, "use --precision fp16, or train with --set encoder.int8=true")
        raise LearnError(f"{self.verdict}; nothing was written: {remedy}")


def compare(trained: Trained, bundle: Bundle, example: Example, precision: Precision) -> Parity:
    """The worst difference at every stage, over some draws of noise; `precision` is the bundle's."""
    random = np.random.default_rng(0)
    shape = bundle.manifest.sample_shape
    noises = [random.standard_normal(shape, dtype=np.float32) for _ in range(_NOISES)]
    ours = [of_torch(trained, example, noise) for noise in noises]
    theirs = [of_bundle(bundle, example, noise) for noise in noises]
    stages = tuple(_stage(name, ours, theirs) for name in ours[0])
    # stages end with the last step and the actions; network scale is [-1, 1], so that two units are the range
    return Parity(precision, stages, stages[-2].difference / 2)


def _stage(name: str, ours: Sequence[Trace], theirs: Sequence[Trace]) -> Stage:
    wanted, found = (np.stack([trace[name] for trace in traces]) for traces in (ours, theirs))
    return Stage(name, float(np.abs(wanted).max()), float(np.abs(found - wanted).max()))


@torch.inference_mode()
def of_torch(trained: Trained, example: Example, noise: Array) -> Trace:
    """Torch's way from pixels to absolute actions."""
    trained.encoder.eval()
    trained.head.eval()
    made: Trace = {}
    for camera, images in example.pixels.items():
        tensor = _standardised(trained, camera, images)
        made[f"preprocess {camera}"] = tensor.numpy()
        made[f"feature {camera}"] = trained.encoder(tensor).numpy()
    features = _features(made, example)
    proprio = meaning.proprioception(trained.proprio, example.poses, example.widths, example.joints)
    made["condition"] = meaning.condition(features, proprio, trained.statistics.proprio)
    condition = torch.from_numpy(made["condition"])[None]
    made["FiLM"] = trained.head.film.condition(condition)[0].numpy()
    with _inputs_of(trained.head.unet) as seen:
        final = trained.head.sample(condition, torch.from_numpy(noise)[None])
    made |= _steps([one[0].numpy() for one in (*seen[1:], final)])
    space, statistics = trained.rig.policy.action_space, trained.statistics.action
    absolute = meaning.from_network(space, statistics, final[0].numpy(), example.poses[-1])
    made["actions"] = absolute[trained.head.past_actions :]
    return made


def of_bundle(bundle: Bundle, example: Example, noise: Array) -> Trace:
    """The way that a robot takes: ONNX Runtime, our preprocessing, our sampler."""
    manifest = bundle.manifest
    made: Trace = {}
    for camera, images in example.pixels.items():
        preprocess, encoder = Preprocess(manifest.preprocess[camera]), bundle.encoder(camera, threads=1, exact=True)
        tensors = [preprocess(pixels) for pixels in images]
        made[f"preprocess {camera}"] = np.concatenate(tensors)
        made[f"feature {camera}"] = np.stack([encoder.encode(tensor) for tensor in tensors])
    proprio = meaning.proprioception(manifest.proprio, example.poses, example.widths, example.joints)
    observation = Observation(0, _features(made, example), proprio, example.poses[-1])
    made["condition"] = meaning.condition(observation.features, proprio, manifest.statistics.proprio)
    graphs = GraphDenoiser(bundle, threads=1, require_provider=None, exact=True)
    made["FiLM"] = graphs.film(made["condition"][None])[0]
    sampler = Sampler.of(manifest, graphs, seed=0)
    made |= _steps(sampler.steps(observation, noise))
    made["actions"] = sampler.sample(observation, noise=noise).actions
    return made


def _standardised(trained: Trained, camera: str, images: Sequence[NDArray[np.uint8]]) -> Tensor:
    """(To, 3, h, w) as training has it: resized once, then cropped, scaled and standardised by torch."""
    spec = trained.preprocess[camera]
    small = np.stack([Preprocess(uncropped(spec)).geometry(pixels) for pixels in images])
    return network_input(torch.from_numpy(small), spec, None, torch.Generator()).contiguous()


def _features(made: Trace, example: Example) -> Array:
    """(To, n_cam * F), cameras in the example's order, which is the rig's."""
    return np.concatenate([made[f"feature {camera}"] for camera in example.pixels], axis=1)


@contextmanager
def _inputs_of(network: nn.Module) -> Iterator[list[Tensor]]:
    """The first argument of every call of `network` inside the block."""
    seen: list[Tensor] = []
    hook = network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    try:
        yield seen
    finally:
        hook.remove()


def _steps(samples: Sequence[NDArray[Any]]) -> Trace:
    return {f"step {number}": sample for number, sample in enumerate(samples, start=1)}
