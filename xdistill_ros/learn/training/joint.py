"""One encoder for several tasks: tuned end to end with the policies of all of them, which `xdistill train` began.

A computer that runs several tasks then keeps one encoder, and each task gains from the demonstrations of the others.
The heads that come of it are left behind: `xdistill train --frozen` makes each task's anew, on the tuned encoder.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from rich.progress import track
from torch import Tensor, nn

from xdistill_ros import __version__
from xdistill_ros.learn import policies, runs, weights
from xdistill_ros.learn.data.material import Batch, Order
from xdistill_ros.learn.documents import read
from xdistill_ros.learn.errors import LearnError
from xdistill_ros.learn.networks.ema import Average
from xdistill_ros.learn.networks.encoders import Encoder
from xdistill_ros.learn.rates import one_cycle
from xdistill_ros.rig.base import Strict

from .policy import Policy, laid_out
from .prefetch import Prefetched
from .prepare import Prepared, prepare
from .refusals import check_finite, decisive, memory_told
from .settings import FREE, TrainSettings, settings

log = logging.getLogger(__name__)
ENCODER = "encoder.safetensors"
_FREE = ("save_every", "device")  # what may be another when a tuning goes on, beside what the runs' settings leave free
_RATES = "encoder_rate and head_rate"
_MEASURED = 256  # windows of each task by which the spread of features is measured


class Joint(Strict):
    """How the encoder is tuned; what is not said here is each run's own."""

    steps: int = Field(1500, ge=1)
    windows: int = Field(6, ge=1, description="of each task in a step")
    encoder_rate: float = Field(1e-4, gt=0)
    head_rate: float = Field(3e-4, gt=0)
    weight_decay: float = Field(1e-4, ge=0)
    warm_up: float = Field(0.1, ge=0, lt=1, description="share of the steps in which the learning rates rise")
    anchor: float = Field(
        0.1, ge=0, description="weight of staying near the features of before: invariance is learnt, places are kept"
    )
    save_every: int = Field(250, ge=1, description="steps between checkpoints")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="of all tasks, wherever their runs were trained")
    seed: int = Field(0, ge=0)


class Task:
    """A run's policy with the shared encoder, and its demonstrations."""

    def __init__(self, run: Path, chosen: TrainSettings, prepared: Prepared, joint: Joint) -> None:
        self.run, self.policy, self._device = run, prepared.policy, prepared.device
        self.told = decisive(chosen, prepared.content)
        self._material = prepared.train
        self._order = Order(len(prepared.train), joint.windows, joint.seed)

    def gather(self, step: int) -> Batch:
        """The windows of a step, where the material lies."""
        return self._material.gather(self._order.rows(step))

    def measured(self, seed: int) -> Batch:
        """The windows by which the spread of features is measured, on the device."""
        rows = np.random.default_rng(seed).permutation(len(self._material))[:_MEASURED]
        return self.moved(self._material.gather(rows))

    def moved(self, batch: Batch) -> Batch:
        """`batch` on the policy's device."""
        return batch.to(self._device)


def tune(folders: Sequence[Path], joint: Joint, out: Path) -> Path:
    """Tunes the encoder that the runs `folders` share, in `out`, going on from its checkpoint; the encoder's file.

    Raises LearnError for runs that do not share one, or tuned theirs already, for a loss that is no number, and when
    memory or the disk is full; the checkpoint is then whole.
    """
    with runs.lock(out), memory_told(lambda: _no_room(joint, len(folders))):
        tasks = _tasks(folders, joint, out)
        told = {**joint.model_dump(mode="json"), "runs": {one.run.name: one.told for one in tasks}}
        state = runs.load_checkpoint(out / runs.CHECKPOINT)
        if state is not None:
            free = tuple(f"runs.{one.run.name}.{field}" for one in tasks for field in FREE)
            runs.check_same(told, state["told"], out / runs.CHECKPOINT, (*_FREE, *free))
        runs.write_config(out, told)
        tuned = _Tuning(tasks, joint, out, told).run(state)
        provenance = {
            "command": "xdistill tune", "runs": [str(one) for one in folders], "steps": joint.steps,
            "encoder_sha256": policies.provenance(folders[0])["encoder_sha256"], "commit": runs.commit(),
            "xdistill_ros": __version__, "torch": str(torch.__version__),
        }  # fmt: skip
        weights.save(tuned, out / ENCODER, provenance)
    return out / ENCODER


def _no_room(joint: Joint, tasks: int) -> str:
    return (
        f"the GPU's memory does not hold a step of {joint.windows} windows of each of {tasks} tasks. End what else is "
        f"on it (nvidia-smi lists it), or lower windows (--set windows={max(1, joint.windows // 2)}), in a folder of "
        "its own; or tune fewer runs together, or with device cpu (--set device=cpu)"
    )


def _tasks(folders: Sequence[Path], joint: Joint, out: Path) -> list[Task]:
    """The runs' policies; all of them get the encoder of the first."""
    names = [folder.name for folder in folders]
    if len(set(names)) < len(names):
        raise LearnError(f"runs are told apart by their folders' names, and these are {', '.join(names)}")
    encoders = {str(policies.provenance(folder)["encoder_sha256"]) for folder in folders}
    if len(encoders) > 1:
        raise LearnError(
            f"{', '.join(map(str, folders))}: began with {len(encoders)} different encoders, so that there is none to "
            "share; train each with the same --weights, --frozen"
        )
    tasks: list[Task] = []
    for folder in folders:
        own = settings([read(folder / runs.CONFIG)], str(folder / runs.CONFIG))
        if own.encoder.tune:
            raise LearnError(f"{folder}: tuned an encoder of its own; train it --frozen, so that one can be shared")
        chosen = own.model_copy(update={
            "encoder": own.encoder.model_copy(update={"tune": True, "copies": 0, "int8": False}), "rollouts": None,
            "device": joint.device,
        })  # fmt: skip
        prepared = prepare(chosen, out)
        prepared.policy.head.load_state_dict(policies.load(folder).head.state_dict())
        if tasks:
            prepared.policy.encoder = tasks[0].policy.encoder
        tasks.append(Task(folder, chosen, prepared, joint))
    return tasks


