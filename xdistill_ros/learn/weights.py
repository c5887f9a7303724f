"""An encoder in a file: safetensors, with what is needed to build it again and where it comes from in its metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as pack

from xdistill_ros.episodes.files import write_whole

from .errors import LearnError
from .networks.encoders import Backbone, Encoder, Student
from .networks.pointnet import PointNet
from .networks.pretrained import check_and_load

FORMAT, VERSION = "xdistill_encoder", 1
KINDS: dict[str, type[Encoder]] = {"student": Student, "backbone": Backbone, "pointnet": PointNet}


def save_bytes(encoder: Encoder, provenance: Mapping[str, Any]) -> bytes:
    """The file's content. Raises LearnError for an encoder of a kind that no file describes."""
    kind = kind_of(encoder)
    metadata = {
        "format": FORMAT, "version": str(VERSION), "kind": kind, "settings": json.dumps(encoder.settings),
        "feature_dim": str(encoder.feature_dim), "provenance": json.dumps(dict(provenance)),
    }  # fmt: skip
    tensors = {name: value.detach().cpu().contiguous() for name, value in encoder.state_dict().items()}
    return pack(tensors, metadata)


def save(encoder: Encoder, path: Path, provenance: Mapping[str, Any]) -> None:
    """Writes `path` in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, save_bytes(encoder, provenance))


def load(path: Path) -> Encoder:
    """The encoder in `path`, in evaluation mode. Raises LearnError for what is none, is newer, or is damaged."""
    told, tensors = _read(path)
    if told.get("format") != FORMAT:
        raise LearnError(f"{path}: no encoder of `xdistill distill`: its metadata do not say format={FORMAT}")
    if int(told["version"]) > VERSION:
        raise LearnError(f"{path}: version {told['version']}, this software reads up to {VERSION}; update xdistill_ros")
    encoder = untrained(told["kind"], json.loads(told["settings"]), path)
    check_and_load(encoder, tensors, f"{path}: damaged", "Copy it anew")
    return encoder.eval()


def kind_of(encoder: Encoder) -> str:
    """The word for an encoder's class. Raises LearnError for one that no file describes."""
    for name, one in KINDS.items():
        if type(encoder) is one:
            return name
    raise LearnError(f"an encoder {type(encoder).__name__} has no file format; known: {', '.join(KINDS)}")


def untrained(kind: str, settings: dict[str, Any], source: Path) -> Encoder:
    """An encoder of `kind` and `settings` (as read from JSON) without its weights. `source` is named in errors."""
    if kind not in KINDS:
        raise LearnError(f"{source}: kind is {kind!r}, known: {', '.join(KINDS)}; update xdistill_ros")
    return KINDS[kind](**{name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()})


def provenance(path: Path) -> dict[str, Any]:
    """What the file says of its origin."""
    found: dict[str, Any] = json.loads(_read(path)[0].get("provenance", "{}"))
    return found


def _read(path: Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    if not path.is_file():
        raise LearnError(f"{path}: no such file; `xdistill distill` writes encoder.safetensors into its folder")
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {}), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise LearnError(f"{path}: not readable as safetensors ({error}); copy it anew") from error
