"""A recorded stream gives bit-identical observations live and offline.

Live: frames and joint states in the order of arrival, with exposure jitter, latencies, losses and a phase between
the cameras, asked at every arrival. Offline: everything aligned from the whole recording.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.rigs import forward, sim_table
from tests.support.tiny_bundle import FEATURE_DIM, PARTS
from xdistill_ros.perception import Preprocess
from xdistill_ros.policy.observation import Observation, observe
from xdistill_ros.policy.window import ObservationWindow
from xdistill_ros.rig import Refusal
from xdistill_ros.timeline import ArmState, Grid, StampedBuffer

MS = 1_000_000
START = 1_700_000_000_000 * MS


@dataclass
class Recording:
    """Everything that was published, by camera and of the arm."""

    frames: dict[str, list[tuple[int, int, object]]] = field(default_factory=dict)
    """(stamp, arrival, content) in stamp order."""
    states: list[tuple[int, int, ArmState]] = field(default_factory=list)

    def arrivals(self):
        """(arrival, stream, stamp, content) in the order of arrival."""
        events = [
            (arrival, name, stamp, image) for name, frames in self.frames.items() for stamp, arrival, image in frames
        ]
        events += [(arrival, "arm", stamp, state) for stamp, arrival, state in self.states]
        return sorted(events, key=lambda event: (event[0], event[1], event[2]))


def stream(random, seconds, period_ms, jitter_ms, latency_ms, loss):
    """Stamps and arrivals of one stream; arrivals never overtake."""
    stamps, arrived, phase = [], 0, random.uniform(0, period_ms)
    for tick in range(int(seconds * 1000 / period_ms)):
        stamp = START + int((phase + tick * period_ms + random.uniform(-jitter_ms, jitter_ms)) * MS)
        arrived = max(arrived + 1, stamp + int(random.uniform(*latency_ms) * MS))
        if random.random() >= loss:
            stamps.append((stamp, arrived))
    return stamps


def record(seed, seconds, content, loss=0.01) -> Recording:
    random = np.random.default_rng(seed)
    recording = Recording()
    for name in ("front", "wrist"):
        pairs = stream(random, seconds, 50, 1.5, (60, 100), loss)
        recording.frames[name] = [(stamp, arrival, content(random)) for stamp, arrival in pairs]
    for stamp, arrival in stream(random, seconds, 10, 1.0, (0.5, 6), loss):
        angles = np.sin(np.arange(6) + (stamp - START) / 1e9)
        recording.states.append((stamp, arrival, ArmState(stamp, angles, np.cos(angles), 0.04 + 0.01 * angles[0])))
    return recording


def play(recording, window, encode) -> list[Observation | Refusal]:
    """What the window says at every frame's arrival."""
    answers = []
    for arrival, name, stamp, content in recording.arrivals():
        if name == "arm":
            assert window.push_state(content, arrival) is None
            continue
        assert window.push_feature(name, stamp, encode(name, content), arrival) is None
        answers.append(window.at(arrival))
    return answers


def align(recording, grid, newest_ns, encode) -> Observation:
    """The observation at `newest_ns` from the whole recording; images are encoded after they were chosen."""
    images = {
        name: StampedBuffer.recorded(name, [f[0] for f in frames], [encode(name, f[2]) for f in frames])
        for name, frames in recording.frames.items()
    }
    states = StampedBuffer.recorded("arm", [s[0] for s in recording.states], [s[2] for s in recording.states])
    rows = grid.align(newest_ns, images, states)
    assert not isinstance(rows, Refusal), rows
    return observe(rows, PARTS, forward)


def assert_same_bits(live: Observation, offline: Observation) -> None:
    assert live.stamp_ns == offline.stamp_ns
    for name in ("features", "proprio", "tcp_pose"):
        one, other = getattr(live, name), getattr(offline, name)
        assert one.dtype == other.dtype
        assert one.tobytes() == other.tobytes()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1))
def test_live_and_offline_observations_are_bit_identical(bundle, seed):
    rig = sim_table()
    recording = record(seed, 2.0, lambda random: random.standard_normal(FEATURE_DIM, dtype=np.float32))

    def unchanged(_name, content):
        return content

    answers = play(recording, ObservationWindow(bundle.manifest, rig, forward), unchanged)
    observations = [answer for answer in answers if isinstance(answer, Observation)]
    assert len(observations) > 0.4 * len(answers)  # the property is not empty
    for live in observations[::5]:
        assert_same_bits(live, align(recording, Grid.of(rig), live.stamp_ns, unchanged))


def test_from_pixels_to_the_observation_the_bits_are_the_same(bundle):
    rig = sim_table()
    recording = record(5, 1.0, lambda random: random.integers(0, 256, (480, 640, 3), dtype=np.uint8), loss=0.0)

    def encoders():
        made = {name: (Preprocess(spec), bundle.encoder(name, threads=1))
                for name, spec in bundle.manifest.preprocess.items()}  # fmt: skip
        return lambda name, pixels: made[name][1].encode(made[name][0](pixels))

    answers = play(recording, ObservationWindow(bundle.manifest, rig, forward), encoders())
    observations = [answer for answer in answers if isinstance(answer, Observation)]
    assert len(observations) > 15
    assert_same_bits(observations[-1], align(recording, Grid.of(rig), observations[-1].stamp_ns, encoders()))


def test_whatever_is_acted_on_is_fresh(bundle):
    rig = sim_table()
    recording = record(1, 3.0, lambda _: np.zeros(FEATURE_DIM, np.float32), loss=0.05)
    window = ObservationWindow(bundle.manifest, rig, forward)
    for arrival, name, stamp, content in recording.arrivals():
        if name == "arm":
            window.push_state(content, arrival)
            continue
        window.push_feature(name, stamp, content, arrival)
        answer = window.at(arrival)
        if isinstance(answer, Observation):
            assert 0 <= arrival - answer.stamp_ns <= 230 * MS + 50 * MS
        else:
            assert answer.sentence


pytestmark = pytest.mark.filterwarnings("error")
