"""TensorRT's engines for all graphs of a bundle, kept only if the policy stays the same with them."""

from __future__ import annotations

from pathlib import Path

from xdistill_ros.perception import GraphError, engines

from . import parity
from .bundle import Bundle
from .manifest import CONDITION_GRAPH, STEP_GRAPH, BundleError

LIMIT = 1e-2
"""Largest difference from exact sessions that engines may make, as `parity.drift` has it: they compute in TF32."""


def build(bundle: Bundle) -> dict[str, float]:
    """Builds the engines beside the graphs of `bundle`; returns how far it drifts with them.

    Raises BundleError, and leaves no new engine, where one cannot be built or the drift exceeds `LIMIT`.
    """
    made: list[Path] = []
    try:
        for graph in (bundle.encoder_path, bundle.path / CONDITION_GRAPH, bundle.path / STEP_GRAPH):
            made += engines.build(graph)
        drift = parity.drift(bundle)
        name, worst = max(drift.items(), key=lambda item: item[1])
        if not all(share <= LIMIT for share in drift.values()):  # NaN fails too
            raise BundleError(
                f"{bundle.path}: with TensorRT's engines {name} differs by {worst:.2%}, allowed is {LIMIT:.0%}; they "
                "were taken away, and the bundle runs on CUDA"
            )
    except (GraphError, BundleError) as error:
        for path in made:
            path.unlink(missing_ok=True)
        for folder in {path.parent for path in made}:
            if not any(folder.iterdir()):
                folder.rmdir()
        raise BundleError(str(error)) from error
    return drift
