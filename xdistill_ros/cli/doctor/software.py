"""The software that everybody or somebody needs, whatever the rig: Python, ROS, inference, simulator, extras."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from xdistill_ros import resources
from xdistill_ros.graph import profile_variable

from .finding import Finding, State, ask, modules, space

MESSAGES = (
    "builtin_interfaces", "diagnostic_msgs", "geometry_msgs", "lifecycle_msgs", "rosgraph_msgs", "sensor_msgs",
    "std_msgs", "std_srvs", "trajectory_msgs",
)  # fmt: skip
ROS_REMEDY = "install ROS 2 by apt and source its setup.bash, or: pip install 'xdistill_ros[ros]'"
GL_REMEDY = "apt-get install -y libegl1 libgl1 libgl1-mesa-dri"
# One graph's processes share segments of 32 MiB each; recordings and videos want room.
SHARED_MEMORY_MB, DISK_MB = 512, 2000

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


def examine() -> Iterator[Finding]:
    """Everything that does not depend on a rig."""
    yield _python()
    yield _ros()
    yield from _transport()
    yield _inference()
    yield _kinematics()
    yield _opengl()
    yield modules("films of trials", ("av",), "pip install 'xdistill_ros[sim]'")
    yield modules("teleoperation", ("aiohttp", "cryptography"), "pip install 'xdistill_ros[teleop]'")
    yield modules("remote policies", ("websockets", "msgpack", "PIL"), "pip install 'xdistill_ros[remote]'")
    yield modules(
        "tools for episodes", ("av", "imagecodecs", "matplotlib", "pyarrow", "rosbags"),
        "pip install 'xdistill_ros[episodes]'",
    )  # fmt: skip
    yield modules("ros2 launch", ("launch_ros",), "comes with ROS by apt; without it, use xdistill up")
    yield modules("training", ("torch",), "pip install 'xdistill_ros[learn]'")
    yield modules("MetaWorld", ("metaworld",), "pip install 'xdistill_ros[bench]'")
    yield space("disk", Path.cwd(), DISK_MB, "free some space")
    yield _bundles()


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    where = "virtual environment" if sys.prefix != sys.base_prefix else "not a virtual environment"
    return Finding("Python", State.PRESENT, f"{version}, {where} {sys.prefix}")


def _ros() -> Finding:
    said, failed = ask(ASK_ROS)
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
    yield space("shared memory", Path("/dev/shm"), SHARED_MEMORY_MB, "in a container: --shm-size=1g")


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
    said, failed = ask(ASK_KINEMATICS)
    if failed:
        return Finding("kinematics", State.MISSING, failed, "apt-get install -y libgomp1, or: pip install xdistill_ros")
    return Finding("kinematics", State.PRESENT, f"pinocchio {said}, pink, ruckig")


def _opengl() -> Finding:
    if not importlib.util.find_spec("mujoco"):
        return Finding("simulator", State.OPTIONAL, "MuJoCo is not there", "pip install 'xdistill_ros[sim]'")
    said, failed = ask(ASK_OPENGL)
    if failed:
        return Finding("simulator", State.MISSING, f"MuJoCo cannot draw: {failed}", GL_REMEDY)
    return Finding("simulator", State.PRESENT, f"MuJoCo draws by {said.upper()}")


def _bundles() -> Finding:
    try:
        folder = resources.models()
    except FileNotFoundError as error:
        return Finding("bundles", State.OPTIONAL, str(error))
    names = sorted(path.parent.name for path in folder.glob("*/bundle.yaml"))
    if not names:
        return Finding("bundles", State.OPTIONAL, f"none in {folder}", "train one; make bundle trains those that ship")
    return Finding("bundles", State.PRESENT, f"{', '.join(names)} in {folder}")


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")
