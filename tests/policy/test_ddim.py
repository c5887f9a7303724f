"""DDIM in numpy is diffusers' DDIMScheduler."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from xdistill_ros.policy.ddim import Ddim, Schedule

SHAPE = (16, 10)


def network(sample: np.ndarray, step: int) -> np.ndarray:
    """Some function of the sample and the step that neither explodes nor vanishes."""
    return np.tanh(1.3 * sample + 0.1 * step - 0.4).astype(np.float32)


def diffusers_result(schedule: Schedule, noise: np.ndarray) -> tuple[list[int], np.ndarray]:
    fields = schedule.model_dump()
    steps = fields.pop("inference_steps")
    scheduler = DDIMScheduler(**fields)
    scheduler.set_timesteps(steps)
    sample = torch.from_numpy(noise)
    for index, timestep in enumerate(scheduler.timesteps):
        prediction = torch.from_numpy(network(sample.numpy(), index))
        sample = scheduler.step(prediction, timestep, sample, eta=0.0).prev_sample
    return scheduler.timesteps.tolist(), sample.numpy()


def our_result(schedule: Schedule, noise: np.ndarray) -> tuple[list[int], np.ndarray]:
    ddim, sample = Ddim(schedule), noise
    for index in range(schedule.inference_steps):
        sample = ddim.denoise(sample, network(sample, index), index)
    return ddim.timesteps.tolist(), sample


@pytest.mark.parametrize(
    ("prediction", "spacing", "to_one", "clip"),
    list(
        itertools.product(
            ("epsilon", "sample", "v_prediction"), ("leading", "trailing", "linspace"), (True, False), (True, False)
        )
    ),
)
def test_every_setting_agrees_with_diffusers_on_the_same_noise(prediction, spacing, to_one, clip):
    noise = np.random.default_rng(3).standard_normal(SHAPE, dtype=np.float32)
    for train, steps in ((100, 10), (50, 16), (1000, 7)):
        schedule = Schedule(
            prediction_type=prediction, timestep_spacing=spacing, set_alpha_to_one=to_one, clip_sample=clip,
            num_train_timesteps=train, inference_steps=steps,
        )  # fmt: skip
        (their_steps, theirs), (our_steps, ours) = diffusers_result(schedule, noise), our_result(schedule, noise)
        assert our_steps == their_steps
        assert ours.dtype == np.float32
        scale = max(1.0, float(np.abs(theirs).max()))  # without clipping, values grow far beyond actions
        assert np.abs(ours - theirs).max() < 1e-4 * scale


@settings(max_examples=40, deadline=None)
@example(train=41, share=0.6875, offset=0, spacing="trailing")
@given(
    train=st.integers(2, 300),
    share=st.floats(0.0, 1.0),
    offset=st.integers(0, 1),
    spacing=st.sampled_from(["leading", "trailing", "linspace"]),
)
def test_any_number_of_steps_agrees_with_diffusers_or_is_refused(train, share, offset, spacing):
    steps = max(1, round(share * train))
    fields = {
        "prediction_type": "epsilon", "num_train_timesteps": train, "inference_steps": steps,
        "steps_offset": offset, "timestep_spacing": spacing,
    }  # fmt: skip
    try:
        schedule = Schedule(**fields)
    except ValidationError:
        scheduler = DDIMScheduler(num_train_timesteps=train, timestep_spacing=spacing, steps_offset=offset)
        scheduler.set_timesteps(steps)
        theirs = scheduler.timesteps
        assert len(theirs) != steps or theirs.min() < 0 or theirs.max() >= train  # refused only what is wrong there too
        return
    noise = np.random.default_rng(train).standard_normal((4, 3), dtype=np.float32)
    (their_steps, theirs), (our_steps, ours) = diffusers_result(schedule, noise), our_result(schedule, noise)
    assert our_steps == their_steps
    assert np.abs(ours - theirs).max() < 1e-4


def test_more_steps_than_were_trained_are_refused():
    with pytest.raises(ValidationError, match="inference_steps 20 exceeds num_train_timesteps 10"):
        Schedule(prediction_type="epsilon", num_train_timesteps=10, inference_steps=20)


def test_noising_agrees_with_diffusers():
    schedule = Schedule(prediction_type="epsilon")
    ddim, scheduler = Ddim(schedule), DDIMScheduler(num_train_timesteps=100, beta_schedule="squaredcos_cap_v2")
    random = np.random.default_rng(0)
    clean, noise = random.standard_normal((2, *SHAPE), dtype=np.float32)
    for step, timestep in enumerate(ddim.timesteps):
        theirs = scheduler.add_noise(torch.from_numpy(clean), torch.from_numpy(noise), torch.tensor([timestep])).numpy()
        assert np.abs(ddim.noised(clean, noise, step) - theirs).max() < 1e-5
