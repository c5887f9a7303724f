"""Protocols: those that ship can be followed, and one that cannot names file, field, value, and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.rigs import sim_table
from xdistill_ros import rig, sim
from xdistill_ros.resources import config
from xdistill_ros.sim import catalogue
from xdistill_ros.trials import Protocol, ProtocolError
from xdistill_ros.trials.protocol import check_conditions, check_rig, condition_counts, from_flags, load, parse

SHIPPED = sorted(config("protocols").glob("*.yaml"))
SMALL = """
name: small
policies:
  ours: {bundles: models}
  theirs: {bundle: /elsewhere/cube}
tasks:
  move_cube:
    conditions: {id: 2, colour: {trials: 1, instructions: Take the green one.}}
    instructions: Put it down.
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "p.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_protocols_that_ship_are_called_like_their_files_and_can_be_followed(path: Path) -> None:
    protocol = load(path)
    assert protocol.name == path.stem
    real = protocol.scored_by == "operator"
    on = rig.load(config("rigs/xarm6_realsense.yaml")) if real else sim_table()
    check_rig(protocol, on, str(path))
    check_conditions(protocol, catalogue.conditions(), str(path))
    for plan in protocol.tasks.values():
        assert plan.success_criterion
        assert "id" in plan.conditions
        assert len(plan.conditions) > 1
        assert not real or plan.stages


def test_the_tables_protocol_tries_every_condition_at_least_ten_times() -> None:
    counts = [one.trials for plan in load(config("protocols/table.yaml")).tasks.values()
              for one in plan.conditions.values()]  # fmt: skip
    assert min(counts) >= 10


def test_paths_are_relative_to_the_file_and_whoever_names_none_has_what_ships(tmp_path: Path) -> None:
    protocol = load(write(tmp_path, SMALL))
    assert protocol.bundle("ours", "move_cube", tmp_path, Path("/shipped")) == tmp_path / "models" / "move_cube"
    assert protocol.bundle("theirs", "move_cube", tmp_path, Path("/shipped")) == Path("/elsewhere/cube")
    plain = from_flags("move_cube", "id", 1, 100_000, None)
    assert plain.bundle("shipped", "move_cube", tmp_path, Path("/shipped")) == Path("/shipped/move_cube")


def test_a_person_is_told_of_the_task_and_of_the_condition(tmp_path: Path) -> None:
    protocol = load(write(tmp_path, SMALL))
    told = {trial.condition: protocol.instructions(trial) for trial in protocol.trials()}
    assert told == {"id": "Put it down.", "colour": "Put it down. Take the green one."}


def test_the_hash_is_of_what_it_says_and_not_of_how_it_is_written(tmp_path: Path) -> None:
    first = load(write(tmp_path, SMALL))
    assert load(write(tmp_path, f"# why\n{SMALL}")).sha256 == first.sha256
    assert load(write(tmp_path, SMALL.replace("id: 2", "id: 3"))).sha256 != first.sha256
    assert Protocol.model_validate_json(first.model_dump_json()) == first


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("  theirs:", "  ours:", r"p.yaml.*'ours' is named twice here \(first on line 4\)"),
        ("id: 2", "id: 0", r"p.yaml: tasks.move_cube.conditions.id.trials is 0: .*greater than or equal to 1"),
        ("id: 2", "id: many", r"conditions.id.*many"),
        ("name: small", "nmae: small", r"nmae: unknown field"),
        ("name: small", "name: small\nblinded: perhaps", r"p.yaml: blinded is 'perhaps'"),
        ("name: small", "name: small\nscored_by: operator", "started_by must be operator too"),
        ("name: small", "name: small\nfirst_seed: 7", r"first_seed is 7: .*100000"),
        ("{bundles: models}", "{bundles: models, bundle: x}", "bundles and bundle are given; a policy is one of them"),
        ("    instructions:", "    stages: [a, a]\n    instructions:", "names a stage twice"),
        ("    instructions:", "    stages: ['a,b']\n    instructions:", "stages.0"),
        ("tasks:\n", "tasks:\n  drawer_open: {conditions: {id: 1}}\n", "policies.theirs.bundle names one bundle for 2"),
        ("conditions: {id: 2, colour: {trials: 1, instructions: Take the green one.}}", "time_limit_s: 3",
         "tasks.move_cube.conditions: missing"),
    ],
)  # fmt: skip
def test_a_protocol_that_cannot_be_followed_says_what_is_wrong(
    tmp_path: Path, before: str, after: str, words: str
) -> None:
    assert before in SMALL
    with pytest.raises(ProtocolError, match=words):
        load(write(tmp_path, SMALL.replace(before, after, 1)))


