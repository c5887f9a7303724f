"""The board as a PDF, true to scale, with a ruler to check the print by.

Written by hand: rectangles and two lines of text are all there is, and no printer smooths rectangles. PDF 1.4,
units of 1/72 inch, origin at the lower left.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from .board import MODULES, Board
from .errors import CalibrateError

Paper = Literal["a4", "a3", "letter"]
PAPERS_MM: dict[Paper, tuple[float, float]] = {"a4": (297.0, 210.0), "a3": (420.0, 297.0), "letter": (279.4, 215.9)}
"""Laid sideways."""
_POINT_MM = 25.4 / 72.0
_EDGE_MM = 5.0  # what printers leave white
_FOOT_MM = 18.0  # for the ruler and its text
_RULER_MM = 100


def pdf(board: Board, paper: Paper) -> bytes:
    """One page. Raises CalibrateError when the board does not fit on it."""
    width, height = PAPERS_MM[paper]
    board_width, board_height = (1e3 * side for side in board.size_m)
    if board_width + 2 * _EDGE_MM > width or board_height + 2 * _EDGE_MM + _FOOT_MM > height:
        raise CalibrateError(
            f"{board} are {board_width:.0f} x {board_height:.0f} mm; {paper} has room for "
            f"{width - 2 * _EDGE_MM:.0f} x {height - 2 * _EDGE_MM - _FOOT_MM:.0f} mm: choose smaller or fewer squares"
        )
    left, top = (width - board_width) / 2, height - _EDGE_MM - (height - 2 * _EDGE_MM - _FOOT_MM - board_height) / 2
    drawn = [
        f"{1 / _POINT_MM:.6f} 0 0 {1 / _POINT_MM:.6f} 0 0 cm",  # from here on in millimetres
        *(f"{x:.4f} {y:.4f} {w:.4f} {h:.4f} re" for x, y, w, h in _cells(board, left, top)),
        *_ruler(_EDGE_MM + 10.0, _EDGE_MM + 8.0),
        "f",
        _text(_EDGE_MM + 10.0, _EDGE_MM + 2.0, "100 mm when printed at 100 %, not fitted to the page: measure it"),
        _text(width / 2 + 20.0, _EDGE_MM + 9.0, f"ChArUco, {board}, dictionary 4X4_100"),
    ]  # fmt: skip
    return _document("\n".join(drawn).encode("ascii"), width / _POINT_MM, height / _POINT_MM)


def _cells(board: Board, left: float, top: float) -> Iterator[tuple[float, float, float, float]]:
    """Black runs of each row of cells: x, y, width, height in mm."""
    cell = 1e3 * board.square_m / MODULES
    for row, cells in enumerate(board.pattern()):
        black = [False, *(cells == 0).tolist(), False]
        edges = [index for index in range(len(black) - 1) if black[index] != black[index + 1]]
        for begin, end in zip(edges[::2], edges[1::2], strict=True):
            yield left + begin * cell, top - (row + 1) * cell, (end - begin) * cell, cell


def _ruler(x: float, y: float) -> Iterator[str]:
    yield f"{x:.4f} {y:.4f} {_RULER_MM} 0.2 re"
    for mark in range(0, _RULER_MM + 1, 10):
        yield f"{x + mark - (0.2 if mark else 0.0):.4f} {y:.4f} 0.2 {6.0 if mark % 50 == 0 else 3.0} re"


def _text(x: float, y: float, words: str) -> str:
    return f"BT /F1 3.2 Tf {x:.2f} {y:.2f} Td ({words}) Tj ET"


def _document(content: bytes, width_pt: float, height_pt: float) -> bytes:
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {width_pt:.4f} {height_pt:.4f}] /Contents 5 0 R "
        "/Resources << /Font << /F1 4 0 R >> >> >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
    ]
    written = b"%PDF-1.4\n"
    places = []
    for number, held in enumerate(objects, 1):
        places.append(len(written))
        written += b"%d 0 obj\n%s\nendobj\n" % (number, held)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    ends = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, len(written))
    return written + b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1) + table + ends
