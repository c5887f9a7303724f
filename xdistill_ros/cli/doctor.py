"""`xdistill doctor`: what is present, what is missing, and how to get it.

Owns the list of checks and its wording. What may end the process it runs in (ROS, OpenGL, the camera SDK) is tried
in a child; nothing is installed or changed.
"""

from __future__ import annotations

import ctypes.util
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from xdistill_ros import resources
from xdistill_ros.graph import profile_variable

MESSAGES = (
    "builtin_interfaces", "diagnostic_msgs", "geometry_msgs", "lifecycle_msgs", "rosgraph_msgs", "sensor_msgs",
    "std_msgs", "std_srvs", "trajectory_msgs",
)  # fmt: skip
ROS_REMEDY = "install ROS 2 by apt and source its setup.bash, or: pip install 'xdistill_ros[ros]'"
GL_REMEDY = "apt-get install -y libegl1 libgl1 libgl1-mesa-dri"
# One graph's processes share segments of 32 MiB each; recordings and videos want room.
SHARED_MEMORY_MB, DISK_MB = 512, 2000
CHILD_S = 60.0

ASK_ROS = f"""
import rclpy
for name in {MESSAGES!r}:
    __import__(name + (".srv" if name == "std_srvs" else ".msg"))
from rclpy.utilities import get_rmw_implementation_identifier
print(get_rmw_implementation_identifier(), "from", rclpy.__file__)
"""
ASK_KINEMATICS = """
import pinocchio, pink, ruckig
print(pinocchio.__version__)
"""
ASK_OPENGL = """
from xdistill_ros.sim import gl
backend = gl.choose()
import mujoco
model = mujoco.MjModel.from_xml_string('<mujoco><worldbody><light pos="0 0 1"/><geom size="1"/></worldbody></mujoco>')
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
with mujoco.Renderer(model, 64, 64) as renderer:
    renderer.update_scene(data)
    assert renderer.render().any(), "the picture is black"
print(backend)
"""
ASK_CAMERAS = """
import pyrealsense2 as rs
print(", ".join(d.get_info(rs.camera_info.name) for d in rs.context().query_devices()) or "none connected")
"""


class State(Enum):
    """How a finding counts: only MISSING makes the command end with 1."""

    PRESENT = "present"
    OPTIONAL = "not there, and not needed by everybody"
    MISSING = "missing"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked for, what was found, and what to do about it."""

    name: str
    state: State
    words: str
    remedy: str = ""


def doctor(rig: Path | None = None) -> int:
    """Print what is present and missing, for everything or also for a rig file; 0 when nothing needed is missing."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    marks = {State.PRESENT: "[green]ok[/]", State.OPTIONAL: "[yellow]--[/]", State.MISSING: "[red]missing[/]"}
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    findings = []
    for finding in [*examine(), *(examine_rig(rig) if rig else ())]:
        findings.append(finding)
        table.add_row(marks[finding.state], finding.name, Text(finding.words))  # Text: square brackets are no markup
        if finding.remedy:
            table.add_row("", "", Text(finding.remedy, style="cyan"))
    console = Console()
    console.print(table)
    missing = [finding.name for finding in findings if finding.state is State.MISSING]
    console.print(f"\nMissing: {', '.join(missing)}." if missing else "\nNothing that is needed is missing.")
    return 1 if missing else 0


def examine() -> Iterator[Finding]:
    """Everything that does not depend on a rig."""
    yield _python()
    yield _ros()
    yield from _transport()
    yield _inference()
    yield _kinematics()
    yield _opengl()
    yield _modules("films of trials", ("av",), "pip install 'xdistill_ros[sim]'")
    yield _modules("teleoperation", ("aiohttp", "cryptography"), "pip install 'xdistill_ros[teleop]'")
    yield _modules(
        "tools for episodes", ("av", "imagecodecs", "matplotlib", "pyarrow", "rosbags"),
        "pip install 'xdistill_ros[episodes]'",
    )  # fmt: skip
    yield _modules("ros2 launch", ("launch_ros",), "comes with ROS by apt; without it, use xdistill up")
    yield _modules("training", ("torch",), "pip install 'xdistill_ros[learn]'")
    yield _modules("MetaWorld", ("metaworld",), "pip install 'xdistill_ros[bench]'")
    yield _cameras()
    yield _space("disk", Path.cwd(), DISK_MB, "free some space")
    yield _bundles()


def examine_rig(path: Path) -> Iterator[Finding]:
    """Whether a rig file can be used, its URDF fits it, and which bundles may run on it."""
    from xdistill_ros.rig import RigError, load

    try:
        rig = load(path)
    except RigError as error:
        yield Finding("rig", State.MISSING, str(error), "docs/rig.md describes every field")
        return
    cameras = ", ".join(f"{name} {c.width_px}x{c.height_px} at {c.rate_hz:g} Hz" for name, c in rig.cameras.items())
    kind = "simulated" if rig.simulation else "real"
    yield Finding("rig", State.PRESENT, f"{rig.name}: {kind} {rig.arm.model}; {cameras}; domain {rig.ros_domain_id}")
    try:
        from xdistill_ros.arm import Kinematics

        Kinematics(rig)
    except (ImportError, ValueError) as error:
        yield Finding("its URDF", State.MISSING, str(error), f"mend {rig.arm.urdf} or the names in {path}")
    else:
        yield Finding("its URDF", State.PRESENT, f"{rig.arm.urdf.name}: has every joint and {rig.arm.tcp_frame}")


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    where = "virtual environment" if sys.prefix != sys.base_prefix else "not a virtual environment"
    return Finding("Python", State.PRESENT, f"{version}, {where} {sys.prefix}")


