"""What is compared: encoders, each with the pictures that it takes and, where it was trained with one, its policy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from xdistill_ros.learn import policies, weights
from xdistill_ros.learn.data import points
from xdistill_ros.learn.errors import LearnError
from xdistill_ros.learn.networks.encoders import Encoder
from xdistill_ros.learn.networks.pointnet import PointNet
from xdistill_ros.learn.policies import Trained
from xdistill_ros.perception import Preprocess, PreprocessSpec
from xdistill_ros.policy.manifest import MANIFEST
from xdistill_ros.rig import Rig

from .rows import View

ENCODER_FILE = "encoder.safetensors"


@dataclass(frozen=True)
class Subject:
    """One encoder; `policy` is none where it comes from distillation, without a policy on top."""

    name: str
    path: Path
    encoder: Encoder
    rig: Rig
    preprocess: Mapping[str, PreprocessSpec]
    policy: Trained | None

    @property
    def points(self) -> bool:
        """Whether it takes points of aligned depth instead of images; heat maps are drawn of images alone."""
        return isinstance(self.encoder, PointNet)

    @property
    def views(self) -> list[View]:
        """What is read for it, in the order of its cameras."""
        return [View(camera, spec, self.points) for camera, spec in self.preprocess.items()]

    def tensor(self, camera: str, frames: NDArray[Any]) -> Tensor:
        """The encoder's input (B, 3, h, w) of what `rows.pictures` read (B, ...) from a camera."""
        spec = self.preprocess[camera]
        if self.points:
            place = points.View.of(self.rig, camera, spec.resize_height_px, spec.resize_width_px)
            return place.points(torch.from_numpy(frames))
        return torch.from_numpy(Preprocess(spec).normalise(frames))


def load(paths: Sequence[Path], rig: Rig, width_px: int) -> list[Subject]:
    """The encoders in `paths`: training runs, distillation runs, encoder files. Those without a policy take the images
    of all cameras of `rig`, `width_px` wide unless they are built for one size. Raises LearnError.
    """
    return [
        _policy(name, path, rig) if (path / policies.DOCUMENT).is_file() else _encoder(name, path, rig, width_px)
        for name, path in zip(_names(paths), paths, strict=True)
    ]


def _policy(name: str, path: Path, rig: Rig) -> Subject:
    trained = policies.load(path)
    for camera, spec in trained.preprocess.items():
        found = rig.cameras.get(camera)
        if found is None:
            raise LearnError(
                f"{path}: the policy sees camera {camera!r}, the store has {', '.join(rig.cameras)}; "
                "name a store that was recorded with the policy's cameras"
            )
        if (found.width_px, found.height_px) != (spec.source_width_px, spec.source_height_px):
            raise LearnError(
                f"{path}: camera {camera} has {spec.source_width_px}x{spec.source_height_px} pixels for the policy, "
                f"{found.width_px}x{found.height_px} in the store; name a store that was recorded as the policy's was"
            )
    steps = trained.rig.policy.observation_horizon
    if steps != rig.policy.observation_horizon:
        raise LearnError(
            f"{path}: the policy observes {steps} steps, the store's rig {rig.policy.observation_horizon}; "
            "name a store that was recorded as the policy's was"
        )
    subject = Subject(name, path, trained.encoder, trained.rig, trained.preprocess, trained)
    without = [camera for camera in trained.preprocess if subject.points and not rig.cameras[camera].depth]
    if without:
        raise LearnError(
            f"{path}: the policy sees depth, and the store has none of camera {', '.join(without)}; "
            "name a store that was recorded with depth"
        )
    return subject


def _encoder(name: str, path: Path, rig: Rig, width_px: int) -> Subject:
    if (path / MANIFEST).is_file():
        raise LearnError(f"{path}: a bundle; name the training run that it was exported from")
    file = path / ENCODER_FILE if path.is_dir() else path
    if not file.is_file():
        raise LearnError(
            f"{path}: neither a training run (a folder with {policies.DOCUMENT}) nor an encoder ({ENCODER_FILE}, or a "
            "folder with it); `xdistill train` and `xdistill distill` write them"
        )
    encoder = weights.load(file)
    preprocess = {}
    for camera, one in rig.cameras.items():
        height, width = encoder.input.size or (max(8, round(width_px * one.height_px / one.width_px)), width_px)
        preprocess[camera] = PreprocessSpec(
            source_width_px=one.width_px, source_height_px=one.height_px,
            resize_width_px=width, resize_height_px=height, mean=encoder.input.mean, std=encoder.input.std,
        )  # fmt: skip
    return Subject(name, path, encoder, rig, preprocess, None)


def _names(paths: Sequence[Path]) -> list[str]:
    """A short name for each path, and none twice."""
    folders = [path.resolve().parent if path.name == ENCODER_FILE else path.resolve() for path in paths]
    names = [folder.stem if folder.suffix == ".safetensors" else folder.name for folder in folders]
    count = Counter(names)
    names = [
        f"{folder.parent.name}/{name}" if count[name] > 1 else name for folder, name in zip(folders, names, strict=True)
    ]
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise LearnError(f"{', '.join(twice)}: named twice; name each run or encoder once")
    return names
