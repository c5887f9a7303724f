"""A cell in MetaWorld: ten demonstrations, a training, and evaluations every so many epochs (DP3's protocol)."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray

from xdistill_ros.learn import runs
from xdistill_ros.learn.data.material import Batch, Material
from xdistill_ros.learn.data.windows import Statistics
from xdistill_ros.learn.errors import LearnError
from xdistill_ros.learn.networks import zoo
from xdistill_ros.learn.networks.head import Head
from xdistill_ros.learn.training import prepare
from xdistill_ros.learn.training.policy import Policy
from xdistill_ros.learn.training.prepare import Prepared
from xdistill_ros.learn.training.settings import TrainSettings
from xdistill_ros.learn.training.trainer import Training
from xdistill_ros.policy import actions as meaning
from xdistill_ros.sim.metaworld_env import ACTION_DIM, CAMERA, MetaWorld

from . import scripted
from .config import MetaWorldProtocol
from .grid import Evaluation
from .senses import Sense, sense

FIRST_SEED = 100_000  # of scenes that are judged; demonstrations count up from 0
SEEDS_APART = 1000
CONDITION = "id"
Array = NDArray[np.float64]


class Sight(NamedTuple):
    """What the policy is told at a step: colours (h, w, 3) uint8 or depth (h, w) int16, resized; the hand (3,) and its
    opening, metres.
    """

    image: NDArray[Any]
    hand: Array
    opening: float


@dataclass(frozen=True)
class Player:
    """A policy at MetaWorld's controls."""

    policy: Policy
    settings: TrainSettings
    protocol: MetaWorldProtocol
    sense: Sense
    statistics: Statistics
    device: torch.device

    def plays(self, env: MetaWorld, seed: int) -> bool:
        """Whether the task is done within an episode. Chunks are carried out open loop, as in DP3."""
        env.reset(seed)
        noise = torch.Generator().manual_seed(seed)
        horizon, chunk = self.protocol.observation_horizon, self.protocol.action_horizon
        seen = deque([self._look(env)] * horizon, maxlen=horizon)
        while not (env.succeeded or env.over):
            for index, action in enumerate(self._actions(list(seen), noise)[:chunk]):
                env.step(action)
                if env.succeeded or env.over:
                    break
                if index >= chunk - horizon:  # only what the next decision looks at is drawn
                    seen.append(self._look(env))
        return env.succeeded

    def _look(self, env: MetaWorld) -> Sight:
        return Sight(self.sense.shrink(self.sense.look(env)), env.hand_m(), env.opening_m())

    def _actions(self, seen: list[Sight], noise: torch.Generator) -> Array:
        """(T, 4) in the environment's units."""
        horizon = self.protocol.prediction_horizon
        hands, openings = np.array([one.hand for one in seen]), np.array([one.opening for one in seen])
        proprio = meaning.proprioception(
            self.settings.proprio, scripted.poses(hands), openings, np.empty((len(seen), 0))
        )  # fmt: skip
        told = self.statistics.proprio.normalise(proprio).astype(np.float32)
        start = torch.randn((1, horizon, ACTION_DIM), generator=noise)
        images = torch.from_numpy(np.stack([one.image for one in seen]))
        batch = Batch(images[None, None], torch.from_numpy(told)[None], start).to(self.device)
        sample = self.policy.actions(batch, start.to(self.device))[0].float().cpu().numpy()
        return self.statistics.action.denormalise(sample.astype(float))


