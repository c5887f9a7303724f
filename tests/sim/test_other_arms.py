"""The simulated table under another arm: from its URDF alone, with no line of code for it."""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np
import pytest

from tests.support.makers import makers_rig
from tests.support.rigs import sim_table
from xdistill_ros import resources, rig
from xdistill_ros.arm import Kinematics
from xdistill_ros.rig import Rig
from xdistill_ros.sim import World, scene
from xdistill_ros.sim.pilots import ExpertPilot
from xdistill_ros.sim.rollout import rollout
from xdistill_ros.sim.table import Table
from xdistill_ros.sim.tasks import TASKS

UR5E = resources.config("rigs/sim_ur5e.yaml")


def table_of(wanted: Rig) -> Table:
    return Table(wanted, scene.build(wanted, TASKS["move_cube"]))


def with_urdf(wanted: Rig, urdf: Path) -> Rig:
    return wanted.model_copy(update={"arm": wanted.arm.model_copy(update={"urdf": urdf})})


@pytest.mark.parametrize("name", ["ur5", "panda"])
def test_the_tcp_is_where_pinocchio_has_it(name: str) -> None:
    wanted = makers_rig(name)
    table, kinematics = table_of(wanted), Kinematics(wanted)
    rng = np.random.default_rng(0)
    limits = wanted.arm.joints.values()
    for _ in range(10):
        angles = rng.uniform([one.lower_rad for one in limits], [one.upper_rad for one in limits])
        table.set_arm(angles, 0.05)
        mujoco.mj_kinematics(table.model, table.data)
        assert table.tcp_pose() == pytest.approx(kinematics.forward(angles), abs=1e-6)


@pytest.mark.parametrize("wanted", ["ur5", "sim_ur5e"])
def test_the_scripted_expert_moves_the_cube_with_a_ur(wanted: str) -> None:
    chosen = makers_rig("ur5") if wanted == "ur5" else rig.load(UR5E)
    with World(chosen, "move_cube") as world:
        result = rollout(world, ExpertPilot(), seed=3)
    assert result.success, f"holds {result.holds}, refusals {result.refusals}"


def test_the_expert_moves_the_cube_through_a_cartesian_controller() -> None:
    usual = sim_table()
    interface = usual.arm.interface.model_copy(update={"kind": "pose", "topic": "/target_pose"})
    wanted = usual.model_copy(update={"arm": usual.arm.model_copy(update={"interface": interface})})
    with World(wanted, "move_cube") as world:
        result = rollout(world, ExpertPilot(), seed=3)
    assert result.success, f"holds {result.holds}, refusals {result.refusals}"


def drawn(table: Table) -> set[int]:
    """The kinds of shapes that make up the arm."""
    arm = {int(table.model.jnt_bodyid[table.model.joint(name).id]) for name in table.rig.arm.joint_names}
    return {int(kind) for kind, body in zip(table.model.geom_type, table.model.geom_bodyid, strict=True) if body in arm}


def test_an_arm_is_drawn_from_its_meshes_where_they_load() -> None:
    assert int(mujoco.mjtGeom.mjGEOM_MESH) in drawn(table_of(makers_rig("ur5")))


def test_an_arm_whose_meshes_do_not_load_is_drawn_from_its_kinematics(tmp_path: Path) -> None:
    wanted = makers_rig("ur5")
    broken = tmp_path / "ur5.urdf"
    broken.write_text(wanted.arm.urdf.read_text(encoding="utf-8").replace("package://", "package://gone/"))
    shapes = drawn(table_of(with_urdf(wanted, broken)))
    assert int(mujoco.mjtGeom.mjGEOM_MESH) not in shapes
    assert int(mujoco.mjtGeom.mjGEOM_CAPSULE) in shapes


def test_a_mesh_that_is_no_mesh_is_as_one_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "garbage.stl").write_bytes(b"solid nothing\n" * 20)
    text = UR5E.parent.joinpath("../urdf/ur5e.urdf").read_text(encoding="utf-8")
    shape = '<visual><geometry><mesh filename="garbage.stl"/></geometry></visual>'
    text = text.replace('<link name="forearm_link"/>', f'<link name="forearm_link">{shape}</link>')
    (tmp_path / "ur5e.urdf").write_text(text, encoding="utf-8")
    shapes = drawn(table_of(with_urdf(rig.load(UR5E), tmp_path / "ur5e.urdf")))
    assert int(mujoco.mjtGeom.mjGEOM_MESH) not in shapes


def test_the_other_arm_is_seen_by_the_table_camera() -> None:
    """Its rods cover a part of the picture that the empty table would fill."""
    with World(rig.load(UR5E), "move_cube") as world:
        with_arm = world.render("front").astype(int)
        kinds = (mujoco.mjtGeom.mjGEOM_CAPSULE, mujoco.mjtGeom.mjGEOM_CYLINDER)
        model = world.table.model
        model.geom_rgba[np.isin(model.geom_type, [int(kind) for kind in kinds]), 3] = 0.0
        without = world.render("front").astype(int)
    assert (np.abs(with_arm - without).max(axis=2) > 20).mean() > 0.02


def test_a_chain_that_is_broken_is_named(tmp_path: Path) -> None:
    wanted = rig.load(UR5E)
    broken = tmp_path / "ur5e.urdf"
    text = wanted.arm.urdf.read_text(encoding="utf-8")
    broken.write_text(text.replace('<parent link="forearm_link"/>', '<parent link="nowhere"/>'), encoding="utf-8")
    with pytest.raises(ValueError, match="no joint leads to nowhere"):
        scene.build(with_urdf(wanted, broken), TASKS["move_cube"])
