"""Shapes come from the URDF or are rods, distances are bounded rightly, and what is not looked at is known."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.support.clear_arms import ROUNDING_M, SHIPPED, arm, changed, spare
from xdistill_ros.arm import Kinematics
from xdistill_ros.rig import Rig

RIG, KINEMATICS = arm("sim_table")
HOME = np.array(RIG.arm.home_rad)
URDF = RIG.arm.urdf.read_text(encoding="utf-8")

offsets = st.lists(st.floats(-2.0, 2.0), min_size=6, max_size=6)


def with_urdf(folder: Path, text: str) -> Rig:
    path = folder / "arm.urdf"
    path.write_text(text, encoding="utf-8")
    return RIG.model_copy(update={"arm": RIG.arm.model_copy(update={"urdf": path})})


def bare(text: str, link: str | None = None) -> str:
    """A URDF without the collision shapes of `link`, or of all."""
    if link is None:
        return re.sub(r"\s*<collision>.*?</collision>", "", text)
    head, found, tail = text.partition(f'<link name="{link}">')
    inside, end, rest = tail.partition("</link>")
    return head + found + re.sub(r"<collision>.*?</collision>", "", inside) + end + rest


def links_over_table(rig: Rig) -> set[str]:
    return {second for first, second in Kinematics(rig).pairs.names if first == "the table"}


@settings(max_examples=40)
@given(st.lists(offsets, min_size=2, max_size=2), st.floats(0.0, 0.3))
def test_a_path_is_judged_as_if_every_distance_on_it_were_measured(ends: list[list[float]], least_m: float) -> None:
    clearance = KINEMATICS.clearance()
    path = HOME + np.linspace(*map(np.array, ends), 12)
    least = np.full(len(clearance), least_m)
    measured = spare(RIG, KINEMATICS, path) + KINEMATICS.pairs.least_m - least
    met = clearance.first_below(path, least)
    if met is None:
        assert measured.min() >= -ROUNDING_M
        return
    first = int(np.argmax((measured < 0.0).any(axis=1)))
    assert met[1] - least_m == pytest.approx(measured[first].min(), abs=ROUNDING_M)
    assert measured[first, met[0]] == pytest.approx(measured[first].min(), abs=ROUNDING_M)


def test_rods_stand_for_an_arm_without_shapes_and_grow_apart_as_the_gradient_says(tmp_path: Path) -> None:
    kinematics = Kinematics(with_urdf(tmp_path, bare(URDF)))
    clearance = kinematics.clearance()
    everything = np.arange(len(clearance))
    for seed in range(5):
        at = HOME + np.random.default_rng(seed).uniform(-0.3, 0.3, 6)
        slopes = clearance.gradients(everything, at)
        for joint in range(6):
            step = 1e-5 * np.eye(6)[joint]
            measured = (clearance.distances(at + step) - clearance.distances(at - step)) / 2e-5
            assert slopes[:, joint] == pytest.approx(measured, abs=1e-4)


def test_every_link_but_the_base_is_kept_off_the_table() -> None:
    assert links_over_table(RIG) == {"link1", "link2", "link3", "link4", "link5", "link6", "tcp"}


def test_a_link_whose_mesh_is_not_there_gets_a_rod(tmp_path: Path) -> None:
    mesh = '<collision><geometry><mesh filename="package://nowhere/link3.stl"/></geometry></collision>'
    text = bare(URDF, "link3").replace('<link name="link3">', f'<link name="link3">{mesh}')
    kinematics = Kinematics(with_urdf(tmp_path, text))
    assert ("the table", "link3") in kinematics.pairs.names
    kinds = [type(shape.geometry).__name__ for shape in kinematics.pairs.geometry.geometryObjects]
    assert kinds.count("Capsule") == 1


def test_a_rods_radius_is_the_rigs(tmp_path: Path) -> None:
    rods = with_urdf(tmp_path, bare(URDF))
    thick = changed(rods, radius_m={"joint3": 0.09})
    thin, wide = (Kinematics(rig) for rig in (rods, thick))
    pair = thin.pairs.names.index(("the table", "link3"))
    assert wide.pairs.names[pair] == ("the table", "link3")
    narrower = wide.clearance().distances(HOME)[pair] - thin.clearance().distances(HOME)[pair]
    assert narrower < -0.04


def test_a_radius_of_a_joint_that_is_not_there_is_refused() -> None:
    document = RIG.arm.model_dump() | {"clearance": {"radius_m": {"joint9": 0.1}}}
    with pytest.raises(ValidationError, match=r"clearance\.radius_m: no joint joint9; name one of joint1, joint2"):
        type(RIG.arm).model_validate(document)


@pytest.mark.parametrize(
    ("height_m", "floor_m", "table_m"), [(None, 0.008, 0.0), (None, -0.2, -0.2), (-0.05, 0.0, -0.05)]
)
def test_the_table_is_where_the_rig_says_or_where_the_workspace_lets_it_be(
    height_m: float | None, floor_m: float, table_m: float
) -> None:
    workspace = RIG.arm.workspace.model_copy(update={"lower_m": (*RIG.arm.workspace.lower_m[:2], floor_m)})
    chosen = RIG.model_copy(update={"arm": RIG.arm.model_copy(update={"workspace": workspace})})
    there = Kinematics(changed(chosen, table_height_m=height_m)).clearance().distances(HOME)
    usual = KINEMATICS.clearance().distances(HOME)
    over_table = [first == "the table" for first, _ in KINEMATICS.pairs.names]
    assert (there - usual)[over_table] == pytest.approx(-table_m, abs=1e-6)


@pytest.mark.parametrize("name", SHIPPED)
def test_at_home_nothing_is_too_near_and_little_is_left_out(name: str) -> None:
    chosen, kinematics = arm(name)
    assert spare(chosen, kinematics, np.array([chosen.arm.home_rad])).min() > 0.0
    assert len(kinematics.pairs.unchecked) <= 4
    assert {name for pair in kinematics.pairs.names for name in pair} >= {"the table"}
