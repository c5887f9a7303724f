"""Settings of a policy's training."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from xdistill_ros.learn.data.augment import Augmentation
from xdistill_ros.learn.networks.unet import UNetConfig
from xdistill_ros.policy.ddim import Schedule


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HeadConfig(_Part):
    """One task's head on cached features, and its short polish after the joint fine-tuning."""

    unet: UNetConfig = UNetConfig()
    schedule: Schedule = Schedule(prediction_type="sample", clip_sample_range=1.5)
    copies: int = Field(4, ge=1, description="augmented copies of every frame whose features are cached")
    augmentation: Augmentation = Augmentation()
    steps: int = 3000
    polish_steps: int = 800
    batch: int = 256
    learning_rate: float = 1e-3
    polish_rate: float = 3e-4
    weight_decay: float = 1e-3
    seed: int = 0


class FineTune(_Part):
    """The joint end-to-end step: shared encoder and all heads."""

    steps: int = 300
    windows: int = Field(8, description="of each task in a batch")
    encoder_rate: float = 3e-5
    head_rate: float = 1e-4
    anchor: float = Field(0.3, ge=0, description="weight of staying near the distilled features on the same frames")
    augmentation: Augmentation = Augmentation()
    seed: int = 0
