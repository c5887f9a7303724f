"""A file of JSON lines that only grows, and in which a change by hand shows.

Each line ends in a seal, the SHA-256 of the seal before it and of the line itself; a second small file, the head, says
how many lines there are and what the last seal is. So a line that was edited, left out, moved or cut off at the end is
found. Whoever computes all seals and the head anew is not: to exclude that, keep the last seal elsewhere (a report
prints it). Owns bytes and seals; what a line means is `results`'.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

_SEALED = re.compile(rb'^(\{.*),"seal":"([0-9a-f]{64})"\}$')
BEGINNING = "0" * 64
"""What stands for the seal before the first line."""


@dataclass(frozen=True)
class Sealed:
    """What was read: lines without their seals, the last seal, and what is wrong, in sentences."""

    lines: tuple[bytes, ...]
    seal: str
    findings: tuple[str, ...]
    torn_bytes: int
    """What follows the last line end, which a kill during a write leaves."""


def head_of(path: Path) -> Path:
    """Where the head of a file lies."""
    return path.with_suffix(".head")


def read(path: Path) -> Sealed:
    """All whole lines of a file; none where there is no file."""
    content = path.read_bytes() if path.is_file() else b""
    whole, end, torn = content.rpartition(b"\n")
    lines, findings, seals = [], [], [BEGINNING]
    for number, raw in enumerate(whole.split(b"\n") if end else [], start=1):
        matched = _SEALED.match(raw)
        if matched is None:
            findings.append(f"line {number} has no seal")
            lines.append(raw)
            seals.append(_seal(seals[-1], raw))
            continue
        body = matched[1] + b"}"
        expected, found = _seal(seals[-1], body), matched[2].decode()
        if found != expected:
            findings.append(f"line {number} does not fit its seal: it, or a line before it, was changed or taken out")
        lines.append(body)
        seals.append(found)  # so that one change is told once
    return Sealed(tuple(lines), seals[-1], (*findings, *_of_the_end(path, seals)), len(torn))


def _of_the_end(path: Path, seals: list[str]) -> list[str]:
    """Whether lines are missing at the end. A kill between the two writes leaves the head one line behind."""
    written = len(seals) - 1
    head = head_of(path)
    if not head.is_file():
        return [f"{head.name} is gone, so nobody can tell whether lines are missing at the end"] if written else []
    try:
        document = json.loads(head.read_bytes())
        lines, seal = int(document["lines"]), str(document["seal"])
    except (ValueError, KeyError, TypeError):
        return [f"{head.name} cannot be read, so nobody can tell whether lines are missing at the end"]
    if lines > written:
        return [f"{lines - written} of {lines} lines are missing at the end"]
    if seals[lines] != seal:
        return [f"line {lines} is not the one that {head.name} knows"]
    if written - lines > 1:
        return [f"{written - lines} lines stand after the {lines} that {head.name} knows"]
    return []


class SealedFile:
    """Such a file, to add to. One writer at a time; readers may look on while it grows."""

    def __init__(self, path: Path) -> None:
        """Cuts off what a kill left of a line. `mended_bytes` is how much that was, `before` what was there."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.before = read(path)
        self.mended_bytes = self.before.torn_bytes
        if self.mended_bytes:
            os.truncate(path, path.stat().st_size - self.mended_bytes)
        self._count, self._seal = len(self.before.lines), self.before.seal
        if self._count and not self.before.findings:
            self._write_head()  # it may be one line behind

    @property
    def seal(self) -> str:
        """The last one."""
        return self._seal

    def append(self, body: str) -> None:
        """One line, a JSON object with at least one field; it is on the disk when this returns."""
        line = body.encode()
        seal = _seal(self._seal, line)
        with self.path.open("ab") as file:
            file.write(line[:-1] + b',"seal":"' + seal.encode() + b'"}\n')
            file.flush()
            os.fsync(file.fileno())
        self._count, self._seal = self._count + 1, seal
        self._write_head()

    def _write_head(self) -> None:
        head = head_of(self.path)
        new = head.with_suffix(".head.new")
        with new.open("wb") as file:
            file.write(json.dumps({"lines": self._count, "seal": self._seal}).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        new.replace(head)


def _seal(before: str, body: bytes) -> str:
    return hashlib.sha256(before.encode() + body).hexdigest()
