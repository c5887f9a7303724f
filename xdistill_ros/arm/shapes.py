"""Where the arm's metal is: the URDF's collision shapes, and rods where it has none, each on the body that carries it.

Owns shapes and the names of their links; knows no distance, margin or motion; `pairs` says which are to keep apart.
A mesh is replaced by its convex hull, which is larger than the mesh and cheap to measure. A link of which some mesh
does not load (a path that leads nowhere) loses all its shapes, and a rod stands for its body: from its joint to the
next, the last to the TCP.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pinocchio as pin
from numpy.typing import NDArray

from xdistill_ros.rig import Arm, Rig

from .mesh_files import mesh_file
from .robot_model import TCP

try:
    import coal
except ImportError:  # what pinocchio 2 calls it
    import hppfcl as coal

Array = NDArray[np.float64]

TABLE = "the table"
"""Its name among the links."""
# Of a rod: at the base as a share of the arm's length, half as much at the wrist; the simulator draws them alike.
_THICKNESS, _THINNEST_M = 0.055, 0.012
# A hand whose shapes end so far before the TCP has more to it than the URDF knows.
_HAND_UNKNOWN_M = 0.03
# Fewer points than this span no volume.
_LEAST_POINTS = 4
_Points = getattr(coal, "StdVec_Vec3s", None) or coal.StdVec_Vec3f


@dataclass
class Shapes:
    """The shapes, their links' names, and which of them the table is measured from."""

    geometry: pin.GeometryModel
    links: list[str]
    """Of each shape, in the geometry's order."""
    over_table: list[int] = field(default_factory=list)
    """Those that keep their distance from the table; not from links, where a whole shape does that."""
    between_links: list[int] = field(default_factory=list)
    table: int = 0
    """The half-space that the table fills."""

    def add(self, link: str, joint: int, placement: pin.SE3, shape: coal.CollisionGeometry) -> int:
        """Adds `shape` to the body of `joint`, and says at which place."""
        name = f"{link}_{self.geometry.ngeoms}"
        # by name: pinocchio 2 has another order
        made = pin.GeometryObject(name=name, parent_joint=joint, placement=placement, collision_geometry=shape)
        index: int = self.geometry.addGeometryObject(made)
        self.links.append(link)
        return index


def arm_shapes(rig: Rig, model: pin.Model) -> Shapes:
    """The shapes of the rig's arm on the bodies of `model`, which `robot_model` made, and the table's half-space."""
    arm = rig.arm
    shapes, lacking = _from_urdf(arm, model)
    tcp = model.frames[model.getFrameId(TCP)].placement.translation
    hand = model.njoints - 1
    shapes.between_links = list(range(shapes.geometry.ngeoms))
    for index in shapes.between_links:
        _keep_from_table(shapes, index, hand, tcp, arm.clearance.fingers_m)
    if hand not in lacking and _nearest_to(tcp, shapes.geometry, hand) > _HAND_UNKNOWN_M:
        lacking.add(hand)
    for joint in sorted(lacking):
        _add_rod(shapes, arm, model, joint)
    height = arm.clearance.table_height_m
    if height is None:
        height = min(0.0, arm.workspace.lower_m[2])
    half_space = coal.Halfspace(np.array([0.0, 0.0, 1.0]), height)
    shapes.table = shapes.add(TABLE, 0, pin.SE3.Identity(), half_space)
    return shapes


def _from_urdf(arm: Arm, model: pin.Model) -> tuple[Shapes, set[int]]:
    """What the URDF has, meshes as hulls; and the joints whose bodies lack something."""
    root = ElementTree.parse(arm.urdf).getroot()
    loader = coal.CachedMeshLoader()
    lacking = {_body(model, link) for link in root.iterfind("link") if not _leave_whole(link, arm.urdf, loader)}
    text = ElementTree.tostring(root, encoding="unicode")
    geometry = pin.buildGeomFromUrdfString(model, text, pin.GeometryType.COLLISION, mesh_loader=loader)
    for shape in geometry.geometryObjects:
        if isinstance(shape.geometry, coal.BVHModelBase):
            shape.geometry.buildConvexHull(True, "Qt")
            shape.geometry = shape.geometry.convex
    shaped = {shape.parentJoint for shape in geometry.geometryObjects}
    lacking |= set(range(model.njoints)) - shaped
    return Shapes(geometry, [shape.name.rpartition("_")[0] for shape in geometry.geometryObjects]), lacking


def _body(model: pin.Model, link: ElementTree.Element) -> int:
    return int(model.frames[model.getFrameId(link.get("name", ""))].parentJoint)


