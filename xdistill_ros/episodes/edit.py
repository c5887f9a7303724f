"""Episodes taken out of a store, and stores put together; each in one step that a crash cannot halve."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import ExitStack
from pathlib import Path

from .about import StoreError, check_same_rig
from .rebuild import Advance, Piece, edited, put
from .store import Store
from .verify import check_whole


def delete(path: Path, episodes: Collection[int], advance: Advance) -> int:
    """Takes these episodes out of the store at `path`; those after them move up. How many are left.

    Raises StoreError for an episode that is not there, when rows of one that is kept are lost, and while a recorder
    has the store.
    """
    with edited(path) as store:
        unknown = sorted(set(episodes) - {episode.index for episode in store.episodes})
        if unknown:
            raise StoreError(
                f"{path}: no episode {', '.join(map(str, unknown))}; it has {len(store.episodes)}, counted from 0"
            )
        left = [one for one in store.episodes if one.index not in set(episodes)]
        check_whole(store, left)
        kept = [Piece(store, one, one.about) for one in left]
        put(path, store, store.attributes, kept, advance)
    return len(kept)


def merge(path: Path, sources: Sequence[Path], advance: Advance) -> int:
    """Puts the episodes of `sources`, in their order, after those of the store at `path`, or into a new one there.

    The sources stay as they are. How many episodes there are then. Raises StoreError where rigs differ in what matters
    to a policy, when rows are lost, and while a recorder has the store at `path`.
    """
    with ExitStack() as held:
        stores = [Store(source) for source in sources]
        if any(store.path.resolve() == path.resolve() for store in stores):
            raise StoreError(f"{path}: cannot be merged into itself; name other stores after it")
        if path.exists():
            stores.insert(0, held.enter_context(edited(path)))
        for store in stores[1:]:
            check_same_rig(stores[0].rig, store.rig, store.path)
        for store in stores:
            check_whole(store, store.episodes)
        pieces = [Piece(store, one, one.about) for store in stores for one in store.episodes]
        path.parent.mkdir(parents=True, exist_ok=True)
        put(path, stores[0], stores[0].attributes, pieces, advance)
    return len(pieces)
