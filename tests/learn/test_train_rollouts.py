"""Rollouts while training: the policy in memory flies as its bundle does, and the paper's protocol is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.brief_rollouts import Brief
from tests.support.rigs import sim_table
from tests.support.small_table import small_table
from tests.support.stores import Row, write_episode, write_store
from tests.support.torch_policy import random_policy, unrounded_policy
from tests.support.training import lines, save_student, tiny
from xdistill_ros.episodes import Store, Writer, layout
from xdistill_ros.learn import policies
from xdistill_ros.learn.data.eyes import Points
from xdistill_ros.learn.data.image_cache import cached_depths
from xdistill_ros.learn.errors import LearnError
from xdistill_ros.learn.export.bundle import export
from xdistill_ros.learn.export.example import Example
from xdistill_ros.learn.networks.encoders import Student
from xdistill_ros.learn.networks.pointnet import PointNet
from xdistill_ros.learn.policies import Trained
from xdistill_ros.learn.training import rollouts
from xdistill_ros.learn.training.in_memory import InMemory
from xdistill_ros.learn.training.settings import RolloutSettings
from xdistill_ros.learn.training.trainer import train
from xdistill_ros.policy.chunk import Chunk
from xdistill_ros.policy.loading import load_bundle
from xdistill_ros.rig import Rig
from xdistill_ros.sim import TASKS, World
from xdistill_ros.sim.pilots import PolicyPilot
from xdistill_ros.sim.rollout import Result, Run, rollout


def flown(rig: Rig, pilot: PolicyPilot) -> list[Chunk]:
    """The chunks that a pilot proposes in a second and a half."""
    chunks: list[Chunk] = []
    with World(rig, "move_cube") as world:
        pilot.begin(world, 3)
        run = Run(world, pilot)
        original = run.chunks.push

        def spy(due_ns: int, chunk: Chunk) -> None:
            chunks.append(chunk)
            original(due_ns, chunk)

        run.chunks.push = spy  # type: ignore[method-assign]
        while world.elapsed_s < 1.5:
            run.tick()
    return chunks


@pytest.mark.parametrize("merge", ["ensemble", "rtc"])
def test_in_memory_it_proposes_what_its_bundle_proposes(tmp_path: Path, merge: str) -> None:
    rig = sim_table(merge=merge)
    trained = random_policy(rig)
    steps, rng = rig.policy.observation_horizon, np.random.default_rng(0)
    example = Example(
        pixels={
            name: tuple(rng.integers(0, 255, (480, 640, 3), np.uint8) for _ in range(steps)) for name in rig.cameras
        },
        poses=np.tile(np.eye(4), (steps, 1, 1)), widths=np.full(steps, 0.05), joints=np.zeros((steps, 6)),
    )  # fmt: skip
    bundle = load_bundle(export(trained, example, {"command": "a test"}, tmp_path / "m" / "move_cube"), rig)
    of_bundle, of_torch = (flown(rig, PolicyPilot(policy, rig)) for policy in (bundle, InMemory(trained, "cpu")))
    assert len(of_torch) >= 3
    for one, other in zip(of_bundle, of_torch, strict=True):
        assert one.observation_ns == other.observation_ns
        np.testing.assert_allclose(one.actions, other.actions, atol=1e-3)


@pytest.fixture
def flier(tmp_path: Path) -> Path:
    """The folder of a policy of random weights, whose cameras are drawn in no time."""
    rig = small_table()
    made = random_policy(sim_table(), "door_close")
    preprocess = {
        name: spec.model_copy(update={"source_width_px": 64, "source_height_px": 48})
        for name, spec in made.preprocess.items()
    }
    torch.manual_seed(0)
    encoder = Student(12, "projection").eval()
    trained = Trained("door_close", rig, preprocess, made.proprio, made.statistics, encoder, made.head)
    policies.save(trained, tmp_path / "run", {})
    return tmp_path / "run"


def test_a_policy_of_a_folder_is_rolled_out_to_the_end(flier: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random weights close no door, but they move the arm for as long as the task lasts."""
    seen: list[Result] = []

    def watched(*given: Any) -> Result:
        seen.append(rollout(*given))
        return seen[-1]

    monkeypatch.setattr("xdistill_ros.sim.rollout.rollout", watched)
    monkeypatch.setattr(type(TASKS["door_close"]), "time_limit_s", 2.0)
    assert rollouts.Job(flier, "id", (rollouts.FIRST_SEED,), "cpu").run() == [False]
    assert (seen[0].seed, seen[0].condition) == (rollouts.FIRST_SEED, "id")
    assert seen[0].elapsed_s >= 2.0
    assert sum(seen[0].holds.values()) < 100, "of 200 control ticks: it holds until the first chunk is there"


def test_processes_of_their_own_share_the_scenes(flier: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollouts, "Job", Brief)
    found = rollouts.successes(flier, RolloutSettings(episodes=3, processes=2), "cpu")
    assert found == [False, True, False]


def policy_of_points(rig: Rig) -> Trained:
    """Random weights on depth, as training would leave them."""
    torch.manual_seed(0)
    return unrounded_policy(rig, "door_close", PointNet(12, (8, 16)))


