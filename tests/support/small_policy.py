"""Small torch policies with random weights for any rig, whose plans depend on every input, in a second."""

from __future__ import annotations

import numpy as np
import torch

from xdistill_ros.learn.data.windows import Statistics
from xdistill_ros.learn.networks.encoders import Encoder, Feature, Student
from xdistill_ros.learn.networks.head import Head
from xdistill_ros.learn.networks.unet import UNetConfig
from xdistill_ros.learn.policies import Trained
from xdistill_ros.perception import Preprocess, PreprocessSpec
from xdistill_ros.policy import actions
from xdistill_ros.policy.actions import ChannelRange, ProprioPart
from xdistill_ros.policy.ddim import Schedule
from xdistill_ros.rig import Rig

PARTS: tuple[ProprioPart, ...] = ("tcp_relative", "tcp_height", "gripper_width")
_SIZES = UNetConfig(widths=(16, 32), groups=4, step_dim=16, condition_hidden=32, condition_dim=16)


@torch.no_grad()
def small_policy(
    rig: Rig, feature: Feature = "pooled", size: tuple[int, int] = (96, 64), encoder: Encoder | None = None
) -> Trained:
    """A policy for all cameras of `rig` with images of `size` (width, height), before any rounding."""
    torch.manual_seed(0)
    chosen = encoder or Student(12, feature).eval()
    preprocess = {
        name: PreprocessSpec(
            source_width_px=camera.width_px, source_height_px=camera.height_px,
            resize_width_px=size[0], resize_height_px=size[1],
        ) for name, camera in rig.cameras.items()
    }  # fmt: skip
    channels, proprio = len(rig.channels), len(actions.proprio_channels(PARTS, rig.arm.joint_names))
    ranges = [ChannelRange(minimum=(-1.0,) * count, maximum=(1.0,) * count) for count in (channels, proprio)]
    random, steps = np.random.default_rng(0), rig.policy.observation_horizon
    spec = next(iter(preprocess.values()))
    images = Preprocess(spec).normalise(random.integers(0, 255, (16, size[1], size[0], 3), np.uint8))
    features = chosen(torch.from_numpy(images)).repeat(1, len(preprocess))
    step = torch.cat([features, torch.rand(16, proprio)], dim=1)
    schedule = Schedule(prediction_type="sample", clip_sample_range=1.5, inference_steps=4)
    head = Head(steps * step.shape[1], rig.policy.prediction_horizon, channels, _SIZES, schedule).eval()
    head.film.fit(step.repeat(1, steps))
    return Trained("pick", rig, preprocess, PARTS, Statistics(*ranges), chosen, head)
