"""Stage 2 as `xdistill train` runs it: steps, the average, validation, checkpoints, what is left in the folder.

A step follows from the seed and its number alone, so that a run that was killed goes on as if it had not been.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from xdistill_ros import __version__
from xdistill_ros.learn import policies, runs
from xdistill_ros.learn.data.material import Batch, Order
from xdistill_ros.learn.networks.ema import Average
from xdistill_ros.learn.policies import Trained
from xdistill_ros.learn.rates import one_cycle

from . import held_out, rollouts
from .boards import Boards
from .policy import Policy
from .prefetch import Prefetched
from .prepare import Prepared, content_of, prepare
from .refusals import check_finite, decisive, memory_told
from .settings import FREE, TrainSettings

log = logging.getLogger(__name__)
BEST = "best"
_RATES = "the learning rates (optimiser.learning_rate, encoder.learning_rate), or set bf16 to false"


@dataclass
class Outcome:
    """What a training came to. rollouts: of each evaluation its epoch and how many episodes succeeded, of how many."""

    folder: Path
    steps: int
    epochs: int
    held_out: dict[str, Any] = field(default_factory=dict)
    rollouts: list[tuple[int, int, int]] = field(default_factory=list)
    loader_share: float | None = None

    @property
    def best(self) -> tuple[int, int, int] | None:
        """The first of the evaluations with the most successes: the paper's score is a maximum over training."""
        return max(self.rollouts, key=lambda one: (one[1], -one[0]), default=None)


def train(settings: TrainSettings, folder: Path) -> Outcome:
    """Trains in `folder`, going on from its checkpoint if there is one, and leaves the policy there.

    Raises LearnError for what cannot be trained, and when memory or the disk is full; the checkpoint is then whole.
    """
    with runs.lock(folder):
        over = _over(settings, folder)
        if over is not None:
            return over
        training = Training(settings, folder)
        try:
            return training.run()
        finally:
            training.close()


def _over(settings: TrainSettings, folder: Path) -> Outcome | None:
    """What came of a run that has ended already; of its demonstrations only the hash is taken."""
    path = folder / runs.CHECKPOINT
    state = runs.load_checkpoint(path)
    if state is None or state["step"] != state.get("steps"):
        return None
    runs.check_same(decisive(settings, content_of(settings)), state["told"], path, FREE)
    log.info("%s: all of its %d steps are done", folder, state["steps"])
    return Outcome(folder, state["steps"], settings.epochs, *_evaluated(state))


def _evaluated(state: Mapping[str, Any]) -> tuple[dict[str, Any], list[tuple[int, int, int]]]:
    """What a checkpoint's run had come to: `held_out` and `rollouts` of an Outcome."""
    return dict(state["held_out"]), [(epoch, good, tried) for epoch, good, tried in state["rollouts"]]


