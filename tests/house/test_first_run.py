"""A bundle's first run on a real arm comes with advice, once."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from xdistill_ros import graph as graphs
from xdistill_ros import resources, rig
from xdistill_ros.cli.first_run import advice

REAL = resources.config("rigs/xarm6_realsense.yaml")
SIMULATED = resources.config("rigs/sim_table.yaml")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "pick"
    folder.mkdir()
    (folder / "bundle.yaml").write_text("name: pick\n")
    return folder


def say(notes: Path, bundle: Path, path: Path = REAL, graph: graphs.GraphName = "policy", **changes: object) -> str:
    options = dataclasses.replace(graphs.Options(rig=path, bundle=bundle), **changes)  # type: ignore[arg-type]
    loaded = rig.load(path)
    return advice(graphs.build(graph, loaded, options), loaded, options, notes)


def test_a_bundle_that_never_ran_here_is_to_be_tried_in_the_shadow_and_slowly(tmp_path: Path, bundle: Path) -> None:
    said = say(tmp_path / "notes", bundle)
    assert "pick has never run on xarm6_realsense" in said
    assert "--shadow" in said
    assert "--speed 0.3" in said


def test_it_is_said_once_for_each_bundle_and_rig(tmp_path: Path, bundle: Path) -> None:
    notes = tmp_path / "notes"
    assert say(notes, bundle)
    assert not say(notes, bundle)
    assert say(notes, bundle, resources.config("rigs/ur5e_realsense.yaml"))
    (bundle / "bundle.yaml").write_text("name: pick\nversion: 2\n")
    assert say(notes, bundle), "another bundle in the same folder"


@pytest.mark.parametrize("careful", [{"shadow": True}, {"speed": 0.3}])
def test_a_careful_run_needs_no_advice_and_does_not_count_as_the_first(
    tmp_path: Path, bundle: Path, careful: dict[str, object]
) -> None:
    assert not say(tmp_path / "notes", bundle, **careful)
    assert say(tmp_path / "notes", bundle)


def test_a_simulated_arm_and_a_graph_without_a_policy_need_none(tmp_path: Path, bundle: Path) -> None:
    assert not say(tmp_path / "notes", bundle, SIMULATED)
    options = graphs.Options(rig=REAL)
    loaded = rig.load(REAL)
    assert not advice(graphs.build("record", loaded, options), loaded, options, tmp_path / "notes")


@pytest.mark.parametrize("text", ["", "not json", "{"])
def test_notes_that_cannot_be_read_are_begun_anew(tmp_path: Path, bundle: Path, text: str) -> None:
    notes = tmp_path / "notes"
    notes.write_text(text)
    assert say(notes, bundle)
    assert not say(notes, bundle)


def test_a_remote_policy_is_advised_about_as_a_bundle_is(tmp_path: Path) -> None:
    description, loaded = tmp_path / "pi.yaml", rig.load(REAL)
    description.write_text("name: pi\n")
    options = graphs.Options(rig=REAL, remote=description)
    made = graphs.build("policy", loaded, options)
    assert "pi.yaml has never run on xarm6_realsense" in advice(made, loaded, options, tmp_path / "notes")
    assert not advice(made, loaded, options, tmp_path / "notes")
    description.write_text("name: pi\nurl: another\n")
    assert advice(made, loaded, options, tmp_path / "notes"), "another policy in the same file"
