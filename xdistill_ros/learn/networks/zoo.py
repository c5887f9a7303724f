"""The encoders that a policy is trained on, a word each. Where weights come from is `pretrained`'s and `weights`'."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from xdistill_ros.learn import weights as files
from xdistill_ros.learn.errors import LearnError

from . import backbones, pretrained
from .backbones import Size
from .encoders import Backbone, Encoder
from .pointnet import PointNet

_DINOV2 = {384: "dinov2_vits14", 768: "dinov2_vitb14", 1024: "dinov2_vitl14"}
"""Which of DINOv2's sizes has [CLS] tokens of which width."""


def encoder(word: str, weights: Path | None = None, size: Size | None = None) -> Encoder:
    """The encoder that `word` names, in evaluation mode.

    size: height and width of the images, for networks that are built for one. Raises LearnError for an unknown word,
    for weights that are missing and say how to get them, and for weights given to a word that has none.
    """
    if word not in _MAKERS:
        raise LearnError(f"encoder {word!r} does not exist; there are {', '.join(WORDS)}")
    return _MAKERS[word](weights, size).eval()


def starts_untrained(word: str) -> bool:
    """Whether `word` has no weights, so that it must be trained."""
    return word in ("resnet18_scratch", "pointnet")


def sees_points(word: str) -> bool:
    """Whether `word` takes aligned depth instead of colours."""
    return word == "pointnet"


def _distilled(weights: Path | None, size: Size | None) -> Encoder:
    del size  # the file says
    if weights is None:
        raise LearnError(
            "encoder xdistill needs its weights: --weights RUN/encoder.safetensors, which `xdistill distill` writes"
        )
    return files.load(weights)


def _from_scratch(weights: Path | None, size: Size | None) -> Encoder:
    _refuse(weights, "resnet18_scratch")
    return Backbone("resnet18_groupnorm", size)


def _points(weights: Path | None, size: Size | None) -> Encoder:
    del size
    _refuse(weights, "pointnet")
    return PointNet()


def _dinov2(weights: Path | None, size: Size | None) -> Encoder:
    """The size of the network is that of the file; without one the small one, from the library's cache."""
    name = "dinov2_vits14"
    _must_be_there(weights, name)
    if weights is not None:
        tokens = [value for key, value in backbones.read(weights).items() if key.endswith("cls_token")]
        name = _DINOV2.get(tokens[0].shape[-1], name) if tokens else name
    return pretrained.load(name, weights, size)


def _published(name: str) -> Callable[[Path | None, Size | None], Encoder]:
    def load(weights: Path | None, size: Size | None) -> Encoder:
        _must_be_there(weights, name)
        return pretrained.load(name, weights, size)

    return load


def _must_be_there(weights: Path | None, name: str) -> None:
    """Before a large network is built for nothing."""
    if weights is not None and not weights.is_file():
        raise LearnError(
            f"{weights}: no such file; it should hold the weights of {name}. {pretrained.how_to_get(name)}"
        )


def _refuse(weights: Path | None, word: str) -> None:
    if weights is not None:
        raise LearnError(f"encoder {word} begins untrained, so --weights {weights} would not be used; leave it out")


_MAKERS: dict[str, Callable[[Path | None, Size | None], Encoder]] = {
    "xdistill": _distilled,
    "resnet18_scratch": _from_scratch,
    "resnet18_imagenet": _published("resnet18_imagenet"),
    "dinov2": _dinov2,
    "pointnet": _points,
    "depth_anything": _published("depth_anything"),
    "theia": _published("theia"),
    "convnext": _published("convnext_base"),
    "vit_small": _published("vit_small"),
}
WORDS = tuple(_MAKERS)