class Training:
    """One run under way."""

    def __init__(self, settings: TrainSettings, folder: Path) -> None:
        self.settings, self.folder = settings, folder
        checkpoint = runs.load_checkpoint(folder / runs.CHECKPOINT)
        self._refuse_others(checkpoint, checkpoint["told"]["content"] if checkpoint else {})
        with memory_told(lambda: _no_room(settings)):
            self.prepared = self._prepare()
            self.told = self._refuse_others(checkpoint, self.prepared.content)
            runs.write_config(folder, settings.model_dump(mode="json"))
            self.policy = self.prepared.policy
            self.learning = self.policy.learning
            self.average = Average(self.learning, settings.average.power, settings.average.ceiling)
            self.optimiser = self._new_optimiser()
            self.order = Order(len(self.prepared.train), settings.batch, settings.seed)
            self.steps, self.step = self.order.steps * settings.epochs, 0
            self.outcome = Outcome(folder, self.steps, settings.epochs)
            if checkpoint is not None:
                self._resume(checkpoint)
        if settings.compile:
            self.policy.encoder.compile()
            self.policy.head.unet.compile()
        self.metrics = runs.Metrics(folder / runs.METRICS, self.step)
        self.boards = Boards(folder, settings.wandb, self.told, self.step)
        self._losses: list[Tensor] = []
        self._saved_at = self._counted_at = time.monotonic()
        self._spent_s = float(checkpoint["spent_s"]) if checkpoint else 0.0

    def _prepare(self) -> Prepared:
        """Data and networks; another kind of demonstrations has its own."""
        return prepare(self.settings, self.folder)

    def _refuse_others(self, checkpoint: dict[str, Any] | None, content: Mapping[str, str]) -> dict[str, Any]:
        """What decides this run. Raises LearnError when it is not what the checkpoint was made of."""
        told = decisive(self.settings, content)
        if checkpoint is not None:
            runs.check_same(told, checkpoint["told"], self.folder / runs.CHECKPOINT, FREE)
        return told

    def close(self) -> None:
        """Sends and closes what is open."""
        self.boards.close()
        self.metrics.close()

    def run(self) -> Outcome:
        """To the last epoch."""
        if self.step < self.steps:
            with memory_told(self._out_of_memory):
                self._steps(Prefetched(self._gather, self.step, self.steps))
        return self.outcome

    # steps

    def _steps(self, batches: Prefetched[Batch]) -> None:
        columns = (TextColumn("training"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
                   TextColumn("{task.fields[said]}"))  # fmt: skip
        console = Console(stderr=True)
        with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
            shown = bar.add_task("", total=self.steps, completed=self.step, said="")
            self._restart(batches)
            for batch in batches:
                self._losses.append(self._step(batch.to(self.prepared.device)))
                self._seen += len(batch.actions)
                self.step += 1
                epoch_ends = self.step % self.order.steps == 0
                due = time.monotonic() - self._saved_at >= self.settings.checkpoint_s or self.step == self.steps
                if self.step % self.settings.log_every == 0 or epoch_ends or due:
                    bar.update(shown, completed=self.step, said=self._flush(batches))
                if epoch_ends:
                    due = self._end_of_epoch(self.step // self.order.steps) or due
                if due:
                    self._save()
                if epoch_ends or due:
                    self._restart(batches)

    def _restart(self, batches: Prefetched[Batch]) -> None:
        """Of the clock by which speed is measured."""
        self._began, batches.waited_s, self._seen = time.perf_counter(), 0.0, 0

    def _gather(self, step: int) -> Batch:
        return self.prepared.train.gather(self.order.rows(step), self.order.draw(step))

    def _step(self, batch: Batch) -> Tensor:
        seed = int(np.random.default_rng((self.settings.seed, self.step, 0)).integers(2**31))
        torch.manual_seed(seed)  # dropout, and noise on the condition
        self.policy.train()
        warm_up = self.settings.optimiser.warm_up_steps / self.steps
        for group in self.optimiser.param_groups:
            group["lr"] = group["top"] * one_cycle(self.step, self.steps, warm_up)
        loss = self.policy.loss(batch, torch.Generator().manual_seed(seed))
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.learning.parameters(), self.settings.optimiser.clip)
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.average.update(self.learning)
        return loss.detach()

    def _new_optimiser(self) -> torch.optim.Optimizer:
        wanted = self.settings.optimiser
        rates = {"encoder": self.settings.encoder.learning_rate, "head": wanted.learning_rate}
        groups = [
            {"params": list(part.parameters()), "lr": rates[name], "top": rates[name]}
            for name, part in self.learning.items()
        ]
        return torch.optim.AdamW(
            groups, betas=wanted.betas, weight_decay=wanted.weight_decay, fused=True
        )  # fmt: skip

    # numbers

    def _flush(self, batches: Prefetched[Batch]) -> str:
        """Fetches the losses from the device and writes a line for each; what the progress bar says."""
        losses: list[float] = torch.stack(self._losses).float().cpu().tolist()
        first = self.step - len(losses) + 1
        for step, loss in enumerate(losses, first):
            check_finite(loss, f"the loss of step {step}", self.folder, _RATES)
            self.metrics.write(step, kind="step", epoch=(step - 1) // self.order.steps + 1, loss=loss)
        elapsed = time.perf_counter() - self._began
        rate, share = self._seen / elapsed, batches.waited_s / elapsed
        self.outcome.loader_share = share
        self._losses = []
        self._restart(batches)
        self.metrics.write(self.step, kind="speed", samples_s=round(rate, 1), loader_share=round(share, 4))
        rates = {
            f"rate/{name}": group["lr"] for name, group in zip(self.learning, self.optimiser.param_groups, strict=True)
        }
        mean = float(np.mean(losses))
        self.boards.show(self.step, {"loss": mean, "samples_s": rate, "loader_share": share, **rates})
        return f"loss {mean:.4f}, {rate:.0f} samples/s, {share:.0%} waiting for data"

    def _end_of_epoch(self, epoch: int) -> bool:
        """Validates, rolls out and keeps the policy where it is time to; whether a checkpoint is worth it."""
        last, wanted = self.step == self.steps, self.settings.rollouts
        validate = last or epoch % self.settings.validate_every_epochs == 0
        roll_out = wanted is not None and (last or epoch % wanted.every_epochs == 0)
        if validate:
            self._validate(epoch)
        if validate or roll_out:
            policies.save(self.trained(), self.folder, self.provenance(epoch))
        if roll_out:
            self._roll_out(epoch)
        return roll_out

    def averaged(self) -> Policy:
        """The policy with the average of its weights, in evaluation mode: what is validated and kept."""
        return self.policy.with_parts(self.average.network)

    def _validate(self, epoch: int) -> None:
        prepared = self.prepared
        if prepared.held is None:
            return
        policy, seed = self.averaged(), self.settings.seed
        space = prepared.rig.policy.action_space
        errors = held_out.action_errors(policy, prepared.held, space, prepared.statistics, seed)
        loss = held_out.loss(policy, prepared.held, seed)
        self.outcome.held_out = {"epoch": epoch, "loss": loss, **errors}
        self.metrics.write(self.step, kind="held_out", **self.outcome.held_out)
        means = {f"held_out/{name}": float(np.mean(values)) for name, values in errors.items() if None not in values}  # type: ignore[arg-type]
        self.boards.show(self.step, {"held_out/loss": loss, **means})

    def _roll_out(self, epoch: int) -> None:
        wanted = self.settings.rollouts
        assert wanted is not None
        found = rollouts.successes(self.folder, wanted, self.prepared.device.type)
        self.outcome.rollouts.append((epoch, sum(found), len(found)))
        self.metrics.write(
            self.step, kind="rollouts", epoch=epoch, condition=wanted.condition, successes=sum(found),
            episodes=len(found), first_seed=rollouts.FIRST_SEED, each=found,
        )  # fmt: skip
        self.boards.show(self.step, {f"rollouts/{wanted.condition}": sum(found) / len(found)})
        if self.outcome.best == self.outcome.rollouts[-1]:
            policies.save(self.trained(), self.folder / BEST, self.provenance(epoch))

    # what is kept

    def trained(self) -> Trained:
        """The average as a policy."""
        prepared, policy = self.prepared, self.averaged()
        return Trained(
            prepared.store.attributes["task"], prepared.rig, prepared.preprocess, self.settings.proprio,
            prepared.statistics, policy.encoder, policy.head,
        )  # fmt: skip

    def provenance(self, epoch: int) -> dict[str, str | int | float | list[int]]:
        """How to make the policy again."""
        settings, prepared = self.settings, self.prepared
        seeds = [prepared.store.episodes[index].about.seed for index in prepared.episodes]
        return {
            "command": "xdistill train", "configuration": runs.CONFIG, "encoder": settings.encoder.word,
            "encoder_sha256": prepared.content["weights"], "store": str(settings.store.resolve()),
            "store_sha256": prepared.content["store"], "episodes": prepared.episodes, "held_out": prepared.held_out,
            "left_out": "; ".join(prepared.left_out),
            "demonstration_seeds": [seed for seed in seeds if seed is not None], "seed": settings.seed,
            "epoch": epoch, "steps": self.step, "xdistill_ros": __version__, "commit": runs.commit(),
            "torch": str(torch.__version__), "device": prepared.device.type, "minutes": round(self._spend() / 60, 1),
        }  # fmt: skip

    def _save(self) -> None:
        self.metrics.sync()
        self._saved_at = time.monotonic()
        state = {
            "step": self.step, "steps": self.steps, "told": self.told, "learning": self.learning.state_dict(),
            "average": self.average.state_dict(), "optimiser": self.optimiser.state_dict(),
            "rollouts": [list(one) for one in self.outcome.rollouts], "held_out": self.outcome.held_out,
            "spent_s": self._spend(),
        }  # fmt: skip
        runs.save_checkpoint(self.folder / runs.CHECKPOINT, state)

    def _spend(self) -> float:
        """Seconds that the training has taken, those before it was cut off included."""
        now = time.monotonic()
        self._spent_s, self._counted_at = self._spent_s + now - self._counted_at, now
        return self._spent_s

    def _resume(self, state: Mapping[str, Any]) -> None:
        self.learning.load_state_dict(state["learning"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step = int(state["step"])
        self.outcome.held_out, self.outcome.rollouts = _evaluated(state)
        log.info("%s: going on from step %d of %d", self.folder, self.step, self.steps)

    def _out_of_memory(self) -> str:
        cameras, steps = len(self.prepared.rig.cameras), self.prepared.rig.policy.observation_horizon
        width, height = next(iter(self.prepared.preprocess.values())).output_size
        batch = self.settings.batch
        frozen = "" if not self.settings.encoder.tune else ", freeze the encoder (--frozen)"
        return (
            f"the memory of device {self.prepared.device} ran out at step {self.step + 1}. A batch is {batch} windows "
            f"of {steps} steps and {cameras} cameras: {batch * steps * cameras} images of {width}x{height}. Lower "
            f"--batch (to {max(1, batch // 2)}), the images' size, or unet.widths{frozen}; a run of another "
            "configuration needs a folder of its own"
        )


def _no_room(settings: TrainSettings) -> str:
    """What to do when not even the first step is reached: networks, caches, a batch through the encoder."""
    batch = settings.batch
    return (
        f"the GPU's memory ran out before the first step, of {batch} windows. End what else is on it (nvidia-smi lists "
        f"it), or lower batch (to {max(1, batch // 2)}), the images' size, or unet.widths; or train with device cpu"
    )
