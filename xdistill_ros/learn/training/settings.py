"""Everything that decides what a training makes of a store. Defaults are diffusion_policy's real-robot image config."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from xdistill_ros.learn.data.augment import Augmentation
from xdistill_ros.learn.data.image_cache import Place
from xdistill_ros.learn.documents import Document, checked, merged
from xdistill_ros.learn.errors import LearnError
from xdistill_ros.learn.networks.encoders import InputSpec
from xdistill_ros.learn.networks.unet import UNetConfig
from xdistill_ros.perception import PreprocessSpec
from xdistill_ros.policy.actions import ProprioPart
from xdistill_ros.policy.ddim import Schedule
from xdistill_ros.rig import Rig
from xdistill_ros.rig.base import Strict

FREE = (
    "store", "device", "threads", "wandb", "image.cache", "log_every", "checkpoint_s", "rollouts.processes",
    "encoder.weights",
)  # fmt: skip
"""Fields that do not decide what is learnt: a run may go on with others. Store and weights count by their content."""

_RESIZE, _CROP = (320, 240), (288, 216)  # width, height: those of diffusion_policy
_POINTS = (42, 32)  # of a depth image: 1344 points, DP3 has 1024
_CROP_SHARE = 0.9


class EncoderSettings(Strict):
    """Which encoder, and what happens to it."""

    word: str = Field(description="one of networks.zoo.WORDS")
    weights: Path | None = None
    tune: bool = Field(True, description="trained end to end with the head; else frozen")
    learning_rate: float = Field(1e-4, gt=0, description="of the encoder, where it is tuned")
    copies: int = Field(
        0, ge=0, description="frozen only: features of so many augmented copies are computed once; 0: afresh each step"
    )
    int8: bool = Field(
        False, description="frozen ResNet only: rounded first as `xdistill export --precision int8` will store it"
    )

    @model_validator(mode="after")
    def _some_are_of_a_frozen_one(self) -> Self:
        for name, value in (("copies", self.copies), ("int8", self.int8)):
            if self.tune and value:
                raise ValueError(f"{name} is {value}, but tune is true: {name} is for a frozen encoder; set one back")
        return self


class ImageSettings(Strict):
    """How images become the encoder's input; what is left out follows from the encoder."""

    resize_width_px: int | None = Field(None, ge=8)
    resize_height_px: int | None = Field(None, ge=8)
    crop_width_px: int | None = Field(None, ge=8, description="random while training, the centre when run")
    crop_height_px: int | None = Field(None, ge=8)
    augmentation: Augmentation = Augmentation(blur_probability=0.0, erase_probability=0.0)
    cache: Place = "memory"

    @model_validator(mode="after")
    def _pairs(self) -> Self:
        for what in ("resize", "crop"):
            if (getattr(self, f"{what}_width_px") is None) != (getattr(self, f"{what}_height_px") is None):
                raise ValueError(f"{what}_width_px and {what}_height_px: give both, or neither")
        if self.crop_width_px is not None and self.resize_width_px is None:
            raise ValueError("crop_width_px needs resize_width_px and resize_height_px")
        return self

    @property
    def wished_size(self) -> tuple[int, int] | None:
        """Height and width of the encoder's input, where these settings say it."""
        if self.resize_width_px is None or self.resize_height_px is None:
            return None
        return self.crop_height_px or self.resize_height_px, self.crop_width_px or self.resize_width_px

    def preprocess(self, rig: Rig, wanted: InputSpec, points: bool) -> dict[str, PreprocessSpec]:
        """The preprocessing of each camera of `rig` for an encoder that takes `wanted`, or a grid of points.

        Raises LearnError when these settings give another size than the encoder takes.
        """
        resize, crop = self._sizes(wanted, points)
        output = crop or resize
        if wanted.size is not None and output != wanted.size[::-1]:
            raise LearnError(
                f"image: {output[0]}x{output[1]} px reach the encoder, which takes {wanted.size[1]}x{wanted.size[0]}; "
                "correct resize_*_px and crop_*_px, or leave them out"
            )
        return {
            name: PreprocessSpec(
                source_width_px=camera.width_px, source_height_px=camera.height_px,
                resize_width_px=resize[0], resize_height_px=resize[1],
                crop_width_px=crop[0] if crop else None, crop_height_px=crop[1] if crop else None,
                mean=_three(wanted.mean), std=_three(wanted.std),
            )
            for name, camera in rig.cameras.items()
        }  # fmt: skip

    def _sizes(self, wanted: InputSpec, points: bool) -> tuple[tuple[int, int], tuple[int, int] | None]:
        """Width and height of resizing, and of the crop if there is one."""
        if self.resize_width_px is not None and self.resize_height_px is not None:
            crop = (self.crop_width_px, self.crop_height_px)
            return (self.resize_width_px, self.resize_height_px), crop if crop[0] and crop[1] else None  # type: ignore[return-value]
        if points:
            return _POINTS, None
        if wanted.size is not None:
            height, width = wanted.size
            return (round(width / _CROP_SHARE), round(height / _CROP_SHARE)), (width, height)
        return _RESIZE, _CROP


