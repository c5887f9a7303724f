"""From a store to training: which stretches are learnt from, what is in them, and who fills the store."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.support.graph import own_domain, write_rig
from tests.support.rigs import forward
from tests.support.stores import PERIOD_NS, Row, joints_at, tiny_rig, write_store
from xdistill_ros.episodes import Control, Store
from xdistill_ros.learn.data.demonstrations import demonstrations
from xdistill_ros.learn.data.recording import Recording, stretches
from xdistill_ros.learn.data.windows import windows
from xdistill_ros.learn.export.example import recorded
from xdistill_ros.rig.poses import pose_from_9d


def controlled_by(*who: Control):
    """Makes an episode's rows those of `who`, in turn."""

    def change(rows: list[Row]) -> None:
        for row, one in zip(rows, who, strict=True):
            row["in_control"] = int(one)

    return change


def demonstrated(path: Path) -> list[Recording]:
    store = Store(path)
    return [part for one in store.episodes for part in stretches(store, one, ("front", "wrist"))]


def test_only_what_a_person_did_is_learnt_from_and_a_correction_stands_for_itself(tmp_path: Path) -> None:
    person, policy, nobody = Control.PERSON, Control.POLICY, Control.NOBODY
    who = [nobody, person, person, person, policy, policy, policy, person, person, nobody]
    path = write_store(tmp_path / "s.zarr", 1, rows=len(who), changes={0: controlled_by(*who)})
    shown = demonstrated(path)
    assert [len(one.action_ns) for one in shown] == [3, 2]
    stamps = np.asarray(Store(path).array("raw/grid/stamp_ns")[:])
    np.testing.assert_array_equal(shown[0].action_ns, stamps[1:4])
    np.testing.assert_array_equal(shown[1].action_ns, stamps[7:9])


def test_an_episode_that_nobody_demonstrated_gives_nothing(tmp_path: Path) -> None:
    path = write_store(tmp_path / "s.zarr", 2, rows=4, changes={0: controlled_by(*[Control.POLICY] * 4)})
    assert len(demonstrated(path)) == 1


@pytest.mark.parametrize("kind", ["tcp_pose", "joint_position"])
def test_actions_have_the_rigs_channels_and_are_those_that_were_commanded(tmp_path: Path, kind: str) -> None:
    rig = tiny_rig(action_space={"kind": kind, "reference": "relative" if kind == "tcp_pose" else "absolute"})
    (shown,) = demonstrated(write_store(tmp_path / "s.zarr", 1, rig, rows=8))
    assert shown.actions.shape == (8, len(rig.channels))
    for stamp, action in zip(shown.action_ns.tolist(), shown.actions, strict=True):
        wanted = joints_at(stamp)
        if kind == "tcp_pose":
            np.testing.assert_allclose(pose_from_9d(action[:9]), forward(wanted), atol=1e-5)
        else:
            np.testing.assert_allclose(action[:-1], wanted, atol=1e-5)
        assert action[-1] == pytest.approx(0.04)


def test_every_image_stands_once_with_its_own_stamp_and_row(tmp_path: Path) -> None:
    _, shown = demonstrated(write_store(tmp_path / "s.zarr", 2, rows=6))
    assert shown.episode == 1
    np.testing.assert_array_equal(shown.frames["front"], np.arange(6, 12))
    np.testing.assert_array_equal(np.diff(shown.frame_ns["front"]), PERIOD_NS)


def test_what_was_recorded_becomes_windows(tmp_path: Path) -> None:
    rig = tiny_rig()
    found = windows(demonstrated(write_store(tmp_path / "s.zarr", 2, rig, rows=12)), rig, forward)
    assert len(found.frames) == 2 * (12 - rig.policy.observation_horizon + 1)
    at = PERIOD_NS * np.arange(rig.policy.prediction_horizon)
    store = Store(tmp_path / "s.zarr")
    newest = int(store.raw(store.episodes[0], "raw/grid", "stamp_ns")[rig.policy.observation_horizon - 1])
    ahead = pose_from_9d(found.actions[0, :4, :9])[:, :3, 3]
    np.testing.assert_allclose(ahead, [forward(joints_at(newest + int(t)))[:3, 3] for t in at[:4]], atol=1e-5)


def test_the_reference_observation_is_what_was_recorded_first(tmp_path: Path) -> None:
    store = Store(write_store(tmp_path / "s.zarr", 1))
    example = recorded(store)
    steps = store.rig.policy.observation_horizon
    for step in range(steps):
        np.testing.assert_array_equal(example.pixels["wrist"][step], store.data("wrist")[step])
    assert (example.poses.shape, example.widths.shape, example.joints.shape) == ((steps, 4, 4), (steps,), (steps, 6))


@pytest.mark.timeout(300)  # a graph of real processes, on a machine that may be busy
def test_the_scripted_expert_is_recorded_through_the_graph_and_becomes_windows(tmp_path: Path) -> None:
    """The first command of `make bundle`: simulated table, bridge, recorder, store; and a training set out of it."""
    with own_domain() as domain:
        rig_path, path = write_rig(tmp_path), tmp_path / "demonstrations" / "s.zarr"
        document = yaml.safe_load(rig_path.read_text(encoding="utf-8")) | {"ros_domain_id": domain}
        rig_path.write_text(yaml.safe_dump(document), encoding="utf-8")
        asked = {"rig": rig_path, "task": "door_close", "store": path, "demonstrations": 1, "seed": 3}
        line = [sys.executable, "-m", "xdistill_ros.cli.main", "up", "record"]
        subprocess.run([*line, *(f"--{name}={value}" for name, value in asked.items())], check=True)
    store = Store(path)
    assert [one.about.seed for one in store.episodes] == [3]
    found = demonstrations(store).windows
    assert len(found.frames) > 30
    led = np.linalg.norm(found.actions[:, -1, :3] - found.poses[:, -1, :3, 3], axis=1)
    assert 0.02 < led.max() < 0.5, "what was commanded leads on from where the arm was"
