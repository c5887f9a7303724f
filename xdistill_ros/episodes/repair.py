"""What a writer that was killed left: found, kept aside, and cut, so that every array ends with the last episode.

An episode exists from the moment `meta/episode_ends` names it. Everything beyond belongs to one that was open.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from . import about
from .about import StoreError
from .table import Table


def repair(store: Path, tables: dict[str, Table], now: datetime) -> str | None:
    """Makes the store whole; what was done, or None when there was nothing to do.

    `tables` has `data` and all streams. What is cut is kept as arrays in a folder beside the store. Raises StoreError
    where committed rows are missing, which no kill can cause.
    """
    episodes = len(tables["data"].ends.values)
    for name, one in tables.items():
        if one.lacks(episodes):
            raise StoreError(
                f"{store}: {name} lacks rows of its {episodes} committed episodes; files were lost. "
                f"`xdistill episodes verify {store}` says which episodes are whole"
            )
    lines = about.read(store)
    over = {name: one for name, one in tables.items() if one.has_more(episodes)}
    if not over and len(lines) == episodes:
        return None
    rows = tables["data"].rows_beyond(episodes)
    said = f"{store}: an episode was open when its writer ended"
    if rows:
        folder = store.with_name(f"{store.name}.cut") / now.strftime("%Y%m%d-%H%M%S-%f")
        for name, one in over.items():
            one.set_aside(episodes, folder / name)
        said += f"; its {rows} rows are kept in {folder}"
    for one in over.values():
        one.cut(episodes)
    about.write(store, lines[:episodes])
    return f"{said}. The {episodes} committed episodes are as they were"
