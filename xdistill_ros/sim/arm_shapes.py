"""How the arm looks: our own arm in primitives of our own, any other from its URDF's meshes, or from its kinematics.

Owns shapes and colours; none of them touches anything. A mesh that MuJoCo does not load (a COLLADA file, a path that
leads nowhere) is no error: the URDF's collision mesh is tried, and else the link is drawn as a rod to the next joint.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import mujoco
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from xdistill_ros.arm.mesh_files import mesh_file

Array = NDArray[np.float64]
Colour = tuple[float, float, float, float]
WHITE, GREY, DARK = (0.90, 0.91, 0.92, 1.0), (0.55, 0.58, 0.62, 1.0), (0.16, 0.17, 0.19, 1.0)
NO_CONTACT = {"contype": 0, "conaffinity": 0}
OUR_ARM = "sim_arm"
_LOADED = (".stl", ".obj")
_THICKNESS = 0.055  # of a rod at the base, as a share of the arm's length; half as much at the wrist
_THINNEST_M = 0.012
_Point = tuple[float, float, float]


@dataclass(frozen=True)
class _Rod:
    """A capsule or cylinder between two points of a link's frame, metres."""

    start: _Point
    end: _Point
    radius: float
    rgba: Colour = WHITE
    flat: bool = False


_OURS: dict[str, tuple[_Rod, ...]] = {
    "base_link": (
        _Rod((0, 0, 0), (0, 0, 0.02), 0.075, DARK, True),
        _Rod((0, 0, 0.02), (0, 0, 0.20), 0.058, flat=True),
    ),
    "link1": (_Rod((0, 0, -0.06), (0, 0, 0.0), 0.056), _Rod((0, -0.07, 0), (0, 0.07, 0), 0.050, GREY, True)),
    "link2": (
        _Rod((0, 0, -0.075), (0, 0, 0.06), 0.046, flat=True),
        _Rod((0.04, 0, 0), (0.289, 0, 0), 0.042),
        _Rod((0.289, 0, -0.06), (0.289, 0, 0.06), 0.044, GREY, True),
    ),
    "link3": (_Rod((0, 0, 0), (0.0775, 0, 0), 0.040), _Rod((0.0775, 0, 0), (0.0775, 0.22, 0), 0.038)),
    "link4": (_Rod((0, 0, -0.12), (0, 0, -0.05), 0.037, GREY, True), _Rod((0, 0, -0.05), (0, 0, 0), 0.036)),
    "link5": (
        _Rod((0, 0, -0.05), (0, 0, 0.05), 0.037, GREY, True),
        _Rod((0, 0, 0), (0.076, 0.02, 0), 0.034),
        _Rod((0.076, 0.02, 0), (0.076, 0.06, 0), 0.034),
    ),
    "link6": (
        _Rod((0, 0, -0.035), (0, 0, 0.0), 0.036, GREY, True),
        _Rod((0, 0, 0.0), (0, 0, 0.02), 0.034, DARK, True),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Hinge:
    """Where a link's next joint is in its frame: metres, and the direction of its axis there."""

    position: Array
    axis: Array


class Draughtsman:
    """Draws the links of one URDF."""

    def __init__(self, spec: mujoco.MjSpec, urdf: Path, length_m: float) -> None:
        """`length_m` of the arm, stretched, says how thick its rods are."""
        root = ElementTree.parse(urdf).getroot()
        self._spec, self._urdf, self._length_m = spec, urdf, length_m
        self._ours = root.get("name") == OUR_ARM
        self._links = {link.get("name", ""): link for link in root.iterfind("link")}
        self._meshes: dict[Path, str | None] = {}

    def draw(self, body: mujoco.MjsBody, link: str, along: float, following: Hinge | None) -> None:
        """Draws `link` on `body`. `along`: 0 at the base to 1 at the wrist. `following`: its next joint, if any."""
        if self._ours:
            for rod in _OURS.get(link, ()):
                _add(body, rod)
        elif not self._add_meshes(body, link):
            self._add_rod(body, along, following)

    def _add_rod(self, body: mujoco.MjsBody, along: float, following: Hinge | None) -> None:
        radius = max(_THICKNESS * (1.0 - 0.5 * along) * self._length_m, _THINNEST_M)
        if following is None:
            return
        end = following.position
        if np.linalg.norm(end) > 0.5 * radius:
            _add(body, _Rod((0.0, 0.0, 0.0), _point(end), radius))
        drum = 1.3 * radius * following.axis
        _add(body, _Rod(_point(end - drum), _point(end + drum), 1.05 * radius, GREY, True))

    def _add_meshes(self, body: mujoco.MjsBody, link: str) -> bool:
        """Whether all shapes of `link`, as it looks or at least as it collides, were meshes that load."""
        for way in ("visual", "collision"):
            shapes = list(self._links[link].iterfind(way)) if link in self._links else []
            meshes = [self._mesh(shape) for shape in shapes]
            if not meshes or None in meshes:
                continue
            for shape, name in zip(shapes, meshes, strict=True):
                position, quaternion = origin_of(shape)
                body.add_geom(
                    type=mujoco.mjtGeom.mjGEOM_MESH, meshname=name, pos=position, quat=quaternion, rgba=WHITE, mass=0,
                    **NO_CONTACT,
                )  # fmt: skip
            return True
        return False

    def _mesh(self, shape: ElementTree.Element) -> str | None:
        """The name of the shape's mesh in the model, or None when there is none that loads."""
        mesh = shape.find("geometry/mesh")
        path = _resolved(mesh.get("filename", ""), self._urdf) if mesh is not None else None
        if mesh is None or path is None:
            return None
        if path not in self._meshes:
            scale = [float(number) for number in mesh.get("scale", "1 1 1").split()]
            name = f"mesh{len(self._meshes)}"
            self._meshes[path] = name if _loads(path) else None
            if self._meshes[path]:
                _add_mesh(self._spec, name, path, scale)
        return self._meshes[path]


def origin_of(element: ElementTree.Element) -> tuple[Array, Array]:
    """Position (3,) in metres and quaternion (w, x, y, z) of a URDF element's origin."""
    origin = element.find("origin")
    xyz, rpy = (
        np.array([float(number) for number in (origin.get(key, "0 0 0") if origin is not None else "0 0 0").split()])
        for key in ("xyz", "rpy")
    )
    return xyz, Rotation.from_euler("xyz", rpy).as_quat(scalar_first=True)


def _add(body: mujoco.MjsBody, rod: _Rod) -> None:
    shape = mujoco.mjtGeom.mjGEOM_CYLINDER if rod.flat else mujoco.mjtGeom.mjGEOM_CAPSULE
    body.add_geom(
        type=shape, fromto=[*rod.start, *rod.end], size=[rod.radius, 0, 0], rgba=rod.rgba, mass=0, **NO_CONTACT
    )


def _point(vector: Array) -> _Point:
    x, y, z = vector.tolist()
    return x, y, z


def _resolved(name: str, urdf: Path) -> Path | None:
    """The file that a URDF names, if it is of a kind that MuJoCo loads."""
    return mesh_file(name, urdf) if name.lower().endswith(_LOADED) else None


def _add_mesh(spec: mujoco.MjSpec, name: str, path: Path, scale: list[float]) -> None:
    # as a shell: a maker's mesh need not be closed, and no mass is taken from it
    spec.add_mesh(name=name, file=str(path), scale=scale, inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL)


def _loads(path: Path) -> bool:
    """Whether MuJoCo takes the file."""
    spec = mujoco.MjSpec()
    _add_mesh(spec, "mesh", path, [1.0, 1.0, 1.0])
    spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname="mesh")
    try:
        spec.compile()
    except ValueError:
        return False
    return True
