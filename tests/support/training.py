"""Trainings of seconds: tiny images, tiny networks, the real loading and the real loop."""

from __future__ import annotations

import json
import os
import signal
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from xdistill_ros.learn import weights
from xdistill_ros.learn.documents import nested
from xdistill_ros.learn.networks.encoders import Student
from xdistill_ros.learn.training import trainer
from xdistill_ros.learn.training.settings import TrainSettings, settings

SMALL_UNET = {
    "widths": [16, 32], "kernel": 3, "groups": 4, "step_dim": 16, "condition_hidden": 32, "condition_dim": 16,
    "condition_dropout": 0.1, "condition_noise": 0.05,
}  # fmt: skip


def save_student(path: Path, trunk: str = "timm/test_resnet") -> Path:
    """A distilled encoder of random weights, whose BatchNorms have seen something."""
    torch.manual_seed(0)
    student = Student(8, "projection", trunk).train()
    with torch.no_grad():
        for _ in range(3):
            student(2.0 * torch.randn(8, 3, 32, 32) + 1.0)
    weights.save(student, path, {"teacher": "none"})
    return path


def tiny(store: Path, encoder: Path | None = None, **changes: Any) -> TrainSettings:
    """Settings of a training of a few steps; `changes` by names in which `__` stands for the dot."""
    frozen = {"word": "xdistill", "weights": str(encoder), "tune": False, "copies": 2}
    document: dict[str, Any] = {
        "store": str(store),
        "encoder": frozen if encoder else {"word": "resnet18_scratch"},
        "image": {"resize_width_px": 20, "resize_height_px": 20, "crop_width_px": 16, "crop_height_px": 16},
        "unet": SMALL_UNET,
        "schedule": {"prediction_type": "sample", "inference_steps": 4},
        "optimiser": {"learning_rate": 1e-3, "warm_up_steps": 2},
        "batch": 16, "epochs": 2, "held_out": 1, "validate_every_epochs": 100, "device": "cpu", "threads": 1,
        "bf16": False, "checkpoint_s": 1000.0,
    }  # fmt: skip
    return settings([document, *(nested(name.replace("__", "."), value) for name, value in changes.items())], "test")


def lines(folder: Path, kind: str) -> list[dict[str, Any]]:
    """A run's metrics of one kind."""
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [one for one in found if one["kind"] == kind]


def curve(folder: Path) -> list[tuple[int, float]]:
    """Step and loss of every step."""
    return [(one["step"], one["loss"]) for one in lines(folder, "step")]


def kill_at(step: int, wanted: TrainSettings, folder: Path) -> int:
    """Trains in a process of its own that is killed (SIGKILL) in the middle of `step`; its exit code."""
    child = get_context("spawn").Process(target=_train_until, args=(step, wanted, folder))
    child.start()
    child.join()
    return int(child.exitcode or 0)


def _train_until(step: int, wanted: TrainSettings, folder: Path) -> None:
    torch.set_num_threads(1)
    original = trainer.Training._step

    def fragile(self: trainer.Training, batch: Any) -> torch.Tensor:
        if self.step == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(self, batch)

    trainer.Training._step = fragile  # type: ignore[method-assign]
    trainer.train(wanted, folder)
