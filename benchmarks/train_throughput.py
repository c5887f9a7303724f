"""Training throughput: windows a second and the share of a step that waits for data; beside the peers' own loops.

    .venv/bin/python benchmarks/train_throughput.py STORE.zarr [--steps 60] [--batch 64] [--widths 512 1024 2048]

ResNet-18 from scratch, tuned end to end with the U-Net, two observation steps, all cameras, images cut to 288x216 at
random, as diffusion_policy's real-robot configuration. Ours is `xdistill train` itself, with its images in memory and
in mapped files; LeRobot's is `lerobot-train` on the same store, exported with `xdistill episodes export --as lerobot
--images image`, where XDISTILL_LEROBOT_PYTHON names an environment that has it (tools/lerobot_reads.py says which).
Its images are not resized, only cut, so that its encoder sees as many pixels as ours. diffusion_policy's is its own
workspace on the same store (tools/diffusion_policy_trains.py), where XDISTILL_DIFFUSION_POLICY_PYTHON names an
environment for it and XDISTILL_DIFFUSION_POLICY a checkout; it has an encoder a camera, so the same arithmetic on more
weights. The steps must fit into an epoch, at whose end its workspace asks for rollouts. Use a machine that is idle.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from xdistill_ros.episodes import Store
from xdistill_ros.learn.data.demonstrations import demonstrations
from xdistill_ros.learn.training.settings import settings
from xdistill_ros.learn.training.trainer import train

ROOT = Path(__file__).resolve().parents[1]
CROP = (216, 288)  # height, width
LOGGED = 5  # steps a line


@dataclass(frozen=True)
class Measured:
    """Windows a second, the median over lines of the log, and the largest share of a step that waited for data."""

    name: str
    samples_s: float
    waiting: float


def ours(arguments: argparse.Namespace, folder: Path, cache: str) -> Measured:
    """`xdistill train` for about so many steps."""
    windows = len(demonstrations(Store(arguments.store)).windows.frames)
    document: dict[str, Any] = {
        "store": str(arguments.store), "encoder": {"word": "resnet18_scratch"}, "image": {"cache": cache},
        "unet": {"widths": arguments.widths, "kernel": 5, "step_dim": 128, "condition_hidden": 512,
                 "condition_dim": 256, "condition_dropout": 0.0, "condition_noise": 0.0},
        "optimiser": {"warm_up_steps": 1}, "batch": arguments.batch, "held_out": 0, "log_every": LOGGED,
        "epochs": max(1, round(arguments.steps / (windows / arguments.batch))), "device": arguments.device,
        "bf16": arguments.bf16, "checkpoint_s": 1e6, "validate_every_epochs": 10**6, "compile": arguments.compile,
    }  # fmt: skip
    train(settings([document], "benchmark"), folder)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    speeds = [line for line in lines if line["kind"] == "speed"][2:]  # the first ones allocate
    return Measured(
        f"xdistill train, images {'in memory' if cache == 'memory' else 'in mapped files'}",
        statistics.median(line["samples_s"] for line in speeds),
        statistics.median(line["loader_share"] for line in speeds),
    )


def lerobots(arguments: argparse.Namespace, folder: Path, python: str) -> Measured:
    """`lerobot-train` on the same demonstrations. Raises RuntimeError with what it said when it fails."""
    from xdistill_ros.episodes import export_lerobot

    done = export_lerobot.export(Store(arguments.store), folder / "set", "image", lambda: None)
    horizons = {"n_obs_steps": 2, "horizon": 16, "n_action_steps": 8}
    sizes = {
        "crop_shape": list(CROP), "down_dims": arguments.widths, "use_group_norm": "true",
        "use_separate_rgb_encoder_per_camera": "false", "pretrained_backbone_weights": "null",
    }  # fmt: skip
    policy = {"type": "diffusion", "device": _device(arguments), "push_to_hub": "false",
              "use_amp": str(arguments.bf16).lower(), **horizons, **sizes}  # fmt: skip
    line = [
        python, str(ROOT / "tools" / "lerobot_trains.py"), "--dataset.repo_id=xdistill/benchmark",
        f"--dataset.root={done.path}", f"--output_dir={folder / 'run'}", f"--batch_size={arguments.batch}",
        f"--steps={arguments.steps}", f"--log_freq={LOGGED}", "--save_checkpoint=false", "--wandb.enable=false",
        f"--num_workers={arguments.workers}", *(f"--policy.{name}={value}" for name, value in policy.items()),
    ]  # fmt: skip
    return _timed(f"lerobot-train, {arguments.workers} workers", line, arguments.batch)


def diffusion_policys(arguments: argparse.Namespace, folder: Path, python: str, checkout: str) -> Measured:
    """diffusion_policy's workspace on the same demonstrations. Raises RuntimeError with what it said when it fails."""
    line = [
        python, str(ROOT / "tools" / "diffusion_policy_trains.py"), str(arguments.store), str(folder / "theirs"),
        f"--steps={arguments.steps}", f"--batch={arguments.batch}", f"--workers={arguments.workers}",
        f"--device={_device(arguments)}", "--widths", *map(str, arguments.widths),
    ]  # fmt: skip
    return _timed(f"diffusion_policy, {arguments.workers} workers", line, arguments.batch, PYTHONPATH=checkout)


