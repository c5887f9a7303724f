"""A take: rows come out when nothing can change them, as the policy would align them, and none is made up."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support import stores
from tests.support.rigs import forward
from tests.support.stores import BEGIN_NS, PERIOD_NS
from xdistill_ros.episodes import Control
from xdistill_ros.episodes.take import Take, Taken, Target
from xdistill_ros.rig import Reason, Rig
from xdistill_ros.rig.poses import pose_to_rotvec
from xdistill_ros.timeline import ArmState, Grid, StampedBuffer

CAMERA_NS = 50_000_000
STATE_NS = 10_000_000
LATENCY_NS = 80_000_000


@pytest.fixture(scope="module")
def rig() -> Rig:
    return stores.tiny_rig()


def state(stamp_ns: int, ahead_rad: float = 0.0) -> ArmState:
    return ArmState(stamp_ns, stores.joints_at(stamp_ns) + ahead_rad, np.full(6, 0.1), 0.04)


class Streams:
    """Streams into a take, as they would arrive; `lost` holds (camera, stamp) of frames that do not."""

    def __init__(self, rig: Rig, take: Take, skew_ns: int = 0, lost: frozenset[tuple[str, int]] = frozenset()) -> None:
        self.rig, self.take, self.skew_ns, self.lost = rig, take, skew_ns, lost
        self.taken: list[Taken] = []

    def run(self, seconds: float) -> list[Taken]:
        """From the take's begin on; all rows so far."""
        begin = self.take.begin_ns
        for now in range(begin, begin + round(seconds * 1e9), STATE_NS):
            assert self.take.state(state(now), now) is None
            assert self.take.command(state(now, 0.01), now) is None
            for index, name in enumerate(self.rig.cameras):
                stamp = now - LATENCY_NS
                if (stamp - index * self.skew_ns) % CAMERA_NS == 0 and (name, stamp) not in self.lost:
                    assert self.take.image(name, stamp, self.image(name, stamp), now) is None
            self.taken += self.take.ready(now)
        return self.taken

    def image(self, name: str, stamp_ns: int) -> np.ndarray:
        camera = self.rig.cameras[name]
        return stores.picture(stamp_ns, (camera.height_px, camera.width_px, 3))


def test_rows_come_out_on_the_grid_and_hold_what_was_there(rig: Rig) -> None:
    streams = Streams(rig, Take(rig, forward, BEGIN_NS, Control.PERSON))
    taken = streams.run(2.0)
    stamps = [one.grid["stamp_ns"] for one in taken]
    assert np.diff(stamps).tolist() == [PERIOD_NS] * (len(stamps) - 1)
    assert len(stamps) >= 17
    row = taken[5].data
    assert row["timestamp"] == pytest.approx(stamps[5] * 1e-9)
    np.testing.assert_allclose(row["robot_joint"], stores.joints_at(stamps[5]))
    np.testing.assert_allclose(row["robot_eef_pose"], pose_to_rotvec(forward(stores.joints_at(stamps[5]))))
    np.testing.assert_allclose(row["action"][:6], pose_to_rotvec(forward(stores.joints_at(stamps[5]) + 0.01)))
    np.testing.assert_array_equal(row["front"], streams.image("front", stamps[5]))
    assert np.isnan(row["target"]).all(), "nobody asked for anything"


def test_a_row_is_what_the_running_policy_would_observe_at_that_time(rig: Rig) -> None:
    streams = Streams(rig, Take(rig, forward, BEGIN_NS, Control.POLICY), skew_ns=20_000_000)
    taken = streams.run(1.5)
    images = {name: StampedBuffer[np.ndarray](name, 100, 10**9) for name in rig.cameras}
    states = StampedBuffer[ArmState]("states", 1000, 10**9)
    for now in range(BEGIN_NS - PERIOD_NS, BEGIN_NS + 2 * 10**9, STATE_NS):
        states.push(now, state(now), now)
        for index, name in enumerate(rig.cameras):
            if (now - index * 20_000_000) % CAMERA_NS == 0:
                images[name].push(now, streams.image(name, now), now)
    for one in taken:
        row = Grid.of(rig).row(one.grid["stamp_ns"], images, states)
        assert row.stamp_ns == one.grid["stamp_ns"]
        assert row.image_stamps_ns == {name: one.grid[f"{name}_stamp_ns"] for name in rig.cameras}
        np.testing.assert_array_equal(row.state.positions, one.data["robot_joint"])
        for name, image in row.images.items():
            np.testing.assert_array_equal(image, one.data[name])


