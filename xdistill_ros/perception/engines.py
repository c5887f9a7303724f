"""TensorRT's engines, built ahead of time into the folder where a session looks for them.

Building one takes minutes: it happens here, when a person asks for it, and never where a robot waits. Engines fit one
kind of GPU and one version of TensorRT, so they are built on the computer that runs the policy.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime as ort  # type: ignore[import-untyped]

from .session import TENSORRT, GraphError, engines_of, tensorrt_options


def unavailable() -> str | None:
    """Why no engine can be built here, in a line; None where one can."""
    offered = ort.get_available_providers()
    if TENSORRT in offered:
        return None
    return f"no TensorRT engines: this ONNX Runtime offers {', '.join(offered)} (the gpu extra brings TensorRT's)"


def build(graph: Path) -> Path:
    """Builds the engines of `graph` and returns their folder; those of its neighbours stay. Raises GraphError.

    ONNX Runtime builds an engine when a session runs for the first time and keeps it where it is told.
    """
    folder = engines_of(graph)
    with tempfile.TemporaryDirectory(prefix=".tensorrt.", dir=graph.parent) as made:
        session = ort.InferenceSession(str(graph), providers=[(TENSORRT, tensorrt_options(Path(made)))])
        if session.get_providers()[0] != TENSORRT:
            raise GraphError(
                f"{graph}: ONNX Runtime fell back to {session.get_providers()[0]}; it needs the libraries of the "
                "TensorRT that it was made for, see docs/how-to/gpu.md"
            )
        session.run(None, {one.name: np.zeros(one.shape, np.float32) for one in session.get_inputs()})
        built = list(Path(made).iterdir())
        if not built:
            raise GraphError(f"{graph}: TensorRT built no engine of it; without one it runs on CUDA")
        folder.mkdir(exist_ok=True)
        for path in built:
            path.replace(folder / path.name)
    return folder


def remove(graph: Path) -> None:
    """Takes away the folder of engines beside `graph`: sessions then run on CUDA."""
    shutil.rmtree(engines_of(graph), ignore_errors=True)
