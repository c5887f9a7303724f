"""A trained policy in a folder: policy.yaml says what it is, weights.safetensors holds encoder and head.

What training leaves, and what is exported, analysed and rolled out. `xdistill export` makes a bundle of it, which runs
without torch; this is for whoever has torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as unpack
from safetensors.torch import save as pack
from torch import Tensor

from xdistill_ros import rig as rigs
from xdistill_ros.episodes.files import write_whole
from xdistill_ros.perception import PreprocessSpec
from xdistill_ros.policy.actions import ChannelRange, ProprioPart
from xdistill_ros.policy.ddim import Schedule
from xdistill_ros.rig import Rig
from xdistill_ros.rig.base import Strict

from . import weights
from .data.windows import Statistics
from .errors import LearnError
from .networks.encoders import Encoder
from .networks.head import Head
from .networks.pretrained import check_and_load
from .networks.unet import UNetConfig

DOCUMENT, WEIGHTS = "policy.yaml", "weights.safetensors"
FORMAT, VERSION = "xdistill_policy", 1


@dataclass(frozen=True)
class Trained:
    """A trained policy of one task. Before it is exported as int8 or fp16 its networks are rounded to that."""

    task: str
    rig: Rig
    preprocess: Mapping[str, PreprocessSpec]
    proprio: tuple[ProprioPart, ...]
    statistics: Statistics
    encoder: Encoder
    head: Head


class _Encoder(Strict):
    kind: str
    settings: dict[str, Any]


class _Statistics(Strict):
    action: ChannelRange
    proprio: ChannelRange


class _Document(Strict):
    """policy.yaml but its rig, which has a reader of its own."""

    format: Literal["xdistill_policy"]
    version: Literal[1]
    task: str
    preprocess: dict[str, PreprocessSpec]
    proprio: tuple[ProprioPart, ...] = Field(min_length=1)
    statistics: _Statistics
    schedule: Schedule
    unet: UNetConfig
    condition_dim: int
    encoder: _Encoder
    weights_sha256: str
    provenance: dict[str, str | int | float | list[int]]


def save(trained: Trained, folder: Path, provenance: Mapping[str, Any]) -> None:
    """Writes the policy into `folder`, its rig's URDF beside it; policy.yaml comes last, so that it is whole."""
    urdf = trained.rig.arm.urdf
    if not urdf.is_file():
        raise LearnError(f"{urdf}: the rig's URDF is not there; a policy is kept with it")
    folder.mkdir(parents=True, exist_ok=True)
    if urdf.resolve() != (folder / urdf.name).resolve():
        write_whole(folder / urdf.name, urdf.read_bytes())
    content = pack(_tensors(trained))
    write_whole(folder / WEIGHTS, content)
    rig = trained.rig.model_dump(mode="json")
    rig["arm"]["urdf"] = urdf.name
    document = {
        "format": FORMAT, "version": VERSION, "task": trained.task,
        "encoder": {"kind": weights.kind_of(trained.encoder), "settings": _plain(trained.encoder.settings)},
        "preprocess": {name: spec.model_dump(mode="json") for name, spec in trained.preprocess.items()},
        "proprio": list(trained.proprio),
        "statistics": {name: part.model_dump(mode="json") for name, part in trained.statistics._asdict().items()},
        "schedule": trained.head.schedule.model_dump(mode="json"),
        "unet": trained.head.config.model_dump(mode="json"),
        "condition_dim": len(trained.head.film.mean),
        "weights_sha256": hashlib.sha256(content).hexdigest(),
        "provenance": dict(provenance),
        "rig": rig,
    }  # fmt: skip
    text: str = yaml.safe_dump(document, sort_keys=False, width=120, default_flow_style=None)
    write_whole(folder / DOCUMENT, text.encode())


def load(folder: Path) -> Trained:
    """The policy in `folder`, on the CPU in evaluation mode. Raises LearnError for what is none or is damaged."""
    document, rig, _ = _read(folder)
    encoder = weights.untrained(document.encoder.kind, dict(document.encoder.settings), folder / DOCUMENT)
    horizon, channels = rig.policy.prediction_horizon, len(rig.channels)
    head = Head(document.condition_dim, horizon, channels, document.unet, document.schedule)
    state = _weights(folder, document.weights_sha256)
    for name, network in (("encoder", encoder), ("head", head)):
        mine = {key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")}
        check_and_load(network, mine, f"{folder / WEIGHTS}: not this policy's {name}", "Copy the folder anew")
    statistics = Statistics(document.statistics.action, document.statistics.proprio)
    return Trained(
        document.task, rig, document.preprocess, document.proprio, statistics, encoder.eval(), head.eval()
    )  # fmt: skip


def provenance(folder: Path) -> dict[str, str | int | float | list[int]]:
    """How the policy in `folder` came about."""
    return _read(folder)[0].provenance


def _read(folder: Path) -> tuple[_Document, Rig, Path]:
    path = folder / DOCUMENT
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LearnError(
            f"{path}: cannot be read ({error.strerror}); `xdistill train --out {folder}` leaves a policy there"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise LearnError(f"{path}: not readable as YAML ({error}); copy the folder anew") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise LearnError(f"{path}: no policy of `xdistill train`: its `format` is not {FORMAT}")
    if isinstance(found.get("version"), int) and found["version"] > VERSION:
        raise LearnError(f"{path}: version {found['version']}, this software reads up to {VERSION}: update it")
    try:
        rig = rigs.parse(found.pop("rig", {}), f"{path}: rig")
        document = _Document.model_validate(found)
    except (ValidationError, rigs.RigError) as error:
        raise LearnError(f"{path}: {error}; copy the folder anew") from error
    urdf = (folder / rig.arm.urdf).resolve()
    return document, rig.model_copy(update={"arm": rig.arm.model_copy(update={"urdf": urdf})}), path


def _weights(folder: Path, sha256: str) -> dict[str, Tensor]:
    path = folder / WEIGHTS
    try:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != sha256:
            raise LearnError(f"{path}: not the file that {DOCUMENT} was written with; copy the folder anew")
        return unpack(content)
    except (OSError, SafetensorError) as error:
        raise LearnError(f"{path}: cannot be read ({error}); copy the folder anew") from error


def _tensors(trained: Trained) -> dict[str, Tensor]:
    networks = {"encoder": trained.encoder, "head": trained.head}
    return {
        f"{name}.{key}": value.detach().cpu().contiguous()
        for name, network in networks.items()
        for key, value in network.state_dict().items()
    }


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()}