def test_there_is_nothing_to_hide_of_one_policy() -> None:
    document = {"name": "a", "tasks": {"t": {"conditions": {"id": 1}}}, "blinded": True}
    with pytest.raises(ProtocolError, match="one policy only"):
        parse(document, "p.yaml")


def test_a_file_that_is_not_there_says_where_examples_are(tmp_path: Path) -> None:
    with pytest.raises(ProtocolError, match=r"cannot be read .*config/protocols/"):
        load(tmp_path / "none.yaml")


def test_an_unknown_task_or_condition_is_named_with_those_there_are(tmp_path: Path) -> None:
    known = catalogue.conditions()
    assert set(known) == set(sim.TASKS)
    wet = load(write(tmp_path, SMALL.replace("colour:", "underwater:")))
    with pytest.raises(ProtocolError, match=r"p.yaml: tasks.move_cube.conditions.underwater: .* move_cube has id, "):
        check_conditions(wet, known, "p.yaml")
    with pytest.raises(ProtocolError, match=r"tasks.move_house: no such task; there are .*move_cube"):
        check_conditions(load(write(tmp_path, SMALL.replace("move_cube", "move_house"))), known, "p.yaml")


def test_two_names_for_one_bundle_are_refused(tmp_path: Path) -> None:
    protocol = load(write(tmp_path, SMALL))
    protocol.check_different({("ours", "move_cube"): "a", ("theirs", "move_cube"): "b"})
    with pytest.raises(ProtocolError, match="policies ours and theirs are the same bundle at move_cube"):
        protocol.check_different({("ours", "move_cube"): "a", ("theirs", "move_cube"): "a"})


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("", "scored_by is 'simulator'; on .*, a real table, it must be 'operator'"),
        ("started_by: operator\nscored_by: operator", "tasks.move_cube.time_limit_s: missing"),
    ],
)
def test_a_real_table_needs_a_person_and_a_limit(tmp_path: Path, more: str, words: str) -> None:
    protocol = load(write(tmp_path, SMALL.replace("name: small", f"name: small\n{more}")))
    check_rig(protocol, sim_table(), "p.yaml")
    with pytest.raises(ProtocolError, match=words):
        check_rig(protocol, sim_table().model_copy(update={"simulation": None}), "p.yaml")


def test_stages_are_the_simulators_where_the_protocol_names_none(tmp_path: Path) -> None:
    filled = load(write(tmp_path, SMALL)).with_stages({"move_cube": ("held", "placed")})
    assert filled.tasks["move_cube"].stages == ("held", "placed")
    assert filled.with_stages({"move_cube": ("other",)}) == filled


def test_flags_are_a_protocol_too() -> None:
    protocol = from_flags("move_cube,door_close", "id:2, colour", 1, 100_005, Path("/models"), 3.0)
    assert [(t.task, t.condition, t.seed) for t in sorted(protocol.trials())] == [
        ("door_close", "colour", 100_005), ("door_close", "id", 100_005), ("door_close", "id", 100_006),
        ("move_cube", "colour", 100_005), ("move_cube", "id", 100_005), ("move_cube", "id", 100_006),
    ]  # fmt: skip
    assert protocol.title == "Trials of move_cube, door_close"
    assert condition_counts("id:50, colour", 15) == {"id": 50, "colour": 15}


@pytest.mark.parametrize(
    ("tasks", "conditions", "words"),
    [("a", "id:many", "whole number"), ("a", "id,id", "named twice"), ("a,a", "id", "name one twice")],
)
def test_flags_that_make_no_sense_are_refused(tasks: str, conditions: str, words: str) -> None:
    with pytest.raises(ProtocolError, match=words):
        from_flags(tasks, conditions, 1, 100_000, None)
