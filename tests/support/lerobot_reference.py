"""What LeRobot computes with a checkpoint of `tests.support.lerobot`: its forward pass, written out weight by weight.

Shares no code with the import that it is compared with. tools/lerobot_samples.py asks the package itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from tests.support.lerobot import GROUPS, STEP_DIM, config, statistics, weights
from xdistill_ros.learn.networks import backbones
from xdistill_ros.rig import Rig


@torch.inference_mode()
def actions(rig: Rig, pixels: Mapping[str, Any], state: Any, noise: Any, **changes: Any) -> NDArray[np.float32]:
    """What `generate_actions` and postprocessor make of images (To, H, W, 3) by camera, state (To, D), noise (T, A).

    All from the newest observation on (LeRobot keeps the first `n_action_steps` of them).
    """
    settings, found, w = config(rig, **changes), statistics(rig), weights(config(rig, **changes))
    modes = settings["normalization_mapping"]

    def scaled(values: Any, name: str, mode: str, *, back: bool = False) -> Tensor:
        stats = {key: torch.from_numpy(np.asarray(value)).float() for key, value in found[name].items()}
        x = torch.as_tensor(values, dtype=torch.float32)
        if mode == "MEAN_STD":
            return x * stats["std"] + stats["mean"] if back else (x - stats["mean"]) / (stats["std"] + 1e-8)
        span = stats["max"] - stats["min"]
        span = torch.where(span == 0, torch.tensor(1e-8), span)
        return (x + 1) / 2 * span + stats["min"] if back else 2 * (x - stats["min"]) / span - 1

    parts = [scaled(state, "observation.state", modes["STATE"])]
    for name in settings["input_features"]:
        if name.startswith("observation.images."):
            seen = torch.as_tensor(np.asarray(pixels[name.rpartition(".")[2]])).permute(0, 3, 1, 2).float() / 255
            parts.append(_feature(w, settings, scaled(seen, name, modes["VISUAL"])))
    condition = torch.cat(parts, dim=-1).flatten()[None]
    steps = DDIMScheduler(
        num_train_timesteps=100, beta_schedule="squaredcos_cap_v2", clip_sample=True, clip_sample_range=1.0,
        prediction_type=settings["prediction_type"],
    )  # fmt: skip
    steps.set_timesteps(settings["num_inference_steps"])
    sample = torch.as_tensor(noise)[None]
    for step in steps.timesteps:
        sample = steps.step(_denoiser(w, settings, sample, step, condition), step, sample).prev_sample
    kept = sample[0, settings["n_obs_steps"] - 1 :]
    return scaled(kept, "action", modes["ACTION"], back=True).numpy()


def _feature(w: Mapping[str, Tensor], settings: Mapping[str, Any], images: Tensor) -> Tensor:
    if settings["resize_shape"]:
        images = functional.interpolate(images, tuple(settings["resize_shape"]), mode="bilinear", antialias=True)
    if settings["crop_shape"]:
        (height, width), (tall, wide) = images.shape[2:], settings["crop_shape"]
        top, left = round((height - tall) / 2.0), round((width - wide) / 2.0)  # torchvision's CenterCrop
        images = images[:, :, top : top + tall, left : left + wide]
    whole = backbones.torchvision_resnet(settings["vision_backbone"])
    backbone = torch.nn.Sequential(*list(whole.children())[:-2])
    if settings["use_group_norm"]:
        for path, module in list(backbone.named_modules()):
            if isinstance(module, torch.nn.BatchNorm2d):
                parent, _, name = path.rpartition(".")
                grouped = torch.nn.GroupNorm(module.num_features // 16, module.num_features)
                setattr(backbone.get_submodule(parent), name, grouped)
    prefix = "diffusion.rgb_encoder."
    start = f"{prefix}backbone."
    backbone.load_state_dict({k.removeprefix(start): v for k, v in w.items() if k.startswith(start)})
    maps = functional.conv2d(backbone.eval()(images), w[f"{prefix}pool.nets.weight"], w[f"{prefix}pool.nets.bias"])
    attention = functional.softmax(maps.reshape(-1, maps.shape[2] * maps.shape[3]), dim=-1)
    places = (attention @ w[f"{prefix}pool.pos_grid"]).view(len(images), -1)
    return functional.relu(functional.linear(places, w[f"{prefix}out.weight"], w[f"{prefix}out.bias"]))


def _denoiser(
    w: Mapping[str, Tensor], settings: Mapping[str, Any], sample: Tensor, step: Tensor, condition: Tensor
) -> Tensor:
    half = STEP_DIM // 2
    angles = step.reshape(1, 1) * torch.exp(torch.arange(half) * -(np.log(10000) / (half - 1)))
    embedded = torch.cat((angles.sin(), angles.cos()), dim=-1).float()
    for number in (1, 3):
        name = f"diffusion.unet.diffusion_step_encoder.{number}"
        embedded = functional.linear(embedded, w[f"{name}.weight"], w[f"{name}.bias"])
        embedded = functional.mish(embedded) if number == 1 else embedded
    everything = functional.mish(torch.cat([embedded, condition], dim=-1))

    def convolved(name: str, x: Tensor, groups: int) -> Tensor:
        x = functional.conv1d(x, w[f"{name}.0.weight"], w[f"{name}.0.bias"], padding=settings["kernel_size"] // 2)
        return functional.mish(functional.group_norm(x, groups, w[f"{name}.1.weight"], w[f"{name}.1.bias"]))

    def block(name: str, x: Tensor) -> Tensor:
        name = f"diffusion.unet.{name}"
        out = convolved(f"{name}.conv1.block", x, GROUPS)
        film = functional.linear(everything, w[f"{name}.cond_encoder.1.weight"], w[f"{name}.cond_encoder.1.bias"])
        film = film.unsqueeze(-1)
        channels = out.shape[1]
        out = film[:, :channels] * out + film[:, channels:] if settings["use_film_scale_modulation"] else out + film
        out = convolved(f"{name}.conv2.block", out, GROUPS)
        key = f"{name}.residual_conv"
        return out + (functional.conv1d(x, w[f"{key}.weight"], w[f"{key}.bias"]) if f"{key}.weight" in w else x)

    levels = len(settings["down_dims"])
    x, kept = sample.transpose(1, 2), []
    for level in range(levels):
        x = block(f"down_modules.{level}.1", block(f"down_modules.{level}.0", x))
        kept.append(x)
        key = f"diffusion.unet.down_modules.{level}.2"
        if f"{key}.weight" in w:
            x = functional.conv1d(x, w[f"{key}.weight"], w[f"{key}.bias"], stride=2, padding=1)
    x = block("mid_modules.1", block("mid_modules.0", x))
    for level in range(levels - 1):
        x = torch.cat((x, kept.pop()), dim=1)
        x = block(f"up_modules.{level}.1", block(f"up_modules.{level}.0", x))
        key = f"diffusion.unet.up_modules.{level}.2"
        x = functional.conv_transpose1d(x, w[f"{key}.weight"], w[f"{key}.bias"], stride=2, padding=1)
    x = convolved("diffusion.unet.final_conv.0.block", x, 8)
    key = "diffusion.unet.final_conv.1"
    return functional.conv1d(x, w[f"{key}.weight"], w[f"{key}.bias"]).transpose(1, 2)
