"""Where a running policy looks: Grad-CAM (Selvaraju et al. 2017, arXiv 1610.02391) by the bundle's graphs alone.

The feature of an image is a constant plus the sum of what each cell of the encoder's last maps contributes to it, its
*share*: for a ResNet-18 the cell's activations divided by the number of cells. `shares.pb`, which the export leaves
beside the bundle's graphs, lets the encoder's graph give the shares too.

Grad-CAM weighs each map by the mean gradient of a number with respect to it and adds the maps up. Where the feature is
linear in the maps, that sum at a cell *is* the derivative of the number along the cell's share: how it changes when
there is a little more of what is seen there. So no gradient graph is needed: the derivative is taken by central
differences, two plans a cell (a 128x96 image has 12 cells).

A plan has T * A numbers, at network scale (each channel's range in training is [-1, 1]), and each has a Grad-CAM of its
own, with its sign. The heat is the length of the vector of all of them: how far the plan changes, whichever way.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.perception import GraphError, GraphSession, Preprocess
from xdistill_ros.perception.encoder import INPUT, OUTPUT
from xdistill_ros.perception.heat import Heat, on_image, to_unit

from .bundle import Bundle
from .observation import Observation
from .sampler import Sampler

SHARES_FILE, SHARES = "shares.pb", "shares"
_STEP = 0.01  # of the differences, towards and away from the feature of a picture that is this cell all over
_AGREES = 1e-3  # of the feature's largest number, for shares that add up to it


class Gaze:
    """Heat maps of one bundle. Not thread-safe, and slow: for a display, beside the control path and not on it."""

    def __init__(self, bundle: Bundle, *, threads: int, seed: int = 0) -> None:
        """`seed` draws the one noise that all plans start from. Raises GraphError where the bundle has no shares, or
        shares that do not add up to its encoder's feature.
        """
        manifest = bundle.manifest
        self._preprocess = {name: Preprocess(spec) for name, spec in manifest.preprocess.items()}
        self._feature_dim = manifest.encoder.feature_dim
        appended = _appended(bundle)
        self._sessions: dict[tuple[int, int], GraphSession] = {}
        for width, height in {spec.output_size for spec in manifest.preprocess.values()}:
            self._sessions[width, height] = _open(bundle, (1, 3, height, width), appended, threads)
        self._sampler = Sampler(bundle, seed, threads=threads)
        self._noise = np.random.default_rng(seed).standard_normal(manifest.sample_shape, dtype=np.float32)

    def heat(self, images: Mapping[str, NDArray[np.uint8]], observation: Observation) -> dict[str, Heat]:
        """Heat maps (H, W) in [0, 1] on `images` (H, W, 3) by camera, 1 where looking mattered most in any of them.

        `observation` is what the policy acted on, and the images are those of its newest step; cameras may be left
        out, to save their time. Raises KeyError for a camera that the bundle does not have.
        """
        return to_unit({
            name: on_image(self.relevance(name, pixels, observation), self._preprocess[name].spec)
            for name, pixels in images.items()
        })  # fmt: skip

    def relevance(self, camera: str, pixels: NDArray[np.uint8], observation: Observation) -> NDArray[np.float64]:
        """(h', w'): how far the plan changes along each cell's share."""
        preprocess = self._preprocess[camera]
        _, shares = self._sessions[preprocess.spec.output_size].run_all(**{INPUT: preprocess(pixels)})
        cells = shares.shape[2] * shares.shape[3]
        at = list(self._preprocess).index(camera) * self._feature_dim
        found = [
            self._change(observation, slice(at, at + self._feature_dim), share * cells) / cells
            for share in shares[0].reshape(self._feature_dim, cells).T
        ]
        return np.reshape(found, shares.shape[2:])

    def _change(self, observation: Observation, where: slice, direction: NDArray[np.float32]) -> float:
        """Length of the plan's derivative along `direction` (F,) in the newest step's features `where`."""
        ends = []
        for sign in (_STEP, -_STEP):
            features = observation.features.copy()
            features[-1, where] += sign * direction
            ends.append(self._sampler.plan(dataclasses.replace(observation, features=features), self._noise))
        return float(np.linalg.norm(ends[0].astype(np.float64) - ends[1]) / (2 * _STEP))


def _appended(bundle: Bundle) -> bytes:
    path = bundle.path / SHARES_FILE
    try:
        return path.read_bytes()
    except OSError as error:
        raise GraphError(
            f"{path}: cannot be read ({error.strerror}), so it cannot be shown where this policy looks; "
            "export the bundle anew: an encoder whose feature is linear in its last maps gets this file"
        ) from error


def _open(bundle: Bundle, shape: tuple[int, ...], appended: bytes, threads: int) -> GraphSession:
    features = bundle.manifest.encoder.feature_dim
    session = GraphSession(
        bundle.encoder_path, {INPUT: shape}, {OUTPUT: (1, features), SHARES: (1, features, -1, -1)},
        threads=threads, appended=appended,
    )  # fmt: skip
    # The file is no part of the policy and has no checksum of its own: it is judged by what it computes.
    random = np.random.default_rng(0)
    ends = [session.run_all(**{INPUT: random.standard_normal(shape, dtype=np.float32)}) for _ in range(2)]
    change = (ends[0][0] - ends[1][0]) - (ends[0][1] - ends[1][1]).sum((2, 3))
    if not np.abs(change).max() <= _AGREES * np.abs(ends[0][0]).max():
        raise GraphError(
            f"{bundle.path / SHARES_FILE}: its shares do not add up to the feature of {bundle.encoder_path.name}; "
            "it belongs to another encoder: export the bundle anew"
        )
    return session
