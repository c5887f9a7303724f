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
    around: dict[str, dict[str, dict[str, float]]]
    """By place, kind of heat map and camera: heat around the hand, and around what it will take; 1 for an even map."""

    def heat_around(self, place: str, kind: str, camera: str) -> float | None:
        """One of them, where there is one."""
        return self.around.get(place, {}).get(kind, {}).get(camera)


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

    @property
    def heat_columns(self) -> list[tuple[str, str, str]]:
        """Place, kind and camera of every heat that was measured of any encoder."""
        return list(dict.fromkeys(
            (place, kind, camera) for one in self.encoders for place, kinds in one.around.items()
            for kind, cameras in kinds.items() for camera in cameras
        ))  # fmt: skip
