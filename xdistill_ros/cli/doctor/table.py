"""A rig file, and whether what it tells of is there: URDF, cameras, arm, measurements, bundles."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from xdistill_ros import resources
from xdistill_ros.hosts import HostError
from xdistill_ros.rig import Rig, RigError, differences, load
from xdistill_ros.rig.calibration import standing
from xdistill_ros.rig.compare import has_moved
from xdistill_ros.rig.measurement import Kind

from . import arm, cameras, machine
from .finding import Finding, State

OLD_DAYS = 90


def examine(path: Path, host: str = "") -> Iterator[Finding]:
    """Whether a rig file can be used, and what of it is there. Of a simulated one only the files are looked at.

    `host` is this computer among the rig's; empty: the whole graph runs here.
    """
    try:
        rig = load(path)
    except RigError as error:
        yield Finding("rig", State.MISSING, str(error), "docs/rig.md describes every field")
        return
    listed = ", ".join(f"{name} {c.width_px}x{c.height_px} at {c.rate_hz:g} Hz" for name, c in rig.cameras.items())
    kind = "simulated" if rig.simulation else "real"
    yield Finding("rig", State.PRESENT, f"{rig.name}: {kind} {rig.arm.model}; {listed}; domain {rig.ros_domain_id}")
    yield _urdf(rig, path)
    if rig.simulation is None:
        yield from cameras.examine_rig(rig, path)
        try:
            yield from arm.examine(rig, host)
        except HostError as error:
            yield Finding("host", State.MISSING, str(error), f"name this computer as network.hosts of {path} does")
    if rig.simulation is None or rig.calibration is not None:
        yield from _measured(rig, path)
    if rig.network is not None:
        yield _clock()
    yield _bundles(rig)


def _urdf(rig: Rig, path: Path) -> Finding:
    try:
        from xdistill_ros.arm import Kinematics

        Kinematics(rig)
    except (ImportError, ValueError) as error:
        return Finding("its URDF", State.MISSING, str(error), f"mend {rig.arm.urdf} or the names in {path}")
    return Finding("its URDF", State.PRESENT, f"{rig.arm.urdf.name}: has every joint and {rig.arm.tcp_frame}")


def _measured(rig: Rig, path: Path) -> Iterator[Finding]:
    """How long ago the cameras and the arm were measured."""
    for subject in (*rig.cameras, "arm"):
        wanted: tuple[Kind, ...] = ("latency",) if subject == "arm" else ("intrinsics", "hand_eye", "latency")
        yield _calibration(rig, path, subject, wanted)


def _calibration(rig: Rig, path: Path, subject: str, wanted: tuple[Kind, ...]) -> Finding:
    name = f"calibration of {subject}"
    found = {one.kind: one for one in rig.measured if one.subject == subject}
    moved = next((one for one in standing(rig.measured) if one.subject == subject and has_moved(one)), None)
    if moved is not None:
        words = f"moved by {moved.figures['moved_mm']:.1f} mm and {moved.figures['turned_deg']:.2f} degrees"
        remedy = f"move it back, or: {_command('hand_eye', subject, path)}"
        return Finding(name, State.MISSING, f"the last check found it {words}", remedy)
    lacking = [kind for kind in wanted if kind not in found]
    if lacking:
        words = f"never measured: {', '.join(lacking)}; the rig file's own values count"
        return Finding(name, State.OPTIONAL, words, "; ".join(_command(kind, subject, path) for kind in lacking))
    oldest = min(found[kind].measured_at for kind in wanted)
    days = (datetime.now(UTC) - oldest).days
    words = f"measured {oldest:%Y-%m-%d} or later"
    if days > OLD_DAYS:
        return Finding(name, State.OPTIONAL, f"{words}, {days} days ago", _command("check", subject, path))
    return Finding(name, State.PRESENT, words)


def _command(kind: str, subject: str, path: Path) -> str:
    return f"xdistill calibrate {kind.replace('_', '-')} {subject} --rig {path}"


def _clock() -> Finding:
    found = machine.clock()
    state = State.PRESENT if found.state is State.PRESENT else State.MISSING
    return Finding("clock for several computers", state, found.words, found.remedy)


def _bundles(rig: Rig) -> Finding:
    from xdistill_ros.policy.manifest import MANIFEST, BundleError, parse

    fitting: list[str] = []
    others: list[str] = []
    for source in sorted(resources.models().glob(f"*/{MANIFEST}")):
        try:
            apart = differences(parse(source.read_bytes(), source).rig, rig)
        except BundleError as error:
            others.append(str(error))
            continue
        (others if apart else fitting).append(f"{source.parent.name}: {apart[0]}" if apart else source.parent.name)
    if fitting:
        return Finding("its bundles", State.PRESENT, ", ".join(fitting))
    words = f"none in {resources.models()} is for this rig" + "".join(f"\n{line}" for line in others)
    return Finding("its bundles", State.OPTIONAL, words, "record, train and export one: docs/tutorial/learn_a_task.md")
