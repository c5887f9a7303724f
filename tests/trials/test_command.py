"""`xdistill trial`: what it plans, refuses and reports."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from xdistill_ros.cli.main import app
from xdistill_ros.resources import config
from xdistill_ros.trials import Protocol, Provenance, ResultsLog

from .conftest import Make


def xdistill(*words: object) -> tuple[int, str]:
    """Exit status, and all that was said."""
    ended = CliRunner().invoke(app, ["trial", *map(str, words)])
    assert ended.exception is None or isinstance(ended.exception, SystemExit), ended.exception
    return ended.exit_code, ended.output


def run_of(folder: Path, make: Make, protocol: Protocol, provenance: Provenance) -> ResultsLog:
    log = ResultsLog(
        folder / "results.jsonl", protocol, {(name, "move_cube"): provenance for name in protocol.policies}
    )
    log.append(make(policy=next(iter(protocol.policies)), success=False, ended_by="time_limit"))
    return log


def test_a_plan_says_how_many_trials_tell_two_rates_apart() -> None:
    assert xdistill("plan", "--tell", 0.75, 0.4) == (
        0, "to tell 75% from 40% you need 31 trials of each policy\n",
    )  # fmt: skip
    status, said = xdistill("plan", "--tell", 0.5, 0.5)
    assert (status, "give two different ones" in said) == (2, True)


def test_the_plan_of_a_blinded_protocol_counts_its_trials_and_does_not_name_who_is_when() -> None:
    status, said = xdistill("plan", "--protocol", config("protocols/compare_two.yaml"))
    assert status == 0
    assert "compare_two: 140 trials" in said
    assert "/ blinded" in said
    assert "from_scratch" not in said
    assert "two-sided at 5%, power 80%" in said


def test_a_report_is_a_page_a_csv_and_latex_rows(
    tmp_path: Path, make: Make, protocol: Protocol, provenance: Provenance
) -> None:
    run_of(tmp_path, make, protocol, provenance)
    status, said = xdistill("report", tmp_path)
    assert status == 0
    assert [Path(line).name for line in said.split()] == ["report.html", "report.csv", "report.tex"]
    assert all(Path(line).is_file() for line in said.split())
    status, said = xdistill("report", tmp_path / "results.jsonl", "--out", tmp_path / "elsewhere" / "page.html")
    assert (tmp_path / "elsewhere" / "page.csv").is_file()


def test_an_edited_file_is_reported_on_and_the_command_ends_with_1(
    tmp_path: Path, make: Make, protocol: Protocol, provenance: Provenance
) -> None:
    log = run_of(tmp_path, make, protocol, provenance)
    log.path.write_bytes(log.path.read_bytes().replace(b'"success":false', b'"success":true'))
    status, said = xdistill("report", tmp_path)
    assert status == 1
    assert "line 2 does not fit its seal" in said
    assert (tmp_path / "report.html").is_file()


def test_policies_are_not_named_before_a_blinded_protocol_is_done(
    tmp_path: Path, make: Make, protocol: Protocol, provenance: Provenance
) -> None:
    document = protocol.model_dump() | {"blinded": True, "policies": {"ours": {}, "theirs": {"bundles": "x"}}}
    run_of(tmp_path, make, Protocol.model_validate(document), provenance)
    status, said = xdistill("report", tmp_path)
    assert status == 2
    assert "--unblind" in said
    assert not (tmp_path / "report.html").exists()
    assert xdistill("report", tmp_path, "--unblind")[0] == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("report", "NOWHERE"), "run trials first"),
        (("plan", "--protocol", "NOWHERE.yaml"), "cannot be read"),
        (("evaluate", "--protocol", "COMPARE", "--out", "OUT"), "bundle.yaml: cannot be read"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    places = {"NOWHERE": tmp_path / "none", "NOWHERE.yaml": tmp_path / "none.yaml", "OUT": tmp_path / "out",
              "COMPARE": config("protocols/compare_two.yaml")}  # fmt: skip
    status, told = xdistill(*(places.get(word, word) for word in words))
    assert status == 2
    assert said in told
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--condition", "underwater"), "tasks.move_cube.conditions.underwater: no such condition; move_cube has id"),
        (("--condition", "id:many"), "whole number"),
        (("--task", "move_house"), "no such task"),
        (("--protocol", "COMPARE"), "bundle.yaml: cannot be read"),
    ],
)
def test_a_graph_of_trials_that_cannot_be_run_is_refused_before_anything_starts(
    words: tuple[str, ...], said: str
) -> None:
    compare = str(config("protocols/compare_two.yaml"))
    ended = CliRunner().invoke(app, ["up", "trial", *(compare if word == "COMPARE" else word for word in words)])
    assert ended.exit_code == 2, ended.output
    assert said in ended.output


def test_operating_needs_a_terminal() -> None:
    status, said = xdistill("operate", "--domain", 59)
    assert status == 1
    assert "run it in a terminal" in said
