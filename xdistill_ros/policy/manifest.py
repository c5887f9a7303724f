"""The schema of `bundle.yaml`: what a trained policy is made of and how its numbers are to be read.

Owns the document and the errors about it; the files beside it are `bundle`'s.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from xdistill_ros.perception.preprocess import PreprocessSpec
from xdistill_ros.rig import Rig
from xdistill_ros.rig.base import Strict
from xdistill_ros.rig.fields import Name

from .actions import ChannelRange, ProprioPart, proprio_channels
from .ddim import Schedule

FORMAT_VERSION = 1
MANIFEST = "bundle.yaml"
CARD = "MODEL_CARD.md"
"""For people; no part of what is checked."""
CONDITION_GRAPH, STEP_GRAPH, STEP_FILM, REFERENCE = "condition.onnx", "step.onnx", "step_film.npy", "reference.npz"
BUNDLE_FILES = (CONDITION_GRAPH, STEP_GRAPH, STEP_FILM, REFERENCE)

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 in hexadecimal")]


class BundleError(ValueError):
    """A bundle that must not run; the message says what, where, both values, and what to do."""


class EncoderEntry(Strict):
    """The encoder's graph, a file named by its hash, which several bundles may share."""

    sha256: Sha256
    feature_dim: Annotated[int, Field(ge=1, le=65536)]


class Statistics(Strict):
    """Ranges of the training set, as the network sees the channels (relative actions: after that)."""

    action: ChannelRange
    proprio: ChannelRange


class Tolerances(Strict):
    """Largest absolute difference from the reference outputs that still counts as the same policy."""

    feature: Annotated[float, Field(gt=0.0, le=1.0)] = 1e-3
    action: Annotated[float, Field(gt=0.0, le=0.1, description="metres, radians, rotation entries")] = 1e-4


class Manifest(Strict):
    """`bundle.yaml`."""

    format_version: Literal[1] = 1
    name: Name
    task: Name
    created: str = Field(min_length=10, description="UTC date and time, ISO 8601")
    provenance: dict[str, str | int | float | list[int]] = Field(
        description="command, seeds, data, hours, software versions: how to make it again"
    )
    rig: Rig = Field(description="the whole rig that the demonstrations were recorded on")
    preprocess: dict[Name, PreprocessSpec] = Field(description="by camera")
    encoder: EncoderEntry
    proprio: tuple[ProprioPart, ...] = Field(min_length=1, description="parts of the proprioception, in order")
    statistics: Statistics
    schedule: Schedule
    past_actions: Annotated[int, Field(ge=0, le=7)] = Field(
        default=0, description="first rows of a sample that lie before the newest observation; they are not proposed"
    )
    tolerances: Tolerances = Tolerances()
    files: dict[str, Sha256] = Field(description="of the files beside this one")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if list(self.preprocess) != list(self.rig.cameras):
            raise ValueError(f"preprocess is for cameras {list(self.preprocess)}, the rig has {list(self.rig.cameras)}")
        for name, spec in self.preprocess.items():
            camera = self.rig.cameras[name]
            if (spec.source_width_px, spec.source_height_px) != (camera.width_px, camera.height_px):
                raise ValueError(
                    f"preprocess.{name} is for {spec.source_width_px}x{spec.source_height_px}, "
                    f"the rig's camera has {camera.width_px}x{camera.height_px}"
                )
        for what, found, wanted in (
            ("action", len(self.statistics.action.minimum), len(self.rig.channels)),
            ("proprio", len(self.statistics.proprio.minimum), len(self.proprio_channels)),
        ):
            if found != wanted:
                raise ValueError(f"statistics.{what} has {found} channels, the bundle's {what} has {wanted}")
        if self.past_actions > self.rig.policy.prediction_horizon - 2:
            raise ValueError(
                f"past_actions is {self.past_actions} of {self.rig.policy.prediction_horizon} actions; two must be left"
            )
        if set(self.files) != set(BUNDLE_FILES):
            raise ValueError(f"files names {sorted(self.files)}, a bundle has {sorted(BUNDLE_FILES)}")
        return self

    @property
    def proprio_channels(self) -> tuple[str, ...]:
        """Names of the proprioception's channels."""
        return proprio_channels(self.proprio, self.rig.arm.joint_names)

    @property
    def condition_dim(self) -> int:
        """Length of the denoiser's condition."""
        features = len(self.rig.cameras) * self.encoder.feature_dim
        return self.rig.policy.observation_horizon * (features + len(self.proprio_channels))

    @property
    def sample_shape(self) -> tuple[int, int]:
        """(T, A): prediction horizon, past actions among it, and action channels."""
        return self.rig.policy.prediction_horizon, len(self.rig.channels)


def parse(text: bytes, source: Path) -> Manifest:
    """The manifest in the text of `source`. Raises BundleError naming file, field, value and what is allowed."""
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BundleError(f"{source}: not readable as YAML ({error}); copy the bundle anew") from error
    if not isinstance(document, dict):
        raise BundleError(f"{source}: holds {type(document).__name__}, a bundle's manifest is a mapping of fields")
    version = document.get("format_version")
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise BundleError(
            f"{source}: format_version is {version}, this software reads up to {FORMAT_VERSION}; "
            "update xdistill_ros, or export the bundle with this version"
        )
    try:
        return Manifest.model_validate(document)
    except ValidationError as error:
        lines = [f"{source}: {_describe(detail['loc'], detail['type'], detail)}" for detail in error.errors()]
        raise BundleError("\n".join(lines)) from error


def dump(manifest: Manifest) -> bytes:
    """The text of `bundle.yaml`. The rig's URDF is kept by name alone: its place is the writer's machine's affair."""
    document = manifest.model_dump(mode="json")
    document["rig"]["arm"]["urdf"] = manifest.rig.arm.urdf.name
    text: str = yaml.safe_dump(document, sort_keys=False, width=120, default_flow_style=None)
    return text.encode()


def _describe(location: tuple[int | str, ...], kind: str, detail: Any) -> str:
    field = ".".join(str(part) for part in location) or "(bundle)"
    if kind == "missing":
        return f"{field}: missing; the bundle is incomplete, export it anew"
    if kind == "extra_forbidden":
        likely = difflib.get_close_matches(str(location[-1]), Manifest.model_fields, n=1)
        return f"{field}: unknown field" + (f"; did you mean {likely[0]}?" if likely else "")
    value = detail["input"]
    shown = f" is {value!r}" if isinstance(value, str | int | float) else ""
    return f"{field}{shown}: {detail['msg'].removeprefix('Value error, ')}"
