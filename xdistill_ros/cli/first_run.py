"""The advice that goes with the first run of a policy on a real arm, and the note that it was given.

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
_POLICIES = ("bundle", "remote")  # the parameters that name one


def advice(graph: Graph, rig: Rig, options: Options, notes: Path | None = None) -> str:
    """What to say before `graph` starts; empty for a policy that has run on this rig, or that runs carefully now."""
    policies = {
        str(process.parameters[kind]) for process in graph.processes for kind in _POLICIES if kind in process.parameters
    }
    if rig.simulation is not None or options.shadow or options.speed < 1.0 or len(policies) != 1:
        return ""
    policy = Path(policies.pop())
    if not _note(f"{_identity(policy)} on {rig.name}", notes or _folder() / "first_runs.json"):
        return ""
    return (
        f"{policy.name} has never run on {rig.name}. Try it first with --shadow (everything is shown, nothing moves), "
        f"then with --speed {SLOW} (limits and the policy itself are slower). This is said once."
    )


def _identity(policy: Path) -> str:
    """Of a bundle's manifest, which has the checksums of everything else, or of a remote policy's description."""
    file = policy / "bundle.yaml" if policy.is_dir() else policy
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16] if file.is_file() else str(policy)


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
