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
FRAMES = 30


def main(folder: Path) -> None:
    """Until the encoder has had its chance to see so many images of both cameras, as JPEGs."""
    with laboratory(folder, FAR_ENCODER, LINK, {"discovery": "server"}, real_time_factor=0.3) as lab:
        lab.processes["robot"].start("discovery_node", "sim_node", "compressor_node")
        lab.processes["gpu"].start("encoder_node")
        probe, cameras = lab.probe, tuple(lab.probe.rig.cameras)
        probe.wait_state("encoder_node")

        def frames(node: str) -> list[int]:
            return [int(probe.status.get(node, {}).get(f"frames.{camera}", 0)) for camera in cameras]

        probe.wait(lambda: min(frames("encoder_node")) > 2, "the first images of both cameras")
        arrived, sent = frames("encoder_node"), frames("compressor_node")
        probe.wait(lambda: min(frames("compressor_node")) > sent[0] + FRAMES, "more images are sent")
        said = probe.status["encoder_node"]
        probe.wait(lambda: probe.status["encoder_node"] is not said, "the encoder says how many have arrived")
        for before, now in zip(arrived, frames("encoder_node"), strict=True):
            # a lossless link is not asked for, nor a machine that is never busy; in datagrams of 64 KB one in ten comes
            assert now - before > FRAMES / 2, f"{now - before} of {FRAMES} images have arrived"
        assert probe.refused("encoder_node", "image_encoding") == 0


if __name__ == "__main__":
    main(Path(sys.argv[1]))
