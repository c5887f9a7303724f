"""Trains by diffusion_policy's own workspace, for benchmarks/train_throughput.py to read how fast it was.

Its real-robot image configuration, data set, policy and loop are used as they are, from a checkout on the PYTHONPATH
(github.com/real-stanford/diffusion_policy). Two things are put in their place: what reads PushT's recordings reads one
of our episode stores, into the same kind of buffer (JPEG 2000 in memory, an image a chunk), and after some steps the
run ends. The environment needs torch, torchvision, diffusers<0.34, zarr<2.17, numcodecs<0.16, numba, einops,
hydra-core, dill, wandb, av, imagecodecs, opencv-python-headless, threadpoolctl, filelock, tqdm, pandas<3.

    PYTHONPATH=diffusion_policy python tools/diffusion_policy_trains.py STORE.zarr OUT --steps 60 --batch 64 ...
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

LOGGED = 5  # steps a line


class EnoughError(Exception):
    """As many steps as were asked for."""


class Stopwatch:
    """Times from a step's end to the next one's loss, which is waiting for data, and from there to its end."""

    def __init__(self, steps: int) -> None:
        self._left, self._ended_s = steps, time.perf_counter()
        self._data_s: list[float] = []
        self._update_s: list[float] = []

    def begins(self) -> None:
        """The loss is asked for."""
        self._began_s = time.perf_counter()
        self._data_s.append(self._began_s - self._ended_s)

    def ends(self) -> None:
        """The average of the weights was moved, which a step does last. Raises EnoughError."""
        self._ended_s = time.perf_counter()
        self._update_s.append(self._ended_s - self._began_s)
        self._left -= 1
        if len(self._update_s) == LOGGED:
            update_s, data_s = (sum(times) / LOGGED for times in (self._update_s, self._data_s))
            print(f"updt_s:{update_s:.4f} data_s:{data_s:.4f}", flush=True)
            self._update_s, self._data_s = [], []
        if not self._left:
            raise EnoughError


def buffer(path: Path, cameras: dict[str, tuple[int, int]]) -> Any:
    """Their replay buffer of a store, with images of `cameras` resized to (height, width)."""
    import cv2
    import numpy as np
    import zarr
    from diffusion_policy.codecs.imagecodecs_numcodecs import Jpeg2k, register_codecs
    from diffusion_policy.common.replay_buffer import ReplayBuffer

    register_codecs()
    recorded = zarr.open(str(path), "r")
    made = ReplayBuffer.create_empty_zarr(storage=zarr.MemoryStore())
    ends = recorded["meta/episode_ends"][:]
    made.meta.array("episode_ends", ends, dtype=np.int64, compressor=None, overwrite=True)
    rows = int(ends[-1])
    for name in ("action", "robot_eef_pose", "gripper"):
        made.data.array(name, recorded["data"][name][:rows], chunks=(rows, recorded["data"][name].shape[1]))
    for name, (height, width) in cameras.items():
        array = made.data.require_dataset(
            name, shape=(rows, height, width, 3), chunks=(1, height, width, 3), dtype=np.uint8,
            compressor=Jpeg2k(level=50),
        )  # fmt: skip
        for row in range(rows):
            array[row] = cv2.resize(recorded["data"][name][row], (width, height), interpolation=cv2.INTER_AREA)
    return made


def configuration(arguments: argparse.Namespace, cameras: dict[str, tuple[int, int]]) -> Any:
    """Their configuration for a store with these cameras."""
    import diffusion_policy
    import hydra
    from omegaconf import OmegaConf

    OmegaConf.register_new_resolver("eval", eval, replace=True)
    folder = Path(diffusion_policy.__path__[0]) / "config"
    overrides = [
        f"training.device={arguments.device}", "training.resume=false", f"dataloader.batch_size={arguments.batch}",
        f"dataloader.num_workers={arguments.workers}", f"policy.down_dims={arguments.widths}", "logging.mode=disabled",
        "task.env_runner._target_=diffusion_policy.env_runner.base_image_runner.BaseImageRunner",
        f"task.dataset_path={arguments.store.resolve()}", "task.dataset.use_cache=false",
    ]  # fmt: skip
    with hydra.initialize_config_dir(str(folder.resolve()), version_base=None):
        config = hydra.compose("train_diffusion_unet_real_image_workspace", overrides)
    OmegaConf.set_struct(config, False)
    images = {name: {"shape": [3, height, width], "type": "rgb"} for name, (height, width) in cameras.items()}
    arm = {"robot_eef_pose": {"shape": [6], "type": "low_dim"}, "gripper": {"shape": [1], "type": "low_dim"}}
    config.task.shape_meta = {"obs": {**images, **arm}, "action": {"shape": [7]}}
    config.task.dataset.shape_meta = config.task.shape_meta
    config.logging.name, config.multi_run = "benchmark", None
    return config


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--widths", type=int, nargs="+", default=[512, 1024, 2048])
    parser.add_argument("--workers", type=int, default=8, help="8 is its default")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    # torchvision's compiled operators may be of another release than torch; only its Python is needed here
    sys.modules.setdefault("torchvision._meta_registrations", ModuleType("torchvision._meta_registrations"))

    import zarr
    from diffusion_policy.dataset import real_pusht_image_dataset
    from diffusion_policy.model.diffusion.ema_model import EMAModel
    from diffusion_policy.policy.diffusion_unet_image_policy import DiffusionUnetImagePolicy
    from diffusion_policy.workspace.train_diffusion_unet_image_workspace import TrainDiffusionUnetImageWorkspace

    recorded = zarr.open(str(arguments.store), "r")["data"]
    cameras = {name: (240, 320) for name, array in recorded.arrays() if array.ndim == 4}
    real_pusht_image_dataset._get_replay_buffer = lambda **_: buffer(arguments.store, cameras)
    watch = Stopwatch(arguments.steps)
    compute, move = DiffusionUnetImagePolicy.compute_loss, EMAModel.step

    def timed(self: Any, batch: Any) -> Any:
        watch.begins()
        return compute(self, batch)

    def ended(self: Any, model: Any) -> None:
        move(self, model)
        watch.ends()

    DiffusionUnetImagePolicy.compute_loss, EMAModel.step = timed, ended
    config = configuration(arguments, cameras)
    arguments.out.mkdir(parents=True, exist_ok=True)
    try:
        TrainDiffusionUnetImageWorkspace(config, str(arguments.out)).run()
    except EnoughError:
        return


if __name__ == "__main__":
    main()