def test_a_frame_that_is_lost_makes_a_gap_and_is_counted(rig: Rig) -> None:
    whole = Streams(rig, Take(rig, forward, BEGIN_NS, Control.PERSON)).run(2.0)
    missing = whole[7].grid["stamp_ns"]
    lost = frozenset({("wrist", missing)})
    streams = Streams(rig, Take(rig, forward, BEGIN_NS, Control.PERSON), lost=lost)
    taken = streams.run(2.0)
    stamps = [one.grid["stamp_ns"] for one in taken]
    assert missing not in stamps
    assert streams.take.counts["wrist"].dropped == 1
    assert streams.take.counts["front"].dropped == 0
    assert streams.take.gaps == {Reason.CAMERAS_APART.value: 1}
    assert len(taken) == len(whole) - 1


def test_a_stream_that_falls_silent_keeps_rows_waiting_only_so_long(rig: Rig) -> None:
    take = Take(rig, forward, BEGIN_NS, Control.PERSON)
    streams = Streams(rig, take)
    streams.run(1.0)
    rest = list(take.ready(BEGIN_NS + 3 * 10**9))
    assert all(one.grid["stamp_ns"] < BEGIN_NS + 10**9 for one in rest), "what nothing was heard for is no row"
    assert take.gaps.total() >= 10
    assert list(take.ready(BEGIN_NS + 3 * 10**9)) == []


def test_who_was_in_control_and_which_stage_are_told_row_by_row(rig: Rig) -> None:
    take = Take(rig, forward, BEGIN_NS, Control.POLICY)
    take.control(BEGIN_NS + 500_000_000, Control.PERSON)
    assert take.mark_stage(BEGIN_NS + 700_000_000) == 1
    target = Target(forward(stores.joints_at(BEGIN_NS)), 0.03)
    assert take.target(BEGIN_NS + 480_000_000, target, BEGIN_NS + 480_000_000) is None
    taken = Streams(rig, take).run(1.3)
    for one in taken:
        after_s = (one.grid["stamp_ns"] - BEGIN_NS) * 1e-9
        assert one.data["in_control"] == (Control.PERSON if after_s >= 0.5 else Control.POLICY)
        assert one.data["stage"] == (1 if after_s >= 0.7 else 0)
        asked = 0.48 <= after_s <= 0.68
        assert np.isnan(one.data["target"]).all() != asked
        if asked:
            np.testing.assert_allclose(one.data["target"], np.append(pose_to_rotvec(target.pose), 0.03))


def test_stamps_that_go_back_or_ahead_are_refused(rig: Rig) -> None:
    take = Take(rig, forward, BEGIN_NS, Control.PERSON)
    assert take.state(state(BEGIN_NS), BEGIN_NS) is None
    assert take.state(state(BEGIN_NS - 1), BEGIN_NS).reason is Reason.STAMP_BACKWARDS
    assert take.state(state(BEGIN_NS + 10**9), BEGIN_NS).reason is Reason.STAMP_IN_FUTURE


def test_late_frames_are_counted(rig: Rig) -> None:
    take = Take(rig, forward, BEGIN_NS, Control.PERSON)
    image = Streams(rig, take).image("front", BEGIN_NS)
    take.image("front", BEGIN_NS, image, BEGIN_NS + LATENCY_NS)
    take.image("front", BEGIN_NS + CAMERA_NS, image, BEGIN_NS + CAMERA_NS + 300_000_000)
    assert take.counts["front"].late == 1


def test_depth_is_taken_with_its_image() -> None:
    rig = stores.tiny_rig(depth=True)
    take = Take(rig, forward, BEGIN_NS, Control.PERSON)
    for now in range(BEGIN_NS, BEGIN_NS + 10**9, STATE_NS):
        take.state(state(now), now)
        take.command(state(now), now)
        for name, camera in rig.cameras.items():
            if now % CAMERA_NS == 0:
                take.image(name, now, stores.picture(now, (camera.height_px, camera.width_px, 3)), now)
                depth = np.full((camera.height_px, camera.width_px), now // CAMERA_NS % 1000, np.uint16)
                take.depth(name, now, depth, now)
    taken = list(take.ready(BEGIN_NS + 10**9))
    assert len(taken) >= 8
    for one in taken:
        assert (one.data["wrist_depth"] == one.grid["wrist_stamp_ns"] // CAMERA_NS % 1000).all()
