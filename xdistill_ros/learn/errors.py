"""The error of the room: something that a user can mend."""

from __future__ import annotations


class LearnError(ValueError):
    """What cannot be done; the message says what, where, which value, what is allowed, and what to do."""
