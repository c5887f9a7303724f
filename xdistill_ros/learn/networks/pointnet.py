"""DP3's point encoder (Ze et al. 2024, arXiv 2403.03954): an MLP on each point, the maximum over points, a read-out.

It has the interface of an image encoder: a grid of points (B, 3, h, w) in metres stands where an image would. The order
of the points does not matter, and a point that stands twice does not either; `data.points` fills holes by that.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from .encoders import Encoder, InputSpec


class PointNet(Encoder):
    """Points (B, 3, h, w) to features (B, feature_dim); sizes are DP3's."""

    def __init__(self, feature_dim: int = 64, widths: tuple[int, ...] = (64, 128, 256)) -> None:
        super().__init__()
        layers = [
            nn.Sequential(nn.Linear(inputs, outputs), nn.LayerNorm(outputs), nn.ReLU())
            for inputs, outputs in pairwise((3, *widths))
        ]
        self.points = nn.Sequential(*layers)
        self.read_out = nn.Sequential(nn.Linear(widths[-1], feature_dim), nn.LayerNorm(feature_dim))
        self.feature_dim = feature_dim
        self.input = InputSpec(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
        self.settings = {"feature_dim": feature_dim, "widths": widths}

    def forward(self, points: Tensor) -> Tensor:
        """The feature (B, feature_dim) of points (B, 3, h, w)."""
        each: Tensor = self.points(points.flatten(2).transpose(1, 2))
        feature: Tensor = self.read_out(each.amax(dim=1))
        return feature

    def maps(self, points: Tensor) -> Tensor:
        """What the MLP makes of each point (B, C, h, w), before the maximum."""
        each: Tensor = self.points(points.permute(0, 2, 3, 1))
        return each.permute(0, 3, 1, 2)
