"""Published vision models by name, with weights from a local file or from their library's own cache.

Owns where the weights of each come from and how their names become ours. Nothing is used unless every tensor of the
network is in the file and nothing of the file's network is left over.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor

from xdistill_ros.learn.errors import LearnError

from . import backbones
from .backbones import Size
from .encoders import Backbone


@dataclass(frozen=True)
class Origin:
    """Where a model's weights are published: a Hugging Face repository's file, and torch.hub's file of the same."""

    architecture: str
    repository: str
    file: str = "model.safetensors"
    hub_file: str = ""
    prefix: str = ""
    """Of the backbone's tensors, where the file holds more than the backbone."""


ZOO: dict[str, Origin] = {
    "dinov2_vits14": Origin(
        "dinov2_vits14", "timm/vit_small_patch14_dinov2.lvd142m", hub_file="dinov2_vits14_pretrain.pth"
    ),
    "dinov2_vitb14": Origin(
        "dinov2_vitb14", "timm/vit_base_patch14_dinov2.lvd142m", hub_file="dinov2_vitb14_pretrain.pth"
    ),
    "dinov2_vitl14": Origin(
        "dinov2_vitl14", "timm/vit_large_patch14_dinov2.lvd142m", hub_file="dinov2_vitl14_pretrain.pth"
    ),
    "depth_anything": Origin(
        "dinov2_vits14", "depth-anything/Depth-Anything-V2-Small", "depth_anything_v2_vits.pth", prefix="pretrained."
    ),
    "theia": Origin("theia_base", "theaiinstitute/theia-base-patch16-224-cddsv", prefix="backbone.model."),
    "vit_base": Origin("vit_base", "timm/vit_base_patch16_224.augreg2_in21k_ft_in1k"),
    "clip_vitb16": Origin("clip_vitb16", "timm/vit_base_patch16_clip_224.openai"),
    "resnet18_imagenet": Origin(
        "resnet18", "timm/resnet18.tv_in1k", hub_file="resnet18-f37072fd.pth"
    ),
    "convnext_base": Origin("convnext_base", "timm/convnext_base.fb_in22k_ft_in1k"),
    "vit_small": Origin("vit_small", "timm/vit_small_patch16_224.augreg_in21k_ft_in1k"),
}  # fmt: skip

# Hugging Face's names for ViT and DINOv2, and timm's
_RENAMED = (
    ("embeddings.patch_embeddings.projection.", "patch_embed.proj."), ("embeddings.position_embeddings", "pos_embed"),
    ("embeddings.", ""), ("encoder.layer.", "blocks."), ("attention.output.dense.", "attn.proj."),
    ("layernorm_before.", "norm1."), ("layernorm_after.", "norm2."), ("intermediate.dense.", "mlp.fc1."),
    ("output.dense.", "mlp.fc2."), ("layer_scale1.lambda1", "ls1.gamma"), ("layer_scale2.lambda1", "ls2.gamma"),
    ("layernorm.", "norm."),
)  # fmt: skip


def names() -> str:
    """What `load` knows, for help and errors."""
    return f"{', '.join(ZOO)}, or timm/NAME"


def load(name: str, weights: Path | None = None, size: Size | None = None) -> Backbone:
    """The model `name` in evaluation mode. weights: a file; else the library's cache, filled from the web if it can be.

    Raises LearnError for an unknown name, for weights that cannot be had, and for those of another network.
    """
    origin = ZOO.get(name)
    if origin is None and not name.startswith(backbones.TIMM):
        raise LearnError(f"unknown pretrained model {name!r}; known: {names()}")
    encoder = Backbone(origin.architecture if origin else name, size)
    path = weights or _cached(name, origin)
    put(encoder, path, origin.prefix if origin else "", name)
    return encoder.eval()


