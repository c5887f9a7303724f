"""DDIM in numpy: schedule and one denoising step, deterministic (eta 0).

Song et al. 2021, "Denoising Diffusion Implicit Models", arXiv 2010.02502, eq. 12; schedule of Nichol and Dhariwal
2021, arXiv 2102.09672. Numerically the same as diffusers' DDIMScheduler, which the tests compare it with and
training uses; the robot's computer needs neither diffusers nor torch.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from xdistill_ros.rig.base import Strict

Sample = NDArray[np.float32]


class Schedule(Strict):
    """The noise schedule that the denoiser was trained with. Field names and meanings are diffusers'."""

    prediction_type: Literal["epsilon", "sample", "v_prediction"] = Field(
        description="the network predicts the noise, the actions, or the velocity sqrt(a) noise - sqrt(1 - a) actions "
        "(Salimans and Ho 2022, arXiv 2202.00512)"
    )
    num_train_timesteps: Annotated[int, Field(ge=2, le=10_000)] = 100
    beta_schedule: Literal["squaredcos_cap_v2"] = "squaredcos_cap_v2"
    timestep_spacing: Literal["leading", "trailing", "linspace"] = "leading"
    steps_offset: Annotated[int, Field(ge=0, le=10)] = 0
    set_alpha_to_one: bool = True
    clip_sample: bool = True
    clip_sample_range: Annotated[float, Field(gt=0.0, le=100.0)] = 1.0
    inference_steps: Annotated[int, Field(ge=1, le=1000)] = Field(default=10, description="denoising steps a chunk")

    @model_validator(mode="after")
    def _steps_exist(self) -> Self:
        if self.inference_steps > self.num_train_timesteps:
            raise ValueError(
                f"inference_steps {self.inference_steps} exceeds num_train_timesteps {self.num_train_timesteps}"
            )
        visited = self.timesteps()
        if len(visited) != self.inference_steps or visited.min() < 0 or visited.max() >= self.num_train_timesteps:
            # Rounding in the rule for `trailing`, which is diffusers', can add a step before the first one.
            raise ValueError(
                f"timestep_spacing {self.timestep_spacing} with inference_steps {self.inference_steps} and "
                f"steps_offset {self.steps_offset} leads outside 0..{self.num_train_timesteps - 1}; change one of them"
            )
        return self

    def timesteps(self) -> NDArray[np.int64]:
        """(inference_steps,) training timesteps that are visited, noisiest first."""
        total, steps = self.num_train_timesteps, self.inference_steps
        if self.timestep_spacing == "linspace":
            return np.linspace(0, total - 1, steps).round()[::-1].astype(np.int64)
        if self.timestep_spacing == "trailing":
            return np.round(np.arange(total, 0, -total / steps)).astype(np.int64) - 1
        return (np.arange(steps) * (total // steps))[::-1].astype(np.int64) + self.steps_offset


class Ddim:
    """The denoising steps of one schedule; step k of `inference_steps`, noisiest first."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        alphas = _alphas_cumprod(schedule.num_train_timesteps)
        self.timesteps = schedule.timesteps()
        before = self.timesteps - schedule.num_train_timesteps // schedule.inference_steps
        final = np.float32(1.0) if schedule.set_alpha_to_one else alphas[0]
        self._alpha = alphas[self.timesteps]
        self._alpha_next = np.where(before >= 0, alphas[np.maximum(before, 0)], final).astype(np.float32)

    def noised(self, clean: Sample, noise: Sample, step: int) -> Sample:
        """`clean` with as much of `noise` as the input of step `step` has."""
        alpha = self._alpha[step]
        return np.asarray(np.sqrt(alpha) * clean + np.sqrt(1 - alpha) * noise)

    def denoise(self, sample: Sample, prediction: Sample, step: int) -> Sample:
        """Input of step `step + 1` (after the last: the actions) of the input of `step` and the network's output."""
        alpha, alpha_next = self._alpha[step], self._alpha_next[step]
        if self.schedule.prediction_type == "epsilon":
            clean = (sample - np.sqrt(1 - alpha) * prediction) / np.sqrt(alpha)
            noise = prediction
        elif self.schedule.prediction_type == "v_prediction":
            clean = np.sqrt(alpha) * sample - np.sqrt(1 - alpha) * prediction
            noise = np.sqrt(alpha) * prediction + np.sqrt(1 - alpha) * sample
        else:
            clean = prediction
            noise = (sample - np.sqrt(alpha) * clean) / np.sqrt(1 - alpha)
        if self.schedule.clip_sample:
            limit = np.float32(self.schedule.clip_sample_range)
            clean = np.clip(clean, -limit, limit)
        return np.asarray(np.sqrt(alpha_next) * clean + np.sqrt(1 - alpha_next) * noise)


def _alphas_cumprod(steps: int) -> NDArray[np.float32]:
    """Cumulative products of 1 - beta for squaredcos_cap_v2: Nichol and Dhariwal 2021, eq. 17, beta capped at 0.999."""

    def alpha_bar(time: float) -> float:
        return math.cos((time + 0.008) / 1.008 * math.pi / 2) ** 2

    betas = [min(1 - alpha_bar((i + 1) / steps) / alpha_bar(i / steps), 0.999) for i in range(steps)]
    # float32 as in diffusers: the last alphas are so small that another precision would show
    return np.cumprod(np.float32(1.0) - np.array(betas, np.float32), dtype=np.float32)
