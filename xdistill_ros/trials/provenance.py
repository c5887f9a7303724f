"""What a result was made with, as it is written down: policy, rig, calibration, software, computer."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from pathlib import Path

from xdistill_ros import __version__, resources
from xdistill_ros.rig import Rig

from .results import Provenance, Runner


def provenance(policy: str, policy_sha256: str, rig: Rig, runner: Runner = "graph") -> Provenance:
    """Of results of a policy, by its name and content hash, on `rig`, on this computer with this software."""
    measured = "".join(one.model_dump_json() for one in rig.measured)
    return Provenance(
        bundle=policy, bundle_sha256=policy_sha256, rig=rig.name, rig_sha256=rig_sha256(rig),
        calibration_sha256=hashlib.sha256(measured.encode()).hexdigest() if measured else "",
        runner=runner, software=software(), host=f"{platform.node()}, {_processor()}",
    )  # fmt: skip


def rig_sha256(rig: Rig) -> str:
    """Of all that the rig says, calibration and URDF included, wherever its files lie on this computer."""
    digest = hashlib.sha256(rig.model_dump_json(exclude={"arm": {"urdf"}, "calibration": True}).encode())
    digest.update(rig.arm.urdf.read_bytes())
    return digest.hexdigest()


def software() -> str:
    """The version, and in a checkout the commit, with `+` where files differ from it."""
    package = Path(resources.__file__).resolve().parents[1]
    if not (package / ".git").exists():
        return __version__
    commit = _git(package, "rev-parse", "--short=12", "HEAD")
    changed = _git(package, "status", "--porcelain", "--untracked-files=no", "--", "xdistill_ros", "config")
    return f"{__version__} {commit}{'+' if changed else ''}" if commit else __version__


def _git(folder: Path, *words: str) -> str:
    try:
        said = subprocess.run(["git", "-C", folder, *words], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):  # no git, or a disk that sleeps
        return ""
    return said.stdout.strip()


def _processor() -> str:
    """Linux names the processor only in a file."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())
