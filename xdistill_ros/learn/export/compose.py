"""The graphs of our own networks: ResNet-18 with its projection, and the denoiser in two halves."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from xdistill_ros.learn.networks.encoders import Encoder
from xdistill_ros.learn.networks.head import Head
from xdistill_ros.learn.networks.rounding import Precision, int8_levels
from xdistill_ros.learn.networks.unet import Block

from .graph import Graph


def encoder_graph(encoder: Encoder, height: int, width: int, precision: Precision) -> bytes:
    """`image` (1, 3, height, width) -> `feature` (1, F), of a ResNet that `rounding.deployable` made."""
    graph = Graph("encoder", precision)
    trunk: Any = encoder.trunk
    x = graph.node("Relu", _convolution(graph, trunk.conv1, graph.input("image", (1, 3, height, width))))
    x = graph.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    for layer in (trunk.layer1, trunk.layer2, trunk.layer3, trunk.layer4):
        for block in layer:
            inner = graph.node("Relu", _convolution(graph, block.conv1, x))
            inner = _convolution(graph, block.conv2, inner)
            skip = x if block.downsample is None else _convolution(graph, block.downsample[0], x)
            x = graph.node("Relu", graph.node("Add", inner, skip))
    feature = graph.node("Flatten", graph.node("GlobalAveragePool", x), axis=1)
    if getattr(encoder, "feature", "pooled") == "projection":
        feature = _linear(graph, encoder.projection, feature)  # type: ignore[arg-type]
    return graph.finish({"feature": (feature, (1, encoder.feature_dim))})


def condition_graph(head: Head, precision: Precision) -> bytes:
    """`condition` (1, C) -> `film` (1, F): everything that does not depend on the sample or the step."""
    graph, film = Graph("condition", precision), head.film
    x = graph.node("Sub", graph.input("condition", (1, len(film.mean))), graph.constant(film.mean.numpy()[None]))
    x = graph.node("Div", x, graph.constant(film.std.numpy()[None]))
    for module in film.embed:
        if isinstance(module, nn.Linear):
            x = _linear(graph, module, x)
        elif isinstance(module, nn.Mish):
            x = _mish(graph, x)
    return graph.finish({"film": (_linear(graph, film.from_condition, x), (1, head.unet.film_width))})


def step_graph(head: Head, precision: Precision) -> bytes:
    """`sample` (1, T, A), `film` (1, F) -> `prediction` (1, T, A): one denoising step."""
    graph, unet = Graph("step", precision), head.unet
    horizon, channels = head.shape
    sample = graph.input("sample", (1, horizon, channels))
    film = graph.input("film", (1, unet.film_width))
    blocks = list(unet.blocks())
    widths = graph.constant(np.array([block.film_width for block in blocks], np.int64))
    parts = iter(zip(blocks, graph.node("Split", film, widths, outputs=len(blocks), axis=1), strict=True))

    def pair(x: str) -> str:
        for _ in range(2):
            block, part = next(parts)
            x = _block(graph, block, x, part)
        return x

    x, kept = graph.node("Transpose", sample, perm=[0, 2, 1]), []
    for shrink in (*unet.shrink, None):
        x = pair(x)
        if shrink is not None:
            kept.append(x)
            x = _convolution(graph, shrink, x)
    x = pair(x)
    for grow in unet.grow:
        x = pair(graph.node("Concat", _convolution(graph, grow, x), kept.pop(), axis=1))
    x = graph.node("Transpose", _convolution(graph, unet.out, x), perm=[0, 2, 1])
    return graph.finish({"prediction": (x, (1, horizon, channels))})


def _block(graph: Graph, block: Block, x: str, film: str) -> str:
    hidden = _mish(graph, _group_norm(graph, block.first_norm, _convolution(graph, block.first, x)))
    scale, bias = graph.node("Split", film, outputs=2, axis=1, num_outputs=2)
    shape = graph.constant(np.array([1, -1, 1], np.int64))
    hidden = graph.node("Mul", hidden, graph.node("Reshape", scale, shape))
    hidden = graph.node("Add", hidden, graph.node("Reshape", bias, shape))
    hidden = _mish(graph, _group_norm(graph, block.second_norm, _convolution(graph, block.second, hidden)))
    skip = _convolution(graph, block.skip, x) if isinstance(block.skip, nn.Conv1d) else x
    return str(graph.node("Add", hidden, skip))


def _convolution(graph: Graph, layer: Any, x: str) -> str:
    """Any convolution; two-dimensional ones are the encoder's, whose biases came of folding and stay fp32."""
    if isinstance(layer, nn.Conv2d):
        is_int8 = graph.precision == "int8"
        weight = graph.int8(*int8_levels(layer.weight)) if is_int8 else graph.weight(_values(layer.weight))
        bias = graph.constant(layer.bias.detach().numpy())  # type: ignore[union-attr]
    else:
        weight, bias = graph.weight(_values(layer.weight)), graph.weight(_values(layer.bias))
    operator = "ConvTranspose" if isinstance(layer, nn.ConvTranspose1d) else "Conv"
    pads = [*layer.padding, *layer.padding]
    return str(graph.node(operator, x, weight, bias, kernel_shape=list(layer.kernel_size),
                          strides=list(layer.stride), pads=pads))  # fmt: skip


def _linear(graph: Graph, layer: nn.Linear, x: str) -> str:
    weight, bias = graph.weight(_values(layer.weight)), graph.weight(_values(layer.bias))
    return str(graph.node("Gemm", x, weight, bias, transB=1))


def _group_norm(graph: Graph, norm: nn.GroupNorm, x: str) -> str:
    groups = norm.num_groups
    ones, zeros = (graph.constant(np.full(groups, value, np.float32)) for value in (1.0, 0.0))
    grouped = graph.node("Reshape", x, graph.constant(np.array([1, groups, -1], np.int64)))
    normed = graph.node("InstanceNormalization", grouped, ones, zeros, epsilon=norm.eps)
    normed = graph.node("Reshape", normed, graph.constant(np.array([1, norm.num_channels, -1], np.int64)))
    scaled = graph.node("Mul", normed, graph.weight(_values(norm.weight)[None, :, None]))
    return str(graph.node("Add", scaled, graph.weight(_values(norm.bias)[None, :, None])))


def _mish(graph: Graph, x: str) -> str:
    return str(graph.node("Mul", x, graph.node("Tanh", graph.node("Softplus", x))))


def _values(parameter: Tensor) -> NDArray[np.float32]:
    return parameter.detach().numpy().astype(np.float32)