def _timed(name: str, line: list[str], batch: int, **variables: str) -> Measured:
    """A peer's command, which prints how long steps and waiting for data took. Raises RuntimeError."""
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "LD_LIBRARY_PATH")}
    ended = subprocess.run(line, env=environment | variables, capture_output=True, text=True, check=False)
    said = ended.stdout + ended.stderr
    found = re.findall(r"updt_s:([\d.]+) data_s:([\d.]+)", said)[2:]
    if ended.returncode or not found:
        raise RuntimeError(f"{name}: ended with {ended.returncode}:\n{said[-3000:]}")
    pairs = [(float(update), float(data)) for update, data in found]
    return Measured(
        name,
        statistics.median(batch / (update + data) for update, data in pairs),
        statistics.median(data / (update + data) for update, data in pairs),
    )


def _device(arguments: argparse.Namespace) -> str:
    return (
        "cuda" if arguments.device == "auto" and torch.cuda.is_available() else arguments.device.replace("auto", "cpu")
    )


def measured(arguments: argparse.Namespace, folder: Path) -> Iterator[Measured]:
    """One loop after the other; says which are not at hand."""
    for cache in ("memory", "mapped"):
        yield ours(arguments, folder / cache, cache)
    python = os.environ.get("XDISTILL_LEROBOT_PYTHON")
    if python:
        yield lerobots(arguments, folder, python)
    else:
        Console(stderr=True).print("LeRobot's loop is not measured: XDISTILL_LEROBOT_PYTHON names no environment")
    theirs = [os.environ.get(f"XDISTILL_DIFFUSION_POLICY{which}") for which in ("_PYTHON", "")]
    if theirs[0] and theirs[1]:
        yield diffusion_policys(arguments, folder, theirs[0], theirs[1])
    else:
        Console(stderr=True).print("diffusion_policy's is not: XDISTILL_DIFFUSION_POLICY[_PYTHON] name none")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--widths", type=int, nargs="+", default=[512, 1024, 2048])
    parser.add_argument("--workers", type=int, default=4, help="the peers' loaders; 4 is LeRobot's default")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--bf16", action="store_true", help="autocast (LeRobot: its use_amp)")
    parser.add_argument("--compile", action="store_true", help="ours only")
    arguments = parser.parse_args()
    table = Table("training", "windows/s", "waiting for data")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = f"{folder}/cache"
        for one in measured(arguments, Path(folder)):
            table.add_row(one.name, f"{one.samples_s:.2f}", f"{one.waiting:.1%}")
            Console(stderr=True).print(f"{one.name}: {one.samples_s:.2f} windows/s")
    Console().print(f"{_device(arguments)}, batch {arguments.batch}, U-Net {arguments.widths}")
    Console().print(table)


if __name__ == "__main__":
    main()
