"""A DiffusionPolicy checkpoint as LeRobot saves it, with random weights, made without its package."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from xdistill_ros.learn.networks import backbones
from xdistill_ros.rig import Rig

Arrays = dict[str, NDArray[Any]]
Tensors = dict[str, Tensor]
KEYPOINTS, STEP_DIM, GROUPS = 4, 16, 8


def config(rig: Rig, **changes: Any) -> dict[str, Any]:
    """`config.json` of a tiny policy for `rig`."""
    channels = len(rig.channels)
    features = {
        f"observation.images.{name}": {"type": "VISUAL", "shape": [3, camera.height_px, camera.width_px]}
        for name, camera in reversed(rig.cameras.items())  # not in the rig's order
    }
    return {
        "type": "diffusion", "n_obs_steps": rig.policy.observation_horizon, "horizon": rig.policy.prediction_horizon,
        "n_action_steps": 8,
        "input_features": {"observation.state": {"type": "STATE", "shape": [channels]}, **features},
        "output_features": {"action": {"type": "ACTION", "shape": [channels]}},
        "normalization_mapping": {"VISUAL": "MEAN_STD", "STATE": "MIN_MAX", "ACTION": "MIN_MAX"},
        "vision_backbone": "resnet18", "resize_shape": None, "crop_ratio": 1.0, "crop_shape": None,
        "use_group_norm": True, "spatial_softmax_num_keypoints": KEYPOINTS,
        "use_separate_rgb_encoder_per_camera": False, "down_dims": [16, 32], "kernel_size": 3, "n_groups": GROUPS,
        "diffusion_step_embed_dim": STEP_DIM, "use_film_scale_modulation": True, "noise_scheduler_type": "DDIM",
        "num_train_timesteps": 100, "beta_schedule": "squaredcos_cap_v2", "prediction_type": "epsilon",
        "clip_sample": True, "clip_sample_range": 1.0, "num_inference_steps": 4, **changes,
    }  # fmt: skip


def statistics(rig: Rig, seed: int = 0) -> dict[str, Arrays]:
    """Of state and action within the rig's limits, the gripper's constant; of each camera's images."""
    random = np.random.default_rng(seed)
    middle = np.array(rig.arm.home_rad) if rig.policy.action_space.kind == "joint_position" else np.array(
        [0.4, 0.0, 0.25, 0.6, 0.0, 0.0, 0.0, 0.6, 0.0]
    )  # fmt: skip
    low = np.append(middle - random.uniform(0.05, 0.2, middle.size), 0.04)
    high = np.append(middle + random.uniform(0.05, 0.2, middle.size), 0.04)
    body = {"min": low, "max": high, "mean": (low + high) / 2, "std": (high - low) / 4}
    made: dict[str, Arrays] = {"observation.state": body, "action": {**body, "max": np.append(high[:-1], 0.06)}}
    for name in rig.cameras:
        mean, std = random.uniform(0.3, 0.6, (3, 1, 1)), random.uniform(0.15, 0.3, (3, 1, 1))
        made[f"observation.images.{name}"] = {"mean": mean, "std": std, "min": 0 * mean, "max": mean / mean}
    return made


def weights(settings: Mapping[str, Any], seed: int = 0) -> Tensors:
    """Random ones by LeRobot's names."""
    torch.manual_seed(seed)
    made: Tensors = {}
    _encoder(made, settings)
    _unet(made, settings)
    return {f"diffusion.{name}": value.contiguous() for name, value in made.items()}


def _linear(made: Tensors, name: str, *shape: int, outputs: int | None = None) -> None:
    """A weight of this shape, and a bias as long as `outputs`, else as the shape's first number."""
    made[f"{name}.weight"] = torch.randn(shape) / np.sqrt(np.prod(shape[1:]))
    made[f"{name}.bias"] = 0.1 * torch.randn(outputs or shape[0])


def _norm(made: Tensors, name: str, channels: int) -> None:
    made[f"{name}.weight"], made[f"{name}.bias"] = 1 + 0.1 * torch.randn(channels), 0.1 * torch.randn(channels)


def _encoder(made: Tensors, settings: Mapping[str, Any]) -> None:
    whole = backbones.torchvision_resnet(settings["vision_backbone"])
    for name, value in torch.nn.Sequential(*list(whole.children())[:-2]).state_dict().items():
        statistic = "running" in name or "batches" in name
        if statistic and settings["use_group_norm"]:
            continue
        changed = value if "batches" in name else value + 0.02 * torch.rand_like(value)
        made[f"rgb_encoder.backbone.{name}"] = changed
    _linear(made, "rgb_encoder.pool.nets", KEYPOINTS, 512, 1, 1)
    made["rgb_encoder.pool.nets.weight"] *= 20  # keypoints that are somewhere
    _linear(made, "rgb_encoder.out", 2 * KEYPOINTS, 2 * KEYPOINTS)
    height, width = _map_size(settings)
    x, y = np.meshgrid(np.linspace(-1.0, 1.0, width), np.linspace(-1.0, 1.0, height))
    made["rgb_encoder.pool.pos_grid"] = torch.from_numpy(np.stack([x.ravel(), y.ravel()], 1)).float()


