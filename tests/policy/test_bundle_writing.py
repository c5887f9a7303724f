"""A bundle appears whole or not at all, whatever happens while it is made; samples may begin before the observation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.rigs import sim_table
from tests.support.tiny_bundle import FEATURE_DIM, PARTS, write_tiny_bundle
from xdistill_ros.policy import actions as act
from xdistill_ros.policy import bundle as bundles
from xdistill_ros.policy.bundle import Bundle
from xdistill_ros.policy.chunk import Chunk
from xdistill_ros.policy.loading import load_bundle
from xdistill_ros.policy.manifest import BundleError
from xdistill_ros.policy.observation import Observation
from xdistill_ros.policy.sampler import Latency, Sampler, time_left_s, too_slow

STAMP = 1_700_000_000_000_000_000
PERIOD_NS = 100_000_000


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def parts(folder: Path) -> tuple[dict, dict, bytes]:
    """What `draft` takes, of a bundle that is there."""
    bundle = Bundle.read(folder)
    fields = bundle.manifest.model_dump(exclude={"files", "format_version"})
    files = {name: (folder / name).read_bytes() for name in bundle.manifest.files}
    return fields, files, bundle.encoder_path.read_bytes()


def test_a_draft_can_be_tried_before_it_is_there(folder, tmp_path):
    target = tmp_path / "models" / "other"
    with bundles.draft(target, *parts(folder)) as bundle:
        assert not target.exists()
        assert Sampler(bundle, 0, threads=1).provider
        assert bundle.encoder("front", threads=1).provider
    assert Bundle.read(target).hash == bundle.hash
    assert {path.name for path in (tmp_path / "models").iterdir()} == {"tiny", "other", "shared"}


def test_a_draft_that_fails_leaves_nothing(folder, tmp_path):
    before = contents(tmp_path / "models")
    for target in (tmp_path / "models" / "other", folder):

        def fail(target: Path = target) -> None:
            with bundles.draft(target, *parts(folder)):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fail()
        assert contents(tmp_path / "models") == before


@pytest.mark.parametrize("fails", ["mkdir", "replace", "rename"])
def test_a_disk_that_fails_at_any_move_leaves_the_old_bundle(folder, rig, tmp_path, fails, monkeypatch):
    """Each call of that kind in turn; the first that no longer fails writes the new one."""
    old, fields = Bundle.read(folder).hash, parts(folder)
    real, count = getattr(Path, fails), [0]
    for failing in range(1, 10):
        count[0] = 0

        def once(path: Path, *args, failing: int = failing, **options):
            count[0] += 1
            if count[0] == failing:
                raise OSError(28, "No space left on device", str(path))
            return real(path, *args, **options)

        monkeypatch.setattr(Path, fails, once)
        changed = ({**fields[0], "task": "drawer_open"}, *fields[1:])
        try:
            bundles.write(folder, *changed)
        except OSError:
            monkeypatch.setattr(Path, fails, real)
            assert load_bundle(folder, rig).hash == old
            assert {path.name for path in (tmp_path / "models").iterdir()} == {"tiny", "shared"}
            continue
        break
    monkeypatch.setattr(Path, fails, real)
    assert load_bundle(folder, rig).hash != old
    assert failing > 1


# ---- samples that begin before the observation


def observation() -> Observation:
    poses = np.tile(np.eye(4), (2, 1, 1))
    proprio = act.proprioception(PARTS, poses, np.array([0.05, 0.04]), np.zeros((2, 6)))
    return Observation(STAMP, np.full((2, 2 * FEATURE_DIM), 0.3, np.float32), proprio, poses[-1])


@pytest.fixture
def both(rig, tmp_path) -> tuple[Sampler, Sampler]:
    """The same networks, without and with a past action."""
    folders = [write_tiny_bundle(tmp_path / "m" / f"b{past}", rig, past_actions=past) for past in (0, 1)]
    plain, past = (Sampler(Bundle.read(folder), 0, threads=1) for folder in folders)
    return plain, past


def test_a_past_action_is_denoised_and_not_proposed(both):
    noise = np.random.default_rng(0).standard_normal((16, 10), dtype=np.float32)
    plain, past = (sampler.sample(observation(), noise=noise) for sampler in both)
    assert past.observation_ns == past.times_ns[0] == STAMP
    assert past.actions.shape == (15, 10)
    np.testing.assert_array_equal(past.times_ns, STAMP + PERIOD_NS * np.arange(15))
    np.testing.assert_array_equal(past.actions, plain.actions[1:])


@pytest.fixture(scope="module")
def sampler(tmp_path_factory) -> Sampler:
    folder = write_tiny_bundle(tmp_path_factory.mktemp("past") / "m" / "b", sim_table(), past_actions=1)
    return Sampler(Bundle.read(folder), 0, threads=1)


@settings(max_examples=20, deadline=None)
@given(first=st.integers(-3, 3), length=st.integers(2, 6))
def test_what_is_committed_is_held_at_its_own_time(sampler, first, length):
    """Also what was executed before the observation, which the past action then is."""
    times = STAMP + PERIOD_NS * np.arange(first, first + length)
    actions = np.tile(np.append(act.pose_to_9d(np.eye(4)), 0.04), (length, 1))
    actions[:, 0] = 0.01 * np.arange(length)
    chunk = sampler.sample(observation(), committed=Chunk(STAMP, times, actions))
    for time_ns, action in zip(times, actions, strict=True):
        if time_ns >= STAMP:
            np.testing.assert_allclose(chunk.actions[(time_ns - STAMP) // PERIOD_NS], action, atol=1e-6)


def test_a_past_action_leaves_less_time_to_sample():
    patient = sim_table(max_chunk_age_s=5.0)
    assert time_left_s(patient) - time_left_s(patient, 1) == pytest.approx(0.1)
    latency = Latency(0.1, time_left_s(patient) - 0.05)
    assert too_slow(latency, patient) is None
    assert too_slow(latency, patient, past_actions=1) is not None


def test_past_actions_must_leave_some(tmp_path):
    with pytest.raises(BundleError, match="past_actions is 7 of 8 actions; two must be left"):
        write_tiny_bundle(tmp_path / "b", sim_table(prediction_horizon=8, action_horizon=4), past_actions=7)
