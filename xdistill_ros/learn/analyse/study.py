"""One encoder's features of a store, and the figures and the map that are made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.learn.errors import LearnError
from xdistill_ros.perception import PreprocessSpec
from xdistill_ros.rig import Rig

from . import embedding, neighbours
from .bars import busy
from .features import Features, Typical, features
from .results import EncoderResult
from .rows import Rows, View
from .stages import UNKNOWN
from .subjects import Subject

PIXELS = "pixels"
_PIXEL_SIDE = 16
_SAME = 1e-5  # spread, of the largest number: rounding, on which t-SNE ends without a word


@dataclass(frozen=True)
class Studied:
    """result: its figures, but for what needs heat maps. centred (N, D): features less their mean; points (N, 2)."""

    result: EncoderResult
    centred: Features
    typical: Typical
    points: NDArray[np.float32]


def study(subject: Subject, pictures: Mapping[View, NDArray[Any]], chosen: Rows, seed: int) -> Studied:
    """Of one encoder."""
    inputs = {camera: "{}x{}".format(*spec.output_size) for camera, spec in subject.preprocess.items()}
    raw = features(subject, pictures)
    return _studied(subject.name, str(subject.path), subject.policy is not None, inputs, raw, chosen, seed)


def tiny_views(rig: Rig) -> list[View]:
    """All cameras, with so few pixels that they can stand for features."""
    return [
        View(name, PreprocessSpec(
            source_width_px=camera.width_px, source_height_px=camera.height_px,
            resize_width_px=_PIXEL_SIDE, resize_height_px=_PIXEL_SIDE,
        )) for name, camera in rig.cameras.items()
    ]  # fmt: skip


def of_pixels(tiny: Mapping[View, NDArray[Any]], chosen: Rows, seed: int) -> Studied:
    """What the stages' separation owes to the pictures themselves: the same figures with tiny pictures as features."""
    raw = np.concatenate([images.reshape(len(images), -1) for images in tiny.values()], axis=1).astype(np.float32)
    inputs = {view.camera: f"{_PIXEL_SIDE}x{_PIXEL_SIDE}" for view in tiny}
    return _studied(PIXELS, "the pictures made tiny, no encoder", False, inputs, raw / 255.0, chosen, seed)


def _studied(
    name: str, source: str, policy: bool, inputs: dict[str, str], raw: Features, chosen: Rows, seed: int
) -> Studied:
    _check(name, raw)
    typical = Typical.of(raw)
    standard = typical.standardise(raw)
    with busy(f"t-SNE of {name}"):
        points = embedding.on_a_map(standard, seed)
    result = EncoderResult(
        name=name, source=source, policy=policy, inputs=inputs, feature_dim=raw.shape[1],
        silhouette_of_map=embedding.silhouette(points, chosen.stage, chosen.episode, seed),
        silhouette_of_features=embedding.silhouette(standard, chosen.stage, chosen.episode, seed),
        neighbours_of_same_stage=_agreement(raw - typical.mean, chosen),
        around={},
    )  # fmt: skip
    return Studied(result, raw - typical.mean, typical, points)


def _check(name: str, raw: Features) -> None:
    """Raises LearnError for features of which nothing can be said."""
    if not np.isfinite(raw).all():
        bad = int((~np.isfinite(raw).all(axis=1)).sum())
        raise LearnError(f"{name}: its features of {bad} of {len(raw)} moments are not finite; its training diverged")
    if raw.std(0).max() <= _SAME * np.abs(raw).max():
        raise LearnError(
            f"{name}: it has the same feature for every moment; its training collapsed, or it sees nothing"
        )


def _agreement(centred: Features, chosen: Rows) -> float | None:
    """None where there is one stage, with which everything agrees."""
    known = chosen.stage != UNKNOWN
    if len(np.unique(chosen.stage[known])) < 2:
        return None
    return neighbours.agreement(centred[known], chosen.episode[known], chosen.stage[known])
