"""The whole way from a trained policy to a bundle that may be used: rounded, written, compared, described.

Owns the order and the refusals. Until the last of them is passed there is nothing at the target.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from xdistill_ros.learn.errors import LearnError
from xdistill_ros.learn.networks.pointnet import PointNet
from xdistill_ros.learn.networks.rounding import Precision
from xdistill_ros.learn.policies import Trained
from xdistill_ros.policy import parity as reference
from xdistill_ros.policy.manifest import CARD
from xdistill_ros.trials import TrialResult

from .bundle import draft, rounded
from .card import Data, Networks, card
from .example import Example
from .stages import Parity, compare


@dataclass(frozen=True)
class Story:
    """What the card tells beyond what the networks say."""

    provenance: Mapping[str, Any]
    """How to make it again; goes into the manifest too."""
    encoder: str = ""
    data: Data | None = None
    training: Mapping[str, Any] = field(default_factory=dict)
    results: Sequence[TrialResult] = ()


@dataclass(frozen=True)
class Published:
    """A bundle that was written, and how far it is from torch."""

    folder: Path
    hash: str
    parity: Parity


def publish(
    trained: Trained,
    example: Example,
    folder: Path,
    precision: Precision,
    story: Story,
    *,
    replace: bool = False,
    show: Callable[[Parity], None] = lambda _: None,
) -> Published:
    """Writes the bundle of `trained` into `folder`, if it computes what torch does. Raises LearnError, BundleError.

    A folder that is there is replaced only when `replace` says so. `show` is given the comparison, also one that is
    refused then.
    """
    if isinstance(trained.encoder, PointNet):
        raise LearnError(
            "encoder pointnet takes points of aligned depth, and the running graph gives encoders colours alone, so no "
            "bundle can hold it. At the simulated table it runs in process: `xdistill train --rollouts N`, `xdistill "
            "bench`"
        )
    if folder.exists() and not replace:
        raise LearnError(f"{folder}: exists; name another folder with --out, or take that one away first")
    stored = rounded(trained, precision)
    with draft(stored, example, story.provenance, folder, precision) as bundle:
        reference.check(bundle)
        parity = compare(trained, bundle, example, precision)
        show(parity)
        parity.check()
        networks = Networks(
            story.encoder or type(trained.encoder).__name__, _parameters(trained.encoder),
            type(trained.head.unet).__name__, _parameters(trained.head),
        )  # fmt: skip
        text = card(bundle, parity, networks, story.data, story.training, story.results)
        (bundle.path / CARD).write_text(text, encoding="utf-8")
        return Published(folder, bundle.hash, parity)


def _parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
