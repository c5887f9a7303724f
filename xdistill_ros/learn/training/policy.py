"""Encoder and head as one: from what was seen to a loss, or to actions.

Owns which parts learn and in which mode they are. BatchNorm is never in training mode here: its statistics are those
that came with the weights. An encoder without weights has none.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from xdistill_ros.learn import precision
from xdistill_ros.learn.data.eyes import Eye
from xdistill_ros.learn.data.material import Batch
from xdistill_ros.learn.networks.encoders import Encoder, freeze_normalisation
from xdistill_ros.learn.networks.head import Head


class Policy(nn.Module):
    """eye: what becomes of frames before the encoder; None where batches hold features already."""

    def __init__(self, encoder: Encoder, head: Head, eye: Eye | None, *, tune: bool, bf16: bool) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head
        self.eye, self._tune, self._bf16 = eye, tune, bf16
        encoder.requires_grad_(tune)

    @property
    def learning(self) -> nn.ModuleDict:
        """The parts that are trained."""
        parts: dict[str, nn.Module] = {"encoder": self.encoder} if self._tune else {}
        return nn.ModuleDict({**parts, "head": self.head})

    def with_parts(self, parts: nn.Module) -> Policy:
        """The same policy with other weights of `learning`, such as their average."""
        modules = dict(parts.named_children())
        encoder = modules.get("encoder", self.encoder)
        other = Policy.__new__(Policy)
        nn.Module.__init__(other)
        other.encoder, other.head = encoder, modules["head"]  # type: ignore[assignment]
        other.eye, other._tune, other._bf16 = self.eye, self._tune, self._bf16
        return other.eval()

    def train(self, mode: bool = True) -> Policy:
        """Training mode of what learns, without its BatchNorms."""
        super().train(mode)
        self.encoder.train(mode and self._tune)
        freeze_normalisation(self.encoder)
        return self

    def features(self, seen: Tensor, generator: torch.Generator | None) -> Tensor:
        """(n_cam, B, To, F) of what was seen (n_cam, B, To, ...), changed at random by `generator` if there is one."""
        if self.eye is None:
            return seen
        images = self.eye(seen.flatten(1, 2), generator)
        autocast = precision.bf16(seen.device.type, self._bf16 and self.training)
        with torch.set_grad_enabled(self._tune and torch.is_grad_enabled()), autocast:
            features: Tensor = self.encoder(images)
        return features.float().view(*seen.shape[:3], -1)

    def condition(self, batch: Batch, generator: torch.Generator | None) -> Tensor:
        """The head's condition (B, C) of what was seen and felt."""
        return laid_out(self.features(batch.seen, generator), batch.proprio)

    def loss(self, batch: Batch, generator: torch.Generator, changed: bool = True) -> Tensor:
        """The head's loss at steps and noise that `generator` draws; it changes frames at random where `changed`."""
        condition = self.condition(batch, generator if changed else None)
        fast = self._bf16 and self.training and condition.device.type != "cpu"
        with precision.bf16(condition.device.type, fast):
            return self.head.loss(condition, batch.actions, generator)

    @torch.inference_mode()
    def actions(self, batch: Batch, noise: Tensor) -> Tensor:
        """Actions (B, T, A) at network scale that the sampler makes of `noise`."""
        return self.head.sample(self.condition(batch, None), noise)


def laid_out(features: Tensor, proprio: Tensor) -> Tensor:
    """(B, C) of features (n_cam, B, To, F) and proprioception (B, To, P), as `policy.actions.condition` has it.

    For each step all features, then proprioception.
    """
    return torch.cat([features.permute(1, 2, 0, 3).flatten(2), proprio], dim=2).flatten(1)
