"""What must hold of the images, the compose files and what is installed on hosts, as far as reading them tells."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from tests.support.commands import refusal_of
from xdistill_ros import graph as graphs
from xdistill_ros import resources

from .conftest import ROOT, project_files

DOCKER = ROOT / "docker"
COMPOSE = sorted(DOCKER.glob("compose.*.yaml"))
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]


@dataclass(frozen=True)
class Stage:
    """One image of the Dockerfile: instructions in order, those of the stage that it is made from first."""

    base: str
    steps: tuple[tuple[str, str], ...]

    def last(self, instruction: str) -> str:
        return [text for name, text in self.steps if name == instruction][-1]


def stages() -> dict[str, Stage]:
    """The images by name. Understands what our Dockerfile uses: comments, and lines continued by a backslash."""
    lines = [line for line in (DOCKER / "Dockerfile").read_text(encoding="utf-8").splitlines() if line[:1] != "#"]
    found: dict[str, Stage] = {}
    name = ""
    for step in "\n".join(lines).replace("\\\n", " ").splitlines():
        instruction, _, text = step.strip().partition(" ")
        if instruction == "FROM":
            base, _, name = text.partition(" AS ")
            found[name] = found.get(base, Stage(base, ()))
        elif instruction:
            found[name] = Stage(found[name].base, (*found[name].steps, (instruction, text.strip())))
    return found


def services(path: Path) -> dict[str, dict[str, Any]]:
    return dict(yaml.safe_load(path.read_text(encoding="utf-8"))["services"])


SERVICES = {f"{path.name} {name}": spec for path in COMPOSE for name, spec in services(path).items()}
each_service = pytest.mark.parametrize("spec", SERVICES.values(), ids=SERVICES)


def seconds(text: str) -> float:
    assert text.endswith("s"), text
    return float(text.removesuffix("s"))


def filled(words: list[str]) -> list[str]:
    """A service's command with the defaults of its variables."""
    return [re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", word) for word in words]


@pytest.mark.parametrize("target", ["cpu", "gpu"])
def test_an_image_runs_as_a_user_with_a_health_check_from_a_base_with_a_version(target: str) -> None:
    stage = stages()[target]
    assert stage.base == "ros:jazzy-ros-base-noble"
    assert stage.last("USER") not in ("root", "0")
    assert "/entrypoint.sh" in stage.last("HEALTHCHECK"), "a health check does not go through the entry point by itself"
    assert stage.last("ENTRYPOINT") == '["/entrypoint.sh"]'


def test_no_argument_has_the_name_of_a_variable_that_bash_sets_itself() -> None:
    names = {text.partition("=")[0] for name, text in stages()["gpu"].steps if name in ("ARG", "ENV")}
    assert not names & {"UID", "EUID", "GROUPS", "HOSTNAME", "SECONDS", "RANDOM"}


def test_apt_leaves_nothing_behind_and_pip_obeys_the_constraints_of_jazzy() -> None:
    for instruction, text in stages()["gpu"].steps:
        if "apt-get install" in text:
            assert "--no-install-recommends" in text
            assert text.endswith("rm -rf /var/lib/apt/lists/*")
        if "pip install" in text:
            assert instruction == "RUN"
            assert "-c /src/xdistill_ros/constraints/jazzy.txt" in text
            assert "-U" not in text.split()


def test_ros_is_set_up_in_a_shell_that_allows_unset_variables() -> None:
    assert stages()["gpu"].last("SHELL") == '["/bin/bash", "-eo", "pipefail", "-c"]'
    assert "set -eo pipefail" in (DOCKER / "entrypoint.sh").read_text(encoding="utf-8")


def test_what_is_copied_and_named_in_steps_is_among_the_files() -> None:
    files = {str(path) for path in project_files()}
    for instruction, text in stages()["gpu"].steps:
        if instruction == "COPY":
            *_, source, _target = text.split()
            assert source == "." or source in files
        for name in re.findall(r"/src/xdistill_ros/([\w/]+\.\w+)", text):
            assert name in files


def test_the_extras_of_the_image_exist_and_bring_neither_torch_nor_a_simulator() -> None:
    (wished,) = [text for name, text in stages()["cpu"].steps if name == "ARG" and text.startswith("EXTRAS=")]
    extras = wished.partition("=")[2].split(",")
    names = {Requirement(line).name for extra in extras for line in EXTRAS[extra]}
    assert not names & {"torch", "mujoco", "metaworld", "ros-rclpy"}


def test_the_entry_point_is_a_script_that_leaves_its_place_to_the_command() -> None:
    script = DOCKER / "entrypoint.sh"
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
    assert script.read_text(encoding="utf-8").rstrip().endswith('exec "$@"')


def test_the_image_is_not_made_from_what_git_does_not_keep() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert {".git", ".venv*", "outputs"} <= set(ignored)
    assert not {"xdistill_ros", "config", "launch", "models", "resource", "constraints", "ros2_ws"} & set(ignored)


@each_service
def test_a_service_is_built_from_an_image_that_there_is(spec: dict[str, Any]) -> None:
    build = spec["build"]
    assert (DOCKER / build["context"]).resolve() == ROOT
    arguments = {text.partition("=")[0] for name, text in stages()[build["target"]].steps if name == "ARG"}
    assert set(build["args"]) <= arguments
    assert (ROOT / build["dockerfile"]).is_file()
    assert spec["image"] == f"xdistill:{build['target']}"
    assert build["target"] in stages()


@each_service
def test_a_service_has_the_host_s_network_and_memory_but_not_its_powers(spec: dict[str, Any]) -> None:
    assert (spec["network_mode"], spec["ipc"]) == ("host", "host")
    assert "privileged" not in spec
    assert spec["cap_drop"] == ["ALL"]
    assert "user" not in spec, "the image's own user"


@each_service
def test_a_service_is_given_time_to_bring_the_arm_to_rest(spec: dict[str, Any]) -> None:
    assert seconds(spec["stop_grace_period"]) > 2 * graphs.STOP_S
    assert spec["init"] is True


@each_service
def test_a_service_s_command_and_health_check_are_commands_of_ours(spec: dict[str, Any]) -> None:
    command = filled(spec["command"])
    assert refusal_of(command) == ""
    call, entry, *check = filled(spec["healthcheck"]["test"])
    assert (call, entry) == ("CMD", "/entrypoint.sh")
    assert refusal_of(check) == ""
    assert check[2] == command[2], "the health of the graph that runs"
    assert check[check.index("--host") + 1] == command[command.index("--host") + 1]


@each_service
def test_the_variables_of_a_service_are_those_that_we_read(spec: dict[str, Any]) -> None:
    environment = spec["environment"]
    assert set(environment) <= {resources.RIG_VARIABLE, resources.MODELS_VARIABLE}
    (rig,) = filled([environment[resources.RIG_VARIABLE]])
    assert (ROOT / Path(rig).relative_to("/lab")).is_file()


def test_only_the_robot_s_computer_opens_cameras_and_only_the_other_a_gpu() -> None:
    for name, spec in SERVICES.items():
        robot = name.startswith("compose.robot.yaml")
        assert ("device_cgroup_rules" in spec) is robot
        assert ("deploy" in spec) is not robot


def test_real_time_limits_are_the_same_in_containers_and_on_the_host() -> None:
    host = (DOCKER / "host" / "xdistill-limits.conf").read_text(encoding="utf-8")
    (priority,) = re.findall(r"^@realtime - rtprio (\d+)$", host, re.MULTILINE)
    for spec in SERVICES.values():
        assert spec["ulimits"]["rtprio"] == int(priority)


def test_udev_rules_give_to_groups_not_to_the_world() -> None:
    rules = (DOCKER / "host" / "99-realsense.rules").read_text(encoding="utf-8")
    lines = [line for line in rules.splitlines() if not line.startswith("#")]
    for line in lines:
        assert 'GROUP="plugdev"' in line
        assert 'MODE="0664"' in line
        assert all(re.fullmatch(r'\w+(\{\w+\})?(==|\+=|=)"[^"]*"', part.strip()) for part in line.split(","))
