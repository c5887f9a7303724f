"""The graphs as data, and both ways of starting them."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.main import get_command

from tests.support.commands import refusal_of
from tests.support.graph import ROOT, SHIPPED_RIG
from xdistill_ros import graph as graphs
from xdistill_ros import resources, rig
from xdistill_ros.cli import up
from xdistill_ros.cli.main import app
from xdistill_ros.trials import protocol

RIG = rig.load(SHIPPED_RIG)
OPTIONS = graphs.Options(rig=SHIPPED_RIG, bundle=Path("models/move_cube"))
TRANSLATIONS = [*sorted((ROOT / "launch").glob("*.py")), ROOT / "xdistill_ros/nodes/launching.py",
                ROOT / "xdistill_ros/cli/up.py", ROOT / "xdistill_ros/cli/main.py"]  # fmt: skip


def test_the_demo_is_the_simulator_the_policy_and_the_trials() -> None:
    names = [process.name for process in graphs.build("demo", RIG, OPTIONS).processes]
    parts = [process.name for part in ("sim", "policy") for process in graphs.build(part, RIG, OPTIONS).processes]
    assert names == [*parts, "trial_node"]


@pytest.mark.parametrize("name", ["policy", "demo", "record", "trial"])
def test_a_remote_policy_takes_the_samplers_place_and_needs_no_encoder(name: graphs.GraphName) -> None:
    by_bundle = graphs.build(name, RIG, OPTIONS)
    remote = dataclasses.replace(OPTIONS, bundle=None, remote=Path("remote.yaml"), task="door_close")
    made = graphs.build(name, RIG, remote)
    assert [p.name for p in made.processes] == [p.name for p in by_bundle.processes if p.name != "encoder_node"]
    sampler = next(process for process in made.processes if process.name == "sampler_node")
    assert sampler.executable == "remote_sampler_node"
    assert sampler.parameters["remote"] == str(Path("remote.yaml").resolve())
    assert sampler.parameters["task"] == "door_close", "by which the prompt is chosen"


def test_a_bundle_and_a_remote_policy_together_are_for_trials_where_the_remote_one_waits_for_its_turn() -> None:
    both = dataclasses.replace(OPTIONS, remote=Path("remote.yaml"))
    with pytest.raises(ValueError, match="give one of them"):
        graphs.build("policy", RIG, both)
    made = {process.name: process for process in graphs.build("trial", RIG, both).processes}
    assert {"encoder_node", "sampler_node", "remote_sampler_node"} <= set(made)
    assert made["remote_sampler_node"].parameters["autostart"] is False
    assert "autostart" not in made["sampler_node"].parameters


def test_the_remote_policys_node_is_a_module_with_a_main_and_an_installed_script() -> None:
    assert callable(importlib.import_module("xdistill_ros.nodes.remote_sampler_node").main)
    assert (
        'remote_sampler_node = "xdistill_ros.nodes.remote_sampler_node:main"' in (ROOT / "pyproject.toml").read_text()
    )


@pytest.mark.parametrize("name", graphs.GRAPHS)
def test_every_node_obeys_simulated_time_but_the_one_that_makes_it(name: graphs.GraphName) -> None:
    for process in graphs.build(name, RIG, OPTIONS).processes:
        assert process.parameters["use_sim_time"] is (process.name != "sim_node")
        hardware = RIG.model_copy(update={"simulation": None})
    if name == "policy":
        assert not any(p.parameters["use_sim_time"] for p in graphs.build(name, hardware, OPTIONS).processes)


def test_every_process_restarts_by_itself_but_the_one_that_ends_the_graph() -> None:
    for process in graphs.build("demo", RIG, OPTIONS).processes:
        assert process.restart is not process.ends_graph
        assert process.ends_graph is (process.name == "trial_node")


def test_every_executable_is_a_module_with_a_main_and_an_installed_script() -> None:
    scripts = (ROOT / "pyproject.toml").read_text()
    for process in graphs.build("demo", RIG, OPTIONS).processes:
        module = f"xdistill_ros.nodes.{process.executable}"
        assert callable(importlib.import_module(module).main)
        assert f'{process.executable} = "{module}:main"' in scripts


@pytest.mark.parametrize("name", ["policy", "demo", "record", "trial"])
def test_who_starts_a_graph_by_hand_gets_the_page_beside_it_and_nothing_else_changes(name: graphs.GraphName) -> None:
    plain = graphs.build(name, RIG, OPTIONS)
    shown = graphs.build(name, RIG, dataclasses.replace(OPTIONS, dashboard=True))
    assert shown.processes[: len(plain.processes)] == plain.processes, "the pages start last"
    added = shown.processes[len(plain.processes) :]
    assert [process.name for process in added] == ["dashboard_node", "gaze_node"]
    for process in added:
        assert process.restart
        assert callable(importlib.import_module(f"xdistill_ros.nodes.{process.executable}").main)
        assert f'{process.executable} = "xdistill_ros' in (ROOT / "pyproject.toml").read_text()
    command = get_command(app).commands["up"]
    assert next(option for option in command.params if option.name == "dashboard").default is True


def test_without_a_policy_nobody_shows_where_it_looks_and_the_table_alone_has_no_page() -> None:
    by_hand = dataclasses.replace(OPTIONS, bundle=None, dashboard=True)
    names = [process.name for process in graphs.build("record", RIG, by_hand).processes]
    assert "dashboard_node" in names
    assert "gaze_node" not in names
    assert [process.name for process in graphs.build("sim", RIG, by_hand).processes] == ["sim_node"]


def test_a_namespace_reaches_every_process_and_moves_no_parameter(tmp_path: Path) -> None:
    plain = graphs.build("demo", RIG, OPTIONS)
    inside = graphs.build("demo", RIG, dataclasses.replace(OPTIONS, namespace="/cell2/left"))
    assert {process.namespace for process in inside.processes} == {"cell2/left"}
    assert [process.parameters for process in inside.processes] == [process.parameters for process in plain.processes]
    assert "__ns:=/cell2/left" in up.command(inside.processes[0], tmp_path)
    assert "__ns:=/" in up.command(plain.processes[0], tmp_path)


def test_a_namespace_that_ros_would_refuse_in_every_process_is_refused_once() -> None:
    with pytest.raises(ValueError, match="'Left arm'"):
        graphs.build("policy", RIG, dataclasses.replace(OPTIONS, namespace="Left arm"))


def test_trials_begin_where_no_demonstration_was_and_only_on_a_simulated_table() -> None:
    trial = graphs.build("trial", RIG, OPTIONS).processes[-1]
    assert trial.parameters["first_seed"] == graphs.FIRST_TRIAL_SEED
    assert (trial.parameters["tasks"], trial.parameters["conditions"]) == ("move_cube", "id")
    with pytest.raises(ValueError, match=r"a real table needs a protocol.*real_table\.yaml"):
        graphs.build("trial", RIG.model_copy(update={"simulation": None}), OPTIONS)


def test_trials_are_recorded_beside_their_results_and_the_demos_are_not() -> None:
    made = {p.name: p for p in graphs.build("trial", RIG, dataclasses.replace(OPTIONS, output=Path("/out"))).processes}
    assert made["recorder_node"].parameters["store"] == "/out/episodes.zarr"
    assert (made["trial_node"].parameters["episodes"], made["trial_node"].parameters["output"]) == (True, "/out")
    assert graphs.build("demo", RIG, OPTIONS).processes[-1].parameters["episodes"] is False


def test_a_protocol_says_what_the_graph_comes_up_with() -> None:
    chosen = ROOT / "config" / "protocols" / "table.yaml"
    graph = graphs.build("trial", RIG, graphs.Options(rig=SHIPPED_RIG, protocol=chosen))
    made = {process.name: process.parameters for process in graph.processes}
    first = protocol.load(chosen).trials()[0]
    assert (made["sim_node"]["task"], made["sim_node"]["condition"]) == (first.task, first.condition)
    assert made["sampler_node"]["bundle"] == str(resources.models() / first.task)
    assert made["trial_node"]["protocol"] == str(chosen)
    assert made["trial_node"]["output"] == str(Path("outputs/table").resolve())


def test_a_real_tables_trials_bring_its_arm_and_cameras_and_no_simulator() -> None:
    chosen, real = ROOT / "config" / "protocols" / "real_table.yaml", ROOT / "config" / "rigs" / "xarm6_webcam.yaml"
    options = graphs.Options(rig=real, protocol=chosen)
    names = [process.name for process in graphs.build("trial", rig.load(real), options).processes]
    assert {"xarm_node", "recorder_node", "trial_node"} <= set(names)
    assert any(name.startswith("camera_") for name in names)
    assert "sim_node" not in names


def test_a_protocol_that_the_table_cannot_do_is_refused_before_anything_starts() -> None:
    wanted = ROOT / "config" / "protocols" / "table.yaml"
    with pytest.raises(ValueError, match=r"table\.yaml: scored_by is 'simulator'"):
        graphs.build(
            "trial", RIG.model_copy(update={"simulation": None}), dataclasses.replace(OPTIONS, protocol=wanted)
        )


def test_a_real_rig_follows_a_clock_when_it_is_told_to() -> None:
    real = RIG.model_copy(update={"simulation": None})
    told = graphs.build("policy", real, dataclasses.replace(OPTIONS, use_sim_time=True))
    assert all(process.parameters["use_sim_time"] for process in told.processes)


def test_the_command_offers_every_option_and_no_other() -> None:
    command = get_command(app).commands["up"]
    offered = {parameter.name for parameter in command.params} - {"graph", "help"}
    assert offered == {field.name for field in dataclasses.fields(graphs.Options)}
    assert [name for name in graphs.GRAPHS if refusal_of(["xdistill", "up", name])] == []
    assert "graph" in refusal_of(["xdistill", "up", "grahp"]).lower()


def test_shadow_reaches_the_bridge() -> None:
    shadowed = graphs.build("policy", RIG, dataclasses.replace(OPTIONS, shadow=True))
    assert {p.name: p.parameters.get("shadow") for p in shadowed.processes}["arm_bridge_node"] is True


def test_slow_mode_reaches_the_bridge() -> None:
    slow = graphs.build("policy", RIG, dataclasses.replace(OPTIONS, speed=0.3))
    assert {p.name: p.parameters.get("speed") for p in slow.processes}["arm_bridge_node"] == 0.3


@pytest.mark.parametrize("graph", ["policy", "record"])
def test_an_arm_that_this_package_drives_brings_its_driver(graph: graphs.GraphName) -> None:
    driven = rig.load(ROOT / "config" / "rigs" / "xarm6_webcam.yaml")
    others = rig.load(ROOT / "config" / "rigs" / "ur5e_realsense.yaml")
    assert "xarm_node" in [p.name for p in graphs.build(graph, driven, OPTIONS).processes]
    assert "xarm_node" not in [p.name for p in graphs.build(graph, others, OPTIONS).processes]


def test_the_environment_names_domain_profile_and_this_host_only() -> None:
    variables = graphs.build("sim", RIG, dataclasses.replace(OPTIONS, domain=77)).environment
    assert variables["ROS_DOMAIN_ID"] == "77"
    assert variables["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
    assert Path(variables[graphs.profile_variable()]).is_file()
    assert graphs.build("sim", RIG, OPTIONS).environment["ROS_DOMAIN_ID"] == str(RIG.ros_domain_id)


@pytest.mark.parametrize(
    ("distribution", "variable"),
    [("humble", "FASTRTPS"), ("jazzy", "FASTRTPS"), ("kilted", "FASTDDS"), ("rolling", "FASTDDS"), (None, "FASTDDS")],
)
def test_each_ros_is_told_of_the_profile_in_the_one_variable_that_it_reads(
    distribution: str | None, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ROS_DISTRO", raising=False)
    if distribution:
        monkeypatch.setenv("ROS_DISTRO", distribution)
    variables = graphs.build("sim", RIG, OPTIONS).environment
    assert [name for name in variables if name.endswith("_PROFILES_FILE")] == [f"{variable}_DEFAULT_PROFILES_FILE"]


def test_the_shared_memory_segment_holds_the_images_in_flight() -> None:
    tree = ElementTree.parse(resources.config("fastdds.xml"))
    size = int(tree.findtext(".//{*}segment_size"))
    images = [3 * camera.width_px * camera.height_px for camera in RIG.cameras.values()]
    assert size == 32 * 1024 * 1024
    assert size > 8 * sum(images)


def test_jpegs_leave_in_datagrams_of_one_ethernet_frame_and_all_else_is_as_for_the_others() -> None:
    usual, jpegs = (
        ElementTree.parse(resources.config(name)).getroot()[0] for name in ("fastdds.xml", "fastdds_jpeg.xml")
    )
    participant = jpegs.find("{*}participant/{*}rtps")
    policy = participant.find("{*}propertiesPolicy")
    assert policy.findtext(".//{*}name") == "fastdds.max_message_size"
    assert int(policy.findtext(".//{*}value")) <= 1500 - 28, "an Ethernet frame less the headers of IP and UDP"
    participant.remove(policy)
    for tag in ("transport_descriptors", "participant/{*}rtps"):
        texts = [[element.text.strip() for element in tree.find("{*}" + tag).iter()] for tree in (usual, jpegs)]
        assert texts[0] == texts[1]


@pytest.mark.parametrize("path", TRANSLATIONS, ids=lambda path: path.name)
def test_no_way_of_starting_keeps_a_list_of_nodes(path: Path) -> None:
    names = {process.name for process in graphs.build("demo", RIG, OPTIONS).processes}
    strings = {node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)}
    assert not names & {value for value in strings if isinstance(value, str)}


@pytest.mark.parametrize("name", graphs.GRAPHS)
def test_supervisor_starts_exactly_the_graph(name: graphs.GraphName, tmp_path: Path) -> None:
    graph = graphs.build(name, RIG, OPTIONS)
    made = up.configuration(graph, tmp_path)
    programs = {section.partition(":")[2] for section in made.sections() if section.startswith("program:")}
    assert programs == {process.name for process in graph.processes}
    for process in graph.processes:
        program = made[f"program:{process.name}"]
        assert f"xdistill_ros.nodes.{process.executable}" in program["command"]
        assert program["autorestart"] == ("true" if process.restart else "false")
        for key, value in graph.environment.items():
            assert f'{key}="{value}"' in program["environment"]


def processes(**scripts: str) -> graphs.Graph:
    """A graph of made-up processes; one called `ending` ends it."""
    made = tuple(
        graphs.Process(name, {"script": script}, restart=name != "ending", ends_graph=name == "ending")
        for name, script in scripts.items()
    )
    return graphs.Graph("demo", made, {"XDISTILL_TEST": "50%"})


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes run their `script` parameter with Python."""
    monkeypatch.setattr(up, "command", lambda process, _: [sys.executable, "-I", str(process.parameters["script"])])


