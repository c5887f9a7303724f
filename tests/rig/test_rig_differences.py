"""Which differences keep a bundle from running on a rig, and that others do not."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml

from xdistill_ros import resources
from xdistill_ros.rig import Rig, differences, parse

DOCUMENT: dict[str, Any] = yaml.safe_load(resources.config("rigs/sim_table.yaml").read_text(encoding="utf-8"))


def changed(**fields: object) -> Rig:
    """The shipped rig with fields set, written with __ for the dots."""
    document = copy.deepcopy(DOCUMENT)
    for field, value in fields.items():
        *parents, last = field.split("__")
        place = document
        for parent in parents:
            place = place[parent]
        place[last] = value
    return parse(document, "rig.yaml")


def test_a_rig_does_not_differ_from_itself() -> None:
    assert differences(changed(), changed()) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cameras__front__width_px", 320),
        ("cameras__wrist__height_px", 240),
        ("policy__rate_hz", 5.0),
        ("policy__observation_horizon", 1),
        ("policy__prediction_horizon", 8),
        ("policy__action_space", {"kind": "tcp_pose", "reference": "absolute"}),
        ("gripper__open_width_m", 0.1),
        ("arm__model", "ur5"),
    ],
)
def test_what_the_policy_depends_on_is_named_with_both_values_and_a_remedy(field: str, value: object) -> None:
    found = differences(changed(), changed(**{field: value}))
    assert [difference.field.startswith(field.replace("__", ".")) for difference in found] == [True]
    wanted, running = str(found[0].wanted), str(found[0].found)
    assert wanted != running
    assert wanted in str(found[0])
    assert running in str(found[0])
    assert found[0].remedy in str(found[0])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "another_table"),
        ("ros_domain_id", 7),
        ("arm__lag_s", 0.1),
        ("arm__safety__tcp_speed_m_s", 0.3),
        ("arm__interface__topic", "/other/commands"),
        ("cameras__front__latency_s", 0.03),
        ("policy__merge", "rtc"),
        ("policy__action_horizon", 8),
        ("simulation__real_time_factor", 0.5),
    ],
)
def test_what_may_differ_between_rigs_is_not_reported(field: str, value: object) -> None:
    assert differences(changed(), changed(**{field: value})) == []


def test_a_bundle_of_the_simulated_table_may_run_on_hardware() -> None:
    cameras = {name: camera | {"driver": {"kind": "external"}} for name, camera in DOCUMENT["cameras"].items()}
    assert differences(changed(), changed(simulation=None, cameras=cameras)) == []


def test_other_cameras_are_reported_by_name_and_order() -> None:
    cameras = DOCUMENT["cameras"]
    swapped = changed(cameras={"wrist": cameras["wrist"], "front": cameras["front"]})
    assert "['front', 'wrist']" in str(differences(changed(), swapped)[0])
    fewer = differences(changed(), changed(cameras={"front": cameras["front"]}))
    assert [difference.field for difference in fewer] == ["cameras"]


def test_other_joints_are_reported() -> None:
    joints = {name.replace("joint", "axis"): limits for name, limits in DOCUMENT["arm"]["joints"].items()}
    assert [difference.field for difference in differences(changed(), changed(arm__joints=joints))] == ["arm.joints"]
