"""Episode store: write rate by codec, random reads beside diffusion_policy's layout, and opening 1000 episodes.

    .venv/bin/python benchmarks/store.py [--frames 300] [--seconds 10]

Frames are the simulated table's, 640x480, with a camera's noise; without it lossless codecs look better than they are.
The layout to compare with is what diffusion_policy's `ReplayBuffer.get_optimal_chunks` gives (about 2 MB a chunk: three
such frames) with its compressor for disks, zstd 5 bitshuffle.
"""

from __future__ import annotations

import argparse
import itertools
import math
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import zarr
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from xdistill_ros import resources
from xdistill_ros import rig as rigs
from xdistill_ros.episodes import About, Store, Writer, layout
from xdistill_ros.episodes.edit import merge
from xdistill_ros.rig import Rig

CODECS = ("blosc_lz4", "blosc_zstd", "jpegxl", "jpeg")
CAMERAS = ("front", "wrist")
WINDOW = 2  # rows that a policy observes
NOISE_LEVELS = 3.0
THEIRS = numcodecs.Blosc("zstd", clevel=5, shuffle=numcodecs.Blosc.BITSHUFFLE)
THEIR_CHUNK_BYTES = 2e6
_CONSOLE = Console(stderr=True)
Frames = dict[str, NDArray[np.uint8]]