@pytest.mark.usefixtures("scripted")
def test_the_graph_ends_with_the_status_of_the_process_that_ends_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lasting, ending = tmp_path / "lasting.py", tmp_path / "ending.py"
    lasting.write_text("import threading; threading.Event().wait()")
    ending.write_text("import os, sys; print('said', os.environ['XDISTILL_TEST'], flush=True); sys.exit(3)")
    assert up.run(processes(lasting=str(lasting), ending=str(ending))) == 3
    assert "said 50%" in capfd.readouterr().out


@pytest.mark.usefixtures("scripted")
def test_a_killed_process_is_started_again_and_its_neighbour_is_left_alone(tmp_path: Path) -> None:
    starts, neighbour = tmp_path / "starts", tmp_path / "neighbour"
    killed = tmp_path / "killed.py"
    killed.write_text(
        "import os, signal, threading, time, pathlib\n"
        f"log = pathlib.Path({str(starts)!r})\n"
        "log.open('a').write(f'{os.getpid()}\\n')\n"
        "time.sleep(3.5)\n"  # supervisor counts a process as started after three seconds
        "os.kill(os.getpid(), signal.SIGKILL) if len(log.read_text().split()) == 1 else threading.Event().wait()\n"
    )
    lasting = tmp_path / "lasting.py"
    lasting.write_text(
        f"import os, pathlib, threading\npathlib.Path({str(neighbour)!r}).open('a').write(f'{{os.getpid()}}\\n')\n"
        "threading.Event().wait()"
    )
    ending = tmp_path / "ending.py"
    ending.write_text(
        f"import pathlib, time\nlog = pathlib.Path({str(starts)!r})\n"
        "while not log.exists() or len(log.read_text().split()) < 2: time.sleep(0.05)\n"
    )
    assert up.run(processes(killed=str(killed), lasting=str(lasting), ending=str(ending))) == 0
    assert len(starts.read_text().split()) == 2
    assert len(neighbour.read_text().split()) == 1


