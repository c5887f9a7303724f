"""Demonstrations by MetaWorld's scripted policies, in a file a task, and the windows that training takes of them.

MetaWorld's arm is a hand without joints whose orientation never changes, and its actions are displacements: no rig
describes that, so windows are made here as `data.windows` makes them, and only what actions mean differs.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from xdistill_ros.episodes.files import write_whole
from xdistill_ros.learn.data.windows import Statistics, Windows
from xdistill_ros.learn.errors import LearnError
from xdistill_ros.policy.actions import ChannelRange, ProprioPart
from xdistill_ros.rig import Rig
from xdistill_ros.sim.metaworld_env import MetaWorld

from .config import MetaWorldProtocol
from .sharing import alone

log = logging.getLogger(__name__)
Array = NDArray[np.float64]
LEAST_SUCCESSES = 5  # steps at which the task is done, for a demonstration to count; DP3's rule
PATIENCE = 10  # episodes that the scripted policy may need for each that succeeds


@dataclass(frozen=True)
class Episode:
    """One demonstration of N steps. hands (N, 3) m, openings (N,) m, actions (N, 4).

    images: what was seen, colours (N, h, w, 3) uint8 or depth (N, h, w) uint16, as `MetaWorld` has them.
    """

    images: NDArray[Any]
    hands: Array
    openings: Array
    actions: Array


Look = Callable[[MetaWorld], NDArray[Any]]
"""`MetaWorld.image` or `MetaWorld.depth`."""


def demonstrations(task: str, protocol: MetaWorldProtocol, path: Path, look: Look) -> list[Episode]:
    """The task's demonstrations: read from `path`, or made and written there by whichever process is the first.

    look: what is seen of them.
    """
    with alone(path.with_suffix("")):
        if not path.exists():
            with MetaWorld(task, protocol.image_px) as env:
                successful = _successful(env, protocol, look)
                made = list(track(successful, f"demonstrating {task}", total=protocol.demonstrations))
            _write(made, path)
    with np.load(path, allow_pickle=False) as file:
        ends = file["ends"]
        names = Episode.__dataclass_fields__
        parts = {name: np.split(file[name], ends[:-1]) for name in names}
    return [Episode(**{name: parts[name][index] for name in names}) for index in range(len(ends))]


def demonstrate(env: MetaWorld, seed: int, after_success_steps: int, look: Look) -> Episode | None:
    """What the scripted policy does from `seed`; None where it fails, which it sometimes does."""
    env.reset(seed)
    steps: list[tuple[NDArray[Any], Array, float, Array]] = []
    left = after_success_steps
    while not env.over and left > 0:
        action = env.expert()
        steps.append((look(env), env.hand_m(), env.opening_m(), action))
        env.step(action)
        left -= env.succeeded
    if env.successes < LEAST_SUCCESSES:
        return None
    return Episode(*(np.array(part) for part in zip(*steps, strict=True)))


def _successful(env: MetaWorld, protocol: MetaWorldProtocol, look: Look) -> Iterator[Episode]:
    found, tried = 0, 0
    while found < protocol.demonstrations:
        if tried == PATIENCE * protocol.demonstrations:
            raise LearnError(
                f"MetaWorld's scripted policy for {env.task} succeeded in {found} of {tried} episodes, so there are no "
                f"{protocol.demonstrations} demonstrations; leave the task out, or lower metaworld.demonstrations"
            )
        episode = demonstrate(env, tried, protocol.after_success_steps, look)
        tried += 1
        if episode is not None:
            found += 1
            yield episode
    log.info("%s: %d demonstrations of %d episodes", env.task, found, tried)


def _write(episodes: Sequence[Episode], path: Path) -> None:
    arrays: dict[str, Any] = {
        name: np.concatenate([getattr(one, name) for one in episodes]) for name in Episode.__dataclass_fields__
    }
    content = io.BytesIO()
    np.savez_compressed(content, ends=np.cumsum([len(one.actions) for one in episodes]), **arrays)
    write_whole(path, content.getbuffer())


class Displacements(Windows):
    """Windows whose actions are the environment's own numbers, which no rig's action space describes."""

    def statistics(self, rig: Rig | None, parts: Sequence[ProprioPart]) -> Statistics:
        """Ranges as the network sees the channels; `rig` is not looked at."""
        del rig
        return Statistics(ChannelRange.of(self.actions), ChannelRange.of(self.proprioception(parts)))

    def targets(self, rig: Rig | None, statistics: Statistics) -> NDArray[np.float32]:
        """(W, T, 4) actions at network scale; `rig` is not looked at."""
        del rig
        return statistics.action.normalise(self.actions).astype(np.float32)


def windows(episodes: Sequence[Episode], protocol: MetaWorldProtocol) -> Displacements:
    """A window for every step: what was seen up to it, and what was done from it on.

    Before an episode's first step stands the first, after its last action the last, as in diffusion_policy. Windows
    never reach into another episode; frames are rows of all episodes' images in a row.
    """
    parts, first = [], 0
    for index, episode in enumerate(episodes):
        count = len(episode.actions)
        steps = np.arange(count)[:, None]
        seen = np.maximum(steps + np.arange(1 - protocol.observation_horizon, 1), 0)
        done = np.minimum(steps + np.arange(protocol.prediction_horizon), count - 1)
        parts.append(Windows(
            frames=(first + seen)[..., None], poses=poses(episode.hands[seen]), widths=episode.openings[seen],
            joints=np.empty((*seen.shape, 0)), actions=episode.actions[done], episodes=np.full(count, index),
        ))  # fmt: skip
        first += count
    joined = Windows.join(parts)
    return Displacements(**{name: getattr(joined, name) for name in Windows.__dataclass_fields__})


def poses(hands: Array) -> Array:
    """Poses (..., 4, 4) of hands (..., 3), which are never turned."""
    made = np.broadcast_to(np.eye(4), (*hands.shape[:-1], 4, 4)).copy()
    made[..., :3, 3] = hands
    return made
