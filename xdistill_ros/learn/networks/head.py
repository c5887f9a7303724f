"""The diffusion policy's head: noise prediction conditioned on what was seen, and DDIM sampling with diffusers.

Owns the loss and the reference sampler that an exported bundle must agree with. Encoders are shared and live apart.
"""

from __future__ import annotations

import torch
from diffusers import DDIMScheduler
from torch import Tensor, nn
from torch.nn import functional

from xdistill_ros.policy.ddim import Schedule

from .unet import Film, UNet, UNetConfig


class Head(nn.Module):
    """One task's denoiser: condition (B, C) and noisy actions (B, T, A) at network scale to a prediction (B, T, A)."""

    def __init__(self, condition_dim: int, horizon: int, channels: int, config: UNetConfig, schedule: Schedule) -> None:
        super().__init__()
        config.check_horizon(horizon)
        self.shape = (horizon, channels)
        self.schedule, self.config = schedule, config
        self.unet = UNet(channels, config)
        self.film = Film(condition_dim, self.unet.film_width, config)
        self._noise = scheduler(schedule)

    def forward(self, sample: Tensor, steps: Tensor, condition: Tensor) -> Tensor:
        """The network's output for `sample` at diffusion steps (B,)."""
        prediction: Tensor = self.unet(sample, self.film.condition(condition) + self.film.step(steps))
        return prediction

    def loss(self, condition: Tensor, actions: Tensor, generator: torch.Generator) -> Tensor:
        """Mean squared error of the prediction at random diffusion steps (Ho et al. 2020, arXiv 2006.11239)."""
        # drawn where the generator is (the CPU), so that every device trains on the same noise
        noise = torch.randn(actions.shape, generator=generator).to(actions.device, non_blocking=True)
        steps = torch.randint(0, self.schedule.num_train_timesteps, (len(actions),), generator=generator)
        steps = steps.to(actions.device, non_blocking=True)
        noisy = self._noise.add_noise(actions, noise, steps)
        return functional.mse_loss(self(noisy, steps, condition).float(), self._wanted(actions, noise, steps))

    def _wanted(self, actions: Tensor, noise: Tensor, steps: Tensor) -> Tensor:
        """What the network should predict."""
        if self.schedule.prediction_type == "sample":
            return actions
        if self.schedule.prediction_type == "epsilon":
            return noise
        velocity: Tensor = self._noise.get_velocity(actions, noise, steps)
        return velocity

    @torch.inference_mode()
    def sample(self, condition: Tensor, noise: Tensor) -> Tensor:
        """Actions (B, T, A) at network scale that DDIM makes of `noise` (B, T, A), deterministic."""
        self._noise.set_timesteps(self.schedule.inference_steps)
        film, sample = self.film.condition(condition), noise
        for step in self._noise.timesteps:
            prediction = self.unet(sample, film + self.film.step(step.reshape(1).to(noise.device)))
            sample = self._noise.step(prediction, step, sample, eta=0.0).prev_sample
        return sample

    @torch.inference_mode()
    def step_table(self) -> Tensor:
        """(inference_steps, film_width): the step's part of FiLM at each step of the sampler, noisiest first."""
        return self.film.step(torch.from_numpy(self.schedule.timesteps().copy()).to(self.film.mean.device)).cpu()


def scheduler(schedule: Schedule) -> DDIMScheduler:
    """diffusers' scheduler of the same settings."""
    return DDIMScheduler(
        num_train_timesteps=schedule.num_train_timesteps, beta_schedule=schedule.beta_schedule,
        prediction_type=schedule.prediction_type, clip_sample=schedule.clip_sample,
        clip_sample_range=schedule.clip_sample_range, set_alpha_to_one=schedule.set_alpha_to_one,
        steps_offset=schedule.steps_offset, timestep_spacing=schedule.timestep_spacing,
    )  # fmt: skip
