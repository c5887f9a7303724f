"""The last feature maps of any encoder, taken where its feature is computed, so that a gradient reaches them.

`Encoder.maps` gives the same maps of a CNN in a pass of their own, outside the graph of the feature.
"""

from __future__ import annotations

from typing import Any, Self

from torch import Tensor, nn

from xdistill_ros.learn.errors import LearnError


class Tap:
    """While it is open, keeps the last maps of an encoder's latest forward pass.

    Of a CNN these are the last activations with more than one cell, before the average. Of a vision transformer the
    tokens that enter its last block: [CLS] does not depend on the patch tokens that leave it.
    """

    def __init__(self, encoder: nn.Module) -> None:
        self._encoder = encoder
        self._transformer: Any = next((one for one in encoder.modules() if hasattr(one, "num_prefix_tokens")), None)
        self._kept: Tensor | None = None

    @property
    def maps(self) -> Tensor:
        """What to take a gradient with respect to, of the shape that the network has it in."""
        if self._kept is None:
            raise LearnError(
                "the encoder makes no feature maps of more than one cell of these images, so there is nothing to show "
                "where it looks; use larger images"
            )
        return self._kept

    def spatial(self, values: Tensor) -> Tensor:
        """(B, C, h', w') of values in the shape of `maps`."""
        if self._transformer is None:
            return values
        patches = values[:, int(self._transformer.num_prefix_tokens) :]
        return patches.mT.unflatten(2, self._transformer.patch_embed.grid_size)

    def __enter__(self) -> Self:
        if self._transformer is not None:
            self._hooks = [self._transformer.blocks[-1].register_forward_pre_hook(self._enters)]
        else:
            self._hooks = [one.register_forward_hook(self._leaves) for one in self._encoder.modules()]
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def _enters(self, _: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self._kept = inputs[0]

    def _leaves(self, _: nn.Module, __: tuple[Tensor, ...], output: object) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and output.shape[2] * output.shape[3] > 1:
            self._kept = output
