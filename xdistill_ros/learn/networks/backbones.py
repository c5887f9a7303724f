"""The one place where torchvision and timm are imported: networks by name, untrained, and weights read for them.

torchvision registers shapes of its compiled operators at import. Its CPU wheels are often a release apart from
torch's, the operators then do not load, and the registration ends the import. Nothing here uses them (detection
only), so the registration is replaced by an empty module; the network definitions are plain torch.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import Tensor, nn

from xdistill_ros.learn.errors import LearnError

Size = tuple[int, int]
"""Height and width, pixels."""

TIMM = "timm/"
_NAMED: dict[str, tuple[str, dict[str, Any]]] = {
    "convnext_base": ("convnext_base", {}),
    "vit_small": ("vit_small_patch16_224", {}),
    "vit_base": ("vit_base_patch16_224", {}),
    "dinov2_vits14": ("vit_small_patch14_dinov2", {"img_size": 224}),
    "dinov2_vitb14": ("vit_base_patch14_dinov2", {"img_size": 224}),
    "dinov2_vitl14": ("vit_large_patch14_dinov2", {"img_size": 224}),
    "clip_vitb16": ("vit_base_patch16_clip_224.openai", {}),
    # what Theia hands to a policy: the mean of its normalised patch tokens (its [CLS] was trained towards nothing)
    "theia_base": ("vit_base_patch16_224", {"global_pool": "avg", "fc_norm": False}),
}
_GROUP_NORM = "resnet18_groupnorm"
_CHANNELS_A_GROUP = 16
ARCHITECTURES = ("resnet18", _GROUP_NORM, *_NAMED)


def _torchvision_models() -> ModuleType:
    sys.modules.setdefault("torchvision._meta_registrations", ModuleType("torchvision._meta_registrations"))
    return importlib.import_module("torchvision.models")


def _timm() -> ModuleType:
    _torchvision_models()  # timm imports torchvision
    return importlib.import_module("timm")


def build(architecture: str, size: Size | None = None) -> nn.Module:
    """An untrained network whose output (B, `width`) is its global feature: no classifier.

    architecture: one of ARCHITECTURES, or `timm/NAME` for any of timm's; resnet18_groupnorm is for what learns from
    scratch in small batches, with diffusion_policy's groups of 16 channels. size: of the images, for networks that are
    built for one (ViTs; by default their own); others take any. Raises LearnError for an unknown name or size.
    """
    if architecture in ("resnet18", _GROUP_NORM):
        norm = _group_norm if architecture == _GROUP_NORM else nn.BatchNorm2d
        network: nn.Module = _torchvision_models().resnet18(weights=None, norm_layer=norm)
        network.fc = nn.Identity()
        return network
    if architecture not in _NAMED and not architecture.startswith(TIMM):
        raise LearnError(f"unknown network {architecture!r}; known: {', '.join(ARCHITECTURES)}, or timm/NAME")
    name, options = _NAMED.get(architecture, (architecture.removeprefix(TIMM), {}))
    timm = _timm()
    if not timm.is_model(name):
        raise LearnError(
            f"timm has no network {name!r}; `python -c 'import timm; print(timm.list_models())'` lists them"
        )
    network = timm.create_model(name, pretrained=False, num_classes=0, **options)
    if size is not None and fixed_size(network) not in (None, size):
        try:
            network = timm.create_model(name, pretrained=False, num_classes=0, **options | {"img_size": size})
        except (AssertionError, TypeError, ValueError) as error:
            raise LearnError(f"{architecture} cannot be built for images of {size[1]}x{size[0]} px: {error}") from error
    return network


def _group_norm(channels: int) -> nn.Module:
    """As diffusion_policy has it in the place of BatchNorm."""
    return nn.GroupNorm(channels // _CHANNELS_A_GROUP, channels)


def torchvision_resnet(name: str) -> nn.Module:
    """torchvision's ResNet of any depth with BatchNorm, untrained, whole. Raises LearnError for an unknown name."""
    constructor = getattr(_torchvision_models(), name, None) if name.startswith("resnet") else None
    if constructor is None:
        raise LearnError(f"torchvision has no network {name!r}; its ResNets are resnet18, 34, 50, 101 and 152")
    network: nn.Module = constructor(weights=None)
    return network


def vision_transformer(name: str, **options: object) -> nn.Module:
    """timm's model `name` without its classifier, untrained: its output is the global feature ([CLS] for DINOv2)."""
    network: nn.Module = _timm().create_model(name, pretrained=False, num_classes=0, **options)
    return network


def width(network: nn.Module) -> int:
    """Length of the global feature of a network that `build` made."""
    if _is_torchvision(network):
        return 512
    return int(network.num_features)  # type: ignore[arg-type]


def fixed_size(network: nn.Module) -> Size | None:
    """Height and width of the only images that a network takes; None where it takes any."""
    size = getattr(getattr(network, "patch_embed", None), "img_size", None)
    return None if size is None else (int(size[0]), int(size[1]))


def standard(network: nn.Module) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and spread of the images in [0, 1] that the network's published weights were trained on; ImageNet's else."""
    told: dict[str, Any] = getattr(network, "pretrained_cfg", None) or {}
    return tuple(told.get("mean", (0.485, 0.456, 0.406))), tuple(told.get("std", (0.229, 0.224, 0.225)))


def maps(network: nn.Module, images: Tensor) -> Tensor:
    """The last spatial features (B, C, h', w'): of a CNN those before pooling, of a ViT its normalised patch tokens."""
    if _is_torchvision(network):
        for name in ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"):
            images = network.get_submodule(name)(images)
        return images
    features: Tensor = network.forward_features(images)  # type: ignore[operator]
    if features.ndim == 4:
        return features
    patches = features[:, int(network.num_prefix_tokens) :]  # type: ignore[arg-type]
    return patches.mT.unflatten(2, network.patch_embed.grid_size)  # type: ignore[union-attr, arg-type]


def synchronised(network: nn.Module) -> nn.Module:
    """`network`, changed in place: every BatchNorm takes its statistics from all processes. For GPUs.

    timm's own way, since torch's would drop the activation that some of timm's layers hold.
    """
    _timm()
    changed: nn.Module = importlib.import_module("timm.layers").convert_sync_batchnorm(network)
    return changed


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a weights file: safetensors, or a .pth read without unpickling objects."""
    _timm()
    state: dict[str, Tensor] = importlib.import_module("timm.models").load_state_dict(str(path))
    return state


def adapted(network: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """`state` with timm's names for `network`, classifier left out, positions resampled to the network's image size."""
    converter = getattr(sys.modules[type(network).__module__], "checkpoint_filter_fn", None)
    state = converter(state, network) if converter is not None else dict(state)
    told: dict[str, Any] = getattr(network, "pretrained_cfg", None) or {"classifier": "fc"}
    dropped = told.get("classifier") or ()
    for name in (dropped,) if isinstance(dropped, str) else dropped:
        state.pop(f"{name}.weight", None)
        state.pop(f"{name}.bias", None)
    return state


def _is_torchvision(network: nn.Module) -> bool:
    return type(network).__module__.startswith("torchvision.")
