"""The sampler: an observation to a chunk of absolute actions, by DDIM over two ONNX graphs.

What depends on the observation alone (`condition.onnx`: all FiLM scales and biases) runs once a chunk, what
depends on the step alone is a table in the bundle (`step_film.npy`), and only `step.onnx` runs in the loop.
FiLM = Linear(Mish([step embedding, condition])) is a sum of the two parts, so nothing is approximated.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.perception import GraphError, GraphSession
from xdistill_ros.rig import Reason, Refusal, Rig
from xdistill_ros.timeline import Grid

from .actions import condition, from_network, to_network
from .bundle import Bundle
from .chunk import Chunk
from .ddim import Ddim, Sample
from .manifest import CONDITION_GRAPH, STEP_FILM, STEP_GRAPH, Manifest
from .observation import Observation
from .prefix import committed_at


@dataclass(frozen=True)
class Latency:
    """Measured duration of sampling one chunk, seconds of the steady clock."""

    median_s: float
    p99_s: float


class Denoiser(Protocol):
    """A denoiser's networks, whatever runs them."""

    provider: str
    """What runs them."""
    step_film: Sample
    """(steps, W): the step embedding's part of FiLM, one row an inference step, noisiest first."""

    def film(self, condition: Sample) -> Sample:
        """The condition's part (1, W) of FiLM, of a condition (1, C)."""

    def predict(self, sample: Sample, film: Sample) -> Sample:
        """The network's output (1, T, A) for a noisy sample (1, T, A) and FiLM (1, W)."""


class GraphDenoiser:
    """The graphs of a bundle."""

    def __init__(self, bundle: Bundle, *, threads: int, require_provider: str | None, exact: bool) -> None:
        """Opens the graphs. Raises GraphError when one does not fit the manifest."""
        manifest = bundle.manifest
        self._condition = GraphSession(
            bundle.path / CONDITION_GRAPH,
            {"condition": (1, manifest.condition_dim)},
            {"film": (1, -1)},
            threads=threads,
            require_provider=require_provider,
            exact=exact,
        )
        film = self._condition.output_shapes["film"]
        shape = (1, *manifest.sample_shape)
        self._step = GraphSession(
            bundle.path / STEP_GRAPH,
            {"sample": shape, "film": film},
            {"prediction": shape},
            threads=threads,
            require_provider=require_provider,
            exact=exact,
        )
        self.step_film = _table(bundle, (manifest.schedule.inference_steps, film[1]))
        self.provider = self._step.provider

    def film(self, condition: Sample) -> Sample:
        """See Denoiser."""
        return self._condition.run(condition=condition)

    def predict(self, sample: Sample, film: Sample) -> Sample:
        """See Denoiser."""
        return self._step.run(sample=sample, film=film)


