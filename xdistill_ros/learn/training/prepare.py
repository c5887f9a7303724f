"""What a training needs before its first step: data, networks, caches. Refuses here what cannot be trained."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xdistill_ros.episodes import Store
from xdistill_ros.episodes.files import write_whole
from xdistill_ros.learn.data.demonstrations import Demonstrations, demonstrations
from xdistill_ros.learn.data.eyes import Colours, Eye, Points
from xdistill_ros.learn.data.frames import Frames, cache_features
from xdistill_ros.learn.data.identity import store_hash
from xdistill_ros.learn.data.image_cache import cached_depths, cached_images
from xdistill_ros.learn.data.material import Material, Order
from xdistill_ros.learn.data.windows import Statistics, Windows
from xdistill_ros.learn.errors import LearnError
from xdistill_ros.learn.networks import zoo
from xdistill_ros.learn.networks.encoders import Encoder
from xdistill_ros.learn.networks.head import Head
from xdistill_ros.learn.networks.rounding import on_levels
from xdistill_ros.perception import PreprocessSpec
from xdistill_ros.rig import Rig

from . import rollouts
from .policy import Policy
from .settings import TrainSettings

log = logging.getLogger(__name__)
_FITTED = 512  # windows by which the condition is standardised


@dataclass
class Prepared:
    """A training before its first step. held is None where no episode is held out."""

    store: Store
    rig: Rig
    device: torch.device
    policy: Policy
    preprocess: Mapping[str, PreprocessSpec]
    statistics: Statistics
    train: Material
    held: Material | None
    episodes: list[int]
    held_out: list[int]
    left_out: tuple[str, ...]
    content: dict[str, str]
    """Hashes of what the training is made of beside its settings."""


def prepare(settings: TrainSettings, folder: Path) -> Prepared:
    """Opens the store, builds the networks and fills the caches; the rig's URDF is put into `folder`.

    Raises LearnError and StoreError for what cannot be trained on.
    """
    device = device_of(settings.device)
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    store = Store(settings.store)
    shown = demonstrations(store, settings.cameras)
    encoder, preprocess = _seeing(settings, shown.rig)
    if settings.rollouts is not None:
        rollouts.check(shown.rig, store.attributes["task"], settings.rollouts)
    held_out = _held_out(store, shown, settings)
    held = np.isin(shown.windows.episodes, held_out)
    windows = shown.windows.only(~held)
    check_length(settings, len(windows.frames))
    statistics = windows.statistics(shown.rig, settings.proprio)
    encoder.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    caches, copies, eye = _caches(settings, store, shown.rig, encoder, preprocess)
    head = _head(settings, shown.rig, statistics, encoder)
    policy = Policy(encoder, head, eye, tune=settings.encoder.tune, bf16=settings.bf16).to(device)

    def material(chosen: Windows) -> Material:
        return Material(
            caches, copies, chosen, shown.rig, settings.proprio, statistics, pinned=device.type == "cuda"
        )  # fmt: skip

    train = material(windows)
    fit(policy, train, settings)
    return Prepared(
        store=store, rig=_with_urdf(shown.rig, store, folder), device=device, policy=policy, preprocess=preprocess,
        statistics=statistics, train=train, held=material(shown.windows.only(held)) if held_out else None,
        episodes=[index for index in shown.episodes if index not in held_out], held_out=held_out,
        left_out=shown.left_out, content=content_of(settings),
    )  # fmt: skip


def content_of(settings: TrainSettings) -> dict[str, str]:
    """Hashes of what a training is made of beside its settings."""
    return {"store": store_hash(Store(settings.store)), "weights": file_hash(settings.encoder.weights)}


def device_of(wish: str) -> torch.device:
    """The device that settings name. Raises LearnError where it is not there."""
    if wish == "cuda" and not torch.cuda.is_available():
        raise LearnError("device is cuda, but this torch sees no GPU; install torch's CUDA build, or use device cpu")
    if wish == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    torch.backends.cudnn.benchmark = True  # images of one size only
    torch.set_float32_matmul_precision("high")
    return torch.device("cuda")


def _seeing(settings: TrainSettings, rig: Rig) -> tuple[Encoder, dict[str, PreprocessSpec]]:
    """The encoder and each camera's preprocessing for it."""
    word, points = settings.encoder.word, zoo.sees_points(settings.encoder.word)
    if points:
        flat = [name for name, camera in rig.cameras.items() if not camera.depth]
        if flat:
            raise LearnError(
                f"encoder {word} takes aligned depth, and the store's rig records none of camera {', '.join(flat)}: "
                "set cameras.NAME.depth in the rig and record again (the simulated table with depth is "
                "config/rigs/sim_table_depth.yaml), or name other `cameras`"
            )
    if zoo.starts_untrained(word) and not settings.encoder.tune:
        raise LearnError(f"encoder {word} begins untrained; frozen it would stay random: set encoder.tune to true")
    torch.manual_seed(settings.seed)
    encoder = zoo.encoder(word, settings.encoder.weights, None if points else settings.image.wished_size)
    if settings.encoder.int8:
        encoder = on_levels(encoder)
    return encoder, settings.image.preprocess(rig, encoder.input, points)


