"""What `xdistill calibrate` says and writes where no graph is needed."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner, Result

from xdistill_ros.calibrate.board import load
from xdistill_ros.cli.main import app


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["calibrate", *map(str, words)])


def test_the_board_comes_with_the_file_that_describes_it(tmp_path: Path) -> None:
    result = run("board", "--out", tmp_path, "--columns", "7", "--rows", "5", "--square-mm", "20")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "board.pdf").read_bytes().startswith(b"%PDF")
    assert str(load(tmp_path)) == "7x5 squares of 20 mm"


def test_a_board_that_does_not_fit_writes_nothing(tmp_path: Path) -> None:
    result = run("board", "--out", tmp_path, "--square-mm", "60")
    assert result.exit_code == 2
    assert "choose smaller or fewer squares" in result.output
    assert not list(tmp_path.iterdir())


def test_a_rig_without_a_folder_for_results_is_told_the_line_to_add() -> None:
    result = run("hand-eye", "front")
    assert result.exit_code == 2
    assert "add a line such as `calibration: ../calibration`, or give --out" in result.output


def test_results_of_another_camera_are_refused_before_anything_is_measured(tmp_path: Path) -> None:
    (tmp_path / "intrinsics_front.yaml").write_text(
        "{kind: intrinsics, subject: front, width_px: 1280, height_px: 720, measured_at: 2026-05-01T12:00:00Z, "
        "software: '0', intrinsics: {fx_px: 900, fy_px: 900, cx_px: 640, cy_px: 360}}"
    )
    result = run("hand-eye", "front", "--out", tmp_path)
    assert result.exit_code == 2
    assert "width_px 1280, the rig's camera has 640" in result.output
