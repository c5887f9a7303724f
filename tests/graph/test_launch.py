"""The launch files, where launch can be imported: they start what `graph.py` says, as they are told."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path
from typing import Any

import pytest

from tests.support.graph import ROOT, SHIPPED_RIG, write_rig
from xdistill_ros import graph as graphs
from xdistill_ros import resources, rig

WITHOUT = "launch_ros is not installed (it is on no package index)"
Node = pytest.importorskip("launch_ros.actions", reason=WITHOUT).Node
launch = pytest.importorskip("launch", reason=WITHOUT)
actions = pytest.importorskip("launch.actions", reason=WITHOUT)
perform_substitutions = pytest.importorskip("launch.utilities", reason=WITHOUT).perform_substitutions

RIG = rig.load(SHIPPED_RIG)
FILES = sorted((ROOT / "launch").glob("*.launch.py"))


def entities_of(name: str) -> list[Any]:
    """What a launch file describes."""
    spec = importlib.util.spec_from_file_location("launched", ROOT / "launch" / f"{name}.launch.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return list(module.generate_launch_description().entities)


def arguments_of(name: str) -> dict[str, Any]:
    return {entity.name: entity for entity in entities_of(name) if isinstance(entity, actions.DeclareLaunchArgument)}


def launched(name: str, **given: str) -> list[Any]:
    """The actions that a launch file makes of these arguments and the defaults of the others."""
    context = launch.LaunchContext()
    for key, argument in arguments_of(name).items():
        default = perform_substitutions(context, argument.default_value)
        context.launch_configurations[key] = given.pop(key, default)
    assert not given, f"{name} does not know {given}"
    (start,) = (entity for entity in entities_of(name) if isinstance(entity, actions.OpaqueFunction))
    return list(start.execute(context))


def nodes(made: list[Any]) -> list[Any]:
    return [action for action in made if isinstance(action, Node)]


def test_every_graph_has_a_launch_file_and_no_other_has_one() -> None:
    assert {path.name.removesuffix(".launch.py") for path in FILES} == set(graphs.GRAPHS)


@pytest.mark.parametrize("name", graphs.GRAPHS)
def test_launch_starts_exactly_the_graph(name: graphs.GraphName) -> None:
    bundle = {"bundle": "models/move_cube"} if "bundle" in arguments_of(name) else {}
    made = launched(name, **bundle)
    options = graphs.Options(rig=SHIPPED_RIG, dashboard=True, **{key: Path(value) for key, value in bundle.items()})
    graph = graphs.build(name, RIG, options)
    context = launch.LaunchContext()
    variables = {
        perform_substitutions(context, action.name): perform_substitutions(context, action.value)
        for action in made
        if isinstance(action, actions.SetEnvironmentVariable)
    }
    assert variables == dict(graph.environment)
    assert [node._Node__node_name for node in nodes(made)] == [process.name for process in graph.processes]


def test_all_options_are_arguments_and_each_is_described() -> None:
    declared = {key: argument for name in graphs.GRAPHS for key, argument in arguments_of(name).items()}
    assert set(declared) == {field.name for field in dataclasses.fields(graphs.Options)}
    assert all(argument.description for argument in declared.values())


def test_a_graph_offers_only_what_it_has_a_use_for() -> None:
    assert "store" not in arguments_of("policy")
    assert "store" in arguments_of("record")
    assert "demonstrations" not in arguments_of("trial")
    assert "protocol" in arguments_of("trial")
    assert "protocol" not in arguments_of("demo")


def test_a_namespace_goes_before_every_node() -> None:
    made = nodes(launched("policy", namespace="left", bundle="models/move_cube"))
    assert [node._Node__node_namespace for node in made] == ["left"] * len(made)


def test_the_bridge_comes_back_by_itself_and_what_ends_the_graph_does_not() -> None:
    respawns = {node._Node__node_name: node._ExecuteLocal__respawn for node in nodes(launched("trial"))}
    assert respawns["arm_bridge_node"] is True
    assert respawns["trial_node"] is False


@pytest.mark.parametrize(
    ("argument", "text", "said"),
    [("shadow", "yes", "say true or false"), ("domain", "two", "domain:=two"), ("rig", "none.yaml", "cannot be read")],
)
def test_an_argument_that_makes_no_sense_is_named(argument: str, text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        launched("policy", **{argument: text})


def test_the_rig_of_the_environment_is_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    chosen = write_rig(tmp_path)
    monkeypatch.setenv(resources.RIG_VARIABLE, str(chosen))
    monkeypatch.setattr(graphs, "build", lambda name, _, options: graphs.Graph(name, (), {"RIG": str(options.rig)}))
    (variable,) = launched("sim")
    assert perform_substitutions(launch.LaunchContext(), variable.value) == str(chosen)


def test_a_bundles_first_run_on_a_real_arm_begins_with_advice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    given = {"rig": str(resources.config("rigs/xarm6_realsense.yaml")), "bundle": "models/move_cube"}
    first, second = (launched("policy", **given) for _ in range(2))
    (said,) = (one for one in first if isinstance(one, actions.LogInfo))
    assert "never run on xarm6_realsense" in perform_substitutions(launch.LaunchContext(), said.msg)
    assert not [one for one in second if isinstance(one, actions.LogInfo)]
