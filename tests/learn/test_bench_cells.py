"""Cells worked for real, as small as they can be: demonstrations, training, evaluations, a kill in between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.stores import write_store
from tests.support.training import SMALL_UNET, save_student
from xdistill_ros.learn import runs, weights
from xdistill_ros.learn.bench import grid, metaworld, scripted, senses, simulated_table, teaching
from xdistill_ros.learn.bench.config import Benchmark, MetaWorldProtocol
from xdistill_ros.learn.bench.grid import Shard
from xdistill_ros.learn.bench.scripted import Episode
from xdistill_ros.learn.bench.work import TRAINING, Worker
from xdistill_ros.learn.errors import LearnError
from xdistill_ros.learn.networks.encoders import Student
from xdistill_ros.learn.networks.pointnet import PointNet
from xdistill_ros.learn.training.rollouts import Job
from xdistill_ros.learn.training.settings import settings
from xdistill_ros.sim import metaworld_env
from xdistill_ros.sim.metaworld_env import MetaWorld

TRAINED = {
    "unet": SMALL_UNET, "schedule": {"prediction_type": "sample", "inference_steps": 4},
    "optimiser": {"learning_rate": 1e-3, "warm_up_steps": 2}, "batch": 64, "device": "cpu", "threads": 1, "bf16": False,
}  # fmt: skip


def episode(steps: int, shift: float) -> Episode:
    hands = np.linspace(0.0, 0.1, steps)[:, None] + [shift, 0.0, 0.0]
    images = np.random.default_rng(steps).integers(0, 255, (steps, 32, 32, 3), np.uint8)
    return Episode(images, hands, np.full(steps, 0.1), np.arange(4.0 * steps).reshape(steps, 4) / (4.0 * steps))


# data


def test_windows_stay_within_their_episode_and_repeat_its_ends() -> None:
    protocol = MetaWorldProtocol(prediction_horizon=4, action_horizon=2)
    episodes = [episode(6, 0.0), episode(5, 1.0)]
    found = scripted.windows(episodes, protocol)
    assert found.frames.shape == (11, 2, 1)
    assert found.frames[[0, 1, 5, 6, 7], :, 0].tolist() == [[0, 0], [0, 1], [4, 5], [6, 6], [6, 7]]
    np.testing.assert_array_equal(found.actions[4], episodes[0].actions[[4, 5, 5, 5]])
    np.testing.assert_array_equal(found.poses[6, :, :3, 3], episodes[1].hands[[0, 0]])
    assert found.episodes.tolist() == [0] * 6 + [1] * 5


def test_actions_are_the_environment_s_own_at_network_scale() -> None:
    found = scripted.windows([episode(6, 0.0)], MetaWorldProtocol(prediction_horizon=4, action_horizon=2))
    statistics = found.statistics(None, ("tcp_absolute", "gripper_width"))
    scaled = found.targets(None, statistics)
    assert (scaled.min(), scaled.max()) == (-1.0, 1.0)
    np.testing.assert_allclose(statistics.action.denormalise(scaled.astype(float)), found.actions, atol=1e-6)


def test_a_demonstration_is_drawn_ends_after_its_success_and_does_what_it_says() -> None:
    with MetaWorld("drawer-open", 48) as env:
        made = scripted.demonstrate(env, 0, 6, MetaWorld.image)
        assert made is not None
        assert made.images.shape[1:] == (48, 48, 3)
        assert made.images.dtype == np.uint8
        assert made.images.std() > 15.0
        assert np.abs(np.diff(made.images.astype(int), axis=0)).max() > 50  # and it moves
        assert len(made.actions) < metaworld_env.STEP_LIMIT
        assert np.abs(made.actions).max() <= 1.0
        env.reset(0)
        for action in made.actions:
            env.step(action)
        assert env.succeeded


def test_a_scripted_policy_that_never_succeeds_ends_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(scripted, "demonstrate", lambda *_: None)
    with pytest.raises(LearnError, match="succeeded in 0 of 20 episodes"):
        scripted.demonstrations(
            "push", MetaWorldProtocol(demonstrations=2, image_px=32), tmp_path / "push.npz", MetaWorld.image
        )
    assert not (tmp_path / "push.npz").exists()


# MetaWorld


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., tuple[Benchmark, Path]]:
    """A benchmark of one task whose episodes are short, with demonstrations that were made before."""

    def make(**training: Any) -> tuple[Benchmark, Path]:
        monkeypatch.setattr(metaworld_env, "STEP_LIMIT", 12)
        benchmark = Benchmark.model_validate({
            "suite": "metaworld", "tasks": ["reach"], "seeds": [0],
            "encoders": [{"name": "scratch", "word": "resnet18_scratch"}],
            "metaworld": {
                "demonstrations": 2, "image_px": 32, "prediction_horizon": 8, "action_horizon": 4, "every_epochs": 2,
                "episodes": 2,
            },
            "training": {**TRAINED, "epochs": 5, **training},
        })  # fmt: skip
        path = tmp_path / "demonstrations" / "reach.npz"
        path.parent.mkdir(exist_ok=True)
        scripted._write([episode(20, 0.0), episode(24, 0.1)], path)
        return benchmark, tmp_path

    return make


def worked(benchmark: Benchmark, out: Path) -> grid.Outcome:
    worker = Worker(benchmark, out)
    return grid.run(benchmark, out, Shard(), worker, worker.protocol)


def test_a_cell_is_trained_and_evaluated_by_the_protocol(short: Callable[..., tuple[Benchmark, Path]]) -> None:
    benchmark, out = short()
    assert worked(benchmark, out).failed == {}
    (result,) = grid.results(benchmark, out)
    assert [one.epoch for one in result.evaluations] == [2, 4, 5], "every second epoch, and the last"
    assert all(one.counts["id"][1] == 2 for one in result.evaluations)
    seconds = [one.seconds for one in result.evaluations]
    assert seconds == sorted(seconds)
    assert not (result.cell.folder(out) / TRAINING / runs.CHECKPOINT).exists(), "nothing is left that fills a disk"


def test_a_row_of_points_stands_beside_one_of_colours(short: Callable[..., tuple[Benchmark, Path]]) -> None:
    """Both in one folder: what is demonstrated in depth lies beside what is demonstrated in colour."""
    benchmark, out = short(epochs=3, image={"resize_width_px": 20, "resize_height_px": 20})
    document = benchmark.model_dump(mode="json")
    document["encoders"].append({"name": "points", "word": "pointnet"})
    both = Benchmark.model_validate(document)
    rng = np.random.default_rng(0)
    shown = [replace(episode(20, x), images=rng.integers(500, 1500, (20, 32, 32), np.uint16)) for x in (0.0, 0.1)]
    scripted._write(shown, out / "demonstrations" / "reach_depth.npz")
    assert worked(both, out).failed == {}
    assert {result.cell.encoder: result.evaluations[-1].epoch for result in grid.results(both, out)} == {
        "scratch": 3, "points": 3,
    }  # fmt: skip


def test_points_of_a_demonstration_are_those_of_hand_and_thing_without_the_table() -> None:
    wanted = settings([{"store": "none", "encoder": {"word": "pointnet"}}], "test")
    with MetaWorld("push", 96) as env:
        env.reset(3)
        seen = senses.sense(wanted, PointNet().input, env)
        depth = torch.from_numpy(seen.shrink(seen.look(env)))
        places = [env.hand_m(), env.things_m()[0]]
    points = seen.eye(depth[None, None], None)[0].flatten(1).numpy().T
    assert points[:, 2].min() > 0.0, "the table is cut away"
    for place in places:
        assert np.linalg.norm(points - place, axis=1).min() < 0.06


def test_a_killed_cell_goes_on_from_its_last_evaluation(
    short: Callable[..., tuple[Benchmark, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    benchmark, out = short()
    original, played = metaworld.Player.plays, []

    def fragile(self: metaworld.Player, env: MetaWorld, seed: int) -> bool:
        if len(played) == 3:  # in the second evaluation
            raise KeyboardInterrupt
        played.append(seed)
        return original(self, env, seed)

    with monkeypatch.context() as patched:
        patched.setattr(metaworld.Player, "plays", fragile)
        with pytest.raises(KeyboardInterrupt):
            worked(benchmark, out)
    folder = grid.cells(benchmark)[0].folder(out)
    before = metaworld.evaluations(folder / TRAINING)
    assert [one.epoch for one in before] == [2]
    assert worked(benchmark, out).failed == {}
    (result,) = grid.results(benchmark, out)
    assert [one.epoch for one in result.evaluations] == [2, 4, 5]
    assert result.evaluations[0] == before[0]
    assert result.evaluations[1].seconds > before[0].seconds
    assert played[:2] == [metaworld.FIRST_SEED, metaworld.FIRST_SEED + 1]


def test_the_same_policy_plays_the_same_episode(short: Callable[..., tuple[Benchmark, Path]]) -> None:
    benchmark, out = short()
    training = Worker(benchmark, out).settings(grid.cells(benchmark)[0])
    protocol = benchmark.metaworld
    assert protocol is not None
    run = metaworld.MetaWorldTraining("reach", 0, training, protocol, out / "run")
    player = metaworld.Player(
        run.averaged(), training, protocol, run.sense, run.prepared.statistics, run.prepared.device
    )  # fmt: skip
    ends = []
    with MetaWorld("reach", protocol.image_px) as env:
        for seed in (7, 8, 7):
            player.plays(env, seed)
            ends.append(env.hand_m())
    run.close()
    np.testing.assert_array_equal(ends[0], ends[2])
    assert np.any(ends[0] != ends[1])


@pytest.mark.parametrize(
    ("encoders", "training", "said"),
    [
        ([{"name": "a", "word": "resnet9"}], {}, "word 'resnet9' does not exist"),
        ([{"name": "a", "word": "xdistill", "weights": "/nowhere.safetensors"}], {}, "no such file of weights"),
        ([{"name": "a", "word": "resnet18_scratch"}], {"held_out": 1}, "leave them out here"),
        ([{"name": "a", "word": "resnet18_scratch"}], {"epoch": 1}, "epoch"),
    ],
)
def test_what_no_cell_could_be_trained_with_is_said_before_the_first(
    short: Callable[..., tuple[Benchmark, Path]], encoders: list[dict[str, Any]], training: dict[str, Any], said: str
) -> None:
    benchmark, out = short(**training)
    document = benchmark.model_dump(mode="json") | {"encoders": encoders}
    with pytest.raises(LearnError) as told:
        Worker(Benchmark.model_validate(document), out)
    assert said in str(told.value)


# the simulated table


def table(tmp_path: Path) -> Benchmark:
    return Benchmark.model_validate({
        "suite": "table", "tasks": ["move_cube"], "seeds": [0],
        "encoders": [{"name": "student", "word": "xdistill", "weights": str(tmp_path / "encoder.safetensors")}],
        "table": {"stores": str(tmp_path / "{task}.zarr"), "trials": 7, "variant_trials": 1},
        "training": {
            **TRAINED, "epochs": 4, "held_out": 0,
            "image": {"resize_width_px": 20, "resize_height_px": 20},
        },
    })  # fmt: skip


def test_the_table_s_trials_go_on_where_they_were_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_student(tmp_path / "encoder.safetensors")
    write_store(tmp_path / "move_cube.zarr", 2)
    tried: list[tuple[str, int]] = []

    def fake(self: Job) -> list[bool]:
        if len(tried) >= 5 and not again:
            raise KeyboardInterrupt
        tried.extend((self.condition, seed) for seed in self.seeds)
        return [self.condition == "id" for _ in self.seeds]

    monkeypatch.setattr(Job, "run", fake)
    benchmark, again = table(tmp_path), False
    with pytest.raises(KeyboardInterrupt):
        worked(benchmark, tmp_path / "out")
    again = True
    assert worked(benchmark, tmp_path / "out").failed == {}
    assert len(tried) == len(set(tried)) == 7 + 6, "no trial is done twice"
    assert min(seed for _, seed in tried) == simulated_table.FIRST_SEED
    (result,) = grid.results(benchmark, tmp_path / "out")
    (evaluation,) = result.evaluations
    assert evaluation.counts["id"] == (7, 7)
    assert evaluation.counts["colour"] == (0, 1)


def test_a_task_without_demonstrations_says_how_to_record_them(tmp_path: Path) -> None:
    save_student(tmp_path / "encoder.safetensors")
    with pytest.raises(LearnError, match="xdistill up record --task move_cube"):
        Worker(table(tmp_path), tmp_path / "out")
    points = table(tmp_path).model_dump(mode="json") | {"encoders": [{"name": "points", "word": "pointnet"}]}
    with pytest.raises(LearnError, match=r"record --rig config/rigs/sim_table_depth\.yaml --task move_cube"):
        Worker(Benchmark.model_validate(points), tmp_path / "out")


# the student for MetaWorld


def test_a_student_is_taught_on_other_tasks_and_says_so(tmp_path: Path) -> None:
    apart = [task for task in metaworld_env.TASKS if task not in ("reach", "push")]
    wanted = teaching.Teaching.model_validate({
        "apart": apart, "per_task": 20, "image_px": 32,
        "distil": {"steps": 2, "batch": 4, "held_out": 8, "bf16": False},
    })  # fmt: skip
    out = tmp_path / "student.safetensors"
    errors = teaching.teach(wanted, out)
    assert set(errors) == {"object", "goal"}, "neither task has a second thing"
    student = weights.load(out)
    assert isinstance(student, Student)
    told = weights.provenance(out)
    assert told["tasks"] == ["push", "reach"]
    assert "drawer-open" in told["nothing_seen_of"]
    other = wanted.model_copy(update={"per_task": 40})
    with pytest.raises(LearnError, match="per_task is 20 there and 40 now"):
        teaching.teach(other, out)
