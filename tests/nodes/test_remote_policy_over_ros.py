"""The arm by a remote policy: the whole graph on real processes, and the server's every failure while the arm moves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from trajectory_msgs.msg import JointTrajectory

from tests.support.consent import assert_holds_until_engaged, engage
from tests.support.graph import Stack, assert_braked, hold_index, own_domain, stack_of, write_rig
from tests.support.openpi_server import ServerProcess, openpi_server
from tests.support.person import Person
from xdistill_ros import graph as graphs
from xdistill_ros import resources
from xdistill_ros.policy.remote.provenance import RemoteProvenance
from xdistill_ros.trials import read_record

pytestmark = pytest.mark.timeout(600)  # real processes, on a machine that may be busy
FACTOR = 0.3


@dataclass
class Remote:
    """Simulator, remote policy and bridge, and the server."""

    graph: Stack
    server: ServerProcess


def describe(folder: Path, url: str) -> Path:
    """The shipped example, with a server of the test's own."""
    document = yaml.safe_load(resources.config("remotes/openpi_example.yaml").read_text(encoding="utf-8"))
    path = folder / "remote.yaml"
    path.write_text(yaml.safe_dump(document | {"url": url}))
    return path


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    """Slowed down, so that a busy machine is fast enough."""
    folder = tmp_path_factory.mktemp("remote")
    with openpi_server() as server, own_domain() as domain:
        options = graphs.Options(
            rig=write_rig(folder, real_time_factor=FACTOR), remote=describe(folder, server.url), domain=domain
        )
        with stack_of(folder, ("sim", "policy"), options) as graph:
            for node in ("sim_node", "sampler_node", "arm_bridge_node"):
                graph.probe.wait_state(node)
            yield Remote(graph, server)


def proposes(remote: Remote) -> bool:
    """Whether nothing stands against the remote policy."""
    return not remote.graph.probe.status["sampler_node"].get("reason")


@pytest.fixture
def moving(remote: Remote) -> Iterator[Remote]:
    """Engaged by a person, with the arm under way; at the end it holds."""
    remote.server.do("good")
    probe = remote.graph.probe
    probe.wait(lambda: probe.mode, "the bridge says its mode")
    probe.wait(lambda: proposes(remote), "the remote policy proposes")
    engage(probe)
    probe.wait_moving()
    yield remote
    probe.engage(False)
    probe.wait(lambda: probe.mode.startswith("hold"), "the arm holds")


def test_the_graph_has_no_encoder_and_comes_up_holding(remote: Remote) -> None:
    assert not any("encoder_node" in name for name in remote.graph.probe.node.get_node_names())
    remote.graph.probe.wait(lambda: remote.graph.probe.modes, "the bridge says its mode")
    assert remote.graph.probe.modes[0][0].startswith("hold")


def test_chunks_look_like_the_samplers_and_move_the_arm_by_the_policys_angles(moving: Remote) -> None:
    probe, chunks = moving.graph.probe, []
    probe.listen(JointTrajectory, "/policy/action_chunk", chunks.append, probe.qos.newest_of_living())
    probe.wait(lambda: len(chunks) > 5, "chunks")
    chunk = chunks[-1]
    assert tuple(chunk.joint_names) == probe.rig.channels
    assert chunk.header.frame_id == probe.rig.arm.base_frame
    assert (len(chunk.points), chunk.points[0].time_from_start.nanosec) == (16, 0)
    turned = np.ptp([positions[0] for _, positions, _ in probe.commands])
    others = np.ptp([positions[1:] for _, positions, _ in probe.commands], axis=0)
    assert turned > 0.02, "the policy turns the first joint"
    assert others.max() < 0.02, "and no other"


def test_diagnostics_name_the_policy_and_how_long_it_takes(moving: Remote) -> None:
    probe, stages = moving.graph.probe, {"stage.transport", "stage.observe", "stage.sample", "stage.server"}
    probe.wait(lambda: stages <= set(probe.status["sampler_node"]), "each stage is said, which is twice a second")
    status = probe.status["sampler_node"]
    said = RemoteProvenance(**{name: status[name] for name in RemoteProvenance.model_fields})
    assert (said.remote, said.url) == ("openpi_example", moving.server.url)
    assert len(said.metadata_sha256) == 64


