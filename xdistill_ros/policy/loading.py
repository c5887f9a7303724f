"""Takes a bundle into service: intact, made for this rig, and computing here what was trained."""

from __future__ import annotations

from pathlib import Path

from xdistill_ros.rig import Rig, differences

from . import parity
from .bundle import Bundle
from .manifest import BundleError


def load_bundle(path: Path | str, rig: Rig) -> Bundle:
    """The bundle in folder `path`, if it is intact and fits the running `rig`. Raises BundleError otherwise.

    The first load on a machine also runs it and compares with its reference outputs (some seconds); the result is
    remembered by content in the user's cache folder.
    """
    bundle = Bundle.read(Path(path))
    found = differences(bundle.manifest.rig, rig)
    if found:
        lines = "\n".join(f"{bundle.path}: {difference}" for difference in found)
        raise BundleError(f"the bundle does not fit the rig {rig.name}:\n{lines}")
    parity.check_once(bundle)
    return bundle