def put(encoder: Backbone, path: Path, prefix: str, name: str) -> None:
    """Loads the weights in `path` into `encoder`, converted from timm's, torch.hub's or Hugging Face's names."""
    if not path.is_file():
        raise LearnError(f"{path}: no such file; it should hold the weights of {name}. {how_to_get(name)}")
    try:
        state = backbones.read(path)
    except (OSError, RuntimeError, ValueError, KeyError, EOFError, SafetensorError) as error:
        raise LearnError(f"{path}: cannot be read as weights ({error}). {how_to_get(name)}") from error
    if prefix and any(key.startswith(prefix) for key in state):
        state = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    if any(key.startswith("embeddings.") for key in state):
        state = _from_hugging_face(state)
    check_and_load(encoder.trunk, backbones.adapted(encoder.trunk, state), f"{path}: not the weights of {name}",
                   how_to_get(name))  # fmt: skip


def check_and_load(network: torch.nn.Module, state: dict[str, Tensor], problem: str, remedy: str) -> None:
    """Loads `state`, all of it and nothing else. Raises LearnError: `problem`, the tensors that differ, `remedy`."""
    wanted = network.state_dict()
    differences = [
        _some("missing", [key for key in wanted if key not in state and not key.endswith("num_batches_tracked")]),
        _some("unexpected", [key for key in state if key not in wanted]),
        _some("of another shape", [
            f"{key} {tuple(state[key].shape)} instead of {tuple(value.shape)}"
            for key, value in wanted.items() if key in state and state[key].shape != value.shape
        ]),
    ]  # fmt: skip
    if any(differences):
        raise LearnError(f"{problem}: {'; '.join(filter(None, differences))}. {remedy}")
    network.load_state_dict(state, strict=False)  # only counters of old BatchNorms may be missing


def how_to_get(name: str) -> str:
    """Where the weights of `name` are, in a sentence."""
    origin = ZOO.get(name)
    if origin is None:
        return (
            "Save timm's own: safetensors.torch.save_file(timm.create_model(NAME, pretrained=True).state_dict(), FILE)"
        )
    return f"They are {origin.file} of https://huggingface.co/{origin.repository}; name your copy of it as the weights"


def _some(what: str, keys: list[str], shown: int = 5) -> str:
    if not keys:
        return ""
    more = f" and {len(keys) - shown} more" if len(keys) > shown else ""
    return f"{len(keys)} {what} ({', '.join(keys[:shown])}{more})"


def _cached(name: str, origin: Origin | None) -> Path:
    """The weights' file in torch.hub's or Hugging Face's cache; the latter downloads what it lacks, where it can."""
    if origin is None:
        raise LearnError(f"{name}: name a file of weights. {how_to_get(name)}")
    in_hub = Path(torch.hub.get_dir()) / "checkpoints" / origin.hub_file
    if origin.hub_file and in_hub.is_file():
        return in_hub
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(origin.repository, origin.file))
    except OSError as error:
        raise LearnError(
            f"{name}: its weights are neither in torch.hub's cache ({in_hub.parent}) nor in Hugging Face's, and cannot "
            f"be downloaded ({type(error).__name__}). {how_to_get(name)}"
        ) from error


def _from_hugging_face(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """timm's names, with query, key and value joined; pooler and mask token, which no feature uses, left out."""
    renamed: dict[str, Tensor] = {}
    parts: dict[str, dict[str, Tensor]] = {}
    for key, value in state.items():
        if key.startswith("pooler.") or key.endswith("mask_token"):
            continue
        for old, new in _RENAMED:
            key = key.replace(old, new)
        found = re.fullmatch(r"(blocks\.\d+)\.attention\.attention\.(query|key|value)\.(weight|bias)", key)
        if found:
            parts.setdefault(f"{found[1]}.attn.qkv.{found[3]}", {})[found[2]] = value
        else:
            renamed[key] = value
    for key, three in parts.items():
        if len(three) == 3:
            renamed[key] = torch.cat([three["query"], three["key"], three["value"]])
    return renamed
