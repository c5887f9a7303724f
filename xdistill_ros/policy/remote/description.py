"""The description of a remote policy: where it is, what it wants to see, and what its actions mean.

Owns the shape of the file, the errors about it, and whether it fits a rig. Speaks with nobody.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

import yaml
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from xdistill_ros.rig import Rig
from xdistill_ros.rig.base import Strict
from xdistill_ros.rig.fields import Name

from .parts import GRIPPER_PARTS, ROTATION_PARTS, ActionPart, StatePart


class RemoteError(ValueError):
    """A description that cannot be used, or does not fit the rig; the message names every wrong field."""


def _one_or_several(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Key = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=200)], ...],
    BeforeValidator(_one_or_several),
    Field(min_length=1, max_length=4),
]
"""A key of the observation, as it is; several: of mappings in one another, the outermost first."""
Side = Annotated[int, Field(ge=8, le=1024)]


def _websocket(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise ValueError("use ws://host:port, or wss:// for one behind TLS")
    if parts.username or parts.query or parts.fragment:
        raise ValueError("nothing secret stands in an address: use api_key_variable or headers, and no query")
    _ = parts.port  # raises ValueError for one that is no number, or out of range
    return url


def _header(value: str) -> str:
    if not re.fullmatch(r"[\x20-\x7e]*", value):
        raise ValueError("use printable ASCII")
    return value


class Picture(Strict):
    """How one camera's image is sent: resized without distortion, black around it, uint8 RGB."""

    key: Key
    width_px: Side = 224
    height_px: Side = 224
    layout: Literal["hwc", "chw"] = Field(default="hwc", description="rows, columns, colours; or colours first")


class StateVector(Strict):
    """Some of the arm's state, one after another, float32."""

    key: Key
    parts: tuple[StatePart, ...] = Field(min_length=1)


class Actions(Strict):
    """What the columns and the rows of the answer's `actions` (T, A) are: absolute targets, never differences."""

    parts: tuple[ActionPart, ...] = Field(
        min_length=2, description="of a row, in order: joints, or a TCP pose; gripper"
    )
    rate_hz: Annotated[float, Field(gt=0.0, le=100.0)] = Field(description="of the rows; the first is for now")
    used: Annotated[int, Field(ge=2, le=256)] = Field(description="so many of a chunk's first actions are taken")
    ask_after: Annotated[int, Field(ge=1, le=255)] = Field(description="actions between two observations that are sent")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        pose = "tcp_position" in self.parts
        rotations = [part for part in self.parts if part in ROTATION_PARTS]
        if pose == ("joints" in self.parts) or len(rotations) != int(pose) or len(set(self.parts)) != len(self.parts):
            raise ValueError(f"parts: give either joints, or tcp_position and one of {', '.join(ROTATION_PARTS)}")
        if sum(part in GRIPPER_PARTS for part in self.parts) != 1:
            raise ValueError(f"parts: give exactly one of {', '.join(GRIPPER_PARTS)}")
        if self.ask_after >= self.used - 1:
            raise ValueError(
                f"ask_after {self.ask_after} of {self.used} used actions leaves none for the time until the next answer"
            )
        return self


