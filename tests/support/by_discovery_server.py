"""Robot and GPU PC that find each other by a discovery server, over a link that is late and lossy; for a test.

`python -m tests.support.by_discovery_server FOLDER`, in a process of its own: one that has once been a client of a
discovery server finds nobody by any other way any more.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support.hosts import laboratory
from tests.support.network import Link

LINK = Link(rate_mbit_s=100.0, delay_ms=20.0, loss=0.01)
FAR_ENCODER = {"gpu": ["encoder_node", "sampler_node"]}


def main(folder: Path) -> None:
    """Until the encoder has seen images of both cameras, as JPEGs."""
    with laboratory(folder, FAR_ENCODER, LINK, {"discovery": "server"}, real_time_factor=0.3) as lab:
        lab.processes["robot"].start("discovery_node", "sim_node", "compressor_node")
        lab.processes["gpu"].start("encoder_node")
        lab.probe.wait_state("encoder_node")

        def frames(camera: str) -> int:
            return int(lab.probe.status["encoder_node"].get(f"frames.{camera}", 0))

        lab.probe.wait(lambda: all(frames(camera) > 5 for camera in lab.probe.rig.cameras), "images of both cameras")
        assert lab.probe.refused("encoder_node", "image_encoding") == 0


if __name__ == "__main__":
    main(Path(sys.argv[1]))
