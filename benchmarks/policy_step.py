"""What one policy step costs on this machine, and what each measure of the runtime is worth.

    python benchmarks/policy_step.py [--bundle models/move_cube] [--threads 1]

Without a bundle, one of the default recipe's size with random weights is exported first. Eager torch is the same
networks with diffusers' scheduler, as one would run them straight from training. Each part runs alone in a process
of its own, since ONNX Runtime and torch in one process disturb each other. Torch is needed for both of these;
with `--bundle ... --no-eager` it is not.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
RIG = ROOT / "config" / "rigs" / "sim_table.yaml"
REPEATS = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, help="bundle folder; default: one with random weights")
    parser.add_argument("--threads", type=int, default=1, help="intra-op threads of every session, and torch's")
    parser.add_argument("--no-eager", action="store_true", help="leave eager torch out")
    parser.add_argument("--part", choices=["export", "runtime", "eager"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part:
        print(json.dumps(PARTS[given.part](given.bundle, given.threads)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        bundle = given.bundle or Path(scratch) / "models" / "random"
        if not given.bundle:
            _child("export", bundle, given.threads)
        measured = _child("runtime", bundle, given.threads)
        if not given.no_eager:
            measured |= _child("eager", bundle, given.threads)
    report(measured, given.threads)


def report(measured: dict[str, float], threads: int) -> None:
    """Prints the parts, and whole steps as ratios to the shipped one. Times in seconds come in."""
    print(f"\n{os.cpu_count()} cores, {threads} thread(s); best of {REPEATS}, ms")
    for name, seconds in measured.items():
        if not name.startswith("step: "):
            print(f"  {name:<52}{1e3 * seconds:9.2f}")
    print("observation -> chunk, and how many times the shipped way that is")
    shipped = measured["step: as shipped (each frame encoded once)"]
    for name, seconds in measured.items():
        if name.startswith("step: "):
            print(f"  {name.removeprefix('step: '):<52}{1e3 * seconds:9.2f}{seconds / shipped:8.1f}x")


def runtime(path: Path, threads: int) -> dict[str, float]:
    """Seconds of each part of the running policy, and of it without caching features."""
    from xdistill_ros import rig as rigs
    from xdistill_ros.perception import Preprocess
    from xdistill_ros.policy.loading import load_bundle
    from xdistill_ros.policy.observation import Observation
    from xdistill_ros.policy.sampler import Sampler

    rig = rigs.load(RIG)
    bundle = load_bundle(path, rig)
    manifest, camera = bundle.manifest, next(iter(rig.cameras))
    preprocess, encoder = Preprocess(manifest.preprocess[camera]), bundle.encoder(camera, threads=threads)
    sampler = Sampler(bundle, seed=0, threads=threads)
    steps, cameras = rig.policy.observation_horizon, len(rig.cameras)
    pixels = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    tensor = preprocess(pixels)
    observation = Observation(
        stamp_ns=0,
        features=np.zeros((steps, cameras * manifest.encoder.feature_dim), np.float32),
        proprio=np.zeros((steps, len(manifest.proprio_channels))),
        tcp_pose=np.eye(4),
    )
    cond = np.zeros((1, manifest.condition_dim), np.float32)
    sample = np.zeros((1, *manifest.sample_shape), np.float32)
    denoiser = sampler._denoiser
    film = denoiser.film(cond)
    inference_steps = manifest.schedule.inference_steps

    def each_time() -> None:
        for _ in range(steps * cameras):
            encoder.encode(preprocess(pixels))

    seconds = {
        "preprocess one 640x480 image": best(lambda: preprocess(pixels)),
        "encode one image": best(lambda: encoder.encode(tensor)),
        "condition (once a chunk)": best(lambda: denoiser.film(cond)),
        f"one denoising step (of {inference_steps})": best(lambda: denoiser.predict(sample, film)),
        "sample a chunk": best(lambda: sampler.sample(observation)),
    }
    newest = cameras * (seconds["preprocess one 640x480 image"] + seconds["encode one image"])
    return seconds | {
        "step: as shipped (each frame encoded once)": newest + seconds["sample a chunk"],
        "step: every image of the window encoded each time": best(lambda: (each_time(), sampler.sample(observation))),
    }


def eager(path: Path, threads: int) -> dict[str, float]:
    """Seconds of one step of the same networks in eager torch with diffusers' scheduler."""
    import torch

    from xdistill_ros.policy.bundle import Bundle

    torch.set_num_threads(threads)
    manifest = Bundle.read(path).manifest
    encoder, head = _networks(manifest)
    width, height = next(iter(manifest.preprocess.values())).output_size
    steps, cameras = manifest.rig.policy.observation_horizon, len(manifest.rig.cameras)
    images = torch.zeros(steps * cameras, 3, height, width)
    condition, noise = torch.zeros(1, manifest.condition_dim), torch.zeros(1, *manifest.sample_shape)

    def step() -> None:
        with torch.inference_mode():
            encoder(images)
        head.sample(condition, noise)

    return {"step: eager torch, diffusers' scheduler": best(step, repeats=20)}


