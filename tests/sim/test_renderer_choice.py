"""The renderer is chosen without a display, before mujoco is imported, and its absence is said in words."""

from __future__ import annotations

import ctypes.util
import sys

import pytest

from xdistill_ros.sim import gl


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment in which nothing was chosen and mujoco was not imported."""
    for variable in ("MUJOCO_GL", "PYOPENGL_PLATFORM", "DISPLAY"):
        monkeypatch.setenv(variable, "")
        monkeypatch.delenv(variable)
    monkeypatch.delitem(sys.modules, "mujoco")
    return monkeypatch


def install(monkeypatch: pytest.MonkeyPatch, *libraries: str) -> None:
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: f"lib{name}.so" if name in libraries else None)


@pytest.mark.parametrize(("libraries", "chosen"), [(("EGL", "OSMesa"), "egl"), (("OSMesa",), "osmesa"), ((), None)])
def test_egl_is_preferred_then_osmesa(fresh: pytest.MonkeyPatch, libraries: tuple[str, ...], chosen: str) -> None:
    install(fresh, *libraries)
    assert gl.choose() == chosen


def test_what_the_user_set_stays(fresh: pytest.MonkeyPatch) -> None:
    install(fresh, "EGL")
    fresh.setenv("MUJOCO_GL", "osmesa")
    assert gl.choose() == "osmesa"


def test_without_a_library_the_error_names_the_packages(fresh: pytest.MonkeyPatch) -> None:
    install(fresh)
    with pytest.raises(gl.NoRendererError, match="apt-get install -y libegl1"):
        gl.require()


def test_too_late_a_choice_is_explained(fresh: pytest.MonkeyPatch) -> None:
    install(fresh, "EGL")
    fresh.setitem(sys.modules, "mujoco", object())  # type: ignore[arg-type]
    with pytest.raises(gl.NoRendererError, match="MUJOCO_GL=egl"):
        gl.require()
