"""Reads what LeRobot saved of a DiffusionPolicy: configuration, weights, statistics. Needs nothing of its package.

Source: `save_pretrained` of huggingface/lerobot. Until 0.3 the statistics are buffers among the weights; from 0.4 on
they lie in files of their own, which the steps of `policy_preprocessor.json` and `policy_postprocessor.json` name.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from xdistill_ros.learn.errors import LearnError

CONFIG, WEIGHTS, TRAINING = "config.json", "model.safetensors", "train_config.json"
STATE, ACTION, IMAGES = "observation.state", "action", "observation.images."
_HARMLESS = {"to_batch_processor", "device_processor"}
Mode = Literal["MIN_MAX", "MEAN_STD", "IDENTITY", "QUANTILES", "QUANTILE10"]
_BOUNDS: dict[str, tuple[str, str]] = {
    "MIN_MAX": ("min", "max"), "QUANTILES": ("q01", "q99"), "QUANTILE10": ("q10", "q90"),
}  # fmt: skip


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Feature(_Part):
    """One input or output."""

    type: str
    shape: tuple[int, ...]


class Config(_Part):
    """What of `config.json` decides the network and its sampling; defaults are LeRobot's."""

    type: str
    n_obs_steps: int = 2
    horizon: int = 16
    input_features: dict[str, Feature]
    output_features: dict[str, Feature]
    normalization_mapping: dict[str, Mode] = {"VISUAL": "MEAN_STD", "STATE": "MIN_MAX", "ACTION": "MIN_MAX"}
    vision_backbone: str = "resnet18"
    resize_shape: tuple[int, int] | None = None
    crop_ratio: float = 1.0
    crop_shape: tuple[int, int] | None = None
    use_group_norm: bool = True
    spatial_softmax_num_keypoints: int = 32
    use_separate_rgb_encoder_per_camera: bool = False
    down_dims: tuple[int, ...] = (512, 1024, 2048)
    kernel_size: int = 5
    n_groups: int = 8
    diffusion_step_embed_dim: int = 128
    use_film_scale_modulation: bool = True
    noise_scheduler_type: Literal["DDPM", "DDIM"] = "DDPM"
    num_train_timesteps: int = 100
    beta_schedule: str = "squaredcos_cap_v2"
    prediction_type: str = "epsilon"
    clip_sample: bool = True
    clip_sample_range: float = 1.0
    num_inference_steps: int | None = None

    @property
    def crop(self) -> tuple[int, int] | None:
        """Height and width of the centre crop, as `DiffusionConfig.__post_init__` has it."""
        if self.resize_shape is None:
            return self.crop_shape
        height, width = (int(size * self.crop_ratio) for size in self.resize_shape)
        return (height, width) if self.crop_ratio < 1.0 else None


@dataclass(frozen=True)
class Scale:
    """How one feature becomes the network's: (value - centre) / half, by channel; half is 0 for a constant one."""

    centre: NDArray[np.float64]
    half: NDArray[np.float64]
    constant: float
    """What the network sees of a constant channel."""


@dataclass(frozen=True)
class Checkpoint:
    """A policy that LeRobot saved."""

    folder: Path
    config: Config
    weights: dict[str, Tensor]
    """Of `DiffusionModel`, by its own names."""
    scales: dict[str, Scale]
    """By feature, as the policy names it."""
    cameras: dict[str, str]
    """Camera by the image feature it is, in the policy's order."""
    training: dict[str, Any]
    """`train_config.json`, where it was kept."""


def read(folder: Path) -> Checkpoint:
    """The checkpoint in `folder`, or in its `pretrained_model`. Raises LearnError for what is none, or is another's."""
    if not (folder / CONFIG).is_file() and (folder / "pretrained_model" / CONFIG).is_file():
        folder = folder / "pretrained_model"
    config = _config(folder)
    weights = _tensors(folder / WEIGHTS)
    features = {**config.input_features, **config.output_features}
    renamed: dict[str, str] = {}
    if (folder / "policy_preprocessor.json").is_file():
        scales, renamed = _processors(folder, features)
    else:
        scales = _buffers(folder, config, weights, features)
    visual = [name for name, feature in config.input_features.items() if feature.type == "VISUAL"]
    came_as = {new: old for old, new in renamed.items()}
    prefix = "diffusion."
    return Checkpoint(
        folder=folder,
        config=config,
        weights={
            name.removeprefix(prefix).replace("_orig_mod.", ""): tensor.float()  # a compiled U-Net is named so
            for name, tensor in weights.items()
            if name.startswith(prefix)
        },
        scales=scales,
        cameras={name: came_as.get(name, name).removeprefix(IMAGES) for name in visual},
        training=_json(folder / TRAINING) if (folder / TRAINING).is_file() else {},
    )


