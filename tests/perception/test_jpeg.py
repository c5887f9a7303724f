"""JPEGs between two computers: what comes back, and what is none."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from xdistill_ros.perception import jpeg


def picture() -> NDArray[np.uint8]:
    """Smooth colours, each channel another way, so that a swapped one shows."""
    rows, columns = np.mgrid[:48, :64]
    return np.stack([rows * 5, columns * 3, 255 - rows * 5], axis=-1).astype(np.uint8)


def test_a_picture_comes_back_nearly_as_it_was() -> None:
    back = jpeg.decode(jpeg.encode(picture(), 95))
    assert back is not None
    assert back.shape == picture().shape
    assert np.abs(back.astype(int) - picture()).mean() < 2.0


@pytest.mark.parametrize("kept", [0, 1, 2, 100, -1, -2])
def test_a_jpeg_that_is_cut_off_is_none(kept: int) -> None:
    assert jpeg.decode(jpeg.encode(picture(), 90)[:kept]) is None


def test_other_bytes_are_none() -> None:
    assert jpeg.decode(b"no picture at all\xff\xd9") is None
