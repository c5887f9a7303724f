"""Mistakes that train without an error and ruin the policy. Each test fails when its mistake is made again."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from tests.support.rigs import sim_table
from tests.support.stores import Row, tiny_rig, write_store
from tests.support.training import tiny
from xdistill_ros.episodes import Control, Store
from xdistill_ros.learn import policies, weights
from xdistill_ros.learn.data.augment import Augmentation
from xdistill_ros.learn.data.demonstrations import demonstrations
from xdistill_ros.learn.data.eyes import Colours
from xdistill_ros.learn.data.image_cache import cached_images
from xdistill_ros.learn.data.view import uncropped
from xdistill_ros.learn.networks.ema import Average
from xdistill_ros.learn.networks.encoders import Student
from xdistill_ros.learn.networks.head import Head
from xdistill_ros.learn.networks.unet import UNetConfig
from xdistill_ros.learn.training.policy import Policy
from xdistill_ros.learn.training.prepare import prepare
from xdistill_ros.learn.training.trainer import Training
from xdistill_ros.perception import Preprocess, PreprocessSpec
from xdistill_ros.policy.actions import ChannelRange, from_network
from xdistill_ros.policy.ddim import Schedule
from xdistill_ros.rig.poses import pose_from_9d

SMALL = UNetConfig(widths=(16, 32), groups=4, step_dim=16, condition_hidden=32, condition_dim=16)
SPEC = PreprocessSpec(source_width_px=32, source_height_px=24, resize_width_px=32, resize_height_px=24)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_store(tmp_path_factory.mktemp("store") / "s.zarr", 3, rows=20)


def policy(encoder: Student) -> Policy:
    head = Head(2 * (2 * encoder.feature_dim + 3), 8, 10, SMALL, Schedule(prediction_type="sample"))
    return Policy(encoder, head, Colours(SPEC, Augmentation()), tune=True, bf16=False)


# 1. double normalisation


def test_normalised_twice(store: Path) -> None:
    """From the store's pixels to the encoder, training does once what the running policy does once."""
    opened = Store(store)
    eye = Colours(SPEC, Augmentation())
    images = torch.from_numpy(cached_images(opened, {"front": SPEC}, "memory")["front"])
    seen = eye(images[None, 4:6], None)
    assert images.dtype == torch.uint8, "what is cached has been scaled by nobody"
    for row, found in zip((4, 5), seen, strict=True):
        pixels = np.asarray(opened.data("front")[row])
        np.testing.assert_allclose(found.numpy(), Preprocess(SPEC)(pixels)[0], atol=1e-5)
        mean = np.array(SPEC.mean).reshape(3, 1, 1)
        back = found.numpy() * np.array(SPEC.std).reshape(3, 1, 1) + mean
        np.testing.assert_allclose(255 * back, np.moveaxis(pixels, -1, 0), atol=1e-3)


def test_an_image_that_was_scaled_before_is_refused() -> None:
    with pytest.raises(ValueError, match="wanted uint8: they are scaled to"):
        Preprocess(SPEC).normalise(np.zeros((1, 24, 32, 3), np.float32))  # type: ignore[arg-type]


def test_augmented_images_are_still_standardised_once() -> None:
    """Grey of the mean colour stays near zero however its colours are changed, scale and offset included."""
    grey = torch.full((1, 64, 24, 32, 3), 118, dtype=torch.uint8)
    mild = Augmentation(erase_probability=0.0, blur_probability=0.0, noise=0.0)
    seen = Colours(SPEC, mild)(grey, torch.Generator().manual_seed(0))
    assert float(seen.abs().mean()) < 1.0
    assert float(seen.abs().max()) < 3.0


# 2. BatchNorm's statistics lost, by GroupNorm in its place


