"""From trained networks to a bundle: encoder graph, condition graph, step graph, step table, reference outputs."""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from xdistill_ros.learn.networks.encoders import Encoder
from xdistill_ros.learn.networks.head import Head
from xdistill_ros.learn.networks.rounding import Precision, deployable, is_residual, round_to_half
from xdistill_ros.learn.networks.unet import UNet
from xdistill_ros.learn.policies import Trained
from xdistill_ros.policy import actions as meaning
from xdistill_ros.policy import bundle as bundles
from xdistill_ros.policy.bundle import Bundle
from xdistill_ros.policy.manifest import CONDITION_GRAPH, REFERENCE, STEP_FILM, STEP_GRAPH
from xdistill_ros.policy.parity import pack

from . import compose, shares, stages
from .example import Example
from .graph import OPSET
from .traced import traced

_LEAST_TOLERANCE, _RELATIVE_TOLERANCE = 1e-3, 1e-4  # of a feature, and of the largest one


def export(trained: Trained, example: Example, provenance: Mapping[str, Any], folder: Path) -> Path:
    """Writes the bundle of `trained`, whose encoder's convolutions are int8 levels and all other weights fp16 already
    (`rounding`), into `folder` and its encoder into `shared` beside it; returns `folder`."""
    with draft(trained, example, provenance, folder, "int8"):
        return folder


def rounded(trained: Trained, precision: Precision) -> Trained:
    """A copy whose weights `precision` holds exactly. Raises LearnError where it cannot hold the encoder's."""
    head = copy.deepcopy(trained.head).eval()
    return replace(
        trained,
        encoder=deployable(trained.encoder, precision),
        head=head if precision == "fp32" else round_to_half(head),
    )


@contextmanager
def draft(
    trained: Trained, example: Example, provenance: Mapping[str, Any], folder: Path, precision: Precision
) -> Iterator[Bundle]:
    """A bundle of networks that are rounded to `precision` already; it becomes `folder` when the block ends well."""
    outputs = reference(trained, example)
    largest = max(float(np.abs(values).max()) for name, values in outputs.items() if name.startswith("feature."))
    fields = {
        "name": f"{trained.rig.name}_{trained.task}",
        "task": trained.task,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "provenance": {**_plain(provenance), "precision": precision, "onnx_opset": OPSET},
        "rig": trained.rig,
        "preprocess": dict(trained.preprocess),
        "encoder": {"feature_dim": trained.encoder.feature_dim},
        "proprio": trained.proprio,
        "statistics": trained.statistics._asdict(),
        "schedule": trained.head.schedule,
        "past_actions": trained.head.past_actions,
        "tolerances": {"feature": min(1.0, max(_LEAST_TOLERANCE, _RELATIVE_TOLERANCE * largest))},
    }
    files = {
        CONDITION_GRAPH: condition_graph(trained.head, _condition_dim(outputs), precision),
        STEP_GRAPH: step_graph(trained.head, precision),
        STEP_FILM: _npy(trained.head.step_table().numpy()),
        REFERENCE: pack(outputs),
    }
    width, height = next(iter(trained.preprocess.values())).output_size
    encoder = encoder_graph(trained.encoder, height, width, precision)
    with bundles.draft(folder, fields, files, encoder) as bundle:
        shares.offer(bundle)
        yield bundle


def reference(trained: Trained, example: Example, seed: int = 0) -> dict[str, NDArray[Any]]:
    """What torch computes for `example`: the arrays of `reference.npz` (see `policy.parity`)."""
    noise = np.random.default_rng(seed).standard_normal(trained.head.shape, dtype=np.float32)
    made = stages.of_torch(trained, example, noise)
    features = {camera: made[f"feature {camera}"] for camera in example.pixels}
    newest = {f"pixels.{camera}": images[-1] for camera, images in example.pixels.items()}
    newest |= {f"feature.{camera}": steps[-1] for camera, steps in features.items()}
    return newest | {
        "features": np.concatenate(list(features.values()), axis=1),
        "proprio": meaning.proprioception(trained.proprio, example.poses, example.widths, example.joints),
        "tcp_pose": example.poses[-1],
        "noise": noise,
        "actions": made["actions"],
    }


def encoder_graph(encoder: Encoder, height: int, width: int, precision: Precision) -> bytes:
    """`image` (1, 3, height, width) -> `feature` (1, F)."""
    if is_residual(encoder):
        return compose.encoder_graph(encoder, height, width, precision)
    return traced(encoder, {"image": (1, 3, height, width)}, "feature", precision)


def condition_graph(head: Head, condition_dim: int, precision: Precision) -> bytes:
    """`condition` (1, C) -> `film` (1, F): everything that does not depend on the sample or the step."""
    if isinstance(head.unet, UNet):
        return compose.condition_graph(head, precision)
    return traced(_Condition(head), {"condition": (1, condition_dim)}, "film", precision)


def step_graph(head: Head, precision: Precision) -> bytes:
    """`sample` (1, T, A), `film` (1, F) -> `prediction` (1, T, A): one denoising step."""
    if isinstance(head.unet, UNet):
        return compose.step_graph(head, precision)
    inputs = {"sample": (1, *head.shape), "film": (1, head.unet.film_width)}
    return traced(head.unet, inputs, "prediction", precision)


class _Condition(nn.Module):
    """The condition's part of FiLM as a network of its own."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.film = head.film

    def forward(self, condition: Tensor) -> Tensor:
        return self.film.condition(condition)


def _condition_dim(outputs: Mapping[str, NDArray[Any]]) -> int:
    return int(outputs["features"].size + outputs["proprio"].size)


def _plain(provenance: Mapping[str, Any]) -> dict[str, str | int | float | list[int]]:
    """As the manifest has it: what is no number, text or list of whole numbers is written as JSON."""

    def plain(value: Any) -> str | int | float | list[int]:
        if isinstance(value, str):
            return str(value)  # of a kind of its own, such as torch's version
        numbers = isinstance(value, list) and all(type(one) is int for one in value)
        return value if numbers or type(value) in (int, float) else json.dumps(value, default=str)

    return {name: plain(value) for name, value in provenance.items()}


def _npy(values: NDArray[np.float32]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(values, np.float32), allow_pickle=False)
    return buffer.getvalue()
