"""LeRobot's DiffusionPolicy as a policy of ours: its numbers in our order, and why one cannot be taken over.

What is asked of a checkpoint: `observation.state` and `action` are the rig's channels, absolute, in metres and radians,
as `xdistill episodes export --as lerobot` writes them, and the images are those of the rig's cameras.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor, nn

from xdistill_ros.learn.data.windows import Statistics
from xdistill_ros.learn.errors import LearnError
from xdistill_ros.learn.policies import Trained
from xdistill_ros.perception import PreprocessSpec
from xdistill_ros.policy.actions import ChannelRange, ProprioPart
from xdistill_ros.policy.ddim import Schedule
from xdistill_ros.rig import Rig

from . import lerobot_rules
from .lerobot_checkpoint import ACTION, STATE, WEIGHTS, Checkpoint, Scale
from .lerobot_networks import LeRobotEncoder, LeRobotFilm, LeRobotHead, LeRobotUNet

DDPM_STEPS = 16
"""DDIM steps for a policy that LeRobot samples by DDPM: those of diffusion_policy's real robots."""
_CONSTANT_SPAN = 1e-5  # of an action channel that never changed, units


def policy(checkpoint: Checkpoint, rig: Rig, task: str, steps: int | None = None) -> Trained:
    """The checkpoint as a policy of `task` on `rig`; `steps`: of denoising, else LeRobot's own or `DDPM_STEPS`.

    Raises LearnError, in a sentence, for a policy that the rig, or a bundle, cannot have.
    """
    lerobot_rules.check(checkpoint, rig)
    parts: tuple[ProprioPart, ...] = (_body(rig), "gripper_width")
    schedule = _schedule(checkpoint, steps)
    encoder = _encoder(checkpoint)
    head = _head(checkpoint, rig, schedule, encoder.feature_dim)
    return Trained(
        task=task,
        rig=rig,
        preprocess=_preprocess(checkpoint, rig),
        proprio=parts,
        statistics=Statistics(_range(checkpoint.scales[ACTION], _CONSTANT_SPAN), _range(checkpoint.scales[STATE], 2.0)),
        encoder=encoder,
        head=head,
    )


def provenance(checkpoint: Checkpoint, trained: Trained) -> dict[str, Any]:
    """What is known of how it was trained."""
    config = checkpoint.config
    weights = (checkpoint.folder / WEIGHTS).read_bytes()
    steps = trained.head.schedule.inference_steps
    dataset = checkpoint.training.get("dataset", {})
    known: dict[str, Any] = {
        name: checkpoint.training[name] for name in ("steps", "batch_size", "seed") if name in checkpoint.training
    }
    return {
        "source": "LeRobot DiffusionPolicy",
        "checkpoint": checkpoint.folder.name,
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        "dataset": str(dataset.get("repo_id", "not told")),
        "sampling": f"DDIM, {steps} steps; LeRobot's own is {config.noise_scheduler_type}, "
        f"{config.num_inference_steps or config.num_train_timesteps} steps",
        **known,
    }


def _body(rig: Rig) -> ProprioPart:
    return "tcp_absolute" if rig.policy.action_space.kind == "tcp_pose" else "joints"


def _range(scale: Scale, constant_span: float) -> ChannelRange:
    """Which values become -1 and 1. A constant channel: its own value and `constant_span` beyond, so that it is -1."""
    is_constant = scale.half < 1e-12
    half = np.where(is_constant, constant_span / 2, scale.half)
    centre = np.where(is_constant, scale.centre - scale.constant * half, scale.centre)
    return ChannelRange(minimum=tuple((centre - half).tolist()), maximum=tuple((centre + half).tolist()))


def _preprocess(checkpoint: Checkpoint, rig: Rig) -> dict[str, PreprocessSpec]:
    """Only scaling: what else LeRobot does to an image is part of its encoder's graph, where it is exact."""
    named = {camera: feature for feature, camera in checkpoint.cameras.items()}
    made = {}
    for name, camera in rig.cameras.items():
        scale = checkpoint.scales[named[name]]
        try:
            made[name] = PreprocessSpec(
                source_width_px=camera.width_px, source_height_px=camera.height_px,
                resize_width_px=camera.width_px, resize_height_px=camera.height_px,
                mean=_three(scale.centre), std=_three(scale.half),
            )  # fmt: skip
        except ValidationError as error:
            raise LearnError(
                f"{checkpoint.folder}: images of {name} have mean {scale.centre.round(3)} and spread "
                f"{scale.half.round(3)}; expected are statistics of images in [0, 1]"
            ) from error
    return made


def _three(values: NDArray[np.float64]) -> tuple[float, float, float]:
    red, green, blue = values.tolist()
    return red, green, blue


