"""A slowly moving average of a network, buffers included.

Averaging parameters alone would leave a copy whose BatchNorm statistics belong to its first step.
"""

from __future__ import annotations

import copy

import torch
from torch import nn


class Average:
    """Exponential moving average with diffusion_policy's warm-up: decay = 1 - (1 + step)^-power, at most `ceiling`.

    `network` is the averaged copy, in evaluation mode.
    """

    def __init__(self, network: nn.Module, power: float = 0.75, ceiling: float = 0.9999) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.power, self.ceiling, self.steps = power, ceiling, 0

    @property
    def decay(self) -> float:
        """Weight of the average against the present network in the next update."""
        return min(self.ceiling, max(0.0, 1.0 - (1.0 + self.steps) ** -self.power))

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Moves the average towards `network`: parameters and floating buffers by the decay, counters by copy."""
        present, averaged = network.state_dict(), self.network.state_dict()
        floating = [name for name, value in averaged.items() if value.is_floating_point()]
        towards = [present[name] for name in floating]
        # one kernel for all tensors where the device has it
        torch._foreach_lerp_([averaged[name] for name in floating], towards, 1.0 - self.decay)
        for name in averaged.keys() - set(floating):
            averaged[name].copy_(present[name])
        self.steps += 1

    def state_dict(self) -> dict[str, object]:
        """What a checkpoint needs to continue."""
        return {"network": self.network.state_dict(), "steps": self.steps}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Continues from a checkpoint."""
        self.network.load_state_dict(state["network"])  # type: ignore[arg-type]
        self.steps = int(state["steps"])  # type: ignore[call-overload]