def _unet(made: Tensors, settings: Mapping[str, Any]) -> None:
    channels, widths = settings["output_features"]["action"]["shape"][0], settings["down_dims"]
    cameras = sum(name.startswith("observation.images.") for name in settings["input_features"])
    condition = settings["n_obs_steps"] * (channels + cameras * 2 * KEYPOINTS)
    _linear(made, "unet.diffusion_step_encoder.1", 4 * STEP_DIM, STEP_DIM)
    _linear(made, "unet.diffusion_step_encoder.3", STEP_DIM, 4 * STEP_DIM)

    def block(name: str, inputs: int, outputs: int) -> None:
        for number, size in (("1", inputs), ("2", outputs)):
            _linear(made, f"unet.{name}.conv{number}.block.0", outputs, size, settings["kernel_size"])
            _norm(made, f"unet.{name}.conv{number}.block.1", outputs)
        film = 2 * outputs if settings["use_film_scale_modulation"] else outputs
        _linear(made, f"unet.{name}.cond_encoder.1", film, STEP_DIM + condition)
        if inputs != outputs:
            _linear(made, f"unet.{name}.residual_conv", outputs, inputs, 1)

    pairs = list(zip([channels, *widths[:-1]], widths, strict=True))
    for level, (fine, wide) in enumerate(pairs):
        block(f"down_modules.{level}.0", fine, wide)
        block(f"down_modules.{level}.1", wide, wide)
        if level + 1 < len(pairs):
            _linear(made, f"unet.down_modules.{level}.2", wide, wide, 3)
    for index in range(2):
        block(f"mid_modules.{index}", widths[-1], widths[-1])
    for level, (fine, wide) in enumerate(reversed(pairs[1:])):
        block(f"up_modules.{level}.0", 2 * wide, fine)
        block(f"up_modules.{level}.1", fine, fine)
        _linear(made, f"unet.up_modules.{level}.2", fine, fine, 4)
    _linear(made, "unet.final_conv.0.block.0", widths[0], widths[0], settings["kernel_size"])
    _norm(made, "unet.final_conv.0.block.1", widths[0])
    _linear(made, "unet.final_conv.1", channels, widths[0], 1)


def _map_size(settings: Mapping[str, Any]) -> tuple[int, int]:
    image = next(one for one in settings["input_features"].values() if one["type"] == "VISUAL")["shape"][1:]
    size = settings["crop_shape"] or settings["resize_shape"] or image
    return tuple(-(-side // 32) for side in size)  # type: ignore[return-value]


def write(folder: Path, rig: Rig, version: str = "0.4", **changes: Any) -> Path:
    """The folder as `save_pretrained` of that version leaves it."""
    settings, found = config(rig, **changes), statistics(rig)
    tensors = weights(settings)
    folder.mkdir(parents=True)
    as_tensors = {
        name: {key: torch.from_numpy(np.asarray(value)).float() for key, value in one.items()}
        for name, one in found.items()
    }
    modes, features = settings["normalization_mapping"], settings["input_features"] | settings["output_features"]
    if version == "0.3":
        for name, one in as_tensors.items():
            keys = ("mean", "std") if modes[features[name]["type"]] == "MEAN_STD" else ("min", "max")
            places = ("normalize_targets", "unnormalize_outputs") if name == "action" else ("normalize_inputs",)
            for place in places:
                tensors |= {f"{place}.buffer_{name.replace('.', '_')}.{key}": one[key].clone() for key in keys}
    else:
        flat = {f"{name}.{key}": value for name, one in as_tensors.items() for key, value in one.items()}
        save_file(flat, folder / "inputs.safetensors")
        save_file(flat, folder / "outputs.safetensors")
        told = {"eps": 1e-8, "norm_map": modes}
        steps = {
            "preprocessor": [
                {"registry_name": "rename_observations_processor", "config": {"rename_map": {}}},
                {"registry_name": "to_batch_processor", "config": {}},
                {"registry_name": "device_processor", "config": {"device": "cpu", "float_dtype": None}},
                {"registry_name": "normalizer_processor", "config": {**told, "features": features},
                 "state_file": "inputs.safetensors"},
            ],
            "postprocessor": [
                {"registry_name": "unnormalizer_processor", "config": {**told, "features": features},
                 "state_file": "outputs.safetensors"},
                {"registry_name": "device_processor", "config": {"device": "cpu"}},
            ],
        }  # fmt: skip
        for name, listed in steps.items():
            (folder / f"policy_{name}.json").write_text(json.dumps({"name": f"policy_{name}", "steps": listed}))
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(settings))
    return folder
