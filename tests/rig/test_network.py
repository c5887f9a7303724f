"""The computers of a rig: which mistakes are named, and where a node runs."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml

from xdistill_ros import resources
from xdistill_ros.rig import Rig, RigError, parse

DOCUMENT: dict[str, Any] = yaml.safe_load(resources.config("rigs/sim_table.yaml").read_text(encoding="utf-8"))


def network(**changes: object) -> dict[str, Any]:
    """Two hosts, with changes."""
    hosts: dict[str, Any] = {
        "robot": {"address": "192.168.10.2"},
        "gpu": {"address": "gpu.local", "runs": ["sampler_node"]},
    }
    return {"hosts": hosts, **changes}


def with_network(section: dict[str, Any]) -> Rig:
    return parse({**copy.deepcopy(DOCUMENT), "network": section}, "rig.yaml")


def complaint(section: dict[str, Any]) -> str:
    with pytest.raises(RigError) as caught:
        with_network(section)
    return str(caught.value)


def test_without_the_section_everything_runs_on_one_computer() -> None:
    assert parse(DOCUMENT, "rig.yaml").network is None


def test_what_no_host_names_runs_on_the_first() -> None:
    found = with_network(network()).network
    assert found is not None
    assert found.place("sampler_node") == "gpu"
    assert found.place("arm_bridge_node") == "robot"


@pytest.mark.parametrize(
    ("hosts", "words"),
    [
        ({"robot": {"address": "192.168.10.2"}}, ["network.hosts", "2"]),
        ({"robot": {"address": "10.0.0.1"}, "gpu": {"address": "10.0.0.1"}}, ["10.0.0.1", "another host's too"]),
        ({"robot": {"address": "127.0.0.1"}, "gpu": {"address": "10.0.0.1"}}, ["127.0.0.1", "every computer itself"]),
        ({"robot": {"address": "10.0.0.2:7400"}, "gpu": {"address": "10.0.0.1"}}, ["7400", "without a port"]),
        (
            {"robot": {"address": "10.0.0.2", "runs": ["encoder_node"]},
             "gpu": {"address": "10.0.0.1", "runs": ["encoder_node"]}},
            ["encoder_node runs on robot and on gpu"],
        ),
    ],
)  # fmt: skip
def test_a_network_that_leaves_doubt_is_refused(hosts: dict[str, Any], words: list[str]) -> None:
    said = complaint(network(hosts=hosts))
    for word in words:
        assert word in said


@pytest.mark.parametrize("limit", [0.0, -0.01, 10.0, float("nan")])
def test_a_limit_that_allows_nothing_or_anything_is_refused(limit: float) -> None:
    assert "max_clock_offset_s" in complaint(network(max_clock_offset_s=limit))
