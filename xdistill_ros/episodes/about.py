"""What is told of a store and of each of its episodes: attributes of the root, and one JSON line an episode."""

from __future__ import annotations

from datetime import datetime
from enum import IntEnum
from pathlib import Path
from typing import Any

from pydantic import Field

from xdistill_ros import __version__
from xdistill_ros import rig as rigs
from xdistill_ros.rig import Rig
from xdistill_ros.rig.base import Strict
from xdistill_ros.rig.poses import pose_from_quaternion

from .files import write_whole
from .layout import EPISODES_FILE, FORMAT, VERSION


class StoreError(Exception):
    """A store that cannot be used; the message says which, why, and what to do."""


class Control(IntEnum):
    """Who moved the arm in a row, as `in_control` has it."""

    NOBODY = 0
    POLICY = 1
    PERSON = 2


class CameraCounts(Strict):
    """What became of one camera's frames during an episode."""

    received: int = 0
    dropped: int = Field(default=0, description="missing between two that arrived, by their stamps")
    late: int = Field(default=0, description="arrived later than the camera's latency and three periods")


class About(Strict):
    """One episode."""

    task: str
    operator: str = ""
    started_at: datetime
    duration_s: float
    rows: int
    gaps: int = Field(default=0, description="grid times without a row, because a stream had nothing for them")
    cameras: dict[str, CameraCounts] = Field(default={}, description="by camera")
    interventions: dict[str, int] = Field(default={}, description="of the safety envelope, by reason")
    ended_by: str = Field(default="operator", description="operator, or the fault that ended it")
    success: bool | None = Field(default=None, description="None where nobody judged")
    seed: int | None = Field(default=None, description="of the simulated scene")
    condition: str | None = None
    policy: str | None = Field(default=None, description="whose attempt it was, where trials were recorded")
    software: str = __version__


def attributes(rig: Rig, task: str) -> dict[str, Any]:
    """Attributes of a new store's root; docs/episode_store.md has them."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "software": __version__,
        "task": task,
        "rig": rig.model_dump(mode="json"),
        "calibration": calibration(rig),
        "urdf": rig.arm.urdf.read_text(encoding="utf-8"),
    }


def calibration(rig: Rig) -> dict[str, Any]:
    """What was measured of the rig, as others compute with it: matrices instead of the rig's own terms.

    A camera's `matrix` (3, 3) in pixels, OpenCV's `distortion` (5,), `pose` (4, 4) of its optical frame in
    `parent_frame`, metres; latencies in seconds. `measured`: when, of which device and how well, by kind and subject.
    """
    cameras = {}
    for name, camera in rig.cameras.items():
        pinhole, pose = camera.intrinsics, camera.optical_pose
        matrix = [[pinhole.fx_px, 0.0, pinhole.cx_px], [0.0, pinhole.fy_px, pinhole.cy_px], [0.0, 0.0, 1.0]]
        cameras[name] = {
            "matrix": matrix,
            "distortion": list(pinhole.distortion),
            "parent_frame": camera.parent_frame,
            "pose": pose_from_quaternion(pose.position_m, pose.quaternion_wxyz).tolist(),
            "latency_s": camera.latency_s,
        }
    measured = {
        f"{one.kind}_{one.subject}": one.model_dump(mode="json", include={"device", "measured_at", "figures"})
        for one in rig.measured
    }
    return {"cameras": cameras, "arm_lag_s": rig.arm.lag_s, "measured": measured}


def rig_of(found: dict[str, Any], store: Path) -> Rig:
    """The rig that a store was recorded with. Raises StoreError where the attributes are not a store's."""
    if found.get("format") != FORMAT:
        raise StoreError(f"{store}: no episode store of xdistill_ros (its attributes name no such format)")
    if found["version"] > VERSION:
        raise StoreError(
            f"{store}: written in format {found['version']} by xdistill_ros {found.get('software')}; "
            f"this version reads up to {VERSION}: update xdistill_ros"
        )
    try:
        return rigs.parse(found["rig"], f"{store}: rig")
    except rigs.RigError as error:
        raise StoreError(str(error)) from error


def check_same_rig(recorded: Rig, running: Rig, store: Path) -> None:
    """Raises StoreError unless rows of `running` may stand beside those of `recorded`."""
    found = rigs.differences(recorded, running)
    if found:
        lines = "\n".join(f"  {one.field}: {one.wanted} in the store, {one.found} now" for one in found)
        raise StoreError(f"{store} was recorded with another rig; give this rig a store of its own:\n{lines}")


def read(store: Path) -> list[About]:
    """All episodes' lines; a last line that a crash cut off is left out. StoreError when there is no such file."""
    if not (store / EPISODES_FILE).is_file():
        raise StoreError(f"{store}: {EPISODES_FILE} is gone, which tells of its episodes; bring it back from a copy")
    whole = (store / EPISODES_FILE).read_bytes().split(b"\n")[:-1]
    return [About.model_validate_json(line) for line in whole]


def append(store: Path, about: About) -> None:
    """One more episode's line."""
    with (store / EPISODES_FILE).open("ab") as file:
        file.write(about.model_dump_json().encode() + b"\n")


def judge(store: Path, index: int, success: bool) -> None:
    """Writes down what somebody judged of a committed episode. Raises StoreError where there is no such one."""
    episodes = read(store)
    if not 0 <= index < len(episodes):
        raise StoreError(f"{store}: no episode {index}; it has {len(episodes)}, counted from 0")
    episodes[index] = episodes[index].model_copy(update={"success": success})
    write(store, episodes)


def write(store: Path, episodes: list[About]) -> None:
    """Replaces all lines in one step."""
    lines = b"".join(about.model_dump_json().encode() + b"\n" for about in episodes)
    write_whole(store / EPISODES_FILE, lines)
