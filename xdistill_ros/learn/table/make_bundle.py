"""The whole recipe of the shipped bundles, from nothing: `python -m xdistill_ros.learn.table.make_bundle`.

Stages, each skipped when its result for this very configuration exists: demonstrations, renderings, distil, heads,
fine_tune, polish, export. Every stage's results lie under `--out`, named by a hash of what decided them.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from xdistill_ros import __version__, rig
from xdistill_ros.arm import Kinematics
from xdistill_ros.episodes import Store
from xdistill_ros.learn.data.frames import Frames, cache_features
from xdistill_ros.learn.data.recording import Recording, demonstrated
from xdistill_ros.learn.data.windows import windows
from xdistill_ros.learn.distil.loop import Renderings, distil
from xdistill_ros.learn.export.card import Data
from xdistill_ros.learn.export.example import recorded
from xdistill_ros.learn.export.publish import Story, publish
from xdistill_ros.learn.export.rounding import deployable, round_to_half
from xdistill_ros.learn.networks.encoders import Student
from xdistill_ros.learn.networks.head import Head
from xdistill_ros.learn.policies import Trained
from xdistill_ros.learn.training.loop import Course, Features, TaskData, fine_tune, new_head, train_heads

from . import collect, renderings
from .privileged import Privileged
from .probe import held_out_errors
from .recipe import Recipe, fingerprint

log = logging.getLogger(__name__)


class Workshop:
    """One run of a recipe: what each stage needs from those before it, made or loaded when first asked for."""

    def __init__(self, recipe: Recipe, out: Path, models: Path) -> None:
        self.recipe, self.out, self.models = recipe, out, models
        self.rig = rig.load(recipe.rig)
        self.preprocess = recipe.preprocess(self.rig)
        self.spent_s: dict[str, float] = {}

    def path(self, stage: str, *decided_by: object) -> Path:
        """Where a stage keeps its result."""
        return self.out / f"{stage}-{fingerprint(self.rig, self.recipe.tasks, *decided_by)}"

    # demonstrations and renderings

    @cached_property
    def stores(self) -> dict[str, Store]:
        """The demonstrations of each task as they were recorded."""
        recipe = self.recipe
        folder = self.out / f"demonstrations-{fingerprint(self.rig, recipe.demonstrations)}"
        return {
            task: collect.demonstrations(recipe.rig, task, recipe.demonstrations, folder / f"{task}.zarr")
            for task in recipe.tasks
        }

    @cached_property
    def recordings(self) -> dict[str, list[Recording]]:
        """The demonstrations of each task as training takes them."""
        return {
            task: [part for one in store.episodes for part in demonstrated(store, one, self.preprocess)]
            for task, store in self.stores.items()
        }

    @cached_property
    def data(self) -> dict[str, TaskData]:
        """The windows of each task at network scale."""
        forward = Kinematics(self.rig).forward
        return {
            task: TaskData.of(windows(recordings, self.rig, forward), self.rig, self.recipe.proprio)
            for task, recordings in self.recordings.items()
        }

    @cached_property
    def frames(self) -> dict[str, Frames]:
        """The images of each task."""
        return {task: Frames.of(recordings, self.preprocess) for task, recordings in self.recordings.items()}

    @property
    def _renderings_folder(self) -> Path:
        return self.out / f"renderings-{fingerprint(self.rig, self.recipe.renderings, self.preprocess)}"

    def render(self) -> None:
        """Makes what is missing of the distillation set."""
        config = self.recipe.renderings
        for task in self.recipe.tasks:
            renderings.collect(self.rig, task, config.per_task, config.seed, self.preprocess, self._renderings_folder)

    # encoder

    @cached_property
    def distilled(self) -> Student:
        """The student after stage 1."""
        recipe = self.recipe
        result = self.path("encoder", recipe.renderings, recipe.distil).with_suffix(".pt")
        pixels, table = renderings.load(self._renderings_folder, self.rig, recipe.tasks)
        teacher = Privileged(table)
        spec = next(iter(self.preprocess.values()))
        encoder = Student(teacher.dim, recipe.feature)
        seen = Renderings(pixels, spec.mean, spec.std)
        distil(encoder, teacher, seen, recipe.distil, result)
        for name, error in held_out_errors(encoder, teacher, seen, table, recipe.distil.held_out).items():
            log.info("held out: %s is located to %.1f mm (median)", name, 1e3 * error)
        return encoder.eval()

    def features(self, encoder: Student) -> dict[str, Features]:
        """Cached features of every task's frames."""
        head = self.recipe.head
        return {
            task: cache_features(encoder, frames, head.copies, head.augmentation, head.seed)
            for task, frames in self.frames.items()
        }

    # policies

    @cached_property
    def first_heads(self) -> dict[str, Head]:
        """Heads on the distilled encoder's features."""
        config = self.recipe.head
        cached = self.distilled_features
        heads = {task: new_head(self.data[task], cached[task], config) for task in self.recipe.tasks}
        recipe = self.recipe
        decided_by = (recipe.demonstrations, recipe.renderings, recipe.distil, recipe.feature, recipe.proprio, config)
        file = self.path("heads", *decided_by).with_suffix(".pt")

        def train() -> dict[str, Any]:
            courses = {
                task: Course(head, self.data[task], cached[task], config, config.steps, config.learning_rate, task)
                for task, head in heads.items()
            }
            return {task: head.state_dict() for task, head in train_heads(courses).items()}

        for task, state in kept(file, train).items():
            heads[task].load_state_dict(state)
        return heads

    @cached_property
    def distilled_features(self) -> dict[str, Features]:
        """Features of the demonstrations before fine-tuning."""
        return self.features(self.distilled)

    @cached_property
    def tuned(self) -> tuple[Student, dict[str, Head]]:
        """Encoder and heads after the joint end-to-end fine-tuning."""
        encoder, heads = self.distilled, self.first_heads
        file = self.path("tuned", self.recipe).with_suffix(".pt")

        def tune() -> dict[str, Any]:
            done, tuned = fine_tune(
                encoder, heads, self.data, self.frames, self.distilled_features, self.recipe.fine_tune
            )
            return {"encoder": done.state_dict(), "heads": {task: head.state_dict() for task, head in tuned.items()}}

        state = kept(file, tune)
        encoder.load_state_dict(state["encoder"])
        for task, head in heads.items():
            head.load_state_dict(state["heads"][task])
        return encoder.eval(), heads

    def bundle(self) -> None:
        """Rounds the encoder, polishes each head on its features, exports, and checks what was exported."""
        encoder, heads = self.tuned
        encoder = deployable(encoder)
        cached, config = self.features(encoder), self.recipe.head
        courses = {
            task: Course(
                head.requires_grad_(True), self.data[task], cached[task], config, config.polish_steps,
                config.polish_rate, f"{task}, polish",
            )
            for task, head in heads.items()
        }  # fmt: skip
        for task, polished in train_heads(courses).items():
            round_to_half(polished)
            trained = Trained(
                task, self.rig, self.preprocess, self.recipe.proprio, self.data[task].statistics, encoder, polished
            )
            story = Story(
                self.provenance(task), "ResNet-18, distilled", Data.of(self.stores[task]),
                self.recipe.model_dump(mode="json"),
            )  # fmt: skip
            example = recorded(self.stores[task])
            done = publish(trained, example, self.models / task, "int8", story, replace=True)
            log.info("%s: %s", done.folder, done.parity.verdict)

    def provenance(self, task: str) -> dict[str, Any]:
        """How to make a bundle again."""
        return {
            "command": "python -m xdistill_ros.learn.table.make_bundle",
            "recipe": fingerprint(self.rig, self.recipe),
            "demonstrations": len(self.stores[task].episodes),
            "demonstration_seeds": [one.about.seed for one in self.stores[task].episodes],
            "renderings_per_task": self.recipe.renderings.per_task,
            "teacher": "privileged: simulator state of the renderings",
            "minutes": round(sum(self.spent_s.values()) / 60, 1),
            "xdistill_ros": __version__,
            "torch": torch.__version__,
        }