def _schedule(checkpoint: Checkpoint, steps: int | None) -> Schedule:
    config = checkpoint.config
    own = config.num_inference_steps or config.num_train_timesteps
    default = own if config.noise_scheduler_type == "DDIM" else min(own, DDPM_STEPS)
    try:
        return Schedule.model_validate({
            "prediction_type": config.prediction_type, "num_train_timesteps": config.num_train_timesteps,
            "clip_sample": config.clip_sample, "clip_sample_range": config.clip_sample_range,
            "inference_steps": steps or default,
        })  # fmt: skip
    except ValidationError as error:
        raise LearnError(f"{checkpoint.folder}: sampling: {error.errors()[0]['msg']}") from error


def _encoder(checkpoint: Checkpoint) -> LeRobotEncoder:
    config = checkpoint.config
    _, height, width = config.input_features[next(iter(checkpoint.cameras))].shape
    encoder = LeRobotEncoder(
        config.vision_backbone, (height, width), config.resize_shape, config.crop,
        config.spatial_softmax_num_keypoints, config.use_group_norm,
    )  # fmt: skip
    _load(checkpoint, encoder, "rgb_encoder", checkpoint.weights)
    return encoder.eval()


def _head(checkpoint: Checkpoint, rig: Rig, schedule: Schedule, feature_dim: int) -> LeRobotHead:
    config, weights = checkpoint.config, dict(checkpoint.weights)
    channels, horizon = len(rig.channels), config.horizon
    unet = LeRobotUNet(
        channels, config.down_dims, config.kernel_size, config.n_groups, config.use_film_scale_modulation
    )
    condition_dim = config.n_obs_steps * (channels + len(rig.cameras) * feature_dim)
    film = LeRobotFilm(config.diffusion_step_embed_dim, condition_dim, unet.film_width)
    blocks = set(unet.blocks())
    names = [f"unet.{name}.cond_encoder.1" for name, module in unet.named_modules() if module in blocks]
    weight, bias = (
        torch.cat([_take(checkpoint, weights, f"{name}.{kind}") for name in names]) for kind in ("weight", "bias")
    )
    step_weights = {
        f"step.{index}.{kind}": _take(checkpoint, weights, f"unet.diffusion_step_encoder.{number}.{kind}")
        for index, number in ((0, 1), (2, 3))
        for kind in ("weight", "bias")
    }
    _load(checkpoint, unet, "unet", weights)
    _load(checkpoint, film.step_encoder, "step", step_weights)
    _fill(film, weight, bias, _order(checkpoint, rig, feature_dim), _constants(checkpoint, rig, feature_dim))
    return LeRobotHead(horizon, channels, schedule, unet, film, past_actions=config.n_obs_steps - 1).eval()


@torch.no_grad()
def _fill(
    film: LeRobotFilm, weight: Tensor, bias: Tensor, order: NDArray[np.int64], constants: dict[int, float]
) -> None:
    """Splits one linear map of [step, condition] in two, the condition's columns in our order.

    A channel that was constant in training is given to the network as it was then, through the bias: whatever the
    sensor says now, the network never learnt to read it.
    """
    film.from_step.weight.copy_(weight[:, : film.step_dim])
    columns = torch.empty_like(film.from_condition.weight)
    columns[:, torch.from_numpy(order)] = weight[:, film.step_dim :]
    shift = bias.clone()
    for column, value in constants.items():
        shift += columns[:, column] * film.mish(torch.tensor(value))
        columns[:, column] = 0.0
    film.from_condition.weight.copy_(columns)
    film.from_condition.bias.copy_(shift)


def _order(checkpoint: Checkpoint, rig: Rig, feature_dim: int) -> NDArray[np.int64]:
    """Where each number of LeRobot's condition (a step: state, then images) stands in ours (images, then state)."""
    ours = list(rig.cameras)
    step = len(ours) * feature_dim + len(rig.channels)
    places: list[int] = []
    for start in range(0, checkpoint.config.n_obs_steps * step, step):
        places += range(start + len(ours) * feature_dim, start + step)
        for camera in checkpoint.cameras.values():
            first = start + ours.index(camera) * feature_dim
            places += range(first, first + feature_dim)
    return np.array(places)


def _constants(checkpoint: Checkpoint, rig: Rig, feature_dim: int) -> dict[int, float]:
    """Columns of our condition whose channel of the state never changed, and what the network saw of it."""
    scale, images = checkpoint.scales[STATE], len(rig.cameras) * feature_dim
    step = images + len(rig.channels)
    return {
        start + images + int(channel): scale.constant
        for start in range(0, checkpoint.config.n_obs_steps * step, step)
        for channel in np.flatnonzero(scale.half < 1e-12)
    }


def _take(checkpoint: Checkpoint, weights: dict[str, Tensor], name: str) -> Tensor:
    if name not in weights:
        raise LearnError(f"{checkpoint.folder / WEIGHTS}: lacks diffusion.{name}; its config.json is another policy's")
    return weights.pop(name)


def _load(checkpoint: Checkpoint, network: nn.Module, prefix: str, weights: dict[str, Tensor]) -> None:
    own = {name.removeprefix(f"{prefix}."): one for name, one in weights.items() if name.startswith(f"{prefix}.")}
    try:
        network.load_state_dict(own)
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise LearnError(f"{checkpoint.folder / WEIGHTS}: {prefix} does not fit its config.json: {first}") from error
