"""Encoder, average and denoiser: what must survive training, and what must hoist out of the loop."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from torch import nn

from xdistill_ros.learn.networks.ema import Average
from xdistill_ros.learn.networks.encoders import Student, freeze_normalisation, normalise
from xdistill_ros.learn.networks.head import Head
from xdistill_ros.learn.networks.rounding import deployable, on_levels, round_to_half
from xdistill_ros.learn.networks.unet import UNetConfig
from xdistill_ros.perception import Preprocess, PreprocessSpec
from xdistill_ros.perception.preprocess import IMAGENET_MEAN, IMAGENET_STD
from xdistill_ros.policy.ddim import Ddim, Schedule

SMALL = UNetConfig(widths=(16, 32), groups=4, step_dim=16, condition_hidden=32, condition_dim=16)


def trained_encoder(feature: str = "projection") -> Student:
    """An encoder whose BatchNorm statistics are not the initial ones."""
    torch.manual_seed(0)
    encoder = Student(24, feature).train()
    with torch.no_grad():
        for _ in range(3):
            encoder(2.0 * torch.randn(4, 3, 32, 48) + 1.0)
    return encoder.eval()


def head(prediction_type: str = "sample") -> Head:
    torch.manual_seed(0)
    schedule = Schedule(prediction_type=prediction_type, inference_steps=10)
    return Head(20, 8, 10, SMALL, schedule).eval()


def test_pixels_are_normalised_once_and_as_the_running_policy_does():
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    spec = PreprocessSpec(source_width_px=64, source_height_px=48, resize_width_px=32, resize_height_px=24)
    preprocess = Preprocess(spec)
    small = torch.from_numpy(preprocess.geometry(pixels))[None]
    ours = normalise(small, torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD))
    np.testing.assert_allclose(ours.numpy(), preprocess(pixels), atol=1e-5)


def test_the_order_of_colours_is_red_green_blue():
    red = torch.zeros(1, 4, 4, 3, dtype=torch.uint8)
    red[..., 0] = 255
    image = normalise(red, torch.zeros(3), torch.ones(3))
    assert image[0, :, 0, 0].tolist() == [1.0, 0.0, 0.0]


def test_frozen_normalisation_keeps_the_distilled_statistics_while_weights_learn():
    encoder = trained_encoder()
    before = copy.deepcopy(encoder.state_dict())
    encoder.train()
    freeze_normalisation(encoder)
    optimiser = torch.optim.SGD(encoder.parameters(), 0.1)
    encoder(torch.randn(4, 3, 32, 48)).square().mean().backward()
    optimiser.step()
    after = encoder.state_dict()
    moved = {name for name in after if not torch.equal(before[name], after[name])}
    assert not [name for name in moved if "running" in name or "tracked" in name]
    assert "trunk.conv1.weight" in moved


def test_batch_norm_is_still_there_and_its_statistics_are_in_the_folded_encoder():
    encoder = trained_encoder()
    assert sum(isinstance(module, nn.BatchNorm2d) for module in encoder.modules()) == 20
    forgetful = copy.deepcopy(encoder)
    for module in forgetful.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
    images = torch.randn(2, 3, 32, 48)
    with torch.no_grad():
        wanted = encoder(images)
        folded, forgotten = (deployable(one)(images) for one in (encoder, forgetful))
    assert (folded - wanted).norm() < 0.1 * wanted.norm()
    assert (forgotten - wanted).norm() > 0.5 * wanted.norm()


def test_an_encoder_on_int8_levels_computes_what_is_deployed_and_is_deployed_as_the_one_that_it_came_of() -> None:
    encoder, images = trained_encoder(), torch.randn(2, 3, 32, 48)
    made, rounded = deployable(encoder), on_levels(encoder)
    with torch.no_grad():
        torch.testing.assert_close(rounded(images), made(images), atol=1e-5, rtol=1e-5)
        assert (rounded(images) - encoder(images)).abs().max() > 1e-3
    again = deployable(rounded).state_dict()
    for name, value in made.state_dict().items():
        assert torch.equal(value, again[name]), name
    assert rounded.state_dict().keys() == encoder.state_dict().keys()


def test_the_average_follows_buffers_too():
    network = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    average = Average(network, ceiling=0.5)
    network.train()
    for _ in range(30):
        network(torch.randn(16, 3) + 5.0)
        average.update(network)
    averaged, present = average.network[1], network[1]
    assert averaged.num_batches_tracked == 30
    torch.testing.assert_close(averaged.running_mean, present.running_mean, atol=0.5, rtol=0.1)


def test_the_average_warms_up_as_diffusion_policy_does():
    average = Average(nn.Linear(1, 1))
    assert average.decay == 0.0
    average.steps = 9999
    assert average.decay == pytest.approx(1 - 10000**-0.75)


def test_an_average_continues_from_its_checkpoint():
    network = nn.Linear(2, 2)
    average = Average(network)
    average.update(nn.Linear(2, 2))
    other = Average(nn.Linear(2, 2))
    other.load_state_dict(average.state_dict())
    assert other.steps == 1
    torch.testing.assert_close(other.network.weight, average.network.weight)


def test_the_film_vector_is_the_sum_of_what_the_condition_and_the_step_give():
    network = head()
    condition, steps, sample = torch.randn(2, 20), torch.tensor([70, 0]), torch.randn(2, 8, 10)
    hoisted = network.film.condition(condition) + network.film.step(steps)
    joined = nn.functional.linear(
        network.film.mish(torch.cat([_before_mish(network, steps), _condition_code(network, condition)], 1)),
        torch.cat([network.film.from_step.weight, network.film.from_condition.weight], 1),
        network.film.from_condition.bias,
    )
    torch.testing.assert_close(hoisted, joined, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(network.unet(sample, hoisted), network(sample, steps, condition))


def _before_mish(network: Head, steps: torch.Tensor) -> torch.Tensor:
    from xdistill_ros.learn.networks.unet import sinusoid

    return network.film.step_embed(sinusoid(steps, network.film.step_dim))


def _condition_code(network: Head, condition: torch.Tensor) -> torch.Tensor:
    standard = (condition - network.film.mean) / network.film.std
    return network.film.embed[:-1](standard)  # all but the last Mish, which the test applies to both halves


def test_a_feature_that_never_changes_does_not_blow_up_the_condition():
    network = head()
    conditions = torch.randn(50, 20)
    conditions[:, 3] = 7.0
    network.film.fit(conditions)
    assert torch.isfinite(network.film.condition(conditions)).all()
    assert 0.2 < network.film.std[3] < 1.0, "no larger than the others, and far from zero"


@pytest.mark.parametrize("prediction_type", ["sample", "epsilon", "v_prediction"])
def test_sampling_in_torch_equals_the_numpy_sampler_on_the_same_noise(prediction_type):
    network = head(prediction_type)
    condition, noise = torch.randn(1, 20), torch.randn(1, 8, 10)
    ours = network.sample(condition, noise)[0].numpy()
    ddim, sample = Ddim(network.schedule), noise[0].numpy()
    with torch.no_grad():
        film = network.film.condition(condition)
        for step, row in enumerate(network.step_table()):
            prediction = network.unet(torch.from_numpy(sample)[None], film + row)[0].numpy()
            sample = ddim.denoise(sample, prediction, step)
    np.testing.assert_allclose(sample, ours, atol=1e-4)


def test_the_head_uses_diffusers_scheduler_of_the_same_schedule():
    assert isinstance(head()._noise, DDIMScheduler)
    assert head("epsilon")._noise.config.prediction_type == "epsilon"


def test_rounding_is_idempotent():
    network = head()
    round_to_half(network)
    once = copy.deepcopy(network.state_dict())
    round_to_half(network)
    assert all(torch.equal(once[name], value) for name, value in network.state_dict().items())
