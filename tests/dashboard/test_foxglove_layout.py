"""The layout for Foxglove is whole, and shows what the simulated table's graph has."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from tests.support.rigs import sim_table
from xdistill_ros import resources

LAYOUT = json.loads(resources.config("foxglove_layout.json").read_text(encoding="utf-8"))


def leaves(layout: Any) -> Iterator[str]:
    """The panels of a layout's tree."""
    if isinstance(layout, str):
        yield layout
    else:
        yield from leaves(layout["first"])
        yield from leaves(layout["second"])


def test_every_panel_that_is_laid_out_is_described_and_no_other_is() -> None:
    assert sorted(leaves(LAYOUT["layout"])) == sorted(LAYOUT["configById"])


def test_it_shows_topics_of_the_simulated_table_and_all_its_joints() -> None:
    rig = sim_table()
    text = json.dumps(LAYOUT)
    assert {f"/{name}/color/image_raw" for name in rig.cameras} == set(re.findall(r"/\w+/color/image_raw", text))
    for index in range(len(rig.arm.joints)):
        assert f"/joint_states.position[{index}]" in text
        assert f"/arm/joint_command.position[{index}]" in text
    graph = (resources.config("").parent / "docs" / "graph.md").read_text(encoding="utf-8")
    for topic in re.findall(r'"(/(?:arm|trial)/\w+)', text):
        assert f"`{topic}`" in graph, topic