@pytest.mark.usefixtures("scripted")
def test_a_signal_ends_the_graph_in_order(tmp_path: Path) -> None:
    started = tmp_path / "started"
    lasting = tmp_path / "lasting.py"
    lasting.write_text(f"import pathlib, threading; pathlib.Path({str(started)!r}).touch(); threading.Event().wait()")

    def interrupt() -> None:
        while not started.exists():
            threading.Event().wait(0.05)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM)

    threading.Thread(target=interrupt, daemon=True).start()
    assert up.run(processes(lasting=str(lasting))) == 0


KILLED = """
import sys
from xdistill_ros import graph
from xdistill_ros.cli import up
from xdistill_ros.cli.main import app
up.command = lambda process, _: [sys.executable, "-I", str(process.parameters["script"])]
made = tuple(graph.Process(f"node{n}", {"script": script}) for n, script in enumerate(sys.argv[1:]))
up.run(graph.Graph("sim", made, {}))
"""


@pytest.mark.timeout(120)
def test_a_graph_does_not_outlive_the_command_that_was_killed(tmp_path: Path) -> None:
    fifo = tmp_path / "lives"
    os.mkfifo(fifo)
    scripts = [tmp_path / name for name in ("calm.py", "talkative.py")]
    lives = f"held = open({str(fifo)!r}, 'wb', buffering=0); held.write(b'.')"
    scripts[0].write_text(f"import threading; {lives}; threading.Event().wait()")
    scripts[1].write_text(f"import time; {lives}\nwhile True: print('talk', flush=True); time.sleep(0.01)")
    command = [sys.executable, "-c", KILLED, *map(str, scripts)]
    up_process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL)
    with fifo.open("rb", buffering=0) as reader:
        heard = b""
        while len(heard) < len(scripts):
            heard += reader.read(1)
        up_process.kill()
        up_process.wait()
        assert reader.read(1) == b"", "the end of the stream: nobody who holds it lives any more"