def _config(folder: Path) -> Config:
    document = _json(folder / CONFIG)
    kind = document.get("type")
    if kind != "diffusion":
        raise LearnError(
            f"{folder / CONFIG}: type is {kind!r}; of LeRobot's policies DiffusionPolicy (type 'diffusion') is imported"
        )
    try:
        return Config.model_validate(document)
    except ValidationError as error:
        lines = [f"{folder / CONFIG}: {'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        raise LearnError("\n".join(lines)) from error


def _processors(folder: Path, features: dict[str, Feature]) -> tuple[dict[str, Scale], dict[str, str]]:
    """Scales by feature, and the rename map, of the processors that 0.4 saves beside the policy."""
    before = _steps(folder / "policy_preprocessor.json", {"normalizer_processor", "rename_observations_processor"})
    after = _steps(folder / "policy_postprocessor.json", {"unnormalizer_processor"})
    inputs, outputs = before.get("normalizer_processor"), after.get("unnormalizer_processor")
    scales = {}
    for name, feature in features.items():
        step = outputs if name == ACTION else inputs
        chosen = (step or {}).get("config", {})
        only = chosen.get("normalize_observation_keys")
        mode = chosen.get("norm_map", {}).get(feature.type, "IDENTITY")
        if step is None or (name != ACTION and only is not None and name not in only):
            mode = "IDENTITY"
        found = _tensors(folder / step["state_file"]) if step and "state_file" in step else {}
        own = {key.rpartition(".")[2]: value for key, value in found.items() if key.rpartition(".")[0] == name}
        scales[name] = _scale(folder, name, feature, mode, own)
    renamed = before.get("rename_observations_processor", {}).get("config", {}).get("rename_map", {})
    return scales, renamed


def _steps(path: Path, wanted: set[str]) -> dict[str, dict[str, Any]]:
    """The steps of a pipeline by name. Raises LearnError for one that would have to be imported and cannot."""
    steps = {str(one.get("registry_name", one.get("class"))): one for one in _json(path).get("steps", [])}
    strange = sorted(steps.keys() - wanted - _HARMLESS)
    if strange:
        raise LearnError(f"{path}: step {strange[0]} is not known here; {', '.join(sorted(wanted))} are imported")
    return steps


def _buffers(
    folder: Path, config: Config, weights: dict[str, Tensor], features: dict[str, Feature]
) -> dict[str, Scale]:
    """Scales by feature, of the buffers that versions until 0.3 keep among the weights."""
    scales = {}
    for name, feature in features.items():
        prefix = "unnormalize_outputs" if name == ACTION else "normalize_inputs"
        start = f"{prefix}.buffer_{name.replace('.', '_')}."
        own = {key.removeprefix(start): value for key, value in weights.items() if key.startswith(start)}
        mode = config.normalization_mapping.get(feature.type, "IDENTITY")
        scales[name] = _scale(folder, name, feature, mode, own)
    return scales


def _scale(folder: Path, name: str, feature: Feature, mode: str, found: dict[str, Tensor]) -> Scale:
    size = feature.shape[0]
    if mode == "IDENTITY":
        return Scale(np.zeros(size), np.ones(size), 0.0)
    wanted = ("mean", "std") if mode == "MEAN_STD" else _BOUNDS.get(mode)
    if wanted is None:
        raise LearnError(f"{folder}: {name} is normalised by {mode}; known are {', '.join(['MEAN_STD', *_BOUNDS])}")
    missing = [key for key in wanted if key not in found]
    if missing:
        raise LearnError(f"{folder}: {name} has no statistic {missing[0]!r}, which {mode} needs; copy the whole folder")
    one, other = (found[key].double().numpy().reshape(-1) for key in wanted)
    if one.size != size or not (np.isfinite(one).all() and np.isfinite(other).all()):
        raise LearnError(f"{folder}: {name} has statistics {one} and {other}, wanted {size} finite numbers each")
    if mode == "MEAN_STD":
        return Scale(one, other, 0.0)
    return Scale((one + other) / 2, (other - one) / 2, -1.0)


def _json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LearnError(
            f"{path}: cannot be read ({error.strerror}); a LeRobot checkpoint is a folder with it"
        ) from error
    except ValueError as error:
        raise LearnError(f"{path}: is no JSON ({error}); copy the checkpoint anew") from error
    if not isinstance(document, dict):
        raise LearnError(f"{path}: holds {type(document).__name__}, wanted a mapping; copy the checkpoint anew")
    return document


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except OSError as error:
        raise LearnError(f"{path}: cannot be read ({error.strerror or error}); copy the whole checkpoint") from error
    except SafetensorError as error:
        raise LearnError(f"{path}: is damaged ({error}); copy the checkpoint anew") from error
