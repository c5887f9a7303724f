"""What a benchmark compares and by which protocol (`config/bench/*.yaml`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from xdistill_ros.learn.training.settings import FREE
from xdistill_ros.rig.base import Strict

from . import suites

LISTS = ("tasks", "encoders", "seeds", "baseline")
"""What may grow or shrink in a folder of results; the rest is the protocol, which all of its cells share."""
MACHINE = tuple(f"training.{name}" for name in FREE)
"""What a training may change without another result, such as the device."""


class EncoderChoice(Strict):
    """A row of the table."""

    name: str = Field(pattern=r"^[a-z0-9_]+$", description="of the row and of its folders")
    word: str = Field(description="one of networks.zoo.WORDS")
    weights: Path | None = None
    origin: str = Field("", description="where the weights come from, in words that stand under the table")


class MetaWorldProtocol(Strict):
    """What an episode of MetaWorld is, how a policy sees and acts in it, and how it is judged. Defaults are DP3's."""

    demonstrations: int = Field(10, ge=1)
    after_success_steps: int = Field(
        200, ge=5, description="a demonstration ends so long after its first success; 200 steps are a whole episode"
    )
    image_px: int = Field(128, ge=32, le=480, description="side of the square picture as it is drawn")
    observation_horizon: int = Field(2, ge=1)
    prediction_horizon: int = Field(16, ge=4)
    action_horizon: int = Field(8, ge=1)
    every_epochs: int = Field(200, ge=1, description="of training, between two evaluations")
    episodes: int = Field(20, ge=1, description="of an evaluation")

    @model_validator(mode="after")
    def _chunks_reach(self) -> Self:
        if self.action_horizon > self.prediction_horizon:
            raise ValueError(
                f"action_horizon {self.action_horizon} is beyond prediction_horizon {self.prediction_horizon}"
            )
        return self


class TableProtocol(Strict):
    """The simulated table: demonstrations that were recorded, and trials in and out of distribution."""

    stores: str = Field(description="path of each task's episode store, with {task} in it")
    trials: int = Field(20, ge=1, description="in distribution")
    variant_trials: int = Field(5, ge=0, description="under each variant out of distribution")

    @model_validator(mode="after")
    def _one_a_task(self) -> Self:
        if "{task}" not in self.stores:
            raise ValueError(f"stores is {self.stores!r}: put {{task}} where a task's name belongs")
        return self

    def store(self, task: str) -> Path:
        """Where a task's demonstrations are."""
        return Path(self.stores.replace("{task}", task))


class Benchmark(Strict):
    """A grid of tasks, encoders and seeds, one protocol, and one recipe for training."""

    suite: Literal["metaworld", "table"]
    tasks: tuple[str, ...] = Field(min_length=1)
    encoders: tuple[EncoderChoice, ...] = Field(min_length=1)
    seeds: tuple[int, ...] = Field((0, 1, 2), min_length=1)
    baseline: str | None = Field(None, description="encoder that the others are compared with")
    metaworld: MetaWorldProtocol | None = None
    table: TableProtocol | None = None
    training: dict[str, Any] = Field(description="fields of `xdistill train`; store, encoder and seed are each cell's")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if getattr(self, self.suite) is None:
            raise ValueError(f"suite is {self.suite}, so a section `{self.suite}` must say its protocol")
        for what, values in (("tasks", self.tasks), ("seeds", self.seeds), ("encoders", self.names)):
            twice = sorted({str(one) for one in values if values.count(one) > 1})
            if twice:
                raise ValueError(f"{what} names {', '.join(twice)} more than once")
        if self.baseline is not None and self.baseline not in self.names:
            raise ValueError(f"baseline is {self.baseline!r}; encoders are {', '.join(self.names)}")
        if self.suite == "metaworld":
            unknown = [task for task in self.tasks if task not in suites.DIFFICULTY]
            if unknown:
                raise ValueError(
                    f"MetaWorld has no task {', '.join(unknown)}; it has {', '.join(sorted(suites.DIFFICULTY))}"
                )
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Of the encoders."""
        return tuple(one.name for one in self.encoders)

    def encoder(self, name: str) -> EncoderChoice:
        """The encoder of that name."""
        return next(one for one in self.encoders if one.name == name)
