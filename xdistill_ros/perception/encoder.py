"""The encoder's session: one camera's image tensor to its feature, once a frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .session import GraphSession

if TYPE_CHECKING:
    from xdistill_ros.policy.bundle import Bundle

INPUT, OUTPUT = "image", "feature"


class Encoder:
    """The bundle's encoder for the images of one camera. Graph: `image` (1, 3, h, w) -> `feature` (1, F)."""

    def __init__(
        self, bundle: Bundle, camera: str, *, threads: int, require_provider: str | None = None, exact: bool = False
    ) -> None:
        """Opens and warms the session. Raises KeyError for an unknown camera, GraphError for a graph that misfits."""
        manifest = bundle.manifest
        width, height = manifest.preprocess[camera].output_size
        self._shape = (1, 3, height, width)
        self._session = GraphSession(
            bundle.encoder_path,
            {INPUT: self._shape},
            {OUTPUT: (1, manifest.encoder.feature_dim)},
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