def kept(file: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `make` returns, from `file` if that exists, else made and written there in one move."""
    if not file.exists():
        partial = file.with_suffix(".partial")
        partial.parent.mkdir(parents=True, exist_ok=True)
        torch.save(make(), partial)
        partial.replace(file)
    state: dict[str, Any] = torch.load(file, weights_only=True)
    return state


STAGES: dict[str, Callable[[Workshop], object]] = {
    "demonstrations": lambda shop: shop.stores,
    "renderings": Workshop.render,
    "distil": lambda shop: shop.distilled,
    "heads": lambda shop: shop.first_heads,
    "fine_tune": lambda shop: shop.tuned,
    "bundle": Workshop.bundle,
}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", type=Path, default=Path("config/learn/sim_table.yaml"))
    parser.add_argument("--out", type=Path, default=Path("outputs/learn"), help="where stages keep their results")
    parser.add_argument("--models", type=Path, default=Path("models"), help="where the bundles are written")
    parser.add_argument("--until", choices=STAGES, default="bundle", help="last stage to run")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    shop = Workshop(Recipe.load(arguments.recipe), arguments.out, arguments.models)
    for name, stage in STAGES.items():
        start = time.monotonic()
        stage(shop)
        shop.spent_s[name] = time.monotonic() - start
        log.info("stage %s: %.1f min", name, shop.spent_s[name] / 60)
        if name == arguments.until:
            return


if __name__ == "__main__":
    main()
