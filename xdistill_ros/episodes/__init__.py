"""Demonstrations on disk: the store's layout, its one writer, readers and tools. Owns the format."""

from .about import About, Control, StoreError
from .store import Episode, Store
from .writer import DiskFullError, Writer

__all__ = ["About", "Control", "DiskFullError", "Episode", "Store", "StoreError", "Writer"]
