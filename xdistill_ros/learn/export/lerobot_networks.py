"""The networks of LeRobot's DiffusionPolicy, with its names, so that its weights load as they are.

Source: lerobot/policies/diffusion/modeling_diffusion.py of huggingface/lerobot 0.4 (Apache-2.0), after diffusion_policy
(Chi et al. 2023, arXiv 2303.04137). Two differences, neither in what is computed: the denoiser takes its FiLM values
from outside, split into the condition's and the step's part as ours, and an image is made small by two matrices, which
every runtime computes alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from xdistill_ros.learn.networks import backbones
from xdistill_ros.learn.networks.encoders import Encoder, InputSpec
from xdistill_ros.learn.networks.head import Head, scheduler
from xdistill_ros.learn.networks.unet import sinusoid
from xdistill_ros.policy.ddim import Schedule

Size = tuple[int, int]
"""Height and width, pixels."""
_CHANNELS_A_GROUP = 16


class LeRobotEncoder(Encoder):
    """`DiffusionRgbEncoder`: resized, cropped at the centre, a ResNet, mean places of keypoints, a linear map."""

    rows: Tensor | None
    columns: Tensor | None

    def __init__(
        self, backbone: str, image: Size, resize: Size | None, crop: Size | None, keypoints: int, group_norm: bool
    ) -> None:
        super().__init__()
        self.input = InputSpec(size=image)
        self.feature_dim = 2 * keypoints
        self.crop = crop
        # buffers, which are not rounded with the weights, and none of the checkpoint's
        for name, size, wanted in zip(("rows", "columns"), image, resize or (None, None), strict=True):
            self.register_buffer(name, None if wanted is None else _shrinking(size, wanted), persistent=False)
        whole = backbones.torchvision_resnet(backbone)
        self.backbone = nn.Sequential(*list(whole.children())[:-2])
        if group_norm:
            _replace_batch_norm(self.backbone)
        with torch.inference_mode():
            seen = self.backbone.eval()(torch.zeros(1, 3, *(crop or resize or image)))
        _, channels, height, width = seen.shape
        self.pool = _SpatialSoftmax(channels, height, width, keypoints)
        self.out = nn.Linear(self.feature_dim, self.feature_dim)

    def forward(self, images: Tensor) -> Tensor:
        """Features (B, 2 * keypoints) of standardised images (B, 3, h, w)."""
        return functional.relu(self.out(self.pool(self.maps(images)).flatten(1)))

    def maps(self, images: Tensor) -> Tensor:
        """The last spatial features (B, C, h', w')."""
        if self.rows is not None and self.columns is not None:
            images = self.rows @ images @ self.columns.mT
        if self.crop is not None:
            top, left = (round((size - cut) / 2.0) for size, cut in zip(images.shape[-2:], self.crop, strict=True))
            images = images[..., top : top + self.crop[0], left : left + self.crop[1]]
        features: Tensor = self.backbone(images)
        return features


class _SpatialSoftmax(nn.Module):
    """Mean place, in [-1, 1], of each of `keypoints` maps (Finn et al. 2015, arXiv 1509.06113)."""

    pos_grid: Tensor

    def __init__(self, channels: int, height: int, width: int, keypoints: int) -> None:
        super().__init__()
        self.nets = nn.Conv2d(channels, keypoints, 1)
        x, y = np.meshgrid(np.linspace(-1.0, 1.0, width), np.linspace(-1.0, 1.0, height))
        places = np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)
        self.register_buffer("pos_grid", torch.from_numpy(places))

    def forward(self, features: Tensor) -> Tensor:
        attention = functional.softmax(self.nets(features).flatten(2), dim=-1)
        places: Tensor = attention @ self.pos_grid
        return places


class _Convolution(nn.Module):
    """Convolution, GroupNorm, Mish."""

    def __init__(self, inputs: int, outputs: int, kernel: int, groups: int) -> None:
        super().__init__()
        convolution = nn.Conv1d(inputs, outputs, kernel, padding=kernel // 2)
        self.block = nn.Sequential(convolution, nn.GroupNorm(groups, outputs), nn.Mish())

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.block(x)
        return result


class _Block(nn.Module):
    """Two convolutions, shifted and (if `scaled`) scaled by FiLM between them, plus the input."""

    def __init__(self, inputs: int, outputs: int, kernel: int, groups: int, scaled: bool) -> None:
        super().__init__()
        self.conv1 = _Convolution(inputs, outputs, kernel, groups)
        self.conv2 = _Convolution(outputs, outputs, kernel, groups)
        self.residual_conv = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        self.scaled, self.film_width = scaled, 2 * outputs if scaled else outputs

    def forward(self, x: Tensor, film: Tensor) -> Tensor:
        """x (B, inputs, T), film (B, film_width, 1): scale then bias, or bias alone."""
        hidden = self.conv1(x)
        if self.scaled:
            scale, bias = film.chunk(2, dim=1)
            hidden = scale * hidden + bias
        else:
            hidden = hidden + film
        result: Tensor = self.conv2(hidden) + self.residual_conv(x)
        return result


class LeRobotUNet(nn.Module):
    """`DiffusionConditionalUnet1d` without its embeddings: noisy actions and FiLM values to a prediction."""

    def __init__(self, channels: int, widths: tuple[int, ...], kernel: int, groups: int, scaled: bool) -> None:
        super().__init__()

        def block(inputs: int, outputs: int) -> _Block:
            return _Block(inputs, outputs, kernel, groups, scaled)

        last = widths[-1]
        self.down_modules = nn.ModuleList(
            nn.ModuleList([
                block(fine, wide), block(wide, wide),
                nn.Conv1d(wide, wide, 3, 2, 1) if level + 1 < len(widths) else nn.Identity(),
            ])
            for level, (fine, wide) in enumerate(pairwise((channels, *widths)))
        )  # fmt: skip
        self.mid_modules = nn.ModuleList([block(last, last), block(last, last)])
        self.up_modules = nn.ModuleList(
            nn.ModuleList([block(2 * wide, fine), block(fine, fine), nn.ConvTranspose1d(fine, fine, 4, 2, 1)])
            for fine, wide in reversed(list(pairwise(widths)))
        )
        self.final_conv = nn.Sequential(
            _Convolution(widths[0], widths[0], kernel, groups=8), nn.Conv1d(widths[0], channels, 1)
        )
        self.film_width = sum(one.film_width for one in self.blocks())

    def blocks(self) -> Iterator[_Block]:
        """Every residual block, in the order of their FiLM values, which is that of the calls."""
        return (module for module in self.modules() if isinstance(module, _Block))

    def forward(self, sample: Tensor, film: Tensor) -> Tensor:
        """sample (B, T, A) and film (B, film_width) -> prediction (B, T, A)."""
        parts = iter(film.unsqueeze(-1).split([one.film_width for one in self.blocks()], dim=1))
        x, kept = sample.mT, []
        for first, second, shrink in self.down_modules:  # type: ignore[misc]
            x = second(first(x, next(parts)), next(parts))
            kept.append(x)
            x = shrink(x)
        for one in self.mid_modules:
            x = one(x, next(parts))
        for first, second, grow in self.up_modules:  # type: ignore[misc]
            x = second(first(torch.cat((x, kept.pop()), dim=1), next(parts)), next(parts))
            x = grow(x)
        prediction: Tensor = self.final_conv(x).mT
        return prediction


class LeRobotFilm(nn.Module):
    """All blocks' `cond_encoder` in one: Linear(Mish([step, condition])) as a sum of a part of each."""

    def __init__(self, step_dim: int, condition_dim: int, film_width: int) -> None:
        super().__init__()
        self.step_dim = step_dim
        self.step_encoder = nn.Sequential(
            nn.Linear(step_dim, 4 * step_dim), nn.Mish(), nn.Linear(4 * step_dim, step_dim)
        )
        self.mish = nn.Mish()
        self.from_condition = nn.Linear(condition_dim, film_width)
        self.from_step = nn.Linear(step_dim, film_width, bias=False)

    def condition(self, condition: Tensor) -> Tensor:
        """The condition's part (B, film_width), from (B, C) in our order."""
        part: Tensor = self.from_condition(self.mish(condition))
        return part

    def step(self, steps: Tensor) -> Tensor:
        """The step's part (B, film_width), from diffusion steps (B,)."""
        part: Tensor = self.from_step(self.mish(self.step_encoder(sinusoid(steps, self.step_dim))))
        return part


