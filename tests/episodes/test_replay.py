"""A recorded episode through a bundle: the observations are the running policy's, the errors are what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from typer.testing import CliRunner, Result

from tests.support import stores
from tests.support.bundles import cache_home
from tests.support.rigs import sim_table
from tests.support.tiny_bundle import write_tiny_bundle
from xdistill_ros.cli.main import app
from xdistill_ros.episodes import Store, StoreError, layout
from xdistill_ros.episodes.kinematics import forward_of
from xdistill_ros.episodes.replay import Replay, replay
from xdistill_ros.perception import Preprocess
from xdistill_ros.policy.bundle import Bundle
from xdistill_ros.policy.chunk import Chunk
from xdistill_ros.policy.loading import load_bundle
from xdistill_ros.policy.observation import Observation
from xdistill_ros.policy.sampler import Sampler
from xdistill_ros.policy.window import ObservationWindow
from xdistill_ros.rig.poses import pose_to_9d
from xdistill_ros.timeline import ArmState

__all__ = ["cache_home"]
ROWS = 24


def nothing() -> None:
    """Where a bar would move."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(stores.write_store(tmp_path_factory.mktemp("replay") / "push.zarr", 2))


@pytest.fixture
def bundle(store: Store, tmp_path: Path) -> Bundle:
    return load_bundle(write_tiny_bundle(tmp_path / "models" / "push", store.rig), store.rig)


def live(store: Store, bundle: Bundle, row: int) -> Observation:
    """The observation at a row as a running policy has it: what had arrived by then, through its window."""
    episode, rig = store.episodes[1], store.rig
    stamps = np.asarray(store.raw(episode, layout.GRID, "stamp_ns"), np.int64)[: row + 1]
    now_ns = int(stamps[-1]) + 20_000_000
    window = ObservationWindow(bundle.manifest, rig, forward_of(store))
    columns = [store.raw(episode, layout.STATE, key) for key in ("stamp_ns", "position", "velocity", "gripper")]
    for stamp, position, velocity, width in zip(*columns, strict=True):
        if stamp <= now_ns:
            assert window.push_state(ArmState(int(stamp), position, velocity, float(width)), now_ns) is None
    for name in rig.cameras:
        preprocess, encoder = Preprocess(bundle.manifest.preprocess[name]), bundle.encoder(name, threads=1)
        for index, stamp in enumerate(stamps.tolist()):
            feature = encoder.encode(preprocess(np.asarray(store.data(name)[episode.start + index])))
            assert window.push_feature(name, stamp, feature, now_ns) is None
    found = window.at(now_ns)
    assert isinstance(found, Observation), found
    return found


def test_what_is_proposed_is_what_the_running_policy_would_propose(store: Store, bundle: Bundle) -> None:
    done = replay(store, store.episodes[1], bundle, nothing)
    assert len(done.observed_ns) == ROWS - 1  # the first row has no history
    assert done.refused == {"frame_missing": 1}
    sampler = Sampler(bundle, seed=0, threads=1)
    for row in (1, 2, 3):
        chunk = sampler.sample(live(store, bundle, row))
        assert chunk.observation_ns == done.observed_ns[row - 1]
        np.testing.assert_array_equal(chunk.actions, done.proposed[row - 1])


def test_what_was_commanded_is_the_recordings_as_far_as_it_goes(store: Store, bundle: Bundle) -> None:
    done = replay(store, store.episodes[1], bundle, nothing)
    assert done.recorded.actions.shape == (ROWS, 10)
    np.testing.assert_allclose(done.commanded[0, :16], done.recorded.actions[1:17], atol=1e-12)
    assert done.known[0].all()
    assert done.known[-1].tolist() == [True] + [False] * 15
    assert np.isnan(done.errors["position, mm"][-1, 1:]).all()


def test_a_policy_of_one_camera_is_replayed_on_a_store_of_two(store: Store, tmp_path: Path) -> None:
    one = store.rig.model_copy(update={"cameras": {"wrist": store.rig.cameras["wrist"]}})
    folder = write_tiny_bundle(tmp_path / "models" / "wrist", one)
    assert len(replay(store, store.episodes[0], Bundle.read(folder), nothing).observed_ns) == ROWS - 1
    assert run(store.path, 0, "--bundle", folder, "--out", tmp_path / "one.png").exit_code == 0