def export(path: Path, threads: int) -> dict[str, float]:
    """Exports random weights of the shipped bundles' size to `path`."""
    import torch

    from xdistill_ros import rig as rigs
    from xdistill_ros.learn.data.windows import Statistics
    from xdistill_ros.learn.export.bundle import export as write
    from xdistill_ros.learn.export.bundle import rounded
    from xdistill_ros.learn.export.example import Example
    from xdistill_ros.learn.networks.encoders import InputSpec
    from xdistill_ros.learn.policies import Trained
    from xdistill_ros.policy.actions import ChannelRange, proprio_channels

    torch.manual_seed(0)
    torch.set_num_threads(threads)
    rig = rigs.load(RIG)
    preset = _preset()
    proprio = len(proprio_channels(preset.proprio, rig.arm.joint_names))

    def unit(channels: int) -> ChannelRange:
        return ChannelRange(minimum=(-1.0,) * channels, maximum=(1.0,) * channels)

    trained = rounded(Trained(
        "move_cube", rig, preset.image.preprocess(rig, InputSpec(), points=False), preset.proprio,
        Statistics(unit(len(rig.channels)), unit(proprio)), *_sized(rig, proprio),
    ), "int8")  # fmt: skip
    steps = rig.policy.observation_horizon
    pixels = {name: (np.zeros((480, 640, 3), np.uint8),) * steps for name in rig.cameras}
    poses, joints = np.tile(np.eye(4), (steps, 1, 1)), np.zeros((steps, len(rig.arm.joints)))
    write(trained, Example(pixels, poses, np.zeros(steps), joints), {"command": "benchmarks/policy_step.py"}, path)
    return {}


def _preset() -> Any:
    """The settings that the shipped bundles were trained with."""
    from xdistill_ros.learn.documents import read
    from xdistill_ros.learn.training.settings import settings

    preset = ROOT / "config" / "learn" / "train_cpu.yaml"
    return settings([read(preset), {"store": "none", "encoder": {"word": "xdistill"}}], str(preset))


def _sized(rig: Any, proprio: int) -> tuple[Any, Any]:
    from xdistill_ros.learn.networks.encoders import Student
    from xdistill_ros.learn.networks.head import Head

    preset, encoder = _preset(), Student(teacher_dim=TEACHER_DIM).eval()
    condition = rig.policy.observation_horizon * (len(rig.cameras) * encoder.feature_dim + proprio)
    horizon, channels = rig.policy.prediction_horizon, len(rig.channels)
    return encoder, Head(condition, horizon, channels, preset.unet, preset.schedule).eval()


def _networks(manifest: Any) -> tuple[Any, Any]:
    return _sized(manifest.rig, len(manifest.proprio_channels))


def best(call: Callable[[], object], repeats: int = REPEATS) -> float:
    """Least seconds of `call` after a warm-up: other load on the machine only ever adds."""
    for _ in range(5):
        call()
    durations = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        durations.append(time.perf_counter() - start)
    return float(min(durations))


def _child(part: str, bundle: Path, threads: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--part", part, "--bundle", str(bundle), "--threads", str(threads)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


PARTS: dict[str, Callable[[Path, int], dict[str, float]]] = {"export": export, "runtime": runtime, "eager": eager}
TEACHER_DIM = 64
"""Length of the default recipe's feature; little of the cost depends on it."""

if __name__ == "__main__":
    main()
