"""The whole recipe of the shipped bundles as one validated file (`config/learn/*.yaml`)."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Self

import yaml
from pydantic import BaseModel, ConfigDict, Field

from xdistill_ros.learn.distil.loop import DistilConfig
from xdistill_ros.learn.networks.encoders import Feature
from xdistill_ros.learn.training.config import FineTune, HeadConfig
from xdistill_ros.perception import PreprocessSpec
from xdistill_ros.policy.actions import ProprioPart
from xdistill_ros.rig import Rig


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Demonstrations(_Part):
    """What is recorded for each task. Seeds count up from `first_seed`; trials use seeds from 100000 on."""

    count: int = Field(25, ge=1)
    first_seed: int = Field(0, ge=0)


class RenderingsConfig(_Part):
    """What the encoder is distilled on: randomised renderings, some of each task."""

    per_task: int = Field(5000, ge=8)
    seed: int = 50_000


class Recipe(_Part):
    """Everything that decides what a bundle becomes."""

    rig: Path
    tasks: tuple[str, ...] = Field(min_length=1)
    resize_width_px: int = 128
    resize_height_px: int = 96
    proprio: tuple[ProprioPart, ...] = ("tcp_relative", "tcp_height", "gripper_width")
    feature: Feature = "projection"
    demonstrations: Demonstrations = Demonstrations()
    renderings: RenderingsConfig = RenderingsConfig()
    distil: DistilConfig = DistilConfig()
    head: HeadConfig = HeadConfig()
    fine_tune: FineTune = FineTune()

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads a recipe. Raises pydantic's ValidationError naming every wrong field."""
        return cls.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))

    def preprocess(self, rig: Rig) -> dict[str, PreprocessSpec]:
        """The preprocessing of each camera of `rig`."""
        return {
            name: PreprocessSpec(
                source_width_px=camera.width_px, source_height_px=camera.height_px,
                resize_width_px=self.resize_width_px, resize_height_px=self.resize_height_px,
            )
            for name, camera in rig.cameras.items()
        }  # fmt: skip


def fingerprint(rig: Rig, *parts: object) -> str:
    """Short hash of the rig and of configuration parts, by which a finished stage is found again.

    The rig counts whole: a camera that was moved makes every picture taken before it worthless. Only where its URDF
    lies on this machine does not count.
    """
    portable = rig.model_copy(update={"arm": rig.arm.model_copy(update={"urdf": Path(rig.arm.urdf.name)})})
    text = "|".join(
        part.model_dump_json() if isinstance(part, BaseModel) else repr(part) for part in (portable, *parts)
    )
    return hashlib.sha256(text.encode()).hexdigest()[:10]
