"""From trained networks to a bundle: encoder graph, condition graph, step graph, step table, reference outputs.

Exports only rounded networks (`rounding`), so that the bundle computes what torch computes.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from xdistill_ros.learn.networks.encoders import Student
from xdistill_ros.learn.networks.head import Head
from xdistill_ros.learn.networks.unet import Block
from xdistill_ros.learn.policies import Trained
from xdistill_ros.perception import Preprocess
from xdistill_ros.policy import actions as meaning
from xdistill_ros.policy import bundle as bundles
from xdistill_ros.policy.manifest import CONDITION_GRAPH, REFERENCE, STEP_FILM, STEP_GRAPH
from xdistill_ros.policy.parity import pack

from . import shares
from .graph import Graph
from .rounding import int8_levels

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Example:
    """One observation for the reference: images by camera (H, W, 3), oldest step first, and the arm at each step."""

    pixels: Mapping[str, tuple[Pixels, ...]]
    poses: NDArray[np.float64]
    widths: NDArray[np.float64]
    joints: NDArray[np.float64]


def export(trained: Trained, example: Example, provenance: Mapping[str, Any], folder: Path) -> Path:
    """Writes the bundle of `trained` into `folder` and its encoder into `shared` beside it; returns `folder`."""
    width, height = next(iter(trained.preprocess.values())).output_size
    fields = {
        "name": f"{trained.rig.name}_{trained.task}",
        "task": trained.task,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "provenance": dict(provenance),
        "rig": trained.rig,
        "preprocess": dict(trained.preprocess),
        "encoder": {"feature_dim": trained.encoder.feature_dim},
        "proprio": trained.proprio,
        "statistics": trained.statistics._asdict(),
        "schedule": trained.head.schedule,
    }
    files = {
        CONDITION_GRAPH: condition_graph(trained.head),
        STEP_GRAPH: step_graph(trained.head),
        STEP_FILM: _npy(trained.head.step_table().numpy()),
        REFERENCE: pack(reference(trained, example)),
    }
    bundles.write(folder, fields, files, encoder_graph(trained.encoder, height, width))
    shares.offer(bundles.Bundle.read(folder))
    return folder


@torch.inference_mode()
def reference(trained: Trained, example: Example, seed: int = 0) -> dict[str, NDArray[Any]]:
    """What torch computes for `example`: the arrays of `reference.npz` (see `policy.parity`)."""
    arrays: dict[str, NDArray[Any]] = {}
    steps: list[list[NDArray[np.float32]]] = [[] for _ in example.poses]
    for camera, images in example.pixels.items():
        preprocess = Preprocess(trained.preprocess[camera])
        for step, pixels in zip(steps, images, strict=True):
            step.append(trained.encoder(torch.from_numpy(preprocess(pixels)))[0].numpy())
        arrays[f"pixels.{camera}"], arrays[f"feature.{camera}"] = images[-1], steps[-1][-1]
    features = np.stack([np.concatenate(step) for step in steps])
    proprio = meaning.proprioception(trained.proprio, example.poses, example.widths, example.joints)
    noise = np.random.default_rng(seed).standard_normal(trained.head.shape, dtype=np.float32)
    condition = meaning.condition(features, proprio, trained.statistics.proprio)
    sample = trained.head.sample(torch.from_numpy(condition)[None], torch.from_numpy(noise)[None])[0].numpy()
    space = trained.rig.policy.action_space
    actions = meaning.from_network(space, trained.statistics.action, sample, example.poses[-1])
    named = {
        "features": features,
        "proprio": proprio,
        "tcp_pose": example.poses[-1],
        "noise": noise,
        "actions": actions,
    }
    return {**arrays, **named}


def encoder_graph(encoder: Student, height: int, width: int) -> bytes:
    """`image` (1, 3, height, width) -> `feature` (1, F), of an encoder that `rounding.deployable` made."""
    graph = Graph("encoder")
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
    if encoder.feature == "projection":
        feature = _linear(graph, encoder.projection, feature)
    return graph.finish({"feature": (feature, (1, encoder.feature_dim))})


def condition_graph(head: Head) -> bytes:
    """`condition` (1, C) -> `film` (1, F): everything that does not depend on the sample or the step."""
    graph, film = Graph("condition"), head.film
    x = graph.node("Sub", graph.input("condition", (1, len(film.mean))), graph.constant(film.mean.numpy()[None]))
    x = graph.node("Div", x, graph.constant(film.std.numpy()[None]))
    for module in film.embed:
        if isinstance(module, nn.Linear):
            x = _linear(graph, module, x)
        elif isinstance(module, nn.Mish):
            x = _mish(graph, x)
    return graph.finish({"film": (_linear(graph, film.from_condition, x), (1, head.unet.film_width))})


def step_graph(head: Head) -> bytes:
    """`sample` (1, T, A), `film` (1, F) -> `prediction` (1, T, A): one denoising step."""
    graph, unet = Graph("step"), head.unet
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
    """Any convolution; two-dimensional ones are stored as int8, one-dimensional ones as fp16."""
    if isinstance(layer, nn.Conv2d):
        weight = graph.int8(*int8_levels(layer.weight))
        bias = graph.constant(layer.bias.detach().numpy())  # type: ignore[union-attr]
    else:
        weight, bias = graph.half(_values(layer.weight)), graph.half(_values(layer.bias))
    operator = "ConvTranspose" if isinstance(layer, nn.ConvTranspose1d) else "Conv"
    pads = [*layer.padding, *layer.padding]
    return str(graph.node(operator, x, weight, bias, kernel_shape=list(layer.kernel_size),
                          strides=list(layer.stride), pads=pads))  # fmt: skip


def _linear(graph: Graph, layer: nn.Linear, x: str) -> str:
    weight, bias = graph.half(_values(layer.weight)), graph.half(_values(layer.bias))
    return str(graph.node("Gemm", x, weight, bias, transB=1))


def _group_norm(graph: Graph, norm: nn.GroupNorm, x: str) -> str:
    groups = norm.num_groups
    ones, zeros = (graph.constant(np.full(groups, value, np.float32)) for value in (1.0, 0.0))
    grouped = graph.node("Reshape", x, graph.constant(np.array([1, groups, -1], np.int64)))
    normed = graph.node("InstanceNormalization", grouped, ones, zeros, epsilon=norm.eps)
    normed = graph.node("Reshape", normed, graph.constant(np.array([1, norm.num_channels, -1], np.int64)))
    scaled = graph.node("Mul", normed, graph.half(_values(norm.weight)[None, :, None]))
    return str(graph.node("Add", scaled, graph.half(_values(norm.bias)[None, :, None])))


def _mish(graph: Graph, x: str) -> str:
    return str(graph.node("Mul", x, graph.node("Tanh", graph.node("Softplus", x))))


def _values(parameter: Tensor) -> NDArray[np.float32]:
    return parameter.detach().numpy().astype(np.float32)


def _npy(values: NDArray[np.float32]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(values, np.float32), allow_pickle=False)
    return buffer.getvalue()
