"""Where the project's root is, and a clean copy of it to build in."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def project_files() -> list[Path]:
    """Files that a commit of the present state would hold, relative to the root."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    names = listed.stdout.decode().split("\0")
    return [Path(name) for name in names if name and ((ROOT / name).exists() or (ROOT / name).is_symlink())]


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Makes a copy of the project's files alone, as a fresh clone has them."""

    def copy(name: str) -> Path:
        target = tmp_path_factory.mktemp(name)
        for path in project_files():
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            source = ROOT / path
            if source.is_symlink():
                (target / path).symlink_to(source.readlink())
            else:
                (target / path).write_bytes(source.read_bytes())
                (target / path).chmod(source.stat().st_mode)
        return target

    return copy
