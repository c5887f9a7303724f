"""Demonstrations of the scripted expert, recorded through the same loop that the policy runs in."""

from __future__ import annotations

import logging
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from xdistill_ros.perception import Preprocess, PreprocessSpec
from xdistill_ros.rig import Rig
from xdistill_ros.sim import World
from xdistill_ros.sim.pilots import ExpertPilot
from xdistill_ros.sim.rollout import Episode, rollout

from .export import Example
from .recipe import Demonstrations
from .recording import Recording

log = logging.getLogger(__name__)


def demonstrations(
    rig: Rig, task: str, config: Demonstrations, preprocess: dict[str, PreprocessSpec], folder: Path
) -> list[Recording]:
    """The demonstrations of `task`, recorded now where `folder` lacks them; failed ones are skipped."""
    shrink = {name: Preprocess(spec) for name, spec in preprocess.items()}
    recordings: list[Recording] = []
    with World(rig, task, seed=config.first_seed) as world, Progress() as progress:
        bar = progress.add_task(f"recording {task}", total=config.count)
        for seed in count(config.first_seed):
            path = folder / f"{task}_{seed:06d}.npz"
            if not path.exists():
                _record(world, task, seed, shrink, path)
            recording = Recording.load(path)
            if len(recording.action_ns):
                recordings.append(recording)
                progress.advance(bar)
            if len(recordings) == config.count:
                return recordings
    raise AssertionError("unreachable: seeds do not end")


def _record(world: World, task: str, seed: int, shrink: dict[str, Preprocess], path: Path) -> None:
    """One attempt; a failed one is kept as an empty recording, so that it is not tried again."""
    result = rollout(world, ExpertPilot(), seed, keep=lambda camera, pixels: shrink[camera].geometry(pixels))
    episode = result.episode
    if not result.success or episode is None:
        log.warning("%s, seed %d: the demonstration failed and is not used", task, seed)
        episode = Episode({}, {}, [], np.array([], np.int64), np.array([]))
    as_recording(task, seed, episode).save(path)


def as_recording(task: str, seed: int, episode: Episode) -> Recording:
    """The arrays of an episode."""
    states = episode.states
    return Recording(
        task=task, seed=seed,
        images={name: np.array(images) for name, images in episode.images.items()},
        image_ns=dict(episode.image_ns),
        state_ns=np.array([state.stamp_ns for state in states], dtype=np.int64),
        positions=np.array([state.positions for state in states]),
        velocities=np.array([state.velocities for state in states]),
        widths_m=np.array([state.gripper_width_m for state in states]),
        action_ns=episode.action_ns, actions=episode.actions,
    )  # fmt: skip


def example(rig: Rig, task: str, seed: int) -> Example:
    """Two moments of a world at rest and just set out, as the reference observation of a bundle."""
    pixels: dict[str, list[NDArray[np.uint8]]] = {name: [] for name in rig.cameras}
    poses, widths, joints = [], [], []
    with World(rig, task, seed=seed) as world:
        for step in range(rig.policy.observation_horizon):
            if step:
                world.advance(1.0 / rig.policy.rate_hz)
            for name, images in pixels.items():
                images.append(world.render(name).copy())
            state = world.arm_state()
            poses.append(world.privileged()["pose.tcp"].copy())
            widths.append(state.gripper_width_m)
            joints.append(state.positions)
    frames = {name: tuple(taken) for name, taken in pixels.items()}
    return Example(frames, np.array(poses), np.array(widths), np.array(joints))
