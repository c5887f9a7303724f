"""The folder of a run: one process at a time, its configuration, its checkpoint, its lines of metrics.

What is in it survives a kill at any instant and a full disk: files are written beside, flushed and moved into place.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Self

import torch
import yaml
from pydantic import BaseModel

from xdistill_ros.episodes.files import write_whole

from .errors import LearnError

CONFIG, METRICS, CHECKPOINT = "config.yaml", "metrics.jsonl", "checkpoint.pt"
_LOCK = ".run"


class Run:
    """An open folder; use as a context manager, or close it."""

    def __init__(self, folder: Path) -> None:
        """Makes the folder if there is none. Raises LearnError when another process has it open."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(folder)
        self._metrics: IO[str] | None = None

    def begin(self, config: BaseModel, data: Mapping[str, str], free: frozenset[str]) -> dict[str, Any] | None:
        """Saves the configuration and returns the checkpoint to go on from, if there is one.

        data: what the run is made of beside its configuration, such as the hash of its store. free: fields, by their
        dotted names, that may differ when a run goes on. Raises LearnError for a checkpoint of another configuration,
        naming each field with both values.
        """
        told = _flat(config.model_dump(mode="json")) | dict(data)
        state = self._load()
        if state is not None:
            _refuse_others(self.folder, json.loads(state["told"]), told, free)
        self._told = json.dumps(told)
        text: str = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, width=120, default_flow_style=None)
        self._write(CONFIG, text.encode())
        self._keep_lines(-1 if state is None else int(state["step"]))
        self._metrics = (self.folder / METRICS).open("a", encoding="utf-8")
        return state

    def save(self, state: Mapping[str, Any]) -> None:
        """Replaces the checkpoint; `state` has at least `step`. Raises LearnError when it cannot be written."""
        path = self.folder / CHECKPOINT
        partial = path.with_name(f".{CHECKPOINT}.partial")
        try:
            with partial.open("wb") as file:
                torch.save({**state, "told": self._told}, file)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except (OSError, RuntimeError) as error:  # torch's writer turns a full disk into a RuntimeError
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            kept = "the one before it is whole" if path.exists() else "there was none before it"
            raise LearnError(
                f"{path}: the checkpoint of step {state['step']} could not be written "
                f"({_first_line(error)}); {kept}: free disk space and start the same command again to go on"
            ) from error

    def write(self, record: Mapping[str, Any]) -> None:
        """Appends a line to metrics.jsonl; it has `step` and `kind`."""
        assert self._metrics is not None
        try:
            self._metrics.write(json.dumps(record) + "\n")
            self._metrics.flush()
        except OSError as error:
            raise LearnError(
                f"{self.folder / METRICS}: cannot be written ({error.strerror}); free disk space"
            ) from error

    def close(self) -> None:
        """Lets another process in."""
        if self._metrics is not None:
            with suppress(OSError):
                self._metrics.close()
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _load(self) -> dict[str, Any] | None:
        path = self.folder / CHECKPOINT
        if not path.exists():
            return None
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, ValueError, EOFError) as error:
            raise LearnError(f"{path}: cannot be read ({_first_line(error)}); delete it to begin anew") from error
        return state

    def _keep_lines(self, step: int) -> None:
        """Forgets metrics of steps after the checkpoint's: they come again."""
        path = self.folder / METRICS
        if path.exists():
            kept = [json.dumps(record) + "\n" for record in records(self.folder) if record["step"] <= step]
            self._write(METRICS, "".join(kept).encode())

    def _write(self, name: str, content: bytes) -> None:
        try:
            write_whole(self.folder / name, content)
        except OSError as error:
            raise LearnError(f"{self.folder / name}: cannot be written ({error.strerror or error})") from error


def records(folder: Path) -> Iterator[dict[str, Any]]:
    """The lines of a run's metrics; one that a kill cut off is left out."""
    text = (folder / METRICS).read_text(encoding="utf-8")
    for line in text[: text.rfind("\n") + 1].splitlines():
        yield json.loads(line)


def _refuse_others(folder: Path, saved: dict[str, Any], told: dict[str, Any], free: frozenset[str]) -> None:
    names = [name for name in {**saved, **told} if name not in free and saved.get(name) != told.get(name)]
    if names:
        lines = "\n".join(f"  {name}: {saved.get(name)!r} in the checkpoint, {told.get(name)!r} now" for name in names)
        raise LearnError(
            f"{folder / CHECKPOINT} is of another configuration; give this one a folder of its own, or the old values:\n"
            f"{lines}"
        )


def _flat(document: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested fields by dotted names."""
    found: dict[str, Any] = {}
    for name, value in document.items():
        if isinstance(value, dict) and value:
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def _lock(folder: Path) -> IO[bytes]:
    """Keeps other runs out until the file is closed."""
    file = (folder / _LOCK).open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise LearnError(f"{folder}: another run has this folder open; wait for it, end it, or name another") from error
    return file


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
