"""Everything that decides what a student becomes, as one validated file (`config/learn/distil_*.yaml`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from xdistill_ros.learn.errors import LearnError
from xdistill_ros.learn.networks.encoders import Feature

Pixels = tuple[int, int]

# Where things lie and how fast they go: a run may be continued with others, since the result is the same.
# What lies there is compared by its hash instead.
FREE = ("machine.", "data.images", "teacher.weights")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TeacherConfig(_Part):
    """Whose feature is imitated."""

    name: str = Field("dinov2_vitl14", description="of the zoo, or timm/NAME")
    weights: Path | None = Field(None, description="file; by default the library's own cache")
    size_px: Pixels = Field((224, 224), description="height and width of the images it sees")
    cached_views: int = Field(
        0, ge=0, description="0: features are computed as needed; else so many views of each image, once, on disk"
    )


class StudentConfig(_Part):
    """Who imitates."""

    architecture: str = Field("resnet18", description="resnet18, convnext_base, vit_small, or timm/NAME")
    feature: Feature = Field("pooled", description="what the policy is given: pooled, or projection")
    size_px: Pixels = Field((224, 224), description="height and width of the images it sees")


class DataConfig(_Part):
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


class MachineConfig(_Part):
    """What may differ when a run is continued."""

    device: str = Field("auto", description="auto, cpu, cuda")
    workers: int = Field(8, ge=0, description="processes that read images, of each training process")
    compile: bool | None = Field(None, description="torch.compile; by default on CUDA")
    save_every: int = Field(1000, ge=1, description="steps between checkpoints")
    cache: Path | None = Field(None, description="folder of cached features; by default in the run's own")


class Distillation(_Part):
    """One run of stage 1."""

    data: DataConfig
    teacher: TeacherConfig = TeacherConfig()
    student: StudentConfig = StudentConfig()
    steps: int = Field(125_000, ge=1)
    batch: int = Field(1024, ge=2, description="images a step, of all processes together")
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.02, ge=0)
    warm_up: float = Field(0.04, ge=0, lt=1, description="share of the steps in which the learning rate rises")
    bf16: bool = True
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

    @classmethod
    def read(cls, path: Path | None, changes: dict[str, Any]) -> Self:
        """The configuration in `path`, with fields by their dotted names changed. LearnError naming every wrong one."""
        document: Any = {}
        if path is not None:
            try:
                document = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
            except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
                raise LearnError(f"{path}: cannot be read as a configuration ({error})") from error
            if not isinstance(document, dict):
                raise LearnError(f"{path}: holds {type(document).__name__}, a configuration is a mapping of fields")
        for name, value in changes.items():
            *above, last = name.split(".")
            part = document
            for one in above:
                part = part.setdefault(one, {})
                if not isinstance(part, dict):
                    raise LearnError(f"{name}: {one} has no fields")
            part[last] = value
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            source = path or "options"
            raise LearnError("\n".join(
                f"{source}: {'.'.join(map(str, one['loc'])) or 'configuration'}: "
                f"{one['msg'].removeprefix('Value error, ')}" for one in error.errors()
            )) from error  # fmt: skip