def noisy_frames(count: int) -> Frames:
    """Images (count, 480, 640, 3) of an arm at work, by camera."""
    from xdistill_ros.sim import World
    from xdistill_ros.sim.pilots import ExpertPilot
    from xdistill_ros.sim.rollout import Run

    seen: dict[str, list[NDArray[np.uint8]]] = {camera: [] for camera in CAMERAS}
    rig = rigs.load(resources.config("rigs/sim_table.yaml"))
    rng = np.random.default_rng(0)
    with World(rig, "move_cube") as world:
        for seed in itertools.count():
            world.reset(seed)
            pilot = ExpertPilot()
            pilot.begin(world, seed)
            run = Run(world, pilot)
            while not (world.success() or world.timed_out()):
                for camera in CAMERAS:
                    seen[camera].append(world.render(camera).copy())
                for _ in range(round(rig.arm.interface.rate_hz / rig.policy.rate_hz)):
                    run.tick()
            if len(seen[CAMERAS[0]]) >= count:
                break

    def with_noise(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.clip(pixels + rng.normal(0.0, NOISE_LEVELS, pixels.shape), 0, 255).astype(np.uint8)

    return {camera: np.stack([with_noise(one) for one in images[:count]]) for camera, images in seen.items()}


def rig_with(codec: str) -> Rig:
    """The simulated table with this image codec."""
    rig = rigs.load(resources.config("rigs/sim_table.yaml"))
    recording = rig.recording.model_copy(update={"image_codec": codec, "min_free_gb": 0.5})
    return rig.model_copy(update={"recording": recording})


def rows(rig: Rig, frames: Frames) -> Iterator[dict[str, Any]]:
    """Rows of `data/` with these images and an arm at rest."""
    zeros = {one.name: np.zeros(one.tail, one.dtype) for one in layout.data_columns(rig) if not one.is_image}
    for index in range(len(frames[CAMERAS[0]])):
        yield zeros | {"timestamp": 1.0 + index / 10} | {camera: frames[camera][index] for camera in CAMERAS}


def write_ours(path: Path, codec: str, frames: Frames, episodes: int = 1) -> float:
    """Seconds that a store of the frames, divided into episodes, takes to write; that of the commits included."""
    rig = rig_with(codec)
    every = -(-len(frames[CAMERAS[0]]) // episodes)
    with Writer(path, rig, "benchmark") as writer:
        begun = time.perf_counter()
        bar = {"console": _CONSOLE, "transient": True, "disable": not _CONSOLE.is_terminal}
        for index, row in enumerate(track(rows(rig, frames), codec, len(frames[CAMERAS[0]]), **bar)):
            writer.append(row)
            writer.append_raw(
                layout.GRID, {"stamp_ns": index + 1, **{f"{name}_stamp_ns": index + 1 for name in CAMERAS}}
            )
            if (index + 1) % every == 0 or index + 1 == len(frames[CAMERAS[0]]):
                writer.commit(about(writer.rows))
        return time.perf_counter() - begun


def about(rows: int) -> About:
    """A line for an episode."""
    return About.model_validate({"task": "benchmark", "started_at": 0, "duration_s": rows / 10, "rows": rows})


def write_theirs(path: Path, frames: Frames) -> None:
    """The frames as diffusion_policy lays them out."""
    group = zarr.open_group(path, mode="w", zarr_format=2).create_group("data")
    for camera, pixels in frames.items():
        a_chunk = math.ceil(THEIR_CHUNK_BYTES / pixels[0].nbytes)
        array = group.create_array(
            camera,
            shape=pixels.shape,
            chunks=(a_chunk, *pixels.shape[1:]),
            dtype="|u1",
            compressors=THEIRS,
            filters=None,
        )
        array[:] = pixels


def reads_per_s(arrays: list[Any], rows: int, seconds: float) -> float:
    """Frames a second of windows of observations at random, in one process, as a training set reads them."""
    rng = np.random.default_rng(1)
    read, begun = 0, time.perf_counter()
    while time.perf_counter() - begun < seconds:
        first = int(rng.integers(rows - WINDOW))
        for array in arrays:
            read += len(array[first : first + WINDOW])
    return read / (time.perf_counter() - begun)


def kilobytes_a_frame(folder: Path) -> float:
    """Of the images in the arrays' folders."""
    files = [file for camera in CAMERAS for file in (folder / camera).iterdir() if file.name[0] != "."]
    return sum(file.stat().st_size for file in files) / 1000


def many_episodes(folder: Path, episodes: int) -> tuple[float, float]:
    """Seconds until a store of so many episodes is open, and until one image of the last has been read as well."""
    black = {camera: np.zeros((episodes // 20, 480, 640, 3), np.uint8) for camera in CAMERAS}
    write_ours(folder / "some", "blosc_lz4", black, episodes // 20)
    path = folder / "many"
    merge(path, [folder / "some"] * 20, lambda: None)
    begun = time.perf_counter()
    store = Store(path)
    opened = time.perf_counter() - begun
    assert len(store.episodes) == episodes
    store.data("front")[store.episodes[-1].start]
    return opened, time.perf_counter() - begun


def main() -> None:
    """Prints the tables."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--frames", type=int, default=300, help="rows, each with an image of two cameras")
    options.add_argument("--seconds", type=float, default=10.0, help="of random reads, for each layout")
    given = options.parse_args()
    frames = noisy_frames(given.frames)
    count = sum(map(len, frames.values()))
    print(f"{count} frames of 640x480x3\n")
    print("| layout | write, frames/s | KB a frame | random reads, frames/s |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory(dir=".") as made:
        folder = Path(made)
        for codec in CODECS:
            taken = write_ours(folder / codec, codec, frames)
            store = Store(folder / codec)
            rate = reads_per_s([store.data(camera) for camera in CAMERAS], given.frames, given.seconds)
            size = kilobytes_a_frame(folder / codec / "data") / count
            print(f"| ours, {codec} | {count / taken:.0f} | {size:.0f} | {rate:.0f} |", flush=True)
            shutil.rmtree(folder / codec)
        begun = time.perf_counter()
        write_theirs(folder / "theirs", frames)
        taken = time.perf_counter() - begun
        arrays = [zarr.open_array(folder / "theirs" / "data" / camera, mode="r") for camera in CAMERAS]
        rate = reads_per_s(arrays, given.frames, given.seconds)
        size = kilobytes_a_frame(folder / "theirs" / "data") / count
        print(f"| diffusion_policy's | {count / taken:.0f} | {size:.0f} | {rate:.0f} |")
        opened, read = many_episodes(folder, 1000)
        print(f"\n1000 episodes: open in {opened:.2f} s, with an image of the last in {read:.2f} s")


if __name__ == "__main__":
    main()
