"""A valid bundle of tiny random networks, composed from ONNX nodes in milliseconds, for tests without weights.

The denoiser does depend on all of its inputs, so that a wrong observation, noise or step shows in the chunk. Its
reference outputs are computed here in plain numpy, not by the code under test.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from xdistill_ros.perception.preprocess import Preprocess, PreprocessSpec
from xdistill_ros.policy import bundle as bundle_module
from xdistill_ros.policy.actions import ChannelRange, ProprioPart, condition, from_network, proprio_channels
from xdistill_ros.policy.ddim import Ddim, Schedule
from xdistill_ros.policy.manifest import CONDITION_GRAPH, REFERENCE, STEP_FILM, STEP_GRAPH
from xdistill_ros.policy.parity import pack
from xdistill_ros.rig import Rig

FEATURE_DIM = 6
FILM_DIM = 8
SIZE = (32, 24)
"""Width and height of the tiny encoder's input."""
PARTS: tuple[ProprioPart, ...] = ("tcp_relative", "tcp_height", "gripper_width")

Weights = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class TinyNetworks:
    """The random weights of encoder and denoiser, and the same mathematics in numpy."""

    encoder: Weights
    denoiser: Weights
    step_film: NDArray[np.float32] = field(repr=False)

    def feature(self, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        """(F,) feature of (1, 3, h, w)."""
        return np.tanh(tensor.mean(axis=(2, 3)) @ self.encoder["w"])[0]

    def film(self, cond: NDArray[np.float32]) -> NDArray[np.float32]:
        """(1, FILM_DIM) of a condition (1, C)."""
        return cond @ self.denoiser["cond"]

    def prediction(self, sample: NDArray[np.float32], film: NDArray[np.float32]) -> NDArray[np.float32]:
        """(1, T, A) of a noisy sample (1, T, A) and film with the step's row added."""
        return np.tanh(
            self.denoiser["time"] @ sample @ self.denoiser["mix"] + (film @ self.denoiser["film"])[:, None, :]
        )


def write_tiny_bundle(
    folder: Path, rig: Rig, *, name: str = "tiny", seed: int = 0, schedule: Schedule | None = None, **changes: Any
) -> Path:
    """Writes a bundle for `rig` into `folder` (its encoder into `shared` beside it) and returns `folder`.

    `changes` replace fields of the manifest.
    """
    schedule = schedule or Schedule(prediction_type="epsilon", inference_steps=5)
    networks = make_networks(rig, schedule, seed)
    fields = manifest_fields(rig, name, schedule) | changes
    files = {
        CONDITION_GRAPH: condition_graph(networks.denoiser),
        STEP_GRAPH: step_graph(networks.denoiser, rig),
        STEP_FILM: _npy(networks.step_film),
        REFERENCE: pack(reference(networks, rig, fields)),
    }
    return bundle_module.write(folder, fields, files, encoder_graph(networks.encoder))


def make_networks(rig: Rig, schedule: Schedule, seed: int) -> TinyNetworks:
    """Random weights that fit the rig."""
    random = np.random.default_rng(seed)
    channels = len(rig.channels)
    proprio = len(proprio_channels(PARTS, rig.arm.joint_names))
    condition_dim = rig.policy.observation_horizon * (len(rig.cameras) * FEATURE_DIM + proprio)

    def weights(rows: int, columns: int) -> NDArray[np.float32]:
        return (random.standard_normal((rows, columns)) / np.sqrt(rows)).astype(np.float32)

    denoiser = {
        "cond": weights(condition_dim, FILM_DIM),
        "film": weights(FILM_DIM, channels),
        "mix": weights(channels, channels),
        "time": weights(rig.policy.prediction_horizon, rig.policy.prediction_horizon),
    }
    return TinyNetworks({"w": weights(3, FEATURE_DIM)}, denoiser, weights(schedule.inference_steps, FILM_DIM))


def manifest_fields(rig: Rig, name: str, schedule: Schedule) -> dict[str, Any]:
    """The manifest's fields for `rig`, in plain data."""
    preprocess = {
        camera: PreprocessSpec(
            source_width_px=spec.width_px,
            source_height_px=spec.height_px,
            resize_width_px=SIZE[0],
            resize_height_px=SIZE[1],
        )
        for camera, spec in rig.cameras.items()
    }
    actions = np.array([[-0.2, -0.2, -0.2] + [-1.0] * 6 + [0.0], [0.2, 0.2, 0.2] + [1.0] * 6 + [0.085]])
    if rig.policy.action_space.kind == "joint_position":
        actions = np.array([[-3.0] * len(rig.arm.joints) + [0.0], [3.0] * len(rig.arm.joints) + [0.085]])
    proprio = len(proprio_channels(PARTS, rig.arm.joint_names))
    return {
        "name": name,
        "task": "move_cube",
        "created": "2026-01-01T00:00:00Z",
        "provenance": {"command": "tests.support.tiny_bundle", "seed": 0},
        "rig": rig.model_dump(mode="json"),
        "preprocess": {camera: spec.model_dump(mode="json") for camera, spec in preprocess.items()},
        "encoder": {"feature_dim": FEATURE_DIM},
        "proprio": list(PARTS),
        "statistics": {
            "action": ChannelRange.of(actions).model_dump(),
            "proprio": ChannelRange(minimum=(-1.0,) * proprio, maximum=(1.0,) * proprio).model_dump(),
        },
        "schedule": schedule.model_dump(),
    }


def reference(networks: TinyNetworks, rig: Rig, fields: dict[str, Any]) -> dict[str, NDArray[Any]]:
    """The reference file's arrays, computed without a session."""
    random = np.random.default_rng(7)
    arrays: dict[str, NDArray[Any]] = {}
    for camera, spec in rig.cameras.items():
        rows, columns = np.mgrid[: spec.height_px, : spec.width_px]
        pixels = np.stack([rows // 2, columns // 3, (rows + columns) // 5], axis=-1).astype(np.uint8)
        arrays[f"pixels.{camera}"] = pixels
        preprocess = Preprocess(PreprocessSpec.model_validate(fields["preprocess"][camera]))
        arrays[f"feature.{camera}"] = networks.feature(preprocess(pixels))
    steps = rig.policy.observation_horizon
    features = np.tile(np.concatenate([arrays[f"feature.{camera}"] for camera in rig.cameras]), (steps, 1))
    proprio = random.uniform(-0.5, 0.5, (steps, len(fields["statistics"]["proprio"]["minimum"])))
    noise = random.standard_normal((rig.policy.prediction_horizon, len(rig.channels)), dtype=np.float32)
    pose = np.eye(4)
    pose[:3, 3] = (0.36, 0.0, 0.28)
    cond = condition(features, proprio, ChannelRange.model_validate(fields["statistics"]["proprio"]))
    schedule = Schedule.model_validate(fields["schedule"])
    ddim, film = Ddim(schedule), networks.film(cond[None])
    sample = noise
    for step, row in enumerate(networks.step_film):
        sample = ddim.denoise(sample, networks.prediction(sample[None], film + row)[0], step)
    statistics = ChannelRange.model_validate(fields["statistics"]["action"])
    actions = from_network(rig.policy.action_space, statistics, sample, pose)[fields.get("past_actions", 0) :]
    return arrays | {
        "features": features, "proprio": proprio, "tcp_pose": pose, "noise": noise, "actions": actions,
    }  # fmt: skip


def encoder_graph(weights: Weights) -> bytes:
    """`image` (1, 3, h, w) -> `feature` (1, F): tanh of the mean colour times weights."""
    width, height = SIZE
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["linear"]),
        helper.make_node("Tanh", ["linear"], ["feature"]),
    ]
    return _model(nodes, weights, {"image": (1, 3, height, width)}, {"feature": (1, weights["w"].shape[1])})


def condition_graph(weights: Weights) -> bytes:
    """`condition` (1, C) -> `film` (1, FILM_DIM)."""
    nodes = [helper.make_node("MatMul", ["condition", "cond"], ["film"])]
    return _model(nodes, {"cond": weights["cond"]}, {"condition": (1, len(weights["cond"]))}, {"film": (1, FILM_DIM)})


def step_graph(weights: Weights, rig: Rig) -> bytes:
    """`sample` (1, T, A), `film` (1, FILM_DIM) -> `prediction` (1, T, A)."""
    shape = (1, rig.policy.prediction_horizon, len(rig.channels))
    nodes = [
        helper.make_node("MatMul", ["time", "sample"], ["over_time"]),
        helper.make_node("MatMul", ["over_time", "mix"], ["mixed"]),
        helper.make_node("MatMul", ["film", "to_actions"], ["shift"]),
        helper.make_node("Add", ["mixed", "shift"], ["sum"]),
        helper.make_node("Tanh", ["sum"], ["prediction"]),
    ]
    constants = {"time": weights["time"], "mix": weights["mix"], "to_actions": weights["film"]}
    return _model(nodes, constants, {"sample": shape, "film": (1, FILM_DIM)}, {"prediction": shape})


def _model(
    nodes: list[onnx.NodeProto],
    constants: Weights,
    inputs: dict[str, tuple[int, ...]],
    outputs: dict[str, tuple[int, ...]],
) -> bytes:
    def value(name: str, shape: tuple[int, ...]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        nodes,
        "tiny",
        [value(*item) for item in inputs.items()],
        [value(*item) for item in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


def _npy(array: NDArray[np.float32]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