def test_batch_norm_swapped_for_group_norm(store: Path, student: Path, tmp_path: Path) -> None:
    prepared = prepare(tiny(store, student, encoder__tune=True, encoder__copies=0), tmp_path)
    kinds = {type(module).__name__ for module in prepared.policy.encoder.modules()}
    assert "BatchNorm2d" in kinds
    assert "GroupNorm" not in kinds
    given = load_file(student)
    for name, value in prepared.policy.encoder.state_dict().items():
        if "running" in name:
            assert torch.equal(value, given[name]), name
    assert not torch.equal(given["trunk.bn1.running_mean"], torch.zeros(32)), "the test's own file has statistics"


def test_an_encoder_without_weights_has_no_statistics_to_lose(store: Path, tmp_path: Path) -> None:
    """Frozen at (0, 1) BatchNorm would normalise nothing; learning its statistics in small batches is the next trap."""
    encoder = prepare(tiny(store), tmp_path).policy.encoder
    norms = [module for module in encoder.modules() if isinstance(module, nn.GroupNorm)]
    assert [(norm.num_groups, norm.num_channels) for norm in norms[:1] + norms[-1:]] == [(4, 64), (32, 512)]
    assert not [name for name in encoder.state_dict() if "running" in name]


# 3. an average that forgets buffers


def test_the_average_without_buffers(store: Path, student: Path, tmp_path: Path) -> None:
    """Were only parameters averaged, the kept head would standardise its condition as it was when the copy was made."""
    training = Training(tiny(store, student, epochs=1), tmp_path)
    training.policy.head.film.mean += 1.0  # after the copy
    training.run()
    training.close()
    film = training.averaged().head.film
    torch.testing.assert_close(film.mean, training.policy.head.film.mean)
    assert float(film.mean.abs().max()) > 0.01
    saved = policies.load(tmp_path).head.film
    torch.testing.assert_close(saved.mean, film.mean)
    torch.testing.assert_close(saved.std, film.std)


def test_the_average_follows_a_buffer_that_moves() -> None:
    network = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    average = Average(network, ceiling=0.5)
    for _ in range(30):
        network.train()(torch.randn(16, 3) + 5.0)
        average.update(network)
    torch.testing.assert_close(average.network[1].running_mean, network[1].running_mean, atol=0.5, rtol=0.1)  # type: ignore[index]
    assert average.network[1].num_batches_tracked == 30  # type: ignore[index]


# 4. BatchNorm in training mode on small batches


def test_batch_norm_that_looks_at_the_batch(student: Path) -> None:
    """While the encoder is tuned, an image's feature does not depend on which other images are in the batch."""
    encoder = weights.load(student)
    assert isinstance(encoder, Student)
    tuned = policy(encoder).train()
    assert all(not module.training for module in encoder.modules() if isinstance(module, nn.BatchNorm2d))
    frames = torch.randint(0, 255, (1, 6, 1, 24, 32, 3), dtype=torch.uint8)
    before = copy.deepcopy(encoder.state_dict())
    together, alone = tuned.features(frames, None), tuned.features(frames[:, :2], None)
    torch.testing.assert_close(together[:, :2], alone, atol=1e-4, rtol=1e-4)
    after = encoder.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before if "running" in name)


# 5. windows across the ends of episodes


def test_windows_across_ends(tmp_path: Path) -> None:
    """No window sees frames of two episodes, or of the two sides of what nobody demonstrated."""

    def corrected(rows: list[Row]) -> None:
        for row in rows[18:24]:
            row["in_control"] = int(Control.POLICY)

    path = write_store(tmp_path / "s.zarr", 3, rows=42, changes={1: corrected})
    store = Store(path)
    windows = demonstrations(store).windows
    allowed = [range(0, 42), range(42, 60), range(66, 84), range(84, 126)]
    used = set()
    for frames, actions, episode in zip(windows.frames, windows.actions, windows.episodes, strict=True):
        (stretch,) = [index for index, rows in enumerate(allowed) if int(frames.min()) in rows]
        used.add(stretch)
        assert int(frames.max()) in allowed[stretch]
        assert allowed[stretch].start // 42 == episode
        last = np.asarray(store.data("action")[allowed[stretch].stop - 1])
        over = int(frames.max()) + 15 - (allowed[stretch].stop - 1)
        if over > 0:
            np.testing.assert_allclose(actions[-over:, :3], np.tile(last[:3], (over, 1)), atol=1e-6)
    assert used == {0, 1, 2, 3}


