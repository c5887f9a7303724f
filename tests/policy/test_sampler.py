"""The sampler: an observation to a chunk, seeds, prefixes, and the time it may take."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler

from tests.support.rigs import sim_table
from tests.support.tiny_bundle import FEATURE_DIM, PARTS, make_networks, write_tiny_bundle
from xdistill_ros.perception import GraphError
from xdistill_ros.policy import actions as act
from xdistill_ros.policy.chunk import Chunk
from xdistill_ros.policy.ddim import Schedule
from xdistill_ros.policy.loading import load_bundle
from xdistill_ros.policy.observation import Observation
from xdistill_ros.policy.sampler import Latency, Sampler, time_left_s, too_slow
from xdistill_ros.rig import Reason
from xdistill_ros.rig.poses import pose_to_9d

MS = 1_000_000
STAMP = 1_700_000_000_000 * MS
DOWN = np.diag([1.0, -1.0, -1.0])


def pose_at(x: float) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = DOWN, (x, 0.1, 0.2)
    return pose


def observation(value: float = 0.3, x: float = 0.4) -> Observation:
    poses = np.stack([pose_at(x - 0.01), pose_at(x)])
    proprio = act.proprioception(PARTS, poses, np.array([0.05, 0.04]), np.zeros((2, 6)))
    return Observation(STAMP, np.full((2, 2 * FEATURE_DIM), value, np.float32), proprio, poses[-1])


@pytest.fixture
def sampler(bundle) -> Sampler:
    return Sampler(bundle, seed=0, threads=1)


def test_actions_begin_at_the_observations_time_and_are_absolute(sampler, rig):
    chunk = sampler.sample(observation())
    assert chunk.observation_ns == STAMP
    assert chunk.times_ns.dtype == np.int64
    np.testing.assert_array_equal(chunk.times_ns, STAMP + 100 * MS * np.arange(16))
    assert chunk.actions.shape == (16, len(rig.channels))
    assert chunk.actions.dtype == np.float64
    # the tiny bundle's relative actions stay within 0.2 m of the TCP
    assert np.abs(chunk.actions[:, :3] - pose_at(0.4)[:3, 3]).max() <= 0.2 * np.sqrt(3)


def test_relative_actions_follow_the_tcp(sampler):
    noise = np.random.default_rng(0).standard_normal((16, 10), dtype=np.float32)
    near, far = observation(), observation()
    moved = Observation(far.stamp_ns, far.features, far.proprio, pose_at(0.5))
    one, other = sampler.sample(near, noise=noise).actions, sampler.sample(moved, noise=noise).actions
    np.testing.assert_allclose(other[:, :3] - one[:, :3], np.tile([0.1, 0, 0], (16, 1)), atol=1e-9)
    np.testing.assert_allclose(other[:, 3:], one[:, 3:], atol=1e-9)


def test_the_same_seed_gives_the_same_chunks_and_another_seed_others(bundle):
    def chunks(seed):
        sampler = Sampler(bundle, seed=seed, threads=1)
        return [sampler.sample(observation()).actions for _ in range(3)]

    first, again, other = chunks(1), chunks(1), chunks(2)
    assert np.array_equal(first, again)
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(first[0], other[0])


def test_warming_up_does_not_change_what_is_sampled(bundle):
    cold, warm = Sampler(bundle, seed=4, threads=1), Sampler(bundle, seed=4, threads=1)
    latency = warm.warm_up(runs=5)
    assert 0 < latency.median_s <= latency.p99_s
    assert np.array_equal(cold.sample(observation()).actions, warm.sample(observation()).actions)


@pytest.mark.parametrize("prediction_type", ["epsilon", "sample"])
@pytest.mark.parametrize("timestep_spacing", ["leading", "trailing"])
def test_the_whole_loop_is_diffusers_with_the_same_noise(rig, tmp_path, prediction_type, timestep_spacing):
    """Graphs, hoisted condition and numpy loop against torch's scheduler around the same networks."""
    schedule = Schedule(prediction_type=prediction_type, timestep_spacing=timestep_spacing, inference_steps=8)
    bundle = load_bundle(write_tiny_bundle(tmp_path / "m" / "b", rig, schedule=schedule, seed=3), rig)
    networks, seen = make_networks(rig, schedule, seed=3), observation()
    statistics = bundle.manifest.statistics
    film = networks.film(act.condition(seen.features, seen.proprio, statistics.proprio)[None])
    scheduler = DDIMScheduler(**schedule.model_dump(exclude={"inference_steps"}))
    scheduler.set_timesteps(8)
    noise = np.random.default_rng(0).standard_normal((16, 10), dtype=np.float32)
    sample = torch.from_numpy(noise)[None]
    for row, timestep in zip(networks.step_film, scheduler.timesteps, strict=True):
        prediction = torch.from_numpy(networks.prediction(sample.numpy(), film + row))
        sample = scheduler.step(prediction, timestep, sample, eta=0.0).prev_sample
    expected = act.from_network(rig.policy.action_space, statistics.action, sample[0].numpy(), seen.tcp_pose)
    actions = Sampler(bundle, seed=0, threads=1).sample(seen, noise=noise).actions
    assert np.abs(actions - expected).max() < 1e-4


