"""What was changed in a sealed file shows, wherever it was changed; a kill is no change."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xdistill_ros.trials import sealed


def written(path: Path, count: int = 4) -> Path:
    path.unlink(missing_ok=True)
    sealed.head_of(path).unlink(missing_ok=True)
    file = sealed.SealedFile(path)
    for number in range(count):
        file.append(json.dumps({"number": number, "success": False}))
    return path


def findings(path: Path) -> tuple[str, ...]:
    return sealed.read(path).findings


def test_what_was_written_is_read_back_and_has_nothing_wrong(tmp_path: Path) -> None:
    found = sealed.read(written(tmp_path / "r.jsonl"))
    assert [json.loads(line)["number"] for line in found.lines] == [0, 1, 2, 3]
    assert found.findings == ()
    again = sealed.SealedFile(tmp_path / "r.jsonl")
    assert again.seal == found.seal
    again.append('{"number": 4}')
    assert len(sealed.read(tmp_path / "r.jsonl").lines) == 5
    assert findings(tmp_path / "r.jsonl") == ()


def test_no_file_has_no_lines_and_nothing_wrong(tmp_path: Path) -> None:
    assert sealed.read(tmp_path / "none.jsonl") == sealed.Sealed((), sealed.BEGINNING, (), 0)


@pytest.mark.parametrize("number", range(4))
def test_an_edited_line_is_named(tmp_path: Path, number: int) -> None:
    path = written(tmp_path / "r.jsonl")
    lines = path.read_bytes().split(b"\n")
    lines[number] = lines[number].replace(b"false", b"true")
    path.write_bytes(b"\n".join(lines))
    assert findings(path)[0].startswith(f"line {number + 1} does not fit its seal")


@pytest.mark.parametrize("number", range(3))
def test_a_line_that_was_taken_out_is_missed(tmp_path: Path, number: int) -> None:
    path = written(tmp_path / "r.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:number] + lines[number + 1 :]))
    assert f"line {number + 1} does not fit its seal" in " ".join(findings(path))


@pytest.mark.parametrize("kept", range(4))
def test_lines_cut_off_at_the_end_are_missed(tmp_path: Path, kept: int) -> None:
    path = written(tmp_path / "r.jsonl")
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:kept]))
    assert findings(path) == (f"{4 - kept} of 4 lines are missing at the end",)


def test_a_file_that_was_sealed_anew_is_not_the_one_that_the_head_knows(tmp_path: Path) -> None:
    path = written(tmp_path / "r.jsonl")
    head = sealed.head_of(path).read_bytes()
    path.unlink()
    file = sealed.SealedFile(path)
    for number in range(4):
        file.append(json.dumps({"number": number, "success": True}))
    sealed.head_of(path).write_bytes(head)
    assert findings(path) == ("line 4 is not the one that r.head knows",)


@pytest.mark.parametrize("text", [None, b"", b"{}", b"[1]", b'{"lines": "x", "seal": 1}'])
def test_a_head_that_is_gone_or_broken_is_told(tmp_path: Path, text: bytes | None) -> None:
    path = written(tmp_path / "r.jsonl")
    sealed.head_of(path).unlink() if text is None else sealed.head_of(path).write_bytes(text)
    assert "nobody can tell whether lines are missing" in findings(path)[0]


def test_a_line_without_a_seal_is_told(tmp_path: Path) -> None:
    path = written(tmp_path / "r.jsonl", 1)
    with path.open("ab") as file:
        file.write(b'{"number": 1}\n')
    assert "line 2 has no seal" in findings(path)


def test_a_kill_between_the_line_and_the_head_is_no_change_and_is_mended(tmp_path: Path) -> None:
    path = written(tmp_path / "r.jsonl", 3)
    head = sealed.head_of(path).read_bytes()
    sealed.SealedFile(path).append('{"number": 3}')
    sealed.head_of(path).write_bytes(head)
    assert findings(path) == ()
    sealed.SealedFile(path).append('{"number": 4}')
    assert findings(path) == ()
    assert len(sealed.read(path).lines) == 5


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(fraction=st.floats(0.0, 1.0, exclude_max=True))
def test_a_line_torn_anywhere_by_a_kill_is_cut_off_and_nothing_is_wrong(tmp_path: Path, fraction: float) -> None:
    path = written(tmp_path / "r.jsonl", 2)
    line = path.read_bytes().splitlines(keepends=True)[1]
    torn = line[: int(len(line) * fraction)]
    with path.open("ab") as file:
        file.write(torn)
    assert findings(path) == ()
    file_again = sealed.SealedFile(path)
    assert file_again.mended_bytes == len(torn)
    file_again.append('{"number": 2}')
    assert findings(path) == ()
    assert len(sealed.read(path).lines) == 3
