"""Where the meshes of a URDF are on this machine."""

from __future__ import annotations

import os
from pathlib import Path


def mesh_file(name: str, urdf: Path) -> Path | None:
    """The file that `urdf` calls `name`: a path beside it, or `package://` in a folder above it or in ROS's packages.

    None where there is none such.
    """
    if not name.startswith("package://"):
        candidates = [urdf.parent / name.removeprefix("file://")]
    else:
        inside = name.removeprefix("package://")
        prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
        candidates = [folder / inside for folder in urdf.parents]
        candidates += [Path(prefix) / "share" / inside for prefix in prefixes if prefix]
    return next((path.resolve() for path in candidates if path.is_file()), None)