def falls_silent(remote: Remote, reason: str) -> None:
    """No more chunks: the arm is braked when the last action is over, says why, and moves again only by consent."""
    probe = remote.graph.probe
    since = max(index for index, (mode, _) in enumerate(probe.modes) if mode.startswith("policy"))
    probe.wait_reason("sampler_node", reason)
    assert_braked(probe, hold_index(probe, "chunk_exhausted", since))
    hold_index(probe, "consent_lapsed", since)
    probe.wait_reason("sampler_node", reason)  # still


@pytest.mark.parametrize(
    ("behaviour", "number", "reason"),
    [
        ("nan", 0.0, "chunk_not_finite"),
        ("shape", 0.0, "remote_answer"),
        ("garbage", 0.0, "remote_answer"),
        ("error", 0.0, "remote_error"),
        ("huge", 0.0, "remote_too_large"),
        ("slow", 4.0, "remote_slow"),
    ],
)
def test_a_bad_answer_holds_the_arm_by_name_until_a_good_one_and_consent(
    moving: Remote, behaviour: str, number: float, reason: str
) -> None:
    moving.server.do(behaviour, number)
    falls_silent(moving, reason)
    moving.server.do("good")
    moving.graph.probe.wait(lambda: proposes(moving), "it proposes again")
    assert_holds_until_engaged(moving.graph.probe)


def test_a_server_that_is_killed_holds_the_arm_until_it_is_back_and_consent(moving: Remote) -> None:
    moving.server.kill()
    falls_silent(moving, "remote_")
    moving.graph.probe.wait_reason("sampler_node", "remote_unreachable")
    moving.server.start()
    moving.graph.probe.wait(lambda: proposes(moving), "it proposes again")
    assert_holds_until_engaged(moving.graph.probe)


def test_the_node_is_noticed_by_its_lease_as_the_sampler_is(moving: Remote) -> None:
    probe, since = moving.graph.probe, len(moving.graph.probe.modes)
    moving.graph.processes.kill("sampler_node")
    assert_braked(probe, hold_index(probe, "peer_lost", since))
    moving.graph.processes.start("sampler_node")
    probe.wait_reason("arm_bridge_node", "")
    assert_holds_until_engaged(probe)


def test_a_simulator_that_died_is_named_and_its_successor_is_looked_at(moving: Remote) -> None:
    probe = moving.graph.probe
    moving.graph.processes.kill("sim_node")
    probe.wait_reason("sampler_node", "clock_stopped")
    moving.graph.processes.start("sim_node")
    probe.wait(lambda: proposes(moving), "it proposes in another world, whose time begins anew")


def test_a_task_without_a_prompt_is_refused_until_there_is_one(moving: Remote) -> None:
    probe = moving.graph.probe
    set_task(moving, "fly")
    falls_silent(moving, "remote_prompt")
    assert "move_cube" in probe.status["sampler_node"]["message"], "it says what there is"
    set_task(moving, "drawer_open")
    probe.wait(lambda: proposes(moving), "it proposes again")
    assert_holds_until_engaged(probe)


def test_a_trial_amid_which_the_server_failed_is_void_and_run_again(remote: Remote, tmp_path: Path) -> None:
    remote.server.do("good")
    graph, probe, options = remote.graph, remote.graph.probe, remote.graph.options
    told = {"rig": str(options.rig), "use_sim_time": True, "remote": str(options.remote), "tasks": "move_cube",
            "conditions": "id:2", "time_limit_s": 6.0, "output": str(tmp_path)}  # fmt: skip
    graph.processes.adopt(graphs.Process("trial_node", told, restart=False, ends_graph=True))
    person = Person(graph)
    graph.processes.start("trial_node")
    for done, fails in enumerate((lambda: remote.server.do("nan"), remote.server.kill)):
        person.wait(state="running", done=str(done))
        probe.wait_moving()
        fails()
        person.wait(state="reset", done=str(done))
        if done:
            remote.server.start()
        remote.server.do("good")
    person.wait(state="finished", done="2")
    graph.processes.end("trial_node")
    record = read_record(tmp_path / "results.jsonl")
    assert [result.attempt for result in record.results] == [2, 2]
    assert [result.ended_by for result in record.results] == ["time_limit"] * 2
    first, second = (void.reason for void in record.voids)
    assert "chunk_not_finite" in first
    assert "remote_" in second


def set_task(remote: Remote, task: str) -> None:
    """As whoever runs trials does."""
    parameter = Parameter("task", value=task).to_parameter_msg()
    request = SetParameters.Request(parameters=[parameter])
    answer = remote.graph.probe.call(SetParameters, "/sampler_node/set_parameters", request)
    assert answer.results[0].successful
