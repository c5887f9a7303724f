"""What a store holds, as one hash: for provenance, and to find what was made of it again."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from xdistill_ros.episodes import Store, layout

_ITS_OWN = {".zattrs", ".zgroup", ".zarray"}


def store_hash(store: Store) -> str:
    """SHA-256 of everything in a store but its images, and of the name and size of each image's file.

    Images are compressed, so another image has another size as good as always; reading them all would take minutes.
    """
    images = {layout.DATA + "/" + column.name for column in layout.data_columns(store.rig) if column.is_image}
    digest = hashlib.sha256()
    for folder, folders, files in os.walk(store.path):
        folders.sort()
        inside = Path(folder).relative_to(store.path).as_posix()
        for name in sorted(files):
            if name.startswith(".") and name not in _ITS_OWN:
                continue
            path = Path(folder) / name
            digest.update(f"{inside}/{name}\0".encode())
            if inside in images and not name.startswith("."):
                digest.update(str(path.stat().st_size).encode())
            else:
                digest.update(path.read_bytes())
    return digest.hexdigest()
