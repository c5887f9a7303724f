"""Depth of the simulated cameras through the graph: published, recorded, and the scene's own when it is read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.support.graph import own_domain, stack_of
from tests.support.small_table import small_table
from xdistill_ros import graph as graphs
from xdistill_ros.episodes import Store, layout
from xdistill_ros.sim import World

pytestmark = pytest.mark.timeout(300)  # real processes, on a machine that may be busy
SEED, FACTOR = 0, 0.3


def test_a_demonstration_is_recorded_with_the_depth_of_its_scene(tmp_path: Path) -> None:
    rig = small_table(depth=True)
    document = rig.model_dump(mode="json")
    document["simulation"] |= {"auto_engage": False, "real_time_factor": FACTOR}
    path = tmp_path / "rig.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    with own_domain() as domain:
        options = graphs.Options(
            rig=path, domain=domain, store=tmp_path / "store.zarr", task="move_cube", operator="ada", demonstrations=1,
            seed=SEED,
        )  # fmt: skip
        with stack_of(tmp_path, ("record",), options, started=False) as made:
            nodes = ("sim_node", "arm_bridge_node", "recorder_node")
            made.processes.start(*nodes)
            for node in nodes:
                made.probe.wait_state(node)
            demonstrator = made.processes.process("demonstrator_node")
            assert made.processes.run(demonstrator) == 0, made.processes.log("demonstrator_node")
    store = Store(tmp_path / "store.zarr")
    (episode,) = store.episodes
    with World(rig, "move_cube", seed=SEED, latency=False) as world:
        scene = {frame.camera: frame.depth for frame in world.frames_due()}
    for camera in rig.cameras:
        recorded = store.rows(episode, layout.depth_name(camera))
        assert recorded.dtype == np.uint16
        assert np.mean(recorded[0] == scene[camera]) > 0.9, "as at the reset, but for an arm that has set out"
        assert len({image.tobytes() for image in recorded}) > len(recorded) // 2, "a depth for every row"