class Sampler:
    """Samples chunks; the same seed and the same calls give the same chunks. Not thread-safe."""

    def __init__(
        self, bundle: Bundle, seed: int, *, threads: int, require_provider: str | None = None, exact: bool = False
    ) -> None:
        """Opens the denoiser's graphs. Raises GraphError when one does not fit the manifest."""
        graphs = GraphDenoiser(bundle, threads=threads, require_provider=require_provider, exact=exact)
        self._begin(bundle.manifest, graphs, seed)

    @classmethod
    def of(cls, manifest: Manifest, denoiser: Denoiser, seed: int) -> Self:
        """A sampler of networks that are in no bundle, such as those of a training under way."""
        made = cls.__new__(cls)
        made._begin(manifest, denoiser, seed)
        return made

    def _begin(self, manifest: Manifest, denoiser: Denoiser, seed: int) -> None:
        self._manifest, self._denoiser = manifest, denoiser
        self._space = manifest.rig.policy.action_space
        self._grid = Grid.of(manifest.rig)
        self._ddim = Ddim(manifest.schedule)
        self._random = np.random.default_rng(seed)
        self.provider = denoiser.provider
        """The ONNX Runtime provider in use."""

    def sample(self, observation: Observation, committed: Chunk | None = None, noise: Sample | None = None) -> Chunk:
        """A chunk of absolute actions whose first belongs to the observation's time: (T, A), less what a bundle's
        `past_actions` says lies before it.

        Actions that `committed` covers are held while the others are denoised around them. `noise` (T, A)
        replaces the sampler's own, for comparisons. A network that names no rotation gives NaN actions.
        """
        horizon, channels = self._manifest.sample_shape
        past = self._manifest.past_actions
        if noise is None:
            noise = self._random.standard_normal((horizon, channels), dtype=np.float32)
        times_ns = self._grid.action_times(observation.stamp_ns - past * self._grid.period_ns, horizon)
        held = np.zeros(horizon, dtype=bool)
        clean = np.zeros_like(noise)
        if committed is not None:
            held, actions = committed_at(times_ns, committed, self._space)
            clean[held] = self._to_network(actions[held], observation)
        *_, sample = self._denoising(observation, noise, held, clean)
        actions = from_network(self._space, self._manifest.statistics.action, sample, observation.tcp_pose)
        return Chunk(observation.stamp_ns, np.array(times_ns[past:], dtype=np.int64), actions[past:])

    def steps(self, observation: Observation, noise: Sample) -> list[Sample]:
        """What each denoising step makes of `noise` (T, A) at network scale, for comparisons step by step."""
        return list(self._denoising(observation, noise, np.zeros(len(noise), dtype=bool), np.zeros_like(noise)))[:-1]

    def plan(self, observation: Observation, noise: Sample) -> Sample:
        """What `sample` makes of `noise` (T, A), at network scale: each channel's range in training is [-1, 1]."""
        return self.steps(observation, noise)[-1]

    def warm_up(self, runs: int = 20) -> Latency:
        """Samples `runs` chunks of a zero observation and measures; leaves the random state as it was."""
        manifest = self._manifest
        steps = manifest.rig.policy.observation_horizon
        observation = Observation(
            stamp_ns=0,
            features=np.zeros((steps, len(manifest.rig.cameras) * manifest.encoder.feature_dim), np.float32),
            proprio=np.zeros((steps, len(manifest.proprio_channels))),
            tcp_pose=np.eye(4),
        )
        noise = np.zeros(manifest.sample_shape, np.float32)
        self.sample(observation, noise=noise)  # allocates; not part of the measurement
        durations = []
        for _ in range(runs):
            start = time.perf_counter()
            self.sample(observation, noise=noise)
            durations.append(time.perf_counter() - start)
        return Latency(float(np.median(durations)), float(np.percentile(durations, 99)))

    def _to_network(self, actions: NDArray[np.float64], observation: Observation) -> Sample:
        return to_network(self._space, self._manifest.statistics.action, actions, observation.tcp_pose)

    def _denoising(
        self, observation: Observation, noise: Sample, held: NDArray[np.bool_], clean: Sample
    ) -> Iterator[Sample]:
        """The sample after each step, and last with what is held as it is."""
        statistics = self._manifest.statistics.proprio
        film = self._denoiser.film(condition(observation.features, observation.proprio, statistics)[None])
        sample = noise
        for step, step_film in enumerate(self._denoiser.step_film):
            # What is held enters each step as noisy as the rest, with the noise it started from (RePaint,
            # Lugmayr et al. 2022, arXiv 2201.09865, for a deterministic sampler).
            sample = np.where(held[:, None], self._ddim.noised(clean, noise, step), sample)
            prediction = self._denoiser.predict(sample[None], film + step_film)[0]
            sample = self._ddim.denoise(sample, prediction, step)
            yield sample
        yield np.where(held[:, None], clean, sample)


def time_left_s(rig: Rig, past_actions: int = 0) -> float:
    """How long sampling may take, seconds of the wall clock, so that the arm never runs out of actions.

    A chunk is a camera's latency old when sampling begins. It must be merged before it is `max_chunk_age_s` old,
    and its last action must still lie ahead when the chunk after it, `action_horizon` steps later, is merged.
    """
    policy = rig.policy
    latency_s = max(camera.latency_s for camera in rig.cameras.values())
    reserve_s = (policy.prediction_horizon - past_actions - 1 - policy.action_horizon) / policy.rate_hz
    world_s = min(policy.max_chunk_age_s, reserve_s) - latency_s
    return world_s / (rig.simulation.real_time_factor if rig.simulation else 1.0)


def too_slow(latency: Latency, rig: Rig, past_actions: int = 0) -> Refusal | None:
    """Why a sampler with this measured latency must not start on `rig`, or None."""
    allowed_s = time_left_s(rig, past_actions)
    if latency.p99_s <= allowed_s:
        return None
    return Refusal(
        Reason.SAMPLER_TOO_SLOW,
        f"sampling a chunk takes {1e3 * latency.p99_s:.0f} ms (p99), the horizon leaves {1e3 * allowed_s:.0f} ms; "
        "use fewer denoising steps, a smaller denoiser, or a faster machine",
    )


def _table(bundle: Bundle, wanted: tuple[int, int]) -> Sample:
    """The step embedding's part of FiLM, one row an inference step, noisiest first."""
    path = bundle.path / STEP_FILM
    try:
        table = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise GraphError(f"{path}: cannot be read ({error}); export the bundle anew") from error
    if table.shape != wanted or table.dtype != np.float32:
        raise GraphError(f"{path}: {table.dtype} {table.shape}, wanted float32 {wanted}; export the bundle anew")
    return np.asarray(table)
