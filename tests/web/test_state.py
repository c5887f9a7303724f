"""Where servers keep what outlives them."""

from __future__ import annotations

from pathlib import Path

import pytest

from xdistill_ros.web.state import state_folder


@pytest.mark.parametrize("chosen", ["", "relative/path"])
def test_without_a_state_folder_of_choice_it_is_under_home(monkeypatch: pytest.MonkeyPatch, chosen: str) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", chosen)
    assert state_folder() == Path.home() / ".local" / "state" / "xdistill_ros"