class Remote(Strict):
    """The whole description. `load` reads one from a file."""

    schema_version: Literal[1] = 1
    name: Name
    url: Annotated[str, AfterValidator(_websocket)] = Field(description="of the policy server")
    api_key_variable: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = Field(
        default=None, description="environment variable; its value is sent as `Authorization: Api-Key ...`"
    )
    headers: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")], Annotated[str, AfterValidator(_header)]] = Field(
        default={}, description="more HTTP headers of the first request"
    )
    cameras: dict[Name, Picture] = Field(min_length=1, description="by the rig's names")
    state: tuple[StateVector, ...] = ()
    prompt: str | dict[Name, str] = Field(description="what to do, in words; or by task")
    prompt_key: Key = ("prompt",)
    actions: Actions
    time_out_s: Annotated[float, Field(gt=0.0, le=10.0)] = Field(
        description="an answer that takes longer, of the world's seconds, is not used"
    )
    patience_s: Annotated[float, Field(ge=1.0, le=900.0)] = Field(
        default=120.0, description="how long a late answer is waited for before connecting anew; a server compiles "
        "its model with the first observation"
    )  # fmt: skip

    @model_validator(mode="after")
    def _keys_apart(self) -> Self:
        keys = list(self.keys())
        for index, key in enumerate(keys):
            for other in keys[:index]:
                shorter = min(len(key), len(other))
                if key[:shorter] == other[:shorter]:
                    raise ValueError(f"the keys {list(other)} and {list(key)} name one place in the observation")
        return self

    def keys(self) -> Iterator[tuple[str, ...]]:
        """All keys of the observation."""
        yield from (picture.key for picture in self.cameras.values())
        yield from (vector.key for vector in self.state)
        yield self.prompt_key

    @property
    def sha256(self) -> str:
        """Of everything that it says: two with the same hash mean the same."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    def prompt_for(self, task: str) -> str:
        """What to say for a task. Raises RemoteError where the description has prompts by task, and none for it."""
        if isinstance(self.prompt, str):
            return self.prompt
        if task not in self.prompt:
            raise RemoteError(
                f"remote policy {self.name}: no prompt for task {task!r}; there are {', '.join(self.prompt)}"
            )
        return self.prompt[task]

    def request_headers(self) -> dict[str, str]:
        """HTTP headers, the key among them. Raises RemoteError where its variable is not set."""
        if self.api_key_variable is None:
            return dict(self.headers)
        key = os.environ.get(self.api_key_variable, "")
        if not re.fullmatch(r"[\x21-\x7e]+", key):
            raise RemoteError(
                f"remote policy {self.name}: api_key_variable: ${self.api_key_variable} is not set, or has blanks "
                "in it; export it where the graph is started"
            )
        return {**self.headers, "Authorization": f"Api-Key {key}"}


def load(path: Path | str) -> Remote:
    """The description in the YAML file `path`. Raises RemoteError naming file, field, value and what is allowed."""
    path = Path(path)
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RemoteError(f"{path}: cannot be read ({error.strerror}); examples are in config/remotes/") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise RemoteError(f"{path}: not readable as YAML ({error})") from error
    if not isinstance(document, dict):
        raise RemoteError(f"{path}: holds {type(document).__name__}, a remote policy is a mapping of fields")
    try:
        return Remote.model_validate(document)
    except ValidationError as error:
        raise RemoteError("\n".join(f"{path}: {_said(detail)}" for detail in error.errors())) from error


def _said(detail: ErrorDetails) -> str:
    field = ".".join(str(part) for part in detail["loc"]) or "(remote policy)"
    if detail["type"] == "missing":
        return f"{field}: missing; add it"
    if detail["type"] == "extra_forbidden":
        return f"{field}: unknown field (value {detail['input']!r})"
    value: Any = detail["input"]
    shown = f" is {value!r}" if isinstance(value, str | int | float) else ""
    return f"{field}{shown}: {detail['msg'].removeprefix('Value error, ')}"


def check_fits(remote: Remote, rig: Rig) -> None:
    """Raises RemoteError naming everything in which the description does not fit the rig, and both values."""
    found = [*_strangers(remote, rig), *_too_long(remote, rig)]
    if found:
        raise RemoteError(
            "\n".join(f"remote policy {remote.name} does not fit the rig {rig.name}: {one}" for one in found)
        )


def _strangers(remote: Remote, rig: Rig) -> Iterator[str]:
    for name in remote.cameras:
        if name not in rig.cameras:
            yield f"cameras.{name}: the rig's cameras are {', '.join(rig.cameras)}"
    if rig.policy.action_space.kind == "joint_position" and "joints" not in remote.actions.parts:
        yield "actions.parts: TCP poses, but the rig's policy.action_space is joint_position; make it tcp_pose"


def _too_long(remote: Remote, rig: Rig) -> Iterator[str]:
    actions, policy = remote.actions, rig.policy
    span_s, longest_s = (actions.used - 1) / actions.rate_hz, 2.0 * policy.prediction_horizon / policy.rate_hz
    if span_s > longest_s:
        yield f"actions.used: {actions.used} of them last {span_s:.2f} s, the bridge takes {longest_s:.2f} s"
    latencies = [rig.cameras[name].latency_s for name in remote.cameras if name in rig.cameras]
    reserve_s = (actions.used - 1 - actions.ask_after) / actions.rate_hz
    allowed_s = min(policy.max_chunk_age_s, reserve_s) - max(latencies, default=0.0)
    if remote.time_out_s > allowed_s:
        yield (
            f"time_out_s: {remote.time_out_s}, but {allowed_s:.3f} s are left after the cameras' latency: the rig's "
            f"policy.max_chunk_age_s is {policy.max_chunk_age_s}, and the actions between ask_after and used last "
            f"{reserve_s:.2f} s"
        )
