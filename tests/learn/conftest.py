"""Small synthetic recordings and networks: training is tested without a simulator and in seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.stores import write_store
from tests.support.training import save_student
from xdistill_ros import rig
from xdistill_ros.arm import Kinematics
from xdistill_ros.learn.data.recording import Recording
from xdistill_ros.rig.poses import pose_to_9d


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def table_rig() -> rig.Rig:
    return rig.load("config/rigs/sim_table.yaml")


@pytest.fixture(scope="session")
def forward(table_rig: rig.Rig):
    return Kinematics(table_rig).forward


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three demonstrations of a tiny rig, to be read."""
    return write_store(tmp_path_factory.mktemp("store") / "s.zarr", 3)


@pytest.fixture(scope="session")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a small distilled encoder, to be read."""
    return save_student(tmp_path_factory.mktemp("encoder") / "encoder.safetensors")


@pytest.fixture
def recording(table_rig: rig.Rig, forward):
    """Makes a recording of some seconds in which joint 1 turns and the commands run 0.1 s ahead of it.

    Its first frame is row 100 * seed of the store, and seed is its episode's number.
    """

    def make(seed: int = 0, seconds: float = 2.0) -> Recording:
        image_ns = np.arange(0, seconds * 1e9, 1e8, dtype=np.int64) + 10**9
        state_ns = np.arange(0, seconds * 1e9 + 1e7, 1e7, dtype=np.int64) + 10**9
        home = np.array(table_rig.arm.home_rad)

        def angles(times_ns: np.ndarray) -> np.ndarray:
            turned = np.tile(home, (len(times_ns), 1))
            turned[:, 0] += 0.2 * np.sin((times_ns - 10**9) * 1e-9 + seed)
            return turned

        commanded = np.array([pose_to_9d(forward(q)) for q in angles(image_ns + 10**8)])
        actions = np.concatenate([commanded, np.linspace(0.08, 0.0, len(image_ns))[:, None]], axis=1)
        return Recording(
            episode=seed, frames=dict.fromkeys(table_rig.cameras, 100 * seed + np.arange(len(image_ns))),
            frame_ns=dict.fromkeys(table_rig.cameras, image_ns),
            state_ns=state_ns, positions=angles(state_ns), velocities=np.zeros((len(state_ns), 6)),
            widths_m=np.full(len(state_ns), 0.05), action_ns=image_ns, actions=actions,
        )  # fmt: skip

    return make
