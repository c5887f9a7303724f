"""The root is a Python distribution and an ament package, and both ways of installing it bring all it needs."""

from __future__ import annotations

import configparser
import importlib.util
import os
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xdistill_ros import __version__

from .conftest import ROOT

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PACKAGE_XML = ET.parse(ROOT / "package.xml").getroot()
NODES = {name for name in PROJECT["scripts"] if name.endswith("_node")}
# What the installed code must be able to find, asked of it by a fresh interpreter outside of the checkout.
ASK = (
    "import json; from xdistill_ros import resources, rig; found = rig.load(resources.config('rigs/sim_table.yaml')); "
    "from jinja2 import PackageLoader; PackageLoader('xdistill_ros.trials'); "
    "from importlib.resources import files; files('xdistill_ros.teleop').joinpath('page/main.js').read_text(); "
    "print(json.dumps([str(resources.share()), str(found.arm.urdf)]))"
)


def run(command: list[str], folder: Path, **variables: str) -> str:
    environment = {name: os.environ[name] for name in os.environ if not name.startswith("PYTHON")} | variables
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, f"{' '.join(command)}\n{ended.stdout}{ended.stderr}"
    return ended.stdout


@pytest.fixture(scope="session")
def colcon() -> Path:
    """colcon from its own environment, which `make test` has made; made here when the tests are run otherwise."""
    run(["make", "-s", ".venv-colcon/.ready"], ROOT)
    return ROOT / ".venv-colcon" / "bin"


@pytest.fixture(scope="session")
def workspace(clone: Callable[[str], Path], colcon: Path) -> Path:
    """`ros2_ws` of a fresh clone after `colcon build`."""
    root = clone("colcon")
    path = f"{colcon}:{os.environ['PATH']}"
    assert "(ros.ament_python)" in run(["colcon", "list"], root / "ros2_ws", PATH=path)
    run(["colcon", "build"], root / "ros2_ws", PATH=path)
    return root / "ros2_ws"


@pytest.fixture(scope="session")
def wheel(clone: Callable[[str], Path]) -> Path:
    root = clone("wheel")
    (root / "models" / "large").mkdir(parents=True)
    (root / "models" / "large" / "weights.onnx").write_bytes(b"0" * 1000)
    run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", "dist", "."], root)
    return next((root / "dist").glob("*.whl"))


@pytest.mark.timeout(300)
def test_colcon_installs_every_node_launch_file_and_config(workspace: Path) -> None:
    prefix = workspace / "install" / "xdistill_ros"
    assert {path.name for path in (prefix / "lib" / "xdistill_ros").iterdir()} == {*NODES, "xdistill"}
    share = prefix / "share" / "xdistill_ros"
    for folder in ("config", "launch"):
        shipped = {path.relative_to(ROOT) for path in (ROOT / folder).rglob("*.*") if path.suffix != ".pyc"}
        installed = {path.relative_to(share) for path in (share / folder).rglob("*.*")}
        assert installed == shipped
    assert (prefix / "share" / "ament_index" / "resource_index" / "packages" / "xdistill_ros").is_file()


def test_a_node_that_colcon_installed_runs_with_the_active_python(workspace: Path) -> None:
    for name in NODES:
        script = workspace / "install" / "xdistill_ros" / "lib" / "xdistill_ros" / name
        assert script.read_text(encoding="utf-8").startswith("#!/usr/bin/env python3\n")


def test_what_colcon_installed_finds_its_config(workspace: Path, tmp_path: Path) -> None:
    site_packages = next((workspace / "install" / "xdistill_ros" / "lib").glob("python3*/site-packages"))
    said = run([sys.executable, "-c", ASK], tmp_path, PYTHONPATH=str(site_packages))
    assert str(workspace / "install") in said


@pytest.mark.timeout(300)
def test_what_pip_installed_finds_its_config(wheel: Path, tmp_path: Path) -> None:
    run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", "there", str(wheel)], tmp_path)
    said = run([sys.executable, "-c", ASK], tmp_path, PYTHONPATH=str(tmp_path / "there"))
    assert str(tmp_path / "there" / "share" / "xdistill_ros") in said


def test_wheels_carry_no_weights(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert not [name for name in names if "models" in Path(name).parts]
    assert wheel.stat().st_size < 2_000_000


def test_package_xml_and_pyproject_agree() -> None:
    assert PACKAGE_XML.findtext("name") == PROJECT["name"] == "xdistill_ros"
    assert PACKAGE_XML.findtext("version") == __version__
    assert PACKAGE_XML.findtext("license") == PROJECT["license"]["text"] == "Apache-2.0"
    assert PACKAGE_XML.findtext("description") == PROJECT["description"]
    assert PACKAGE_XML.findtext("export/build_type") == "ament_python"
    from_apt = {element.text for element in PACKAGE_XML.findall("exec_depend")}
    wheels = {line.split("[")[0].split(">")[0] for line in PROJECT["optional-dependencies"]["ros"]}
    assert {name.removeprefix("ros-").replace("-", "_") for name in wheels} == from_apt - {
        "launch", "launch_ros", "ros2launch"
    }  # fmt: skip


def test_every_command_and_node_exists() -> None:
    for target in PROJECT["scripts"].values():
        assert importlib.util.find_spec(target.split(":")[0]), target


def test_executables_go_where_ros_looks_for_them() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    assert setup["install"]["install_scripts"] == setup["develop"]["script_dir"] == "$base/lib/xdistill_ros"


@pytest.mark.parametrize(
    "heavy", ["torch", "mujoco", "ros-rclpy", "diffusers", "aiohttp", "cryptography", "pyrealsense2", "av"]
)
def test_a_robot_pc_is_spared_what_it_does_not_need(heavy: str) -> None:
    assert not [line for line in PROJECT["dependencies"] if line.startswith(heavy)]


def test_every_dependency_has_bounds_and_a_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for line in PROJECT["dependencies"]:
        assert ">" in line
        written = next(row for row in text.splitlines() if f'"{line}"' in row)
        assert "#" in written, f"{line}: say why it is needed"


@pytest.mark.timeout(300)
def test_a_robot_pc_with_jazzy_can_resolve_the_base(tmp_path: Path) -> None:
    """Python 3.12 and numpy 1.26, which Jazzy's messages are compiled against."""
    arguments = ["--python-version", "3.12", "--only-binary=:all:", "--target", str(tmp_path), "--dry-run"]
    constraints = ["-c", str(ROOT / "constraints" / "jazzy.txt")]
    pip = [sys.executable, "-m", "pip", "install", "-q", "--report", "-"]
    said = run([*pip, *arguments, *constraints, *PROJECT["dependencies"]], tmp_path)
    assert '"numpy"' in said
    assert '"1.26.4"' in said
