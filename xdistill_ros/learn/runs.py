"""A run's folder: one run at a time, the configuration it was started with, results line by line, and a checkpoint.

Owns the files and the refusals about them; what is in a checkpoint is the business of whoever trains.
"""

from __future__ import annotations

import fcntl
import io
import json
import os
import pickle
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import torch
import yaml

from xdistill_ros.episodes.files import write_whole

from .errors import LearnError

CONFIG, METRICS, CHECKPOINT = "config.yaml", "metrics.jsonl", "checkpoint.pt"
_LOCK = ".run"


def lock(folder: Path) -> IO[bytes]:
    """Makes `folder` and keeps other runs out of it until the file is closed. LearnError when one is in."""
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / _LOCK).open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise LearnError(f"{folder}: another run works in this folder; wait for it, end it, or name another") from error
    os.register_at_fork(after_in_child=file.close)  # a loader's process outlives a killed run by seconds
    return file


def write_config(folder: Path, config: Mapping[str, Any]) -> None:
    """The whole configuration, beside the results."""
    write_whole(folder / CONFIG, yaml.safe_dump(dict(config), sort_keys=False, width=120).encode())


def check_same(wanted: Mapping[str, Any], found: Mapping[str, Any], path: Path, free: tuple[str, ...] = ()) -> None:
    """Raises LearnError when the run in `path` was started with another configuration, naming fields and values.

    free: fields, or their beginnings, that do not change the result and may differ.
    """
    now, then = _flat(wanted), _flat(found)
    different = [
        f"{field} is {then.get(field)!r} there and {now.get(field)!r} now"
        for field in sorted(now.keys() | then.keys())
        if now.get(field) != then.get(field) and not field.startswith(free or ("\0",))
    ]
    if different:
        raise LearnError(
            f"{path}: from a run of another configuration: {'; '.join(different)}. "
            "Use its configuration to continue it, or name another folder"
        )


def begin(folder: Path, config: Mapping[str, Any], free: tuple[str, ...] = ()) -> None:
    """Writes the configuration of a run that needs no checkpoint to tell it. LearnError when `folder` has another's."""
    path = folder / CONFIG
    if path.exists():
        check_same(config, yaml.safe_load(path.read_text(encoding="utf-8")), path, free)
    write_config(folder, config)


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Replaces `path` in one step. LearnError when the disk does not take it; the old one is then still whole."""
    buffer = io.BytesIO()  # torch's own writer reports a full disk as an internal error
    torch.save(dict(state), buffer)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, buffer.getbuffer())  # not a copy: a large policy's is several gigabytes
    except OSError as error:
        kept = "the one before is whole" if path.exists() else "there is none yet"
        raise LearnError(
            f"{path}: the checkpoint could not be written ({error.strerror or error}); {kept}. "
            f"It needs {buffer.tell() / 1e6:.0f} MB beside the old one: make room, then start the same "
            "command again, which continues from it"
        ) from error


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """What `save_checkpoint` wrote, on the CPU; None where there is none yet."""
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise LearnError(f"{path}: not readable as a checkpoint ({error}); remove it to begin anew") from error
    return state


class Metrics:
    """JSON lines with a `step` each. What was written after the checkpoint that a run continues from is taken back."""

    def __init__(self, path: Path, step: int) -> None:
        """Opens `path`, of which lines up to `step` stay."""
        kept = []
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    told = json.loads(line)
                except json.JSONDecodeError:
                    break  # the last line of a run that was killed while it wrote
                if told["step"] <= step:
                    kept.append(line)
        write_whole(path, "".join(f"{line}\n" for line in kept).encode())
        self._file = path.open("a", encoding="utf-8")

    def write(self, step: int, **values: Any) -> None:
        """One line."""
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        self._file.flush()

    def sync(self) -> None:
        """Waits until the lines are on the disk: a checkpoint is about to say that they were written."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def commit() -> str:
    """The commit of the checkout that runs, `+` where it was changed since; empty outside of one."""
    checkout = Path(__file__).resolve().parents[2]
    if not (checkout / ".git").exists():
        return ""
    try:
        git = ("git", "-C", str(checkout))
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run([*git, "diff", "--quiet", "HEAD"], check=False).returncode == 1
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f"{head}+" if changed else head


def _flat(values: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{above}{name}.")
        else:
            flat[f"{above}{name}"] = list(value) if isinstance(value, tuple) else value
    return flat