def committed_chunk(count: int, offset_ms: int = 0) -> Chunk:
    """What the arm executed and will execute: `count` actions from `offset_ms` after the observation."""
    actions = np.stack([np.concatenate([pose_to_9d(pose_at(0.4 + 0.005 * index)), [0.03]]) for index in range(count)])
    times = STAMP + (offset_ms + 100 * np.arange(count)) * MS
    return Chunk(STAMP - 400 * MS, times.astype(np.int64), actions)


def test_what_is_committed_is_held_and_the_rest_is_free(sampler):
    committed = committed_chunk(5)
    noise = np.random.default_rng(0).standard_normal((16, 10), dtype=np.float32)
    free, held = sampler.sample(observation(), noise=noise), sampler.sample(observation(), committed, noise)
    np.testing.assert_allclose(held.actions[:5], committed.actions, atol=1e-6)
    assert not np.allclose(held.actions[:5], free.actions[:5], atol=1e-3)


def test_the_free_actions_answer_to_the_held_ones(sampler):
    noise = np.random.default_rng(0).standard_normal((16, 10), dtype=np.float32)
    free, held = sampler.sample(observation(), noise=noise), sampler.sample(observation(), committed_chunk(5), noise)
    assert np.abs(held.actions[5:] - free.actions[5:]).max() > 1e-3


def test_what_is_held_enters_every_step_as_noisy_as_the_rest(bundle, monkeypatch):
    sampler, noise = Sampler(bundle, seed=0, threads=1), np.zeros((16, 10), np.float32)
    run, inputs = sampler._denoiser.predict, []
    monkeypatch.setattr(sampler._denoiser, "predict", lambda x, film: inputs.append(x[0]) or run(x, film))
    committed = committed_chunk(5)
    sampler.sample(observation(), committed, noise)
    manifest = bundle.manifest
    clean = act.to_network(
        manifest.rig.policy.action_space, manifest.statistics.action, committed.actions, observation().tcp_pose
    )
    scheduler = DDIMScheduler(num_train_timesteps=100, beta_schedule="squaredcos_cap_v2")
    scheduler.set_timesteps(manifest.schedule.inference_steps)
    for seen, timestep in zip(inputs, scheduler.timesteps, strict=True):
        noised = scheduler.add_noise(torch.from_numpy(clean), torch.zeros(5, 10), timestep[None])
        np.testing.assert_allclose(seen[:5], noised.numpy(), atol=1e-5)


def test_committed_actions_off_the_grid_are_interpolated(sampler):
    committed = committed_chunk(5, offset_ms=-50)
    chunk = sampler.sample(observation(), committed)
    np.testing.assert_allclose(chunk.actions[:4, 0], 0.4025 + 0.005 * np.arange(4), atol=1e-6)


def test_committed_actions_of_the_past_hold_nothing(bundle):
    past = committed_chunk(5, offset_ms=-2000)
    one, other = (Sampler(bundle, seed=0, threads=1) for _ in range(2))
    assert np.array_equal(one.sample(observation(), past).actions, other.sample(observation()).actions)


def test_an_observation_with_nan_gives_a_chunk_of_nan_that_the_timeline_refuses(sampler):
    seen = observation(value=np.nan)
    assert np.isnan(sampler.sample(seen).actions).any()


def test_joint_space_bundles_sample_joint_angles(tmp_path):
    rig = sim_table(action_space={"kind": "joint_position", "reference": "absolute"})
    bundle = load_bundle(write_tiny_bundle(tmp_path / "m" / "joints", rig), rig)
    committed = Chunk(0, STAMP + np.array([0, 100]) * MS, np.full((2, 7), 0.05))
    chunk = Sampler(bundle, seed=0, threads=1).sample(observation(), committed)
    assert chunk.actions.shape == (16, 7)
    np.testing.assert_allclose(chunk.actions[:2], 0.05, atol=1e-6)


def test_a_required_provider_that_is_not_there_is_refused(bundle):
    with pytest.raises(GraphError, match="required is NoSuchProvider"):
        Sampler(bundle, seed=0, threads=1, require_provider="NoSuchProvider")


def test_the_time_left_is_what_the_horizon_and_the_age_limit_leave():
    # merged before 0.6 s of age, 0.08 s of which the camera takes
    assert time_left_s(sim_table()) == pytest.approx(0.52)
    # 16 actions last 1.5 s, the next chunk comes 0.4 s later and is 0.08 s old when its sampling begins
    assert time_left_s(sim_table(max_chunk_age_s=5.0)) == pytest.approx(1.02)
    rig = sim_table()
    slow = rig.model_copy(update={"simulation": rig.simulation.model_copy(update={"real_time_factor": 0.5})})
    assert time_left_s(slow) == pytest.approx(1.04)


def test_a_sampler_that_is_too_slow_is_refused_with_both_times():
    rig = sim_table()
    refusal = too_slow(Latency(median_s=0.3, p99_s=0.7), rig)
    assert refusal is not None
    assert refusal.reason is Reason.SAMPLER_TOO_SLOW
    assert "700 ms (p99)" in refusal.sentence
    assert "520 ms" in refusal.sentence
    assert too_slow(Latency(median_s=0.3, p99_s=0.5), rig) is None