class LeRobotHead(Head):
    """LeRobot's denoiser where a bundle's head is wanted. Its samples begin with the oldest observation."""

    def __init__(
        self, horizon: int, channels: int, schedule: Schedule, unet: LeRobotUNet, film: LeRobotFilm, past_actions: int
    ) -> None:
        nn.Module.__init__(self)  # in place of Head's, which makes networks of our own
        self.shape, self.schedule, self.past_actions = (horizon, channels), schedule, past_actions
        self.unet, self.film = unet, film  # type: ignore[assignment]
        self._noise = scheduler(schedule)

    @torch.inference_mode()
    def step_table(self) -> Tensor:
        """(inference_steps, film_width): the step's part of FiLM at each step of the sampler, noisiest first."""
        return self.film.step(torch.from_numpy(self.schedule.timesteps().copy()))


def _shrinking(size: int, wanted: int) -> Tensor:
    """(wanted, size): what torch's antialiased bilinear resizing does along one side of an image."""
    return functional.interpolate(
        torch.eye(size)[None, None], size=(wanted, size), mode="bilinear", antialias=True, align_corners=False
    )[0, 0]


def _replace_batch_norm(network: nn.Module) -> None:
    """As LeRobot does it before training: the group norms' weights come from the checkpoint."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                groups = child.num_features // _CHANNELS_A_GROUP
                setattr(parent, name, nn.GroupNorm(groups, child.num_features))
