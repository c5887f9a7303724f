"""Table tops as procedural textures: what the table may look like. Pure numpy; deterministic."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
SIZE = 256
NOMINAL = "oak"  # the table of the demonstrations
HELD_OUT = ("slate", "checked_cloth", "marble", "walnut")  # tables of the variant `table`


def _smooth_noise(rng: np.random.Generator, rows: int, columns: int) -> NDArray[np.float64]:
    """Noise in [0, 1], (SIZE, SIZE), that varies over SIZE / rows and SIZE / columns pixels and tiles."""
    spectrum = np.fft.fft2(rng.standard_normal((SIZE, SIZE)))
    down, across = np.meshgrid(np.fft.fftfreq(SIZE) * SIZE, np.fft.fftfreq(SIZE) * SIZE, indexing="ij")
    field = np.fft.ifft2(spectrum * np.exp(-0.5 * ((down / rows) ** 2 + (across / columns) ** 2))).real
    return np.asarray((field - field.min()) / np.ptp(field))


def _mix(low: tuple[int, int, int], high: tuple[int, int, int], share: NDArray[np.float64]) -> Pixels:
    mixed: Pixels = (np.array(low) + (np.array(high) - np.array(low)) * share[..., None]).astype(np.uint8)
    return mixed


def wood(dark: tuple[int, int, int], light: tuple[int, int, int], seed: int) -> Pixels:
    """Boards with grain along the columns' direction."""
    rng = np.random.default_rng(seed)
    grain = 0.65 * _smooth_noise(rng, 60, 2) + 0.35 * _smooth_noise(rng, 14, 1)
    boards = np.repeat(rng.uniform(-0.12, 0.12, 4), SIZE // 4)[:, None]
    image = _mix(dark, light, np.clip(grain + boards, 0, 1))
    image[:: SIZE // 4] = (np.array(dark) * 0.75).astype(np.uint8)
    return image


def stone(dark: tuple[int, int, int], light: tuple[int, int, int], seed: int) -> Pixels:
    """Veined stone."""
    rng = np.random.default_rng(seed)
    veins = np.abs(np.sin(6 * np.pi * _smooth_noise(rng, 4, 4) + 3 * _smooth_noise(rng, 20, 20))) ** 0.4
    return _mix(dark, light, 0.7 * veins + 0.3 * _smooth_noise(rng, 40, 40))


def cloth(dark: tuple[int, int, int], light: tuple[int, int, int], squares: int) -> Pixels:
    """A checked cloth: `squares` stripes each way, woven over each other."""
    stripe = (np.arange(SIZE) * squares // SIZE) % 2
    return _mix(dark, light, (stripe[:, None] + stripe[None, :]) / 2.0)


def speckled(dark: tuple[int, int, int], light: tuple[int, int, int], seed: int) -> Pixels:
    """A nearly plain board with fine specks."""
    return _mix(dark, light, _smooth_noise(np.random.default_rng(seed), 70, 70))


def tables() -> dict[str, Pixels]:
    """Every table top by name, (SIZE, SIZE, 3): the nominal one, those for training, those held out."""
    return {
        NOMINAL: wood((168, 128, 84), (206, 170, 122), 1),
        "beech": wood((190, 150, 110), (225, 195, 155), 2),
        "cherry": wood((110, 62, 40), (160, 100, 70), 3),
        "grey_oak": wood((110, 105, 98), (160, 152, 142), 4),
        "white_board": speckled((205, 205, 205), (235, 235, 238), 5),
        "grey_board": speckled((95, 98, 102), (135, 138, 142), 6),
        "green_mat": speckled((40, 80, 62), (60, 108, 86), 7),
        "blue_mat": speckled((50, 68, 100), (72, 92, 130), 8),
        "sand_stone": stone((150, 135, 115), (205, 192, 170), 9),
        "striped_cloth": cloth((150, 150, 165), (225, 225, 230), 10),
        "red_cloth": cloth((140, 60, 58), (215, 195, 185), 14),
        "slate": stone((44, 50, 58), (84, 92, 102), 10),
        "checked_cloth": cloth((92, 124, 160), (224, 226, 230), 16),
        "marble": stone((182, 184, 190), (240, 240, 242), 11),
        "walnut": wood((62, 42, 30), (112, 80, 56), 12),
    }
