"""Recording through the graph: demonstrations that end up in the store, and every way in which one may be cut short."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus

from tests.support.graph import PATIENCE_S, Stack, stack
from xdistill_ros.episodes import Control, Store
from xdistill_ros.sim import TASKS

pytestmark = pytest.mark.timeout(600)  # real processes, on a machine that may be busy
FACTOR = 0.5
DEMONSTRATIONS = 2


class Table:
    """A simulated table with a bridge and a recorder, and what the recorder says."""

    def __init__(self, made: Stack, store: Path) -> None:
        self.made, self.probe, self.store = made, made.probe, store
        self.said: list[tuple[str, dict[str, str]]] = []
        made.probe.listen(DiagnosticStatus, "/recorder/status", self._on_status, made.probe.qos.latched())

    def _on_status(self, message: DiagnosticStatus) -> None:
        self.said.append((message.message, {pair.key: pair.value for pair in message.values}))

    @property
    def state(self) -> str:
        return self.said[-1][1]["state"] if self.said else ""

    @property
    def episodes(self) -> int:
        return int(self.said[-1][1]["episodes"])

    def start(self) -> None:
        """Records, as soon as the streams are fit."""
        probe = self.probe
        if not probe.mode.startswith("policy"):
            if probe.mode.startswith("stopped"):
                probe.trigger("/arm/reset")
            probe.engage_at_rest()  # from then on there are commands
        given_up_s = time.monotonic() + PATIENCE_S
        while not (answer := probe.trigger("/recorder/start")).success:
            assert time.monotonic() < given_up_s, answer.message
            seen = probe.reports
            probe.wait(lambda seen=seen: probe.reports > seen, "diagnostics")
        probe.wait(lambda: self.state == "recording", "the recorder records")

    def record_rows(self, rows: int) -> None:
        """Until so many rows are there."""
        self.probe.wait(lambda: int(self.said[-1][1].get("rows", 0)) >= rows, f"{rows} rows")

    def wait_saved(self, before: int) -> str:
        """Until one more episode is in the store; what ended it."""
        self.probe.wait(lambda: self.state == "idle" and self.episodes == before + 1, "the episode is saved")
        return Store(self.store).episodes[-1].about.ended_by


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Table]:
    folder = tmp_path_factory.mktemp("recorder")
    store = folder / "store.zarr"
    options = {"store": store, "task": "drawer_open", "operator": "ada", "demonstrations": DEMONSTRATIONS}
    with stack(folder, "record", started=False, record=options, real_time_factor=FACTOR) as made:
        made.processes.start("sim_node", "arm_bridge_node", "recorder_node")
        table = Table(made, store)
        for node in ("sim_node", "arm_bridge_node", "recorder_node"):
            made.probe.wait_state(node)
        made.probe.wait(lambda: table.said, "the recorder says how it is")
        yield table


@pytest.fixture
def idle(table: Table) -> Table:
    """Nothing is being recorded."""
    table.probe.wait(lambda: table.probe.mode and table.state == "idle", "the recorder is idle")
    return table


def test_without_commands_nothing_is_recorded_and_the_stream_is_named(idle: Table) -> None:
    answer = idle.probe.trigger("/recorder/start")
    assert not answer.success
    assert "commands: nothing has arrived" in answer.message
    for service in ("stop", "discard", "mark_stage"):
        assert "nothing is being recorded" in idle.probe.trigger(f"/recorder/{service}").message


def test_the_scripted_expert_is_recorded_unattended(idle: Table) -> None:
    demonstrator = idle.made.processes.process("demonstrator_node")
    assert idle.made.processes.run(demonstrator) == 0, idle.made.processes.log("demonstrator_node")
    store = Store(idle.store)
    assert len(store.episodes) == DEMONSTRATIONS
    for seed, episode in enumerate(store.episodes):
        about = episode.about
        assert (about.task, about.seed, about.condition, about.success) == ("drawer_open", seed, "id", True)
        assert about.operator == "ada"
        shown = store.rows(episode, "in_control") == Control.PERSON
        assert shown.mean() > 0.7
        moved = np.ptp(store.rows(episode, "robot_eef_pose")[:, :3], axis=0)
        assert moved.max() > 0.1, "the arm has gone to the drawer"
        asked = store.rows(episode, "target")[shown][:, :3]
        done = store.rows(episode, "action")[shown][:, :3]
        assert np.nanmax(np.abs(asked - done)) < 0.06, "the commands follow what was asked for"
        stages = store.rows(episode, "stage")
        assert stages[0] == 0
        assert set(np.diff(stages)) == {0, 1}, "each stage is marked as it is reached"
        assert stages[-1] == len(TASKS["drawer_open"].stages)
        images = store.rows(episode, "wrist")
        assert len({image.tobytes() for image in images[::5]}) > 3


def test_start_stop_and_discard_do_as_they_say(idle: Table) -> None:
    before = idle.episodes
    idle.start()
    assert "recording" in idle.probe.trigger("/recorder/start").message
    idle.record_rows(5)
    assert idle.probe.trigger("/recorder/mark_stage").message == "stage 1 begins"
    idle.record_rows(12)
    assert idle.probe.trigger("/recorder/stop").success
    assert idle.wait_saved(before) == "operator"
    store = Store(idle.store)
    stages = store.rows(store.episodes[-1], "stage")
    assert (stages[0], stages[-1]) == (0, 1)
    idle.start()
    idle.record_rows(5)
    assert idle.probe.trigger("/recorder/discard").success
    idle.probe.wait(lambda: idle.state == "idle", "the recorder is idle")
    assert idle.episodes == before + 1
    assert len(Store(idle.store).episodes) == before + 1


def test_a_killed_bridge_ends_the_episode_which_is_saved(idle: Table) -> None:
    before = idle.episodes
    idle.start()
    idle.record_rows(5)
    idle.made.processes.kill("arm_bridge_node")
    assert "commands: nothing for" in idle.wait_saved(before)
    said = len(idle.probe.modes)
    idle.made.processes.start("arm_bridge_node")
    idle.probe.wait(lambda: len(idle.probe.modes) > said, "the bridge is back")


def test_a_clock_that_stands_still_ends_the_episode_which_is_saved(idle: Table) -> None:
    before = idle.episodes
    idle.start()
    idle.record_rows(5)
    idle.made.processes.signal("sim_node", signal.SIGSTOP)
    ended_by = idle.wait_saved(before)
    idle.made.processes.signal("sim_node", signal.SIGCONT)
    assert "clock_stopped" in ended_by


def test_a_killed_recorder_loses_only_the_open_episode(idle: Table) -> None:
    before = idle.episodes
    kept = Store(idle.store).rows(Store(idle.store).episodes[0], "front")
    idle.start()
    idle.record_rows(20)
    idle.made.processes.kill("recorder_node")
    assert len(Store(idle.store).episodes) == before
    idle.said.clear()
    idle.made.processes.start("recorder_node")
    # what the killed one said last, that it records, may come late
    idle.probe.wait(lambda: idle.state == "idle", "the recorder is back")
    assert "an episode was open when its writer ended" in idle.made.processes.log("recorder_node")
    assert idle.episodes == before
    np.testing.assert_array_equal(Store(idle.store).rows(Store(idle.store).episodes[0], "front"), kept)


def test_a_world_that_begins_anew_ends_the_episode(idle: Table) -> None:
    before = idle.episodes
    idle.start()
    idle.record_rows(5)
    idle.made.processes.kill("sim_node")
    idle.made.processes.start("sim_node")
    assert idle.wait_saved(before).startswith(("clock_stopped", "clock_backwards"))
