"""What an analysis found, as it is written to `results.json`."""

from __future__ import annotations

from dataclasses import dataclass

from .embedding import Score

FORMAT, VERSION = "xdistill_ros analysis", 1
RESULTS, PAGE, PICTURES, FILM = "results.json", "index.html", "pictures", "film.mp4"


@dataclass(frozen=True)
class EncoderResult:
    """Figures of one encoder; also of the bare pixels, for comparison, which look nowhere."""

    name: str
    source: str
    policy: bool
    """Whether heat maps are those of a policy's plan, or of the encoder alone."""
    inputs: dict[str, str]
    """Width x height of what the encoder takes, by camera."""
    feature_dim: int
    """Of all cameras together."""
    silhouette_of_map: Score | None
    silhouette_of_features: Score | None
    neighbours_of_same_stage: float | None
    around_the_hand: dict[str, dict[str, float]]
    """By kind of heat map and camera: heat around the gripper, 1 for an even map."""


@dataclass(frozen=True)
class Near:
    """A moment of another episode, and how alike it is."""

    episode: int
    row: int
    second: float
    stage: str
    cosine: float
    picture: str


@dataclass(frozen=True)
class Frame:
    """A moment that is shown. pictures: by camera; heats: by encoder, kind and camera; nearest: by encoder."""

    episode: int
    row: int
    """Counted from the episode's first."""
    second: float
    stage: str
    pictures: dict[str, str]
    heats: dict[str, dict[str, dict[str, str]]]
    nearest: dict[str, list[Near]]


@dataclass(frozen=True)
class Results:
    """The whole."""

    store: str
    task: str
    episodes: int
    rows: int
    every: int
    stages: dict[str, int]
    """Rows of each."""
    stages_from: str
    seed: int
    software: str
    encoders: list[EncoderResult]
    frames: list[Frame]
    film: str | None
    film_episode: int | None
    format: str = FORMAT
    version: int = VERSION
