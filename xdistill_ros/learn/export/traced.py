"""ONNX graphs of any network, by torch's own exporter: what `compose` has no hand-made graph for (ViTs, ConvNeXt, ...).

Needs onnxscript. A graph takes some seconds, and keeps no word of the computer that it was made on.
"""

from __future__ import annotations

import math
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from xdistill_ros.learn.errors import LearnError
from xdistill_ros.learn.networks.rounding import Precision

from .graph import IR_VERSION, OPSET

_SMALL = 64  # constants with fewer numbers stay fp32: shapes, scales, epsilons


def traced(network: nn.Module, inputs: Mapping[str, tuple[int, ...]], output: str, precision: Precision) -> bytes:
    """The checked model of `network` for float32 inputs of fixed shapes, in the order of its `forward`'s arguments.

    Constants that fp16 holds exactly, such as the weights of a rounded network, are stored so unless `precision` is
    fp32. Raises LearnError where torch cannot express the network in ONNX.
    """
    example = tuple(torch.zeros(shape) for shape in inputs.values())
    try:
        with tempfile.TemporaryDirectory() as made, torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the exporter's own making
            path = Path(made) / "traced.onnx"
            torch.onnx.export(
                network.eval(), example, path, input_names=list(inputs), output_names=[output],
                opset_version=OPSET, dynamo=True, external_data=False, verbose=False,
            )  # fmt: skip
            model = onnx.load(path)
    except torch.onnx.errors.OnnxExporterError as error:
        raise LearnError(
            f"{type(network).__name__}: torch cannot write it as an ONNX graph ({str(error).splitlines()[0]}); "
            "export a policy with another encoder"
        ) from error
    _forget(model)
    if precision != "fp32":
        _store_small(model.graph)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def _forget(model: onnx.ModelProto) -> None:
    """Takes out names of files and lines, and states the versions that all graphs here have."""
    model.ir_version, model.producer_name, model.producer_version = IR_VERSION, "xdistill_ros", ""
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.graph.value_info[:]
    for part in (*model.graph.node, *model.graph.input, *model.graph.output, *model.graph.initializer):
        part.doc_string = ""
        del part.metadata_props[:]


def _store_small(graph: onnx.GraphProto) -> None:
    """Replaces float constants that fp16 holds exactly by an fp16 one and a Cast, which folds away at opening."""
    kept, casts = [], []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor) if tensor.data_type == TensorProto.FLOAT else None
        half = None if values is None or math.prod(values.shape) < _SMALL else _exact_half(values)
        if half is None:
            kept.append(tensor)
            continue
        name = f"{tensor.name}_fp16"
        kept.append(numpy_helper.from_array(half, name))
        casts.append(helper.make_node("Cast", [name], [tensor.name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(kept)
    graph.node.extend(nodes)


def _exact_half(values: np.ndarray) -> np.ndarray | None:
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    return half if np.array_equal(half.astype(np.float32), values) else None