class _Tuning:
    """The steps. Chance in a step follows from the seed and the step alone."""

    def __init__(self, tasks: Sequence[Task], joint: Joint, out: Path, told: dict[str, Any]) -> None:
        self._tasks, self._joint, self._out, self._told = tasks, joint, out, told
        self._encoder: Encoder = tasks[0].policy.encoder
        before = copy.deepcopy(self._encoder)
        self._anchors = [
            Policy(before, one.policy.head, one.policy.eye, tune=False, bf16=True).train() for one in tasks
        ]
        for task in tasks:
            task.policy.requires_grad_(True)
        heads = nn.ModuleList(one.policy.head for one in tasks)
        self._learning = nn.ModuleDict({"encoder": self._encoder, "heads": heads})
        self._average = Average(self._learning)
        groups = [
            {"params": list(self._encoder.parameters()), "top": joint.encoder_rate},
            {"params": list(heads.parameters()), "top": joint.head_rate},
        ]
        self._optimiser = torch.optim.AdamW(groups, betas=(0.95, 0.999), weight_decay=joint.weight_decay)

    def run(self, state: dict[str, Any] | None) -> Encoder:
        """From a checkpoint, or from the beginning, to the end; the average of the encoder along the way."""
        first = self._continue_from(state) if state else 0
        spreads = [self._spread(*both) for both in zip(self._tasks, self._anchors, strict=True)]
        batches = Prefetched(lambda step: [one.gather(step) for one in self._tasks], first, self._joint.steps)
        metrics = runs.Metrics(self._out / runs.METRICS, first)
        try:
            shown = track(batches, "tuning the shared encoder", self._joint.steps - first)
            for step, gathered in enumerate(shown, first):
                metrics.write(step + 1, **self._step(step, gathered, spreads))
                if (step + 1) % self._joint.save_every == 0 or step + 1 == self._joint.steps:
                    metrics.sync()
                    self._save(step + 1)
        finally:
            metrics.close()
        averaged = dict(self._average.network.named_children())["encoder"]
        assert isinstance(averaged, Encoder)
        return averaged

    def _step(self, step: int, gathered: Sequence[Batch], spreads: Sequence[Tensor]) -> dict[str, float]:
        """The loss of every task's windows; the weights have moved by them. Raises LearnError for what is no number."""
        for group in self._optimiser.param_groups:
            group["lr"] = group["top"] * one_cycle(step, self._joint.steps, self._joint.warm_up)
        losses = {
            task.run.name: self._learn(task.policy, anchor, task.moved(batch), spread, step)
            for task, anchor, batch, spread in zip(self._tasks, self._anchors, gathered, spreads, strict=True)
        }
        for name, loss in losses.items():
            check_finite(loss, f"the loss of step {step + 1} of {name}", self._out, _RATES)
        norm = nn.utils.clip_grad_norm_(self._learning.parameters(), 1.0)
        check_finite(norm.item(), f"the norm of the gradient of step {step + 1}", self._out, _RATES)
        self._optimiser.step()
        self._optimiser.zero_grad()
        self._average.update(self._learning)
        return {name: round(loss, 6) for name, loss in losses.items()}

    def _learn(self, policy: Policy, anchor: Policy, batch: Batch, spread: Tensor, step: int) -> float:
        """Adds the gradient of one task's windows; their loss without the anchor's share."""
        seed = int(np.random.default_rng((self._joint.seed, step)).integers(2**31))
        torch.manual_seed(seed)  # dropout, and noise on the condition
        features = policy.train().features(batch.seen, torch.Generator().manual_seed(seed))
        loss = policy.head.loss(laid_out(features, batch.proprio), batch.actions, torch.Generator().manual_seed(seed))
        with torch.no_grad():
            wanted = anchor.features(batch.seen, None)
        drift = ((features - wanted) / spread).square().mean()
        (loss + self._joint.anchor * drift).backward()  # type: ignore[no-untyped-call]
        return loss.item()

    @torch.no_grad()
    def _spread(self, task: Task, anchor: Policy) -> Tensor:
        """(F,) standard deviations of the features of before, by which drift counts."""
        features = anchor.features(task.measured(self._joint.seed).seen, None)
        return features.flatten(0, 2).std(0) + 1e-3

    def _save(self, step: int) -> None:
        runs.save_checkpoint(self._out / runs.CHECKPOINT, {
            "told": self._told, "step": step, "learning": self._learning.state_dict(),
            "average": self._average.state_dict(), "optimiser": self._optimiser.state_dict(),
        })  # fmt: skip

    def _continue_from(self, state: dict[str, Any]) -> int:
        self._learning.load_state_dict(state["learning"])
        self._average.load_state_dict(state["average"])
        self._optimiser.load_state_dict(state["optimiser"])
        log.info("%s: going on from step %d", self._out, state["step"])
        return int(state["step"])
