"""Stage 1 for the simulated table, where no published teacher is at hand: its own renderings, and its own teacher.

`xdistill distill` comes here when a configuration has `renderings` (`config/learn/distil_table.yaml`).
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Any

from pydantic import Field

from xdistill_ros import __version__, resources, rig
from xdistill_ros.learn import runs, weights
from xdistill_ros.learn.distil.in_memory import DistilConfig, Renderings, distil
from xdistill_ros.learn.networks.encoders import Feature, Student
from xdistill_ros.perception import PreprocessSpec
from xdistill_ros.rig import Rig
from xdistill_ros.rig.base import Strict

from . import renderings
from .privileged import Privileged
from .probe import held_out_errors

log = logging.getLogger(__name__)
ENCODER = "encoder.safetensors"


class RenderingsConfig(Strict):
    """What the encoder is distilled on: randomised scenes, some of each task, each seen by every camera."""

    per_task: int = Field(5500, ge=8)
    seed: int = Field(50_000, ge=50_000, description="of the first scenes; neither demonstrated nor judged")


class TableDistillation(Strict):
    """One distillation. The rig counts whole: a camera that was moved makes every picture taken before worthless."""

    rig: Path | None = Field(None, description="None: the simulated table's")
    tasks: tuple[str, ...] = Field(min_length=1)
    resize_width_px: int = 128
    resize_height_px: int = 96
    feature: Feature = "pooled"
    renderings: RenderingsConfig = RenderingsConfig()
    distil: DistilConfig = DistilConfig()

    def preprocess(self, running: Rig) -> dict[str, PreprocessSpec]:
        """The preprocessing of each camera of the rig: that of the policies to come."""
        return {
            name: PreprocessSpec(
                source_width_px=camera.width_px, source_height_px=camera.height_px,
                resize_width_px=self.resize_width_px, resize_height_px=self.resize_height_px,
            )
            for name, camera in running.cameras.items()
        }  # fmt: skip


def distil_table(config: TableDistillation, folder: Path) -> dict[str, Any]:
    """Renders and distils in `folder`, going on where an earlier call was ended; what its encoder's file says of it.

    Raises LearnError when what lies there was begun with another configuration, RigError.
    """
    running = rig.load(config.rig or resources.config("rigs/sim_table.yaml"))
    told = {**config.model_dump(mode="json"), "rig": _portable(running)}
    with runs.lock(folder):
        runs.begin(folder, told)
        preprocess, pictures = config.preprocess(running), folder / "renderings"
        wanted = config.renderings
        renderings.collect(running, config.tasks, wanted.per_task, wanted.seed, preprocess, pictures)
        pixels, table = renderings.load(pictures, running, config.tasks)
        teacher = Privileged(table)
        student = Student(teacher.dim, config.feature)
        spec = next(iter(preprocess.values()))
        seen = Renderings(pixels, spec.mean, spec.std)
        history = distil(student, teacher, seen, config.distil, folder / runs.CHECKPOINT)
        errors = held_out_errors(student.eval(), teacher, seen, table, config.distil.held_out)
        provenance = {
            "command": "xdistill distill", "teacher": "privileged: simulator state of the renderings",
            "tasks": list(config.tasks), "renderings_per_task": config.renderings.per_task,
            "steps": config.distil.steps, "held_out_loss": history[-1], "errors_m": errors, "commit": runs.commit(),
            "config_sha256": hashlib.sha256((folder / runs.CONFIG).read_bytes()).hexdigest(),
            "xdistill_ros": __version__,
        }  # fmt: skip
        weights.save(student, folder / ENCODER, provenance)
    return provenance


def _portable(running: Rig) -> dict[str, Any]:
    """The rig without where its URDF lies on this machine."""
    document = running.model_dump(mode="json")
    document["arm"]["urdf"] = running.arm.urdf.name
    return document
