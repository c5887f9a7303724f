"""The peers read a store with zarr-python 2: the page's own example does, in an environment that has nothing else."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support import stores
from xdistill_ros.episodes import Store

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "episode_store.md"
# What follows the example: a digest of every array, in the words of either zarr.
DIGESTS = """
import hashlib, json
found = {name: hashlib.sha256(array[:].tobytes()).hexdigest() for name, array in sorted(root["data"].arrays())}
print("DIGESTS", json.dumps(found))
"""


def example() -> str:
    """The page's first Python block."""
    found = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found.group(1)


def read_by(python: str, store: Path) -> str:
    """What the example prints, and digests of what it read."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "LD_LIBRARY_PATH")}
    ended = subprocess.run(
        [python, "-c", example() + DIGESTS],
        cwd=store.parent,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Under the name that the example has."""
    return stores.write_store(tmp_path_factory.mktemp("peers") / "store.zarr", 2, rows=40)


@pytest.fixture(scope="module")
def zarr2(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The Python of an environment with the zarr that the peers pin, and nothing of ours."""
    folder = tmp_path_factory.mktemp("zarr2")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = str(folder / "bin" / "python")
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "-q"]
    subprocess.run([*pip, "zarr>=2.18,<3", "numcodecs<0.16"], check=True, capture_output=True)
    return python


def test_the_example_is_short_and_prints_every_episode(store: Path) -> None:
    assert len(example().strip().splitlines()) <= 10
    said = read_by(sys.executable, store)
    assert said.count("40 rows") == 2


@pytest.mark.timeout(300)
def test_zarr_2_reads_every_array_to_the_bit(store: Path, zarr2: str) -> None:
    said = read_by(zarr2, store)
    assert said == read_by(sys.executable, store)
    assert set(json.loads(said.rpartition("DIGESTS")[2])) >= {"action", "front", "wrist", "timestamp", "robot_eef_pose"}


def test_what_the_peers_readers_ask_of_the_layout(store: Path) -> None:
    """diffusion_policy's ReplayBuffer: all arrays as long as the last end, ends int64, format 2."""
    opened = Store(store)
    assert {path.name for path in store.iterdir() if path.is_dir()} == {"data", "meta", "raw"}
    assert (store / "data" / ".zgroup").is_file()
    assert not (store / ".zmetadata").exists()
    for path in (store / "data").iterdir():
        if not path.is_dir():
            continue
        described = json.loads((path / ".zarray").read_text())
        assert described["shape"][0] == opened.ends[-1]
        assert (described["zarr_format"], described["order"], described["filters"]) == (2, "C", None)
        assert described.get("dimension_separator", ".") == "."
        assert described["compressor"]["id"] == "blosc"
    ends = json.loads((store / "meta" / "episode_ends" / ".zarray").read_text())
    assert ends["dtype"] == "<i8"
    np.testing.assert_array_equal(opened.ends, [40, 80])
