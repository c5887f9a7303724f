"""ONNX Runtime sessions: explicit threads, provider order, checked inputs and outputs.

Owns how a graph is opened, for encoder and sampler alike; knows nothing of what the graph computes.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors  # type: ignore[import-untyped]

Shape = tuple[int, ...]
TENSORRT, CUDA, CPU = "TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"
UNREADABLE = (
    ort_errors.Fail,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.InvalidArgument,
    ort_errors.NotImplemented,
    ort_errors.NoSuchFile,
)

log = logging.getLogger(__name__)


class GraphError(ValueError):
    """A graph that cannot be used: unreadable, of other inputs or outputs, or on another provider than required."""


class GraphSession:
    """One ONNX graph, ready to run; every input and output is float32 of a fixed shape."""

    def __init__(
        self,
        path: Path,
        inputs: Mapping[str, Shape],
        outputs: Mapping[str, Shape],
        *,
        threads: int,
        require_provider: str | None = None,
        exact: bool = False,
        appended: bytes = b"",
    ) -> None:
        """Opens `path` with `threads` intra-op threads; `inputs` and `outputs` are the shapes it must have (-1: any).

        Providers in order: TensorRT where `xdistill export` left a `tensorrt` folder of built engines beside the
        graph, CUDA, CPU. `exact` turns CUDA's TF32 off, for parity checks. `appended` continues the file's bytes:
        protobuf merges what is concatenated, so nodes and outputs in it join the graph. Raises GraphError, also when
        `require_provider` was not the one that ONNX Runtime took.
        """
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Spinning threads would take the cores from the control loop between two inferences.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            # no engine was built ahead of time for a graph that is longer than its file
            providers = _providers(path, exact or bool(appended))
            graph = path.read_bytes() + appended if appended else str(path)
            self._session = ort.InferenceSession(graph, options, providers=providers)
        except UNREADABLE as error:
            raise GraphError(f"{path}: ONNX Runtime cannot open it: {error}; export the bundle anew") from error
        self.provider: str = self._session.get_providers()[0]
        if require_provider is not None and self.provider != require_provider:
            raise GraphError(
                f"{path.name} runs on {self.provider}, required is {require_provider} "
                f"(this ONNX Runtime offers {', '.join(ort.get_available_providers())}); install the gpu extra and "
                "the driver's CUDA, or do not require it"
            )
        self.input_shapes = _check(path, "input", self._session.get_inputs(), inputs)
        self.output_shapes = _check(path, "output", self._session.get_outputs(), outputs)
        self._outputs = list(self.output_shapes)
        log.info("%s: %s, %d thread(s)", path.name, self.provider, threads)

    def run(self, **inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """The graph's first output for inputs by name."""
        return self.run_all(**inputs)[0]

    def run_all(self, **inputs: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """All of the graph's outputs, in its order, for inputs by name."""
        return [np.asarray(output) for output in self._session.run(self._outputs, inputs)]


def engines_of(graph: Path) -> Path:
    """The folder of TensorRT's engines for a graph."""
    return graph.parent / "tensorrt"


def tensorrt_options(engines: Path) -> dict[str, Any]:
    """ONNX Runtime's options for engines kept in a folder; with others it would build anew."""
    return {"trt_engine_cache_enable": True, "trt_engine_cache_path": str(engines)}


def preferred_provider() -> str:
    """The provider that a session without prebuilt engines takes on this machine, unless it falls back."""
    return CUDA if CUDA in ort.get_available_providers() else CPU


def _providers(path: Path, exact: bool) -> list[str | tuple[str, dict[str, Any]]]:
    available = ort.get_available_providers()
    wished: list[str | tuple[str, dict[str, Any]]] = []
    if TENSORRT in available and engines_of(path).is_dir() and not exact:
        # Only with engines built ahead of time: building one takes minutes and would happen on the control path.
        wished.append((TENSORRT, tensorrt_options(engines_of(path))))
    if preferred_provider() == CUDA:
        wished.append((CUDA, {"use_tf32": "0" if exact else "1"}))
    wished.append(CPU)
    return wished


def _check(path: Path, what: str, found: list[Any], wanted: Mapping[str, Shape]) -> dict[str, Shape]:
    shapes = {node.name: tuple(node.shape) for node in found}
    if shapes.keys() != wanted.keys():
        raise GraphError(f"{path}: {what}s are {sorted(shapes)}, wanted {sorted(wanted)}; export the bundle anew")
    for node in found:
        if node.type != "tensor(float)":
            raise GraphError(f"{path}: {what} {node.name!r} is {node.type}, wanted tensor(float)")
    for name, shape in wanted.items():
        actual = shapes[name]
        fits = len(actual) == len(shape) and all(a == w or w == -1 for a, w in zip(actual, shape, strict=True))
        if not fits or not all(isinstance(size, int) for size in actual):
            raise GraphError(f"{path}: {what} {name!r} has shape {list(actual)}, wanted {list(shape)} (-1: any)")
    return shapes
