"""TensorRT's engines, built ahead of time into the folder where a session looks for them.

Building one takes minutes: it happens here, when a person asks for it, and never where a robot waits. Engines fit one
kind of GPU and one version of TensorRT, so they are built on the computer that runs the policy.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnxruntime as ort  # type: ignore[import-untyped]

from .session import TENSORRT, UNREADABLE, GraphError, engines_of, tensorrt_options


def unavailable() -> str | None:
    """Why no engine can be built here, in a line; None where one can."""
    offered = ort.get_available_providers()
    if TENSORRT in offered:
        return None
    return f"no TensorRT engines: this ONNX Runtime offers {', '.join(offered)}; see docs/how-to/gpu.md"


def build(graph: Path) -> list[Path]:
    """Builds the engines of `graph` and returns their files, in `engines_of(graph)`. Raises GraphError.

    ONNX Runtime builds an engine when a session opens or first runs, and keeps it where it is told.
    """
    folder = engines_of(graph)
    with tempfile.TemporaryDirectory(prefix=".tensorrt.", dir=graph.parent) as made:
        try:
            session = ort.InferenceSession(str(graph), providers=[(TENSORRT, tensorrt_options(Path(made)))])
            if session.get_providers()[0] == TENSORRT:
                session.run(None, {one.name: np.zeros(one.shape, np.float32) for one in session.get_inputs()})
        except UNREADABLE as error:
            raise GraphError(f"{graph}: TensorRT cannot build it: {error}") from error
        if session.get_providers()[0] != TENSORRT:
            raise GraphError(
                f"{graph}: ONNX Runtime fell back to {session.get_providers()[0]}; it lacks the libraries of the "
                "TensorRT that it was made for, see docs/how-to/gpu.md"
            )
        built = list(Path(made).iterdir())
        if not built:
            raise GraphError(f"{graph}: TensorRT kept no engine of it; it would be built again at every start")
        folder.mkdir(exist_ok=True)
        return [path.replace(folder / path.name) for path in built]
