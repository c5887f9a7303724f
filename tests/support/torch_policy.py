"""A small torch policy with random weights, rounded as training would leave it, for tests that need no training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from tests.support.graph import gentle_statistics
from tests.support.tiny_bundle import PARTS
from xdistill_ros.learn.data.windows import Statistics
from xdistill_ros.learn.networks.encoders import Encoder, Student
from xdistill_ros.learn.networks.head import Head
from xdistill_ros.learn.networks.rounding import deployable, round_to_half
from xdistill_ros.learn.networks.unet import UNetConfig
from xdistill_ros.learn.policies import Trained
from xdistill_ros.perception import Preprocess, PreprocessSpec
from xdistill_ros.policy import actions
from xdistill_ros.policy.actions import ChannelRange
from xdistill_ros.policy.ddim import Schedule
from xdistill_ros.rig import Rig

_SIZES = UNetConfig(widths=(16, 32), groups=4, step_dim=16, condition_hidden=32, condition_dim=16)
_FEATURE_DIM = 12


def blocks(random: np.random.Generator, height: int, width: int) -> NDArray[np.uint8]:
    """An image (height, width, 3) of large random blocks: unlike noise, it stays itself when it is made small."""
    small = random.integers(0, 255, (6, 8, 3), np.uint8)
    large = small.repeat(-(-height // 6), axis=0).repeat(-(-width // 8), axis=1)
    return np.ascontiguousarray(large[:height, :width])


@torch.no_grad()
def random_policy(rig: Rig, task: str = "move_cube") -> Trained:
    """What training would have left for `rig`. Its actions stay near the observed pose and depend on every input."""
    trained = unrounded_policy(rig, task)
    return replace(trained, encoder=deployable(trained.encoder), head=round_to_half(trained.head))


@torch.no_grad()
def unrounded_policy(rig: Rig, task: str = "move_cube", encoder: Encoder | None = None) -> Trained:
    """The same before its weights are rounded; a small ResNet student unless `encoder` is given."""
    torch.manual_seed(0)
    if encoder is None:
        encoder = Student(_FEATURE_DIM, "projection")
    preprocess = {
        name: PreprocessSpec(
            source_width_px=camera.width_px, source_height_px=camera.height_px, resize_width_px=32, resize_height_px=24
        )
        for name, camera in rig.cameras.items()
    }
    ranges = {name: ChannelRange.model_validate(fields) for name, fields in gentle_statistics(rig, task).items()}
    statistics = Statistics(**ranges)
    conditions = _conditions(rig, encoder.eval(), preprocess, statistics)
    schedule = Schedule(prediction_type="sample", clip_sample_range=1.5, inference_steps=5)
    head = Head(conditions.shape[1], rig.policy.prediction_horizon, len(rig.channels), _SIZES, schedule).eval()
    head.film.fit(conditions)
    return Trained(task, rig, preprocess, PARTS, statistics, encoder, head)


def _conditions(
    rig: Rig, encoder: Encoder, preprocess: Mapping[str, PreprocessSpec], statistics: Statistics
) -> torch.Tensor:
    """(16, C) of random images and proprioception, for the head to standardise its condition by."""
    random, steps = np.random.default_rng(0), rig.policy.observation_horizon
    made = []
    for _ in range(16):
        images = [
            Preprocess(spec)(blocks(random, spec.source_height_px, spec.source_width_px))
            for _ in range(steps)
            for spec in preprocess.values()
        ]
        features = encoder(torch.from_numpy(np.concatenate(images))).numpy().reshape(steps, -1)
        proprio = random.uniform(-1, 1, (steps, len(actions.proprio_channels(PARTS, rig.arm.joint_names))))
        made.append(actions.condition(features, proprio, statistics.proprio))
    return torch.from_numpy(np.stack(made))
