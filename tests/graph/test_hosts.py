"""Which computer starts what, and how it finds the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.support.graph import SHIPPED_RIG
from tests.support.hosts import write_network_rig
from xdistill_ros import graph as graphs
from xdistill_ros import rig as rigs
from xdistill_ros.hosts import HostError

PREFERRED: Mapping[str, Sequence[str]] = {"gpu": ["sampler_node"]}


def share(
    folder: Path,
    host: str,
    runs: Mapping[str, Sequence[str]] = PREFERRED,
    name: graphs.GraphName = "policy",
    **network: object,
) -> graphs.Graph:
    path = write_network_rig(folder, runs, network)
    options = graphs.Options(rig=path, bundle=Path("models/move_cube"), host=host)
    return graphs.build(name, rigs.load(path), options)


def names(graph: graphs.Graph) -> list[str]:
    return [process.name for process in graph.processes]


def parameters(graph: graphs.Graph) -> dict[str, Mapping[str, graphs.Value]]:
    return {process.name: process.parameters for process in graph.processes}


def test_each_host_starts_its_share_and_a_clock(tmp_path: Path) -> None:
    assert names(share(tmp_path, "robot")) == ["encoder_node", "arm_bridge_node", "clock_robot"]
    assert names(share(tmp_path, "gpu")) == ["sampler_node", "clock_gpu"]
    assert names(share(tmp_path, "laptop")) == ["clock_laptop"]


def test_the_shares_of_all_hosts_are_the_whole_graph(tmp_path: Path) -> None:
    whole = graphs.build(
        "policy", rigs.load(SHIPPED_RIG), graphs.Options(rig=SHIPPED_RIG, bundle=Path("models/move_cube"))
    )
    started = [name for host in ("robot", "gpu", "laptop") for name in names(share(tmp_path, host))]
    assert sorted(name for name in started if not name.startswith("clock_")) == sorted(names(whole))


def test_clocks_must_agree_where_stamps_are_made_or_compared(tmp_path: Path) -> None:
    assert parameters(share(tmp_path, "gpu"))["clock_gpu"]["hosts"] == "robot,gpu"
    assert parameters(share(tmp_path, "gpu"))["sampler_node"]["host"] == "gpu"


def test_the_simulator_runs_beside_another_graph_and_brings_no_second_clock(tmp_path: Path) -> None:
    assert names(share(tmp_path, "robot", name="sim")) == ["sim_node"]
    assert names(share(tmp_path, "gpu", name="sim")) == []


def test_without_a_host_the_whole_graph_starts_and_keeps_to_this_computer(tmp_path: Path) -> None:
    graph = share(tmp_path, "")
    assert names(graph) == ["encoder_node", "sampler_node", "arm_bridge_node"]
    assert graph.environment["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
    assert "ROS_STATIC_PEERS" not in graph.environment


def test_peers_are_the_other_hosts(tmp_path: Path) -> None:
    assert share(tmp_path, "gpu").environment["ROS_STATIC_PEERS"] == "10.77.0.1;10.77.0.3"


def test_the_discovery_server_runs_on_the_first_host_and_all_know_it(tmp_path: Path) -> None:
    shares = {host: share(tmp_path, host, discovery="server") for host in ("robot", "gpu")}
    assert [host for host, graph in shares.items() if "discovery_node" in names(graph)] == ["robot"]
    assert {graph.environment["ROS_DISCOVERY_SERVER"] for graph in shares.values()} == {"10.77.0.1:11811"}


def test_an_encoder_away_from_the_cameras_takes_jpegs(tmp_path: Path) -> None:
    runs = {"gpu": ["encoder_node", "sampler_node"]}
    assert "compressor_node" in names(share(tmp_path, "robot", runs))
    assert "compressor_node" not in names(share(tmp_path, "gpu", runs))
    assert parameters(share(tmp_path, "gpu", runs))["encoder_node"]["compressed"] is True
    beside = {"gpu": ["encoder_node", "sampler_node", "camera_node"]}
    assert "compressed" not in parameters(share(tmp_path, "gpu", beside))["encoder_node"]


def test_a_remote_policys_sampler_away_from_the_cameras_takes_jpegs_too(tmp_path: Path) -> None:
    path = write_network_rig(tmp_path, PREFERRED, {})
    shares = {
        host: graphs.build("policy", rigs.load(path), graphs.Options(rig=path, remote=Path("r.yaml"), host=host))
        for host in ("robot", "gpu")
    }
    assert names(shares["robot"]) == ["arm_bridge_node", "compressor_node", "clock_robot"]
    assert names(shares["gpu"]) == ["sampler_node", "clock_gpu"]
    assert parameters(shares["gpu"])["sampler_node"]["compressed"] is True


@pytest.mark.parametrize(
    ("host", "runs", "name", "words"),
    [
        ("attic", PREFERRED, "policy", ["attic", "robot, gpu, laptop"]),
        ("robot", {"gpu": ["smapler_node"]}, "policy", ["network.hosts.gpu.runs", "smapler_node", "sampler_node"]),
        ("robot", {"laptop": ["recorder_node"]}, "record", ["recorder_node", "robot", "beside the cameras"]),
    ],
)
def test_a_share_that_cannot_be_is_refused(
    tmp_path: Path, host: str, runs: Mapping[str, Sequence[str]], name: graphs.GraphName, words: list[str]
) -> None:
    with pytest.raises(HostError) as caught:
        share(tmp_path, host, runs, name)
    for word in words:
        assert word in str(caught.value)


def test_a_host_of_a_rig_without_a_network_is_refused() -> None:
    options = graphs.Options(rig=SHIPPED_RIG, bundle=Path("models/move_cube"), host="robot")
    with pytest.raises(HostError, match="no `network` section"):
        graphs.build("policy", rigs.load(SHIPPED_RIG), options)


def test_the_command_says_it_in_a_sentence(tmp_path: Path) -> None:
    from xdistill_ros.cli.main import app

    path = write_network_rig(tmp_path, PREFERRED)
    for command in (["up", "policy"], ["trace"]):
        asked = CliRunner().invoke(app, [*command, "--rig", str(path), "--host", "attic"])
        assert asked.exit_code == 2
        assert "the hosts of rig sim_table are robot, gpu, laptop" in asked.output
