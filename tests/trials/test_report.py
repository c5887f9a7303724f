"""The page: complete, self-contained, and careful with what it is given."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from xdistill_ros.trials import Provenance, ResultsError, ResultsLog, Stage, report

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
def page(tmp_path: Path, make: Make, provenance: Provenance) -> str:
    (tmp_path / "a.mp4").write_bytes(b"a film")
    log = ResultsLog(tmp_path / "r.jsonl", {"move_cube": provenance})
    log.append(make(video="a.mp4"))
    log.append(make(seed=100_001, video="gone.mp4", refusals={"stale_image": 1, "chunk_too_old": 0}))
    slow = {"capture": Stage(median_ms=82.0, p99_ms=120.0, count=60)}
    log.append(make(seed=100_002, success=False, ended_by="<b>held</b>", stages=slow, interventions={"step_limit": 7}))
    return report.write(log.path, title="Cubes & more").read_text(encoding="utf-8")


def test_the_page_shows_rate_interval_failures_reasons_and_provenance(page: str) -> None:
    words = re.sub(r"\s+", " ", re.sub(r"<style>.*?</style>|<[^>]*>", " ", page, flags=re.DOTALL))
    for expected in (
        "Cubes &amp; more", "2 / 3", "67%", "21 to 94%", "100002", "stale_image 5 3", "step_limit 7 1",
        "capture 80.0 ms 120.0 ms", "0123456789abcdef", "sim_table",
    ):  # fmt: skip
        assert expected in words
    assert "chunk_too_old" not in words


def test_the_page_needs_nothing_else(page: str) -> None:
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert len(sources) == 1
    assert sources[0].startswith("data:video/mp4;base64,")
    assert "http" not in page


def test_the_page_is_well_formed_and_escapes_what_it_is_given(page: str) -> None:
    balance = Balance()
    balance.feed(page)
    assert (balance.wrong, balance.open) == ([], [])
    assert "<b>held</b>" not in page
    assert "&lt;b&gt;held" in page


def test_no_results_are_no_report(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="run trials first"):
        report.write(tmp_path / "none.jsonl")
