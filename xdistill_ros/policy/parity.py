"""Does this machine compute what the trained policy computed? The bundle's reference outputs answer.

The answer is remembered by content in the user's cache folder, since it costs seconds and cannot change.
Reference file: `pixels.<camera>` (H, W, 3) uint8, `feature.<camera>` (F,); `features` (To, n_cam * F),
`proprio` (To, P), `tcp_pose` (4, 4), `noise` (T, A), and `actions` (T less past actions, A), absolute.
"""

from __future__ import annotations

import io
import logging
import os
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import onnxruntime as ort  # type: ignore[import-untyped]
from numpy.typing import NDArray

from xdistill_ros.perception import GraphError, Preprocess
from xdistill_ros.perception.session import preferred_provider

from .bundle import Bundle
from .manifest import REFERENCE, BundleError
from .observation import Observation
from .sampler import Sampler

Arrays = dict[str, NDArray[Any]]
log = logging.getLogger(__name__)


def check_once(bundle: Bundle) -> None:
    """`check`, unless this very content already passed here with this ONNX Runtime and provider. Raises BundleError."""
    marker = _cache_folder() / f"{bundle.hash}-ort{ort.__version__}-{preferred_provider()}"
    if marker.exists():
        return
    worst = check(bundle)
    try:
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.write_text(", ".join(f"{name}: {value:.2e}" for name, value in worst.items()))
    except OSError as error:
        log.warning("parity is checked at every start, since it cannot be remembered: %s", error)


def check(bundle: Bundle) -> dict[str, float]:
    """Largest absolute differences from the reference, by output. Raises BundleError above the tolerances."""
    reference = _read(bundle)
    tolerances = bundle.manifest.tolerances
    worst: dict[str, float] = {}
    try:
        for camera, spec in bundle.manifest.preprocess.items():
            tensor = Preprocess(spec)(np.asarray(reference[f"pixels.{camera}"], np.uint8))
            feature = bundle.encoder(camera, threads=1, exact=True).encode(tensor)
            worst[f"feature.{camera}"] = _compare(bundle, f"feature.{camera}", feature, reference, tolerances.feature)
        actions = _sampled(bundle, reference)
        worst["actions"] = _compare(bundle, "actions", actions, reference, tolerances.action)
    except KeyError as error:
        raise BundleError(f"{bundle.path / REFERENCE}: lacks {error}; export the bundle anew") from error
    except GraphError as error:
        raise BundleError(str(error)) from error
    return worst


def drift(bundle: Bundle) -> dict[str, float]:
    """How far the sessions that run here (TF32, TensorRT's engines) are from exact ones on the reference inputs.

    By output, as a share: of a feature's largest number, of the actions' range. Raises GraphError, BundleError.
    """
    reference = _read(bundle)
    shares: dict[str, float] = {}
    for camera, spec in bundle.manifest.preprocess.items():
        tensor = Preprocess(spec)(np.asarray(reference[f"pixels.{camera}"], np.uint8))
        wanted, found = (bundle.encoder(camera, threads=1, exact=exact).encode(tensor) for exact in (True, False))
        shares[f"feature.{camera}"] = float(np.max(np.abs(found - wanted)) / np.max(np.abs(wanted)))
    observation, noise = _observation(reference), np.asarray(reference["noise"], np.float32)
    wanted, found = (
        Sampler(bundle, seed=0, threads=1, exact=exact).steps(observation, noise)[-1] for exact in (True, False)
    )
    shares["actions"] = float(np.max(np.abs(found - wanted)) / 2)  # network scale: two units are the range
    return shares


def pack(arrays: Arrays) -> bytes:
    """The contents of `reference.npz`."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _sampled(bundle: Bundle, reference: Arrays) -> NDArray[np.float64]:
    sampler = Sampler(bundle, seed=0, threads=1, exact=True)
    return sampler.sample(_observation(reference), noise=np.asarray(reference["noise"], np.float32)).actions


def _observation(reference: Arrays) -> Observation:
    return Observation(
        stamp_ns=0,
        features=np.asarray(reference["features"], np.float32),
        proprio=np.asarray(reference["proprio"], np.float64),
        tcp_pose=np.asarray(reference["tcp_pose"], np.float64),
    )


def _compare(bundle: Bundle, name: str, found: NDArray[np.floating[Any]], reference: Arrays, tolerance: float) -> float:
    wanted = reference[name]
    if wanted.shape != found.shape:
        raise BundleError(f"{bundle.path / REFERENCE}: {name} has shape {wanted.shape}, computed is {found.shape}")
    worst = float(np.max(np.abs(found - wanted)))
    if not worst <= tolerance:  # NaN fails too
        raise BundleError(
            f"{bundle.path}: {name} differs from the reference by {worst:.2e}, allowed is {tolerance:.2e}; "
            "this machine does not compute the policy that was trained: export it anew, or update ONNX Runtime"
        )
    return worst


def _read(bundle: Bundle) -> Arrays:
    path = bundle.path / REFERENCE
    try:
        with np.load(path, allow_pickle=False) as archive:
            return dict(archive)
    except (OSError, ValueError, BadZipFile) as error:
        raise BundleError(f"{path}: cannot be read ({error}); export the bundle anew") from error


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "xdistill_ros" / "parity"