def _ros() -> Finding:
    said, failed = _ask(ASK_ROS)
    if failed:
        return Finding("ROS 2", State.MISSING, failed, ROS_REMEDY)
    rmw, _, where = said.partition(" from ")
    origin = "wheels" if "site-packages" in where else f"ROS {os.environ.get('ROS_DISTRO', 'installation')}"
    if not rmw.startswith("rmw_fastrtps"):
        return Finding(
            "ROS 2", State.MISSING, f"{origin}, but over {rmw}", "export RMW_IMPLEMENTATION=rmw_fastrtps_cpp"
        )
    return Finding("ROS 2", State.PRESENT, f"rclpy and all messages from {origin}, over {rmw}")


def _transport() -> Iterator[Finding]:
    profile = resources.share() / "config" / "fastdds.xml"
    if not profile.is_file():
        yield Finding("Fast DDS profile", State.MISSING, f"no {profile}", "install the package again")
    elif os.environ.get(profile_variable()) == str(profile):
        yield Finding("Fast DDS profile", State.PRESENT, str(profile))
    else:
        export = f"export {profile_variable()}={profile}"
        words = f"{profile}; graphs set it, this shell does not: without it your own tools lose images"
        yield Finding("Fast DDS profile", State.PRESENT, words, export)
    yield _space("shared memory", Path("/dev/shm"), SHARED_MEMORY_MB, "in a container: --shm-size=1g")


def _inference() -> Finding:
    import onnxruntime

    providers = [name.removesuffix("ExecutionProvider") for name in onnxruntime.get_available_providers()]
    words = f"ONNX Runtime {onnxruntime.__version__} offers {', '.join(providers)}"
    if Path("/dev/nvidia0").exists() and "CUDA" not in providers:
        remedy = "pip uninstall onnxruntime, then: pip install 'xdistill_ros[gpu]'"
        return Finding("inference", State.OPTIONAL, f"{words}; an NVIDIA GPU is there, unused", remedy)
    if {"onnxruntime", "onnxruntime-gpu"} <= {_plain(d.name) for d in importlib.metadata.distributions()}:
        remedy = "pip uninstall both, then: pip install onnxruntime-gpu"
        return Finding("inference", State.OPTIONAL, f"{words}; the CPU and the GPU build overwrite each other", remedy)
    return Finding("inference", State.PRESENT, words)


def _kinematics() -> Finding:
    said, failed = _ask(ASK_KINEMATICS)
    if failed:
        return Finding("kinematics", State.MISSING, failed, "apt-get install -y libgomp1, or: pip install xdistill_ros")
    return Finding("kinematics", State.PRESENT, f"pinocchio {said}, pink, ruckig")


def _opengl() -> Finding:
    if not importlib.util.find_spec("mujoco"):
        return Finding("simulator", State.OPTIONAL, "MuJoCo is not there", "pip install 'xdistill_ros[sim]'")
    said, failed = _ask(ASK_OPENGL)
    if failed:
        return Finding("simulator", State.MISSING, f"MuJoCo cannot draw: {failed}", GL_REMEDY)
    return Finding("simulator", State.PRESENT, f"MuJoCo draws by {said.upper()}")


def _cameras() -> Finding:
    if not importlib.util.find_spec("pyrealsense2"):
        return Finding("RealSense", State.OPTIONAL, "its SDK is not there", "pip install 'xdistill_ros[realsense]'")
    if not ctypes.util.find_library("usb-1.0"):
        return Finding("RealSense", State.MISSING, "the SDK needs libusb", "apt-get install -y libusb-1.0-0")
    said, failed = _ask(ASK_CAMERAS)
    if failed:
        return Finding("RealSense", State.MISSING, failed, "pip install --force-reinstall pyrealsense2")
    return Finding("RealSense", State.PRESENT, f"SDK is there; cameras: {said}")


def _bundles() -> Finding:
    try:
        folder = resources.models()
    except FileNotFoundError as error:
        return Finding("bundles", State.OPTIONAL, str(error))
    names = sorted(path.parent.name for path in folder.glob("*/bundle.yaml"))
    if not names:
        return Finding("bundles", State.OPTIONAL, f"none in {folder}", "train one; make bundle trains those that ship")
    return Finding("bundles", State.PRESENT, f"{', '.join(names)} in {folder}")


def _modules(name: str, modules: Sequence[str], remedy: str) -> Finding:
    missing = [module for module in modules if not importlib.util.find_spec(module)]
    if missing:
        return Finding(name, State.OPTIONAL, f"not there: {', '.join(missing)}", remedy)
    return Finding(name, State.PRESENT, f"there: {', '.join(modules)}")


def _space(name: str, path: Path, least_mb: int, remedy: str) -> Finding:
    free = shutil.disk_usage(path).free // 1_000_000
    if free < least_mb:
        return Finding(name, State.MISSING, f"{free} MB free in {path}, {least_mb} MB are needed", remedy)
    return Finding(name, State.PRESENT, f"{free} MB free in {path}")


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")


def _ask(script: str) -> tuple[str, str]:
    """What a fresh interpreter prints last when it runs `script`, or why it failed: its last line of error."""
    try:
        child = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, timeout=CHILD_S, check=False
        )
    except subprocess.TimeoutExpired:
        return "", f"no answer within {CHILD_S:.0f} s"
    lines = (child.stdout if child.returncode == 0 else child.stderr).strip().splitlines()
    if child.returncode == 0:
        return (lines[-1] if lines else ""), ""
    return "", lines[-1] if lines else f"ended with {child.returncode}"
