"""What lets a bundle show where it looks: a few hundred bytes that are appended to its encoder's graph.

An ONNX file is a protobuf message, and protobuf merges messages that are concatenated: nodes and outputs in the second
join the graph of the first. So the encoder stays as it is, its weights are stored once, its hash and what runs on the
control path do not change, and a bundle that was exported long ago can be given the file. See `policy.gaze`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from xdistill_ros.episodes.files import write_whole
from xdistill_ros.learn.errors import LearnError
from xdistill_ros.policy.bundle import Bundle
from xdistill_ros.policy.gaze import SHARES, SHARES_FILE

log = logging.getLogger(__name__)
_POOLS = ("GlobalAveragePool", "ReduceMean")
_ALIKE = ("Flatten", "Identity", "Squeeze", "Reshape")  # what may stand between pool and feature without changing it


def write(bundle: Bundle) -> Path:
    """Gives `bundle` its `shares.pb`; returns that file. Raises LearnError as `appended` does."""
    path = bundle.path / SHARES_FILE
    write_whole(path, appended(bundle.encoder_path.read_bytes()))
    return path


def offer(bundle: Bundle) -> None:
    """As `write`, where the encoder is one that it can be done for; else says why not."""
    try:
        write(bundle)
    except LearnError as error:
        log.info("%s: without %s: %s", bundle.path, SHARES_FILE, error)


def appended(encoder: bytes) -> bytes:
    """What makes an encoder's graph also give `shares` (1, F, h', w'), whose sum and a constant are the feature.

    The feature must be the average of the last maps, or one linear layer of it. Raises LearnError for another.
    """
    model = onnx.shape_inference.infer_shapes(onnx.load_model_from_string(encoder))
    pool, linear = _tail(model.graph)
    maps = pool.input[0]
    channels, height, width = _shape(model.graph, maps)[1:]
    constants = [numpy_helper.from_array(np.array(1.0 / (height * width), np.float32), "shares_of_one_cell")]
    nodes = [helper.make_node("Mul", [maps, "shares_of_one_cell"], ["shares_of_maps"])]
    features, last = channels, "shares_of_maps"
    if linear is not None:
        transposed = any(one.name == "transB" and one.i for one in linear.attribute)
        features = _shape(model.graph, linear.output[0])[1]
        weight = linear.input[1]
        if not transposed:
            nodes.append(helper.make_node("Transpose", [weight], ["shares_weight"], perm=[1, 0]))
            weight = "shares_weight"
        constants.append(numpy_helper.from_array(np.array([features, channels, 1, 1], np.int64), "shares_shape"))
        nodes.append(helper.make_node("Reshape", [weight, "shares_shape"], ["shares_kernel"]))
        nodes.append(helper.make_node("Conv", ["shares_of_maps", "shares_kernel"], ["shares_of_features"]))
        last = "shares_of_features"
    nodes.append(helper.make_node("Identity", [last], [SHARES]))
    more = onnx.ModelProto()
    more.graph.node.extend(nodes)
    more.graph.initializer.extend(constants)
    shape = (1, features, height, width)
    more.graph.output.append(helper.make_tensor_value_info(SHARES, TensorProto.FLOAT, shape))
    made: bytes = more.SerializeToString()
    onnx.checker.check_model(onnx.load_model_from_string(encoder + made), full_check=True)
    return made


def _tail(graph: onnx.GraphProto) -> tuple[onnx.NodeProto, onnx.NodeProto | None]:
    """The pooling that makes the feature, and the linear layer after it where there is one."""
    makers = {output: node for node in graph.node for output in node.output}
    linear = None
    node = makers[graph.output[0].name]
    while node.op_type not in _POOLS:
        if node.op_type == "Gemm" and linear is None:
            linear = node
        elif node.op_type not in _ALIKE or node.input[0] not in makers:
            raise LearnError(
                f"encoder: its feature comes out of a {node.op_type}, not out of the average of its last maps or one "
                "linear layer of it; where a running policy looks can be shown for a ResNet's pooled feature or its "
                "projection, and for any encoder on the page of `xdistill analyse`"
            )
        node = makers[node.input[0]]
    return node, linear


def _shape(graph: onnx.GraphProto, name: str) -> tuple[int, ...]:
    infos: Iterable[onnx.ValueInfoProto] = (*graph.value_info, *graph.output, *graph.input)
    info = next(one for one in infos if one.name == name)
    return tuple(size.dim_value for size in info.type.tensor_type.shape.dim)