def _held_out(store: Store, shown: Demonstrations, settings: TrainSettings) -> list[int]:
    usable, wanted = shown.episodes, settings.held_out
    if wanted >= len(usable):
        raise LearnError(
            f"{store.path}: {len(usable)} episodes can be trained on and held_out is {wanted}, so none is left; "
            "record more, or lower held_out"
        )
    return sorted(np.random.default_rng(settings.seed).permutation(usable)[:wanted].tolist())


def check_length(settings: TrainSettings, windows: int) -> None:
    """Raises LearnError when the training ends before its learning rate has risen."""
    steps = Order(windows, settings.batch, 0).steps * settings.epochs
    if settings.optimiser.warm_up_steps >= steps:
        raise LearnError(
            f"optimiser.warm_up_steps is {settings.optimiser.warm_up_steps}, and {settings.epochs} epochs of {windows} "
            f"windows in batches of {settings.batch} are {steps} steps in all; lower it, or raise epochs"
        )


def _caches(
    settings: TrainSettings, store: Store, rig: Rig, encoder: Encoder, preprocess: Mapping[str, PreprocessSpec]
) -> tuple[list[Tensor], int, Eye | None]:
    """The cache of each camera, how many copies each frame has in it, and what becomes of frames (None: nothing)."""
    image = settings.image
    if zoo.sees_points(settings.encoder.word):
        return _tensors(cached_depths(store, preprocess, image.cache)), 1, Points.of(rig, preprocess)
    images = cached_images(store, preprocess, image.cache)
    spec = next(iter(preprocess.values()))
    copies = settings.encoder.copies
    if not copies:
        return _tensors(images), 1, Colours(spec, image.augmentation)
    log.info("computing the features of %d copies of every frame", copies)
    features = cache_features(encoder, Frames(images, spec), copies, image.augmentation, settings.seed)
    by_camera = features.transpose(1, 0, 2, 3).reshape(len(images), -1, features.shape[-1])
    return [torch.from_numpy(one) for one in by_camera], copies, None


def _tensors(images: Mapping[str, NDArray[Any]]) -> list[Tensor]:
    return [torch.from_numpy(one) for one in images.values()]


def _head(settings: TrainSettings, rig: Rig, statistics: Statistics, encoder: Encoder) -> Head:
    proprio = len(statistics.proprio.minimum)
    condition = rig.policy.observation_horizon * (len(rig.cameras) * encoder.feature_dim + proprio)
    torch.manual_seed(settings.seed)
    try:
        return Head(condition, rig.policy.prediction_horizon, len(rig.channels), settings.unet, settings.schedule)
    except ValueError as error:
        raise LearnError(str(error)) from error


def fit(policy: Policy, train: Material, settings: TrainSettings) -> None:
    """Takes once the statistics by which the condition is standardised."""
    order, device = Order(len(train), settings.batch, settings.seed), next(policy.parameters()).device
    generator = torch.Generator().manual_seed(settings.seed)
    policy.eval()
    steps = range(min(order.steps, -(-_FITTED // settings.batch)))
    with torch.no_grad():
        batches = (train.gather(order.rows(step), order.draw(step)).to(device) for step in steps)
        policy.head.film.fit(torch.cat([policy.condition(batch, generator) for batch in batches]))


def _with_urdf(rig: Rig, store: Store, folder: Path) -> Rig:
    """The rig with its URDF in the run's folder: where it lay when it was recorded may be another machine."""
    path = folder / rig.arm.urdf.name
    write_whole(path, store.attributes["urdf"].encode())
    return rig.model_copy(update={"arm": rig.arm.model_copy(update={"urdf": path.resolve()})})


def file_hash(path: Path | None) -> str:
    """SHA-256 of a file; empty where there is none."""
    if path is None:
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