class MetaWorldTraining(Training):
    """`xdistill train` on scripted demonstrations, with evaluations in MetaWorld in place of the table's."""

    def __init__(self, task: str, seed: int, settings: TrainSettings, protocol: MetaWorldProtocol, folder: Path):
        self._task, self._seed, self._protocol = task, seed, protocol
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(settings, folder)

    def _prepare(self) -> Prepared:
        """See `training.prepare`. There is neither store nor rig."""
        settings, protocol = self.settings, self._protocol
        device = prepare.device_of(settings.device)
        if settings.threads is not None:
            torch.set_num_threads(settings.threads)
        torch.manual_seed(settings.seed)
        encoder = zoo.encoder(settings.encoder.word, settings.encoder.weights, settings.image.wished_size)
        with MetaWorld(self._task, protocol.image_px) as env:
            self.sense = sense(settings, encoder.input, env)
        episodes = scripted.demonstrations(self._task, protocol, settings.store, self.sense.look)
        found = scripted.windows(episodes, protocol)
        prepare.check_length(settings, len(found.frames))
        statistics = found.statistics(None, settings.proprio)
        head = self._head(encoder.feature_dim + len(statistics.proprio.minimum))
        encoder.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        policy = Policy(encoder, head, self.sense.eye, tune=settings.encoder.tune, bf16=settings.bf16).to(device)
        nothing = cast(Any, None)
        material = Material(
            [_images(episodes, self.sense)], 1, found, nothing, settings.proprio, statistics, device.type == "cuda"
        )  # fmt: skip
        prepare.fit(policy, material, settings)
        return Prepared(
            store=nothing, rig=nothing, device=device, policy=policy, preprocess={CAMERA: self.sense.spec},
            statistics=statistics, train=material, held=None, episodes=list(range(len(episodes))), held_out=[],
            left_out=(),
            content={"store": "", "weights": prepare.file_hash(settings.encoder.weights)},
        )  # fmt: skip

    def _head(self, step_dim: int) -> Head:
        """An untrained denoiser for `step_dim` numbers an observation step."""
        settings, protocol = self.settings, self._protocol
        condition, horizon = protocol.observation_horizon * step_dim, protocol.prediction_horizon
        torch.manual_seed(settings.seed)
        try:
            return Head(condition, horizon, ACTION_DIM, settings.unet, settings.schedule)
        except ValueError as error:
            raise LearnError(f"metaworld.prediction_horizon, training.unet: {error}") from error

    def _end_of_epoch(self, epoch: int) -> bool:
        """Evaluates where it is time to; a checkpoint follows."""
        if epoch % self._protocol.every_epochs and self.step < self.steps:
            return False
        prepared = self.prepared
        player = Player(
            self.averaged(), self.settings, self._protocol, self.sense, prepared.statistics, prepared.device
        )  # fmt: skip
        first = FIRST_SEED + SEEDS_APART * self._seed
        with MetaWorld(self._task, self._protocol.image_px) as env:
            found = [player.plays(env, first + index) for index in range(self._protocol.episodes)]
        self.metrics.write(
            self.step, kind="evaluation", epoch=epoch, counts={CONDITION: (sum(found), len(found))}, first_seed=first,
            each=found, seconds=round(self._spend(), 1),
        )  # fmt: skip
        return True

    def _out_of_memory(self) -> str:
        return (
            f"the memory of device {self.prepared.device} ran out at step {self.step + 1}; lower training.batch, or "
            "unet.widths, in a folder of its own"
        )


def _images(episodes: Iterable[scripted.Episode], seen: Sense) -> torch.Tensor:
    return torch.from_numpy(np.stack([seen.shrink(image) for episode in episodes for image in episode.images]))


def check(settings: TrainSettings) -> None:
    """Raises LearnError for a training that MetaWorld cannot have."""
    frozen = settings.encoder.copies or settings.encoder.int8
    if settings.held_out or settings.rollouts is not None or frozen:
        raise LearnError(
            "training: held_out, rollouts, encoder.copies and encoder.int8 belong to stores; leave them out here"
        )


def evaluate(
    task: str, seed: int, settings: TrainSettings, protocol: MetaWorldProtocol, folder: Path
) -> list[Evaluation]:
    """Trains in `folder`, going on from its checkpoint, and returns all evaluations."""
    training = MetaWorldTraining(task, seed, settings, protocol, folder)
    try:
        training.run()
    finally:
        training.close()
    return evaluations(folder)


def evaluations(folder: Path) -> list[Evaluation]:
    """What a training's metrics say of its evaluations."""
    path = folder / runs.METRICS
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    told = [json.loads(line) for line in lines]
    return [
        Evaluation(one["epoch"], {name: (good, of) for name, (good, of) in one["counts"].items()}, one["seconds"])
        for one in told
        if one["kind"] == "evaluation"
    ]
