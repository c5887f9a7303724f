"""Chooses how MuJoCo renders without a display. Must run before `mujoco` is first imported; imports nothing heavy."""

from __future__ import annotations

import ctypes.util
import os
import sys

BACKENDS = {"egl": "EGL", "osmesa": "OSMesa"}  # MUJOCO_GL's value -> shared library, the faster and commoner first


class NoRendererError(RuntimeError):
    """Nothing can render here; the message says how to change that."""


def available() -> list[str]:
    """The values of MUJOCO_GL whose library is installed, the preferred one first."""
    return [backend for backend, library in BACKENDS.items() if ctypes.util.find_library(library)]


def choose() -> str | None:
    """Sets MUJOCO_GL (and PyOpenGL's platform) unless the user did; returns what is in force, None if nothing is.

    Where nothing fits, physics still work: rendering is what raises NoRendererError, through `require`.
    """
    chosen = os.environ.get("MUJOCO_GL")
    if chosen is None and "mujoco" not in sys.modules:
        chosen = next(iter(available()), None)
        if chosen is not None:
            os.environ["MUJOCO_GL"] = chosen
            os.environ.setdefault("PYOPENGL_PLATFORM", chosen)
    return chosen


def require() -> None:
    """Raises NoRendererError when nothing can render here."""
    if choose() is not None or os.environ.get("DISPLAY"):
        return
    if available():
        raise NoRendererError(
            "mujoco was imported before xdistill_ros.sim could choose its renderer; "
            f"import xdistill_ros.sim first, or set MUJOCO_GL={available()[0]} in the environment"
        )
    raise NoRendererError(
        "rendering needs EGL or OSMesa and neither library is installed; "
        "on Debian or Ubuntu: apt-get install -y libegl1 libgl1-mesa-dri (or libosmesa6)"
    )
