"""Everything that decides what a student becomes, as one validated file (`config/learn/distil_*.yaml`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from xdistill_ros.learn.networks.encoders import Feature
from xdistill_ros.rig.base import Strict

Pixels = tuple[int, int]

# Where things lie and how fast they go: a run may be continued with others, since the result is the same.
# What lies there is compared by its hash instead.
FREE = ("machine.", "data.images", "teacher.weights")
MISSING = dict.fromkeys(("data", "data.images"), "name where the images lie, --images FOLDER")


class TeacherConfig(Strict):
    """Whose feature is imitated."""

    name: str = Field("dinov2_vitl14", description="of the zoo, or timm/NAME")
    weights: Path | None = Field(None, description="file; by default the library's own cache")
    size_px: Pixels = Field((224, 224), description="height and width of the images it sees")
    cached_views: int = Field(
        0, ge=0, description="0: features are computed as needed; else so many views of each image, once, on disk"
    )


class StudentConfig(Strict):
    """Who imitates."""

    architecture: str = Field("resnet18", description="resnet18, convnext_base, vit_small, or timm/NAME")
    feature: Feature = Field("pooled", description="what the policy is given: pooled, or projection")
    size_px: Pixels = Field((224, 224), description="height and width of the images it sees")


class DataConfig(Strict):
    """Images of any kind; labels are not used."""

    images: tuple[Path, ...] = Field(min_length=1, description="folders of images or of .tar shards, or .tar files")
    held_out: int = Field(2000, ge=12, description="images that are not trained on")
    crop_scale: tuple[float, float] = Field((0.35, 1.0), description="share of the image's area in a view")
    flip: bool = True

    @field_validator("images", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str | Path) else value

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        low, high = self.crop_scale
        if not 0.0 < low <= high <= 1.0:
            raise ValueError(f"crop_scale is {low}, {high}; wanted 0 < low <= high <= 1")
        return self


class MachineConfig(Strict):
    """What may differ when a run is continued."""

    device: str = Field("auto", description="auto, cpu, cuda")
    workers: int | None = Field(
        None,
        ge=0,
        description="processes that read images, of each process; by default its share of the cores",
    )
    compile: bool | None = Field(None, description="torch.compile; by default on CUDA")
    save_every: int = Field(1000, ge=1, description="steps between checkpoints")
    cache: Path | None = Field(None, description="folder of cached features; by default in the run's own")


class Distillation(Strict):
    """One run of stage 1."""

    data: DataConfig
    teacher: TeacherConfig = TeacherConfig()
    student: StudentConfig = StudentConfig()
    steps: int = Field(125_000, ge=1)
    batch: int = Field(1024, ge=2, description="images a step, of all processes together")
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.02, ge=0)
    warm_up: float = Field(0.04, ge=0, lt=1, description="share of the steps in which the learning rate rises")
    bf16: bool = Field(True, description="where the processor computes in it")
    seed: int = 0
    log_every: int = Field(50, ge=1)
    check_every: int = Field(5000, ge=1, description="steps between measurements on what was held out")
    machine: MachineConfig = MachineConfig()

    @model_validator(mode="after")
    def _lines_end_with_checkpoints(self) -> Self:
        for name, value in (("machine.save_every", self.machine.save_every), ("check_every", self.check_every)):
            if value % self.log_every:
                raise ValueError(f"{name} is {value}, wanted a multiple of log_every, {self.log_every}")
        return self
