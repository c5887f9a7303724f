"""What keeps a measurement from being made."""

from __future__ import annotations


class CalibrateError(Exception):
    """Views that do not determine what is asked of them; the message says what is missing, or what does not fit."""
