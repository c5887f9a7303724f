"""The one preprocessing, and the trap that it exists for."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from xdistill_ros.perception import Preprocess, PreprocessSpec
from xdistill_ros.perception.preprocess import IMAGENET_MEAN, IMAGENET_STD

SPEC = PreprocessSpec(source_width_px=640, source_height_px=480, resize_width_px=160, resize_height_px=120)


def picture(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (480, 640, 3), dtype=np.uint8)


def test_white_and_black_become_what_imagenet_networks_were_trained_on():
    """Trap: images scaled to [-1, 1] and then normalised with ImageNet's statistics, which are of [0, 1]."""
    white = Preprocess(SPEC)(np.full((480, 640, 3), 255, np.uint8))
    black = Preprocess(SPEC)(np.zeros((480, 640, 3), np.uint8))
    for channel in range(3):
        mean, std = IMAGENET_MEAN[channel], IMAGENET_STD[channel]
        np.testing.assert_allclose(white[0, channel], (1 - mean) / std, atol=1e-5)
        np.testing.assert_allclose(black[0, channel], (0 - mean) / std, atol=1e-5)
        assert not np.allclose(black[0, channel], (-1 - mean) / std, atol=0.5)


@pytest.mark.parametrize("mean", [(-0.1, 0.0, 0.0), (123.675, 116.28, 103.53)])
def test_statistics_of_another_scale_are_refused(mean):
    with pytest.raises(ValidationError, match="mean"):
        PreprocessSpec(**(SPEC.model_dump() | {"mean": mean}))


def test_an_image_that_was_scaled_before_is_refused():
    scaled = picture().astype(np.float32) / 127.5 - 1
    with pytest.raises(ValueError, match="float32, wanted uint8"):
        Preprocess(SPEC).normalise(scaled)
    with pytest.raises(ValueError, match="float32"):
        Preprocess(SPEC)(scaled)  # type: ignore[arg-type]


def test_shape_type_and_value_are_those_of_the_plain_formula():
    pixels = picture()
    tensor = Preprocess(SPEC)(pixels)
    assert tensor.shape == (1, 3, 120, 160)
    assert tensor.dtype == np.float32
    assert tensor.flags["C_CONTIGUOUS"]
    resized = cv2.resize(pixels, (160, 120), interpolation=cv2.INTER_AREA) / 255.0
    expected = ((resized - IMAGENET_MEAN) / IMAGENET_STD).transpose(2, 0, 1)
    np.testing.assert_allclose(tensor[0], expected, atol=1e-5)


def test_the_cached_way_of_training_is_bit_identical_to_the_live_way():
    preprocess = Preprocess(SPEC)
    frames = [picture(seed) for seed in range(3)]
    cached = np.stack([preprocess.geometry(frame) for frame in frames])
    batch = preprocess.normalise(cached)
    assert batch.shape == (3, 3, 120, 160)
    for row, frame in zip(batch, frames, strict=True):
        assert np.array_equal(row[None], preprocess(frame))


def test_the_crop_is_the_centre():
    spec = PreprocessSpec(**(SPEC.model_dump() | {"crop_width_px": 144, "crop_height_px": 100}))
    pixels = picture()
    whole, cropped = Preprocess(SPEC).geometry(pixels), Preprocess(spec).geometry(pixels)
    assert np.array_equal(cropped, whole[10:110, 8:152])


def test_a_crop_larger_than_the_image_is_refused():
    with pytest.raises(ValidationError, match="200x100 is larger"):
        PreprocessSpec(**(SPEC.model_dump() | {"crop_width_px": 200, "crop_height_px": 100}))
    with pytest.raises(ValidationError, match="both, or neither"):
        PreprocessSpec(**(SPEC.model_dump() | {"crop_width_px": 100}))


def test_an_image_of_another_size_is_refused_naming_both():
    with pytest.raises(ValueError, match=r"\(240, 320, 3\), wanted uint8 \(480, 640, 3\)"):
        Preprocess(SPEC)(np.zeros((240, 320, 3), np.uint8))