def test_the_same_seed_gives_the_same_replay_and_another_one_another(store: Store, bundle: Bundle) -> None:
    one, same, other = (replay(store, store.episodes[0], bundle, nothing, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.proposed, same.proposed)
    assert not np.allclose(one.proposed, other.proposed)


def test_errors_are_distances_and_angles_in_the_units_they_name(store: Store) -> None:
    pose = np.eye(4)
    commanded = np.tile(np.append(pose_to_9d(pose), 0.04), (2, 3, 1))
    pose[:3, :3], pose[:3, 3] = Rotation.from_rotvec([0, 0, np.radians(5.0)]).as_matrix(), (0.003, 0.0, 0.004)
    proposed = np.tile(np.append(pose_to_9d(pose), 0.038), (2, 3, 1))
    times = stores.BEGIN_NS + stores.PERIOD_NS * np.arange(4)
    done = Replay(
        rig=store.rig, bundle="b", observed_ns=times[:2], proposed=proposed, commanded=commanded,
        known=np.ones((2, 3), bool), recorded=Chunk(int(times[0]), times, commanded[0]), refused={},
    )  # fmt: skip
    for name, wanted in (("position, mm", 5.0), ("rotation, deg", 5.0), ("gripper, mm", 2.0)):
        np.testing.assert_allclose(done.errors[name], wanted, rtol=1e-6)


def test_an_episode_too_short_for_an_observation_says_so(tmp_path: Path) -> None:
    short = Store(stores.write_store(tmp_path / "short.zarr", 1, rows=1))
    made = Bundle.read(write_tiny_bundle(tmp_path / "models" / "push", short.rig))
    with pytest.raises(StoreError, match="episode 0 holds no observation of the policy"):
        replay(short, short.episodes[0], made, nothing)


# ---- the command


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["replay", *map(str, words)])


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_the_command_draws_every_channel_and_prints_the_error_by_step(
    store: Store, bundle: Bundle, tmp_path: Path, suffix: str
) -> None:
    picture = tmp_path / "pictures" / f"replay.{suffix}"
    ended = run(store.path, 1, "--bundle", bundle.path, "--out", picture)
    assert ended.exit_code == 0, ended.output
    assert picture.stat().st_size > 20_000
    for told in ("position, mm", "rotation, deg", "gripper, mm", "seconds ahead", "1 rows without", str(picture)):
        assert told in ended.stdout
    steps = [line.split()[0] for line in ended.stdout.splitlines() if line.strip()[:1].isdigit() and "/" in line]
    assert steps == [str(step) for step in range(16)]
    if suffix == "svg":
        drawn = picture.read_text()
        for label in ("x, mm", "turned about z, deg", "gripper, mm", "seconds ahead of the observation"):
            assert label in drawn


def test_joints_are_drawn_where_actions_are_joints(tmp_path: Path) -> None:
    rig = stores.tiny_rig(action_space={"kind": "joint_position", "reference": "absolute"})
    path = stores.write_store(tmp_path / "joints.zarr", 1, rig)
    made = write_tiny_bundle(tmp_path / "models" / "push", rig)
    ended = run(path, 0, "--bundle", made, "--out", tmp_path / "joints.svg")
    assert ended.exit_code == 0, ended.output
    assert "joints, deg" in ended.stdout
    assert "joint6, deg" in (tmp_path / "joints.svg").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("STORE", 7, "--bundle", "BUNDLE"), "no episode 7; it has 2, counted from 0"),
        (("STORE", 0, "--bundle", "OTHER"), "the bundle does not fit the rig"),
        (("STORE", 0, "--bundle", "NOTHING"), "bundle.yaml: cannot be read"),
        (("NOTHING", 0, "--bundle", "BUNDLE"), "no episode store there"),
    ],
)
def test_what_cannot_be_replayed_is_said_in_a_sentence(
    store: Store, bundle: Bundle, tmp_path: Path, words: tuple[object, ...], message: str
) -> None:
    places: dict[object, object] = {
        "STORE": store.path, "BUNDLE": bundle.path, "NOTHING": tmp_path / "nothing",
        "OTHER": write_tiny_bundle(tmp_path / "other" / "push", sim_table()),
    }  # fmt: skip
    ended = run(*(places.get(word, word) for word in words))
    assert ended.exit_code == 2, ended.output
    assert message in ended.stderr
    assert "Traceback" not in ended.output


def test_a_bundle_of_another_rig_names_the_field_and_both_sizes(store: Store, tmp_path: Path) -> None:
    other = write_tiny_bundle(tmp_path / "other" / "push", sim_table())
    said = run(store.path, 0, "--bundle", other).stderr
    assert "cameras.front.width_px: the bundle was trained with 640, this rig has 32" in said
