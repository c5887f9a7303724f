"""The page: complete, self-contained, and careful with what it is given."""

from __future__ import annotations

import csv
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from xdistill_ros.trials import Latency, Protocol, Provenance, ResultsError, ResultsLog, read_record, report, tables

from .conftest import Make

VOID = {"meta", "line", "circle"}
OPTIONAL_END = {"td", "th", "tr"}


class Balance(HTMLParser):
    """Notes elements that are closed in another order than they were opened."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002 - the base class's signature
        if tag not in VOID | OPTIONAL_END:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID | OPTIONAL_END and (not self.open or self.open.pop() != tag):
            self.wrong.append(tag)


@pytest.fixture
def log(tmp_path: Path, make: Make, protocol: Protocol, provenance: Provenance) -> ResultsLog:
    """Three trials that count, of which one failed; one that was taken back, and one that was voided."""
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").write_bytes(b"a film")
    (tmp_path / "videos" / "b.mp4").write_bytes(b"another")
    log = ResultsLog(tmp_path / "results.jsonl", protocol, {("shipped", "move_cube"): provenance})
    log.append(make(video="videos/a.mp4", stage="placed"))
    log.append(make(seed=100_001, success=False, ended_by="time_limit"))
    log.withdraw_last("the cube lay askew")
    log.append(make(seed=100_001, attempt=2, video="gone.mp4", refusals={"stale_image": 1, "chunk_too_old": 0}))
    log.begin(make(seed=100_002).trial)
    log.void(make(seed=100_002).trial, "somebody walked <into> it", "operator")
    slow = {"capture": Latency(median_ms=82.0, p99_ms=120.0, count=60)}
    log.append(
        make(seed=100_002, condition="colour", success=False, ended_by="<b>held</b>", stage="lifted", latencies=slow,
             interventions={"step_limit": 7}, video="videos/b.mp4", note="a dark cube", attempt=2)
    )  # fmt: skip
    return log


@pytest.fixture
def page(log: ResultsLog) -> str:
    return report.write(log.path, title="Cubes & more").read_text(encoding="utf-8")


def words_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<style>.*?</style>|<[^>]*>", " ", page, flags=re.DOTALL))


def test_the_page_shows_rate_interval_stages_failures_reasons_and_provenance(page: str) -> None:
    words = words_of(page)
    for expected in (
        "Cubes &amp; more", "67%", "2 of 3, 95% interval 21 to 94%", "2 / 2", "0 / 1", "100002",
        "in distribution 100%, out of it 0%", "stale_image 5 3", "step_limit 7 1", "capture 80.0 ms 120.0 ms",
        "0123456789abcdef", "sim_table", "held 2 of 3", "lifted 2 of 3", "placed 1 of 3", "a dark cube",
        "1 x move_cube: after lifted", "3 trials of 6 planned",
    ):  # fmt: skip
        assert expected in words, expected
    assert "chunk_too_old" not in words


def test_what_does_not_count_is_shown_with_the_reason(page: str) -> None:
    words = words_of(page)
    assert "taken back move_cube / id / 100001 / shipped, failure the cube lay askew" in words
    assert "void move_cube / id / 100002 / shipped, attempt 1 somebody walked &lt;into&gt; it (operator)" in words


def test_the_page_prints_the_seal_and_says_nothing_against_a_file_that_is_whole(page: str, log: ResultsLog) -> None:
    assert log.seal in page
    assert "was changed, or is not whole" not in page


def test_an_edited_file_is_said_to_be_one_at_the_top(log: ResultsLog) -> None:
    log.path.write_bytes(log.path.read_bytes().replace(b'"ended_by":"time_limit"', b'"ended_by":"success"'))
    page = report.write(log.path).read_text(encoding="utf-8")
    assert "was changed, or is not whole" in page
    assert "line 3 does not fit its seal" in page


def test_films_of_failures_and_first_successes_are_in_the_page_or_beside_it_or_left_out(log: ResultsLog) -> None:
    def sources(films: report.Films) -> list[str]:
        return re.findall(r'(?:src|href)="([^"]*)"', report.write(log.path, films=films).read_text(encoding="utf-8"))

    assert [one[:22] for one in sources("embed")] == ["data:video/mp4;base64,"] * 2
    assert sources("link") == ["videos/a.mp4", "videos/b.mp4"]
    assert sources("none") == []


def test_the_page_needs_nothing_else(page: str) -> None:
    assert "http" not in page


def test_the_page_is_well_formed_and_escapes_what_it_is_given(page: str) -> None:
    balance = Balance()
    balance.feed(page)
    assert (balance.wrong, balance.open) == ([], [])
    assert "<b>held</b>" not in page
    assert "&lt;b&gt;held" in page


def test_two_policies_are_compared(log: ResultsLog, make: Make, provenance: Provenance) -> None:
    other = provenance.model_copy(update={"bundle": "theirs", "runner": "in_process"})
    log.provenance["theirs", "move_cube"] = other
    log.append(make(policy="theirs", success=False, ended_by="time_limit", provenance=other))
    words = words_of(report.write(log.path).read_text(encoding="utf-8"))
    assert "shipped - theirs all 67%, 0%" in words
    assert "1 : 0 of 1" in words
    assert "1 of the trials ran in process" in words


def test_a_csv_has_every_result_and_says_which_count(log: ResultsLog) -> None:
    table, rows = tables.write(read_record(log.path), log.path.with_name("report.html"))
    with table.open(encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    assert [(row["seed"], row["counts"], row["success"]) for row in found] == [
        ("100000", "1", "1"), ("100001", "0", "0"), ("100001", "1", "1"), ("100002", "1", "0"),
    ]  # fmt: skip
    assert found[0]["bundle_sha256"] == "0123456789abcdef"
    latex = rows.read_text(encoding="utf-8").splitlines()
    assert latex[-1] == r"shipped & 66.7 & 66.7 & 100.0 & 0.0 \\"
    assert latex[0] == "% success %, pooled over conditions; columns: policy & move_cube & all & id & not id"
    assert "2/3" in latex[1]


def test_no_results_are_no_report(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="run trials first"):
        report.write(tmp_path / "none.jsonl")
