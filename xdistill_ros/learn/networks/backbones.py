"""The one place where torchvision and timm are imported: torchvision may meet a torch it was not built for.

torchvision registers shapes of its compiled operators at import. Its CPU wheels are often a release apart from
torch's, the operators then do not load, and the registration ends the import. Nothing here uses them (detection
only), so the registration is replaced by an empty module; the network definitions are plain torch.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

from torch import nn


def _torchvision_models() -> ModuleType:
    sys.modules.setdefault("torchvision._meta_registrations", ModuleType("torchvision._meta_registrations"))
    return importlib.import_module("torchvision.models")


def resnet18() -> nn.Module:
    """torchvision's ResNet-18 with BatchNorm, untrained, with an identity in place of its last linear layer (512-d)."""
    network: nn.Module = _torchvision_models().resnet18(weights=None)
    network.fc = nn.Identity()
    return network


def vision_transformer(name: str, **options: object) -> nn.Module:
    """timm's model `name` without its classifier, untrained: its output is the global feature ([CLS] for DINOv2)."""
    _torchvision_models()  # timm imports torchvision
    timm = importlib.import_module("timm")
    network: nn.Module = timm.create_model(name, pretrained=False, num_classes=0, **options)
    return network
