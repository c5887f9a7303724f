"""The advice that goes with the first run of a bundle on a real arm, and the note that it was given.

Owns the notes (a JSON file in the user's state folder), which only ever silence advice: losing them does no harm.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from xdistill_ros.graph import Graph, Options
from xdistill_ros.rig import Rig

SLOW = 0.3


def advice(graph: Graph, rig: Rig, options: Options, notes: Path | None = None) -> str:
    """What to say before `graph` starts; empty for a bundle that has run on this rig, or that runs carefully now."""
    bundles = {str(process.parameters["bundle"]) for process in graph.processes if "bundle" in process.parameters}
    if rig.simulation is not None or options.shadow or options.speed < 1.0 or len(bundles) != 1:
        return ""
    bundle = Path(bundles.pop())
    if not _note(f"{_identity(bundle)} on {rig.name}", notes or _folder() / "first_runs.json"):
        return ""
    return (
        f"{bundle.name} has never run on {rig.name}. Try it first with --shadow, in launch shadow:=true (everything is "
        f"shown, nothing moves), then with --speed {SLOW}, in launch speed:={SLOW} (limits and the policy itself are "
        "slower). This is said once."
    )


def _identity(bundle: Path) -> str:
    """Of the manifest, which has the checksums of everything else."""
    manifest = bundle / "bundle.yaml"
    return hashlib.sha256(manifest.read_bytes()).hexdigest()[:16] if manifest.is_file() else str(bundle)


def _note(run: str, path: Path) -> bool:
    """Notes that `run` was begun; whether it is the first time."""
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = []
    if run in known:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([*known, run]), encoding="utf-8")
    return True


def _folder() -> Path:
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "xdistill"
