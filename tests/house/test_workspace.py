"""The ready workspace's list of other packages' drivers: complete, and explained."""

from __future__ import annotations

from pathlib import Path

import yaml

WORKSPACE = Path(__file__).parents[2] / "ros2_ws"


def test_every_driver_of_the_repos_file_has_a_source_and_stands_in_the_readme() -> None:
    listed = yaml.safe_load((WORKSPACE / "drivers.repos").read_text(encoding="utf-8"))["repositories"]
    readme = (WORKSPACE / "README.md").read_text(encoding="utf-8")
    assert len(listed) > 3
    for name, source in listed.items():
        assert set(source) == {"type", "url", "version"}, name
        assert source["type"] == "git"
        assert source["url"].startswith("https://")
        page = source["url"].removesuffix(".git")
        assert f"[{name}]({page}) | `{source['version']}`" in readme
