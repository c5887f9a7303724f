"""Chooses how MuJoCo renders without a display. Must run before `mujoco` is first imported; imports nothing heavy."""

from __future__ import annotations

import ctypes.util
import os
import sys

BACKENDS = {"egl": "EGL", "osmesa": "OSMesa"}  # MUJOCO_GL's value -> shared library, the faster and commoner first


class NoRendererError(RuntimeError):
    """Neither EGL nor OSMesa is installed; the message says how to get one."""


def available() -> list[str]:
    """The values of MUJOCO_GL whose library is installed, the preferred one first."""
    return [backend for backend, library in BACKENDS.items() if ctypes.util.find_library(library)]


def choose() -> str | None:
    """Sets MUJOCO_GL (and PyOpenGL's platform) unless the user did; returns what is in force, None if nothing fits.

    Where nothing fits, physics still work: rendering is what raises NoRendererError, through `require`.
    """
    backend = os.environ.get("MUJOCO_GL") or next(iter(available()), None)
    if backend and "mujoco" not in sys.modules:
        os.environ["MUJOCO_GL"] = backend
        if backend in BACKENDS:
            os.environ.setdefault("PYOPENGL_PLATFORM", backend)
    return backend


def require() -> None:
    """Raises NoRendererError when nothing can render here."""
    if choose() is None:
        raise NoRendererError(
            "rendering needs EGL or OSMesa and neither library is installed; "
            "on Debian or Ubuntu: apt-get install -y libegl1 libgl1-mesa-dri (or libosmesa6)"
        )