def test_it_sees_the_points_that_training_made_of_the_same_depth(tmp_path: Path) -> None:
    rig = small_table(depth=True)
    trained = policy_of_points(rig)
    with World(rig, "door_close", latency=False) as world:
        frames = world.frames_due()
        depths = {frame.camera: frame.depth for frame in frames}

        def put(rows: list[Row]) -> None:
            for row in rows:
                row.update({layout.depth_name(name): depth for name, depth in depths.items()})

        store = Store(write_store(tmp_path / "s.zarr", 1, rig, changes={0: put}))
        flying = InMemory(trained, "cpu")
        features = {frame.camera: flying.eye(frame.camera).feature(frame) for frame in frames}
    cached = cached_depths(store, trained.preprocess, "memory")
    seen = Points.of(rig, trained.preprocess)(
        torch.stack([torch.from_numpy(images[:1]) for images in cached.values()]), None
    )
    with torch.inference_mode():
        expected = trained.encoder(seen).numpy()
    for camera, feature in zip(cached, expected, strict=True):
        np.testing.assert_allclose(features[camera], feature, atol=1e-5)
    assert np.abs(expected[0] - expected[1]).max() > 0.01, "two cameras see two things"


def test_on_a_rig_without_depth_a_policy_of_points_is_refused() -> None:
    flying = InMemory(policy_of_points(small_table(depth=True)), "cpu")
    with World(small_table(), "door_close", latency=False) as world:
        (front, *_) = (frame for frame in world.frames_due() if frame.camera == "front")
        with pytest.raises(LearnError, match=r"set cameras\.front\.depth"):
            flying.eye("front").feature(front)


def test_a_training_on_depth_is_judged_by_rollouts(tmp_path: Path) -> None:
    """The whole way: a store with depth, a training of two epochs, a simulator process for each scene."""
    rig = small_table(depth=True)
    with Writer(tmp_path / "s.zarr", rig, "door_close") as writer:
        for index in range(2):
            write_episode(writer, rig, index, rows=20)
    wanted = tiny(
        tmp_path / "s.zarr", encoder__word="pointnet", held_out=0,
        rollouts={"every_epochs": 2, "episodes": 2, "processes": 2},
    )  # fmt: skip
    outcome = train(wanted, tmp_path / "run")
    assert [(epoch, of) for epoch, _, of in outcome.rollouts] == [(2, 2)]


class Inline:
    """An executor of this process."""

    def __init__(self, processes: int) -> None:
        self.processes = processes

    def __enter__(self) -> Inline:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def map(self, call: Callable[[Any], Any], jobs: Iterable[Any]) -> Iterator[Any]:
        return map(call, jobs)


@pytest.mark.parametrize("processes", [1, 3, 20])
def test_however_many_processes_the_results_stand_in_the_order_of_their_scenes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, processes: int
) -> None:
    monkeypatch.setattr(rollouts, "pool", Inline)
    monkeypatch.setattr(rollouts.Job, "run", lambda self: [seed % 3 == 0 for seed in self.seeds])
    found = rollouts.successes(tmp_path, RolloutSettings(episodes=7, processes=processes), "cpu")
    assert found == [(rollouts.FIRST_SEED + index) % 3 == 0 for index in range(7)]


@pytest.mark.parametrize(("device", "wanted"), [("cpu", 6), ("cuda", 4)])
def test_as_many_processes_as_this_one_may_use_cores_and_fewer_at_a_gpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, device: str, wanted: int
) -> None:
    asked: list[int] = []

    class Counted(Inline):
        def __init__(self, processes: int) -> None:
            super().__init__(processes)
            asked.append(processes)

    monkeypatch.setattr(rollouts, "pool", Counted)
    monkeypatch.setattr(rollouts.Job, "run", lambda self: [True] * len(self.seeds))
    monkeypatch.setattr(rollouts, "cores", lambda: 6)
    rollouts.successes(tmp_path, RolloutSettings(), device)
    rollouts.successes(tmp_path, RolloutSettings(processes=9), device)
    assert asked == [wanted, 9]


def test_the_seeds_are_neither_those_of_demonstrations_nor_those_of_trials() -> None:
    from xdistill_ros.learn.documents import load
    from xdistill_ros.learn.table.encoder import TableDistillation
    from xdistill_ros.trials import FIRST_EVALUATION_SEED

    shipped = load(TableDistillation, Path("config/learn/distil_table.yaml")).renderings
    assert 25 * 10 < shipped.seed < shipped.seed + shipped.per_task < rollouts.FIRST_SEED
    assert rollouts.LAST_SEED < FIRST_EVALUATION_SEED


def test_the_maximum_is_kept_apart_from_the_last_and_told_as_a_maximum(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store, student = write_store(tmp_path / "s.zarr", 2), save_student(tmp_path / "encoder.safetensors")
    results = iter([[True, False, False], [True, True, False], [False, False, False]])
    monkeypatch.setattr(rollouts, "check", lambda *_, **__: None)
    monkeypatch.setattr(rollouts, "successes", lambda *_: next(results))
    wanted = tiny(store, student, epochs=5, held_out=0, rollouts={"every_epochs": 2, "episodes": 3})
    outcome = train(wanted, tmp_path / "run")
    assert outcome.rollouts == [(2, 1, 3), (4, 2, 3), (5, 0, 3)], "every second epoch, and the last"
    assert outcome.best == (4, 2, 3)
    assert policies.provenance(tmp_path / "run" / "best")["epoch"] == 4
    assert policies.provenance(tmp_path / "run")["epoch"] == 5
    told = lines(tmp_path / "run", "rollouts")
    assert [one["successes"] for one in told] == [1, 2, 0]
    assert told[0]["first_seed"] == rollouts.FIRST_SEED
    again = train(wanted, tmp_path / "run")
    assert again.best == (4, 2, 3), "a finished run still knows"
