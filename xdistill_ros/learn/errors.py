"""What ends a command of this room: a sentence for whoever started it."""

from __future__ import annotations


class LearnError(ValueError):
    """What, where, which value, what is allowed, what to do. The command line prints it without a traceback."""