def test_episodes_that_are_held_out_are_not_trained_on(store: Path, student: Path, tmp_path: Path) -> None:
    prepared = prepare(tiny(store, student, held_out=1), tmp_path)
    assert prepared.held is not None
    seen = set(prepared.train.windows.frames.flatten().tolist())
    assert not seen & set(prepared.held.windows.frames.flatten().tolist())
    assert sorted(prepared.episodes + prepared.held_out) == [0, 1, 2]


# 6. channels that never change


def test_constant_channels(store: Path) -> None:
    """The gripper of these demonstrations never moves: noise on it is not blown up, and its width comes back."""
    shown = demonstrations(Store(store))
    statistics = shown.windows.statistics(shown.rig, ("gripper_width",))
    scaled = shown.windows.targets(shown.rig, statistics)
    assert np.isfinite(scaled).all()
    np.testing.assert_allclose(scaled[..., -1], 0.0, atol=1e-6)
    widths = statistics.action.denormalise(scaled.astype(float))[..., -1]
    np.testing.assert_allclose(widths, 0.04, atol=1e-9)
    tenth_of_a_millimetre = statistics.action.normalise(np.array([[0.0] * 9 + [0.0401]]))
    assert abs(tenth_of_a_millimetre[0, -1]) < 0.05


# 7. six numbers that are no rotation


def test_a_rotation_that_is_none() -> None:
    space, rng = sim_table().policy.action_space, np.random.default_rng(0)
    statistics = ChannelRange(minimum=(-1.0,) * 10, maximum=(1.0,) * 10)
    raw = rng.uniform(-1, 1, (40, 16, 10)).astype(np.float32)
    found = from_network(space, statistics, raw, np.tile(np.eye(4), (40, 1, 1)))
    rows = found[..., 3:9].reshape(40, 16, 2, 3)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=-1), 1.0, atol=1e-9)
    np.testing.assert_allclose(np.einsum("...j,...j->...", rows[..., 0, :], rows[..., 1, :]), 0.0, atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(pose_from_9d(found[..., :9])[..., :3, :3]), 1.0, atol=1e-9)
    assert np.isnan(from_network(space, statistics, np.zeros((1, 16, 10), np.float32), np.eye(4)[None])).all()


# 8. the order of colours


def test_blue_for_red(tmp_path: Path) -> None:
    """What is red before the camera is in the encoder's first channel, by way of store, cache and augmentation."""

    def red(rows: list[Row]) -> None:
        for row in rows:
            row["front"] = np.tile(np.array([200, 20, 60], np.uint8), (24, 32, 1))

    opened = Store(write_store(tmp_path / "s.zarr", 1, tiny_rig(), rows=18, changes={0: red}))
    plain = SPEC.model_copy(update={"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)})
    images = torch.from_numpy(cached_images(opened, {"front": uncropped(plain)}, "memory")["front"])
    seen = 255 * Colours(plain, Augmentation())(images[None, :1], None)[0]
    assert seen.mean((1, 2)).round().tolist() == [200.0, 20.0, 60.0]
    mild = Augmentation(
        brightness=0.02, contrast=0.02, saturation=0.02, channel_gain=0.02, noise=0.0, erase_probability=0.0
    )
    changed = Colours(plain, mild)(images[None, :8], torch.Generator().manual_seed(0)).mean((2, 3))
    assert (changed[:, 0] > changed[:, 2]).all()
    assert (changed[:, 2] > changed[:, 1]).all()
