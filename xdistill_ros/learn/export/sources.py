"""Where a policy to be exported comes from: a run of `xdistill train`, or a checkpoint of LeRobot's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from xdistill_ros import __version__
from xdistill_ros import rig as rigs
from xdistill_ros.episodes import Store
from xdistill_ros.learn import policies, runs
from xdistill_ros.learn.errors import LearnError
from xdistill_ros.learn.policies import Trained
from xdistill_ros.trials import TrialResult

from . import lerobot, lerobot_checkpoint
from .card import Data
from .example import Example, imagined, recorded_by
from .publish import Story


@dataclass(frozen=True)
class Found:
    """A policy, and what is known of it."""

    trained: Trained
    example: Example
    provenance: Mapping[str, Any]
    encoder: str
    data: Data | None
    training: Mapping[str, Any]
    remarks: tuple[str, ...]
    """What its user should know, a line each."""

    def story(self, results: Sequence[TrialResult]) -> Story:
        """For the model card."""
        return Story(self.provenance, self.encoder, self.data, self.training, results)


def of_run(run: Path, store: Path | None) -> Found:
    """The policy in a run's folder, or in its `best`. Raises LearnError."""
    trained, told = policies.load(run), policies.provenance(run)
    place = store or _store_of(run, told)
    example, data, remarks = _observation(place, trained)
    config = next((folder / runs.CONFIG for folder in (run, run.parent) if (folder / runs.CONFIG).is_file()), None)
    named = {"store": place.name} if place else {}
    return Found(
        trained=trained,
        example=example,
        provenance={**told, **named, "run": run.resolve().name, **_exported(run)},
        encoder=str(told.get("encoder", "")),
        data=data,
        training={**_without_folders(_yaml(config)), **named} if config else {},
        remarks=remarks,
    )


def _without_folders(told: Any) -> Any:
    """A configuration in which files that were named in full have their bare names: a bundle is for others to read."""
    if isinstance(told, dict):
        return {key: _without_folders(value) for key, value in told.items()}
    return Path(told).name if isinstance(told, str) and Path(told).is_absolute() else told


def of_lerobot(folder: Path, rig: Path, task: str, steps: int | None, store: Path | None) -> Found:
    """The policy in a LeRobot checkpoint, for the rig file `rig`. Raises LearnError, RigError."""
    checkpoint = lerobot_checkpoint.read(folder)
    trained = lerobot.policy(checkpoint, rigs.load(rig), task, steps)
    example, data, remarks = _observation(store, trained)
    config, told = checkpoint.config, lerobot.provenance(checkpoint, trained)
    if config.noise_scheduler_type == "DDPM":
        remarks += (f"sampling: {told['sampling']}",)
    return Found(
        trained=trained,
        example=example,
        provenance={**told, **_exported(folder)},
        encoder=f"{config.vision_backbone} with spatial softmax, of LeRobot's DiffusionPolicy",
        data=data,
        training=config.model_dump(mode="json"),
        remarks=remarks,
    )


def _observation(store: Path | None, trained: Trained) -> tuple[Example, Data | None, tuple[str, ...]]:
    if store is None:
        remark = "the reference observation is made up, since no episode store is named (--store)"
        return imagined(trained.rig), None, (remark,)
    return recorded_by(store, trained.rig), Data.of(Store(store)), ()


def _store_of(run: Path, told: Mapping[str, Any]) -> Path | None:
    """The store that the policy was trained on, if it says so."""
    if "store" not in told:
        return None
    store = Path(str(told["store"]))
    if not store.exists():
        raise LearnError(f"{run}: its episode store {store} is not there any more; name it with --store")
    return store


def _exported(source: Path) -> dict[str, str]:
    return {
        "exported_by": f"xdistill export {source.name}, xdistill_ros {__version__}, torch {torch.__version__}",
    }


def _yaml(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise LearnError(f"{path}: cannot be read ({error}); it belongs to the run") from error
    return document if isinstance(document, dict) else {}