class OptimiserSettings(Strict):
    """AdamW; the rate rises linearly, then falls as a cosine."""

    learning_rate: float = Field(1e-4, gt=0, description="of the head")
    betas: tuple[float, float] = (0.95, 0.999)
    weight_decay: float = Field(1e-6, ge=0)
    warm_up_steps: int = Field(500, ge=0)
    clip: float = Field(1.0, gt=0, description="largest norm of the gradient")


class AverageSettings(Strict):
    """The moving average of the weights, which is what is validated and kept."""

    power: float = Field(0.75, gt=0, le=1)
    ceiling: float = Field(0.9999, ge=0, lt=1)


class RolloutSettings(Strict):
    """Simulated rigs: the paper's protocol."""

    every_epochs: int = Field(200, ge=1)
    episodes: int = Field(20, ge=1)
    condition: str = "id"
    processes: int | None = Field(None, ge=1, description="None: one for each core, on a GPU at most 4")


class TrainSettings(Strict):
    """One training of one policy."""

    store: Path
    encoder: EncoderSettings
    cameras: tuple[str, ...] | None = Field(None, min_length=1, description="None: all of the store's rig")
    image: ImageSettings = ImageSettings()
    proprio: tuple[ProprioPart, ...] = Field(("tcp_relative", "tcp_height", "gripper_width"), min_length=1)
    unet: UNetConfig = UNetConfig(
        widths=(512, 1024, 2048), kernel=5, step_dim=128, condition_hidden=512, condition_dim=256,
        condition_dropout=0.0, condition_noise=0.0,
    )  # fmt: skip
    schedule: Schedule = Schedule(prediction_type="epsilon", inference_steps=16)
    optimiser: OptimiserSettings = OptimiserSettings()
    average: AverageSettings = AverageSettings()
    batch: int = Field(64, ge=1)
    epochs: int = Field(600, ge=1)
    held_out: int = Field(2, ge=0, description="episodes that are validated on and never trained on")
    validate_every_epochs: int = Field(50, ge=1)
    rollouts: RolloutSettings | None = None
    bf16: bool = Field(True, description="where the processor computes in it; on a CPU for the encoder alone")
    compile: bool = Field(False, description="torch.compile")
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int | None = Field(None, ge=1, description="of torch on the CPU; None: its own choice")
    checkpoint_s: float = Field(300.0, ge=0, description="time between two checkpoints")
    log_every: int = Field(20, ge=1, description="steps whose losses are fetched from the device at a time")
    wandb: str | None = Field(None, description="project of Weights & Biases to log to")
    seed: int = Field(0, ge=0)


def settings(documents: Sequence[Document], source: str) -> TrainSettings:
    """Of nested documents, the later ones before the earlier ones. Raises LearnError naming every wrong field."""
    return checked(TrainSettings, merged(documents), source, {"store": "add it, or give --store"})


def _three(values: tuple[float, ...]) -> tuple[float, float, float]:
    red, green, blue = values
    return red, green, blue
