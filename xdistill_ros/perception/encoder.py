"""The encoder's session: one camera's image tensor to its feature, once a frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .session import GraphSession

INPUT, OUTPUT = "image", "feature"


class Encoder:
    """A vision backbone for images of one size. Graph: `image` (1, 3, h, w) -> `feature` (1, F)."""

    def __init__(
        self,
        graph: Path,
        image_size: tuple[int, int],
        feature_dim: int,
        *,
        threads: int,
        require_provider: str | None = None,
        exact: bool = False,
    ) -> None:
        """Opens and warms the session for images of (width, height) pixels. Raises GraphError for a misfit."""
        width, height = image_size
        self._shape = (1, 3, height, width)
        self._session = GraphSession(
            graph,
            {INPUT: self._shape},
            {OUTPUT: (1, feature_dim)},
            threads=threads,
            require_provider=require_provider,
            exact=exact,
        )
        self.provider = self._session.provider
        """The ONNX Runtime provider in use."""
        self.encode(np.zeros(self._shape, np.float32))  # the first run allocates; not while a frame waits

    def encode(self, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        """The feature (F,) float32 of one preprocessed image (1, 3, h, w) float32. Raises ValueError for another."""
        if tensor.shape != self._shape or tensor.dtype != np.float32:
            raise ValueError(f"encoder input is {tensor.dtype} {tensor.shape}, wanted float32 {self._shape}")
        return self._session.run(**{INPUT: tensor}).reshape(-1)