def _leave_whole(link: ElementTree.Element, urdf: Path, loader: coal.MeshLoader) -> bool:
    """Makes the paths of the link's meshes absolute; without one of them it loses all its shapes, and this is False."""
    collisions = link.findall("collision")
    for mesh in link.iterfind("collision/geometry/mesh"):
        path = mesh_file(mesh.get("filename", ""), urdf)
        if path is None or not _has_hull(path, np.array(mesh.get("scale", "1 1 1").split(), dtype=float), loader):
            for collision in collisions:
                link.remove(collision)
            return False
        mesh.set("filename", str(path))
    return True


def _has_hull(path: Path, scale: Array, loader: coal.MeshLoader) -> bool:
    try:
        loader.load(str(path), scale).buildConvexHull(True, "Qt")
    except (RuntimeError, ValueError):
        return False
    return True


def _keep_from_table(shapes: Shapes, index: int, hand: int, tcp: Array, fingers_m: float) -> None:
    """Measures shape `index` from the table; of the hand only what is not so near to the TCP as fingers are."""
    shape = shapes.geometry.geometryObjects[index]
    if shape.parentJoint == 0:
        return
    if shape.parentJoint != hand:
        shapes.over_table.append(index)
        return
    here = shape.placement.actInv(tcp)
    if not isinstance(shape.geometry, coal.ConvexBase):
        if np.linalg.norm(here) > fingers_m:
            shapes.over_table.append(index)
        return
    points = np.array(shape.geometry.points())
    kept = points[np.linalg.norm(points - here, axis=1) > fingers_m]
    if len(kept) >= _LEAST_POINTS:
        shapes.over_table.append(shapes.add(shapes.links[index], hand, shape.placement, _hull(kept)))


def _hull(points: Array) -> coal.ConvexBase:
    listed = _Points()
    listed.extend(list(points))
    return coal.Convex.convexHull(listed, True, "Qt")


def _nearest_to(point: Array, geometry: pin.GeometryModel, joint: int) -> float:
    """Distance of `point` in the frame of `joint` from the shapes on its body, metres."""
    at = pin.SE3(np.eye(3), np.asarray(point))
    return min(
        float(
            coal.distance(
                coal.Sphere(1e-6), _transform(at), shape.geometry, _transform(shape.placement),
                coal.DistanceRequest(), coal.DistanceResult(),
            )
        )
        for shape in geometry.geometryObjects
        if shape.parentJoint == joint
    )  # fmt: skip


def _transform(placement: pin.SE3) -> coal.Transform3s:
    kind = getattr(coal, "Transform3s", None) or coal.Transform3f
    return kind(placement.rotation, placement.translation)


def _add_rod(shapes: Shapes, arm: Arm, model: pin.Model, joint: int) -> None:
    """From the origin of `joint` to that of the next, or to the TCP; that one ends before the fingers for the table."""
    following = [index for index in range(1, model.njoints) if model.parents[index] == joint]
    ends_at = model.jointPlacements[following[0]] if following else model.frames[model.getFrameId(TCP)].placement
    end = np.array(ends_at.translation)
    link = _link_of(arm, model, joint)
    radius = arm.clearance.radius_m.get(model.names[joint], _usual_radius(model, joint))
    whole = shapes.add(link, joint, *_rod(end, radius))
    shapes.between_links.append(whole)
    if joint == 0:
        return
    length = float(np.linalg.norm(end))
    if following or length == 0.0:
        shapes.over_table.append(whole)
        return
    short = end * max(0.0, length - arm.clearance.fingers_m) / length
    shapes.over_table.append(shapes.add(link, joint, *_rod(short, radius)))


def _rod(end: Array, radius: float) -> tuple[pin.SE3, coal.CollisionGeometry]:
    """A capsule from a body's origin to `end` (3,), m; a ball where that is the same place."""
    length = float(np.linalg.norm(end))
    if length < radius / 100.0:
        return pin.SE3.Identity(), coal.Sphere(radius)
    turn = pin.Quaternion.FromTwoVectors(np.array([0.0, 0.0, 1.0]), end / length)
    return pin.SE3(turn, end / 2.0), coal.Capsule(radius, length)


def _usual_radius(model: pin.Model, joint: int) -> float:
    length = sum(float(np.linalg.norm(placement.translation)) for placement in list(model.jointPlacements)[1:])
    along = joint / max(1, int(model.njoints) - 1)
    return max(_THICKNESS * (1.0 - 0.5 * along) * length, _THINNEST_M)


def _link_of(arm: Arm, model: pin.Model, joint: int) -> str:
    """The URDF's name of the link that `joint` moves."""
    if joint == 0:
        return arm.base_frame
    moved = [
        element.find("child")
        for element in ElementTree.parse(arm.urdf).getroot().iterfind("joint")
        if element.get("name") == model.names[joint]
    ]
    return str(moved[0].get("link")) if moved and moved[0] is not None else str(model.names[joint])
