"""The board: the printed page is true to scale, and pictures of it are measured or refused in words."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.calibration import BOARD, PINHOLE, SIZE, before_camera, picture, pose
from xdistill_ros.calibrate import Board, CalibrateError, Detector, View
from xdistill_ros.calibrate.board import load, save
from xdistill_ros.calibrate.paper import PAPERS_MM, Paper, pdf
from xdistill_ros.calibrate.views import locate, project
from xdistill_ros.rig import Reason, Refusal

FACING = pose([-0.126, -0.084, 0.5], [0, 0, 0])


def drawn(page: bytes, dots_per_mm: int = 8) -> np.ndarray:
    """The page's rectangles, which its first matrix puts in millimetres, as dots."""
    box = re.search(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", page)
    scale = re.search(rb"([\d.]+) 0 0 ([\d.]+) 0 0 cm", page)
    assert box
    assert scale
    assert float(scale[1]) == float(scale[2]) == pytest.approx(72 / 25.4, rel=1e-6)
    width, height = (float(side) * 25.4 / 72 for side in box.groups())
    shown = np.full((round(height * dots_per_mm), round(width * dots_per_mm)), 255, np.uint8)
    for found in re.finditer(rb"^([\d.]+) ([\d.]+) ([\d.]+) ([\d.]+) re$", page, re.MULTILINE):
        x, y, w, h = (float(number) for number in found.groups())
        top, left = (round(value * dots_per_mm) for value in (height - y - h, x))
        shown[top : round((height - y) * dots_per_mm), left : round((x + w) * dots_per_mm)] = 0
    return shown


@pytest.mark.parametrize("paper", PAPERS_MM)
def test_the_printed_board_is_found_true_to_scale(paper: Paper) -> None:
    seen = Detector(BOARD).look(drawn(pdf(BOARD, paper)))
    assert isinstance(seen, View)
    assert len(seen.ids) == 40
    spread_mm = np.ptp(seen.pixels, axis=0) / 8
    assert spread_mm == pytest.approx([7 * 28.0, 4 * 28.0], abs=0.1)


def test_the_ruler_is_100_mm_long_and_the_page_says_what_board_it_is() -> None:
    page = pdf(BOARD, "a4")
    assert re.search(rb" 100 0\.2 re", page)
    assert b"9x6 squares of 28 mm" in page


def test_the_document_is_well_formed() -> None:
    page = pdf(BOARD, "a4")
    start = int(re.search(rb"startxref\n(\d+)", page)[1])  # type: ignore[index]
    assert page[start:].startswith(b"xref")
    for number, place in enumerate(re.findall(rb"^(\d{10}) 00000 n", page, re.MULTILINE), 1):
        assert page[int(place) :].startswith(b"%d 0 obj" % number)


def test_a_board_larger_than_the_paper_is_refused_with_both_sizes() -> None:
    with pytest.raises(CalibrateError, match=r"360 x 240 mm; a4 has room for 287 x 182 mm"):
        pdf(Board(square_m=0.04), "a4")


def test_the_board_is_what_its_file_says(tmp_path: Path) -> None:
    save(Board(square_m=0.0277), tmp_path)
    assert load(tmp_path).square_m == 0.0277
    (tmp_path / "board.yaml").write_text("square_m: 28\n")
    with pytest.raises(CalibrateError, match="square_m"):
        load(tmp_path)
    with pytest.raises(CalibrateError, match="print a board first"):
        load(tmp_path / "elsewhere")


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000))
def test_a_picture_gives_the_boards_pose(seed: int) -> None:
    seen = before_camera(np.random.default_rng(seed), tilt_deg=25.0, far_m=0.5)
    view = Detector(BOARD).look(picture(seen))
    assert isinstance(view, View), view
    wanted = project(view.points, seen, PINHOLE)
    errors_px = np.linalg.norm(view.pixels - wanted, axis=1)
    assert np.median(errors_px) < 0.4
    assert errors_px.max() < 2.0  # of 200 pictures the worst corner was 1.0 off
    found = locate(view, PINHOLE)
    assert np.linalg.norm((found @ [*BOARD.centre, 1.0] - seen @ [*BOARD.centre, 1.0])[:3]) < 0.003


def test_a_mirrored_picture_is_named() -> None:
    said = Detector(BOARD).look(picture(FACING)[:, ::-1].copy())
    assert isinstance(said, Refusal)
    assert said.reason is Reason.BOARD_MIRRORED


def test_a_board_with_other_squares_is_no_view() -> None:
    said = Detector(BOARD).look(picture(FACING, board=Board(squares_x=7, squares_y=5)))
    assert isinstance(said, Refusal)
    assert "is board.yaml that of this print?" in said.sentence


@pytest.mark.parametrize("level", [0, 110, 255])
def test_a_picture_without_a_board_is_refused(level: int) -> None:
    said = Detector(BOARD).look(np.full((SIZE[1], SIZE[0], 3), level, np.uint8))
    assert said == Refusal(Reason.BOARD_UNSEEN, "no board is seen")


def test_a_corner_of_the_board_is_too_little() -> None:
    shown = picture(FACING)
    shown[:, 250:] = 110
    said = Detector(BOARD).look(shown)
    assert isinstance(said, Refusal)
    assert "are needed" in said.sentence


def test_half_a_board_in_bad_light_is_a_view() -> None:
    shown = picture(FACING)
    shown[:, 330:] = 110
    dim = cv2.add(cv2.multiply(shown, 0.35), 20)
    noisy = np.clip(dim + np.random.default_rng(0).normal(0, 4, dim.shape), 0, 255).astype(np.uint8)
    view = Detector(BOARD).look(noisy)
    assert isinstance(view, View)
    assert len(view.ids) >= 10
