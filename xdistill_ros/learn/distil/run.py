"""One run of stage 1 on images: `xdistill distill`. Its folder continues it, and its end is `encoder.safetensors`.

Owns the optimisation; what is seen is `views`', what is learnt the teacher's, how many processes `processes`' business.
The chance in a step follows from the seed and the step alone, so that a checkpoint needs no state of any generator.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from xdistill_ros import __version__
from xdistill_ros.learn import runs, weights
from xdistill_ros.learn.errors import LearnError
from xdistill_ros.learn.networks.encoders import Student, normalise
from xdistill_ros.learn.precision import bf16
from xdistill_ros.learn.rates import one_cycle

from .cache import Cached, FeatureFile, fill
from .config import FREE, Distillation
from .images import Images
from .measure import agreement
from .processes import Processes, processes
from .teachers import Published, Teacher, weighted_mse
from .views import Batch, Order, Views, loader, split

log = logging.getLogger(__name__)
ENCODER, CORRUPT, INDEX = "encoder.safetensors", "corrupt.txt", "images.npz"


def distil(config: Distillation, folder: Path) -> Path:
    """Trains the student of `config` in `folder`, or goes on where an earlier call was ended; its weights' file.

    Under torchrun every process calls it. Raises LearnError for whatever a person has to put right.
    """
    with processes(config.machine.device) as those, ExitStack() as held:
        those.by_leader(lambda: _enter(config, folder, held))
        try:
            return Run(config, folder, those).finished()
        except torch.OutOfMemoryError as error:
            raise LearnError(_too_large(config, those)) from error


def _enter(config: Distillation, folder: Path, held: ExitStack) -> None:
    """Keeps others out and refuses what does not belong here, before anything large is read."""
    held.enter_context(runs.lock(folder))
    checkpoint = runs.load_checkpoint(folder / runs.CHECKPOINT)
    document = config.model_dump(mode="json")
    if checkpoint is not None:
        runs.check_same(document, json.loads(checkpoint["config"]), folder / runs.CHECKPOINT, FREE)
    Images.find(config.data.images).save(folder / INDEX)
    runs.write_config(folder, document)


def _too_large(config: Distillation, those: Processes) -> str:
    return (
        f"the GPU's memory does not hold a step of {those.share(config.batch)} images: lower batch (now {config.batch} "
        f"over {those.count} processes) or use more GPUs; lower student.size_px; set teacher.cached_views, so that the "
        "teacher is not in memory; leave bf16 on. The same command continues from the last checkpoint, unless one of "
        "these was changed: then name another folder"
    )


class Run:
    """What a run consists of, and its progress: the student, the optimiser, the step, the corrupt images met so far."""

    def __init__(self, config: Distillation, folder: Path, those: Processes) -> None:
        self.config, self.folder, self.those = config, folder, those
        self.step, self.corrupt, self.agreement = 0, dict[str, str](), dict[str, float]()
        those.share(config.batch)
        self.workers = those.readers(config.machine.workers)
        self.images = Images.load(folder / INDEX)
        train, held_out = split(len(self.images), config.data.held_out, config.batch, config.seed)
        student, teacher = config.student, config.teacher
        self.views = Views(
            self.images, train, config.data, student.size_px, teacher.size_px, config.seed, varied=True
        )  # fmt: skip
        self.held_out = replace(self.views, rows=held_out, varied=False)
        published = Published.load(teacher.name, teacher.weights, teacher.size_px, bf16=config.bf16)
        self.origin = {"data_hash": self.images.digest, "teacher_hash": those.by_leader(lambda: published.digest)}
        checkpoint = self._checkpoint()
        self.student = self._student(published.dim)
        self.optimiser = self._optimiser()
        if checkpoint is not None:
            self._continue_from(checkpoint)
        self.metrics = runs.Metrics(folder / runs.METRICS, self.step) if those.leads else None
        self.teacher, self.wanted = self._taught(published)
        self.network = self._network()

    # what there is before the first step

    def _checkpoint(self) -> dict[str, Any] | None:
        path = self.folder / runs.CHECKPOINT
        found = runs.load_checkpoint(path)
        if found is not None:
            then = {name: found[name] for name in self.origin}
            self.those.by_leader(lambda: runs.check_same(self.origin, then, path))
        return found

    def _student(self, dim: int) -> Student:
        torch.manual_seed(self.config.seed)
        chosen = self.config.student
        student = Student(dim, chosen.feature, chosen.architecture, chosen.size_px)
        self.those.synchronised(student)
        student.to(self.those.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return student

    def _optimiser(self) -> torch.optim.Optimizer:
        config, parameters = self.config, list(self.student.parameters())
        decayed, others = ([one for one in parameters if (one.ndim > 1) is matrix] for matrix in (True, False))
        groups: list[dict[str, Any]] = [{"params": decayed}, {"params": others, "weight_decay": 0.0}]
        return torch.optim.AdamW(groups, config.learning_rate, weight_decay=config.weight_decay, fused=True)

    def _continue_from(self, checkpoint: dict[str, Any]) -> None:
        self.student.load_state_dict(checkpoint["student"])
        self.optimiser.load_state_dict(checkpoint["optimiser"])
        self.step, self.agreement = int(checkpoint["step"]), dict(checkpoint["agreement"])
        self.corrupt = dict(checkpoint["corrupt"])
        log.info("%s: continuing from step %d", self.folder, self.step)

    def _taught(self, published: Published) -> tuple[Teacher, Tensor]:
        """The teacher, itself or what it said, and its features of what is held out."""
        published.network.to(self.those.device)
        wanted = torch.from_numpy(np.array(self._file(published, self.held_out, 1, "held out").values())).float()
        views = self.config.teacher.cached_views
        if views:
            file = self._file(published, self.views, views, "asking the teacher")
            self.views = replace(self.views, teacher_px=None)
            return Cached(file.values()), wanted
        if self._compiles:
            published.network.compile()
        return published, wanted

    def _file(self, published: Published, views: Views, copies: int, title: str) -> FeatureFile:
        config = self.config
        about = self.origin | {
            "teacher": config.teacher.model_dump(mode="json", include={"name", "size_px"}), "title": title,
            "images": len(views.rows), "views": copies if views.varied else 0, "held_out": config.data.held_out,
            "seed": config.seed, "student_px": views.student_px, "bf16": config.bf16,
            "crop_scale": config.data.crop_scale, "flip": config.data.flip,
        }  # fmt: skip
        name = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
        file = FeatureFile(
            (config.machine.cache or self.folder / "features") / name, copies * len(views.rows), published.dim
        )
        self.those.by_leader(lambda: file.prepare(about))
        self.corrupt |= fill(file, views, published, self.those, self.workers, title)
        return file

    @property
    def _compiles(self) -> bool:
        chosen = self.config.machine.compile
        return self.those.device.type == "cuda" if chosen is None else chosen

    def _network(self) -> nn.Module:
        network = _Imitation(self.student)
        if self._compiles:
            network.compile()
        return self.those.parallel(network)

    # the steps

    def finished(self) -> Path:
        """Does what is left to do."""
        try:
            if self.step < self.config.steps:
                self._train()
            path = self.folder / ENCODER
            self.those.by_leader(lambda: weights.save(self._plain_student(), path, self.provenance()))
        finally:
            if self.metrics is not None:
                self.metrics.close()
        return path

    def _train(self) -> None:
        config, those = self.config, self.those
        order = Order(
            self.views, config.batch, self.step, config.steps, config.teacher.cached_views or None,
            those.rank, those.count,
        )  # fmt: skip
        batches = loader(self.views, order, self.workers, those.device.type == "cuda")
        self.student.train()
        losses: list[Tensor] = []
        began, waited = time.perf_counter(), 0.0
        with _progress(self.step, config.steps, those.leads) as advance:
            while self.step < config.steps:
                asked = time.perf_counter()
                batch = next(batches)
                waited += time.perf_counter() - asked
                self.corrupt.update(batch.corrupt)
                losses.append(self._learn(batch))
                self.step += 1
                last = self.step == config.steps
                if last or self.step % config.log_every == 0:
                    loss = self._log(losses, time.perf_counter() - began, waited)
                    advance(len(losses), loss)
                    losses = []
                    if last or self.step % config.check_every == 0:
                        self._check()
                    if last or self.step % config.machine.save_every == 0:
                        self._save()
                    began, waited = time.perf_counter(), 0.0
        self.student.eval()

    def _learn(self, batch: Batch) -> Tensor:
        """One step; its loss, still on the device."""
        config, device = self.config, self.those.device
        torch.manual_seed(hash((config.seed, self.step, self.those.rank)) & 0x7FFFFFFF)  # for students with chance
        for group in self.optimiser.param_groups:
            group["lr"] = config.learning_rate * one_cycle(self.step, config.steps, config.warm_up)
        seen = batch.student.to(device, non_blocking=True)
        shown = seen if batch.teacher is None else batch.teacher.to(device, non_blocking=True)
        wanted, counted = self.teacher.targets(shown, batch.keys)
        with bf16(device.type, config.bf16):
            guess = self.network(self._standardised(seen))
        loss = weighted_mse(guess.float(), wanted, counted)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        self.optimiser.zero_grad()
        return loss.detach()

    def _standardised(self, images: Tensor) -> Tensor:
        spec = self.student.input
        mean, std = (torch.tensor(value, device=images.device) for value in (spec.mean, spec.std))
        return normalise(images, mean, std)

    def _log(self, losses: list[Tensor], seconds: float, waited: float) -> float:
        loss = float(self.those.mean(torch.stack(losses).mean()))
        if not np.isfinite(loss):
            raise LearnError(
                f"step {self.step}: the loss is {loss}; lower learning_rate (now {self.config.learning_rate}) or raise "
                "warm_up, and begin in another folder"
            )
        for others in self.those.gathered(self.corrupt):
            self.corrupt |= others
        if self.metrics is not None:
            self.metrics.write(
                self.step, loss=loss, learning_rate=self.optimiser.param_groups[0]["lr"], corrupt=len(self.corrupt),
                images_per_s=round(len(losses) * self.config.batch / seconds, 1),
                loader_share=round(waited / seconds, 4),
            )  # fmt: skip
        return loss

    def _check(self) -> None:
        """Measures on what is held out; the student is back in training mode after it."""
        guess, pooled = (torch.cat(parts) for parts in zip(*self._features(), strict=True))
        whole = [torch.cat(shares) for shares in zip(*self.those.gathered((guess, pooled)), strict=True)]
        self.student.train()
        if self.metrics is not None:
            self.agreement = agreement(whole[0], whole[1], self.wanted)._asdict()
            said = ", ".join(f"{name} {value:.3f}" for name, value in self.agreement.items())
            self.metrics.write(self.step, held_out=self.agreement)
            log.info("step %d: held out: %s", self.step, said)

    @torch.no_grad()
    def _features(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Projection and pooled feature of this process's share of what is held out, in evaluation mode, fp32."""
        self.student.eval()
        keys = np.array_split(np.arange(len(self.held_out.rows)), self.those.count)[self.those.rank].tolist()
        share = max(1, self.config.batch // self.those.count)
        chunks = [keys[start : start + share] for start in range(0, len(keys), share)]
        for batch in loader(replace(self.held_out, teacher_px=None), chunks, self.workers, pin=False):
            self.corrupt.update(batch.corrupt)
            pooled = self.student.pooled(self._standardised(batch.student.to(self.those.device)))
            yield self.student.projection(pooled).cpu(), pooled.cpu()

    # what is kept

    def _save(self) -> None:
        self.those.by_leader(self._write)

    def _write(self) -> None:
        if self.metrics is not None:
            self.metrics.sync()
        told = "".join(f"{name}\t{reason}\n" for name, reason in sorted(self.corrupt.items()))
        (self.folder / CORRUPT).write_text(told, encoding="utf-8", errors="replace")
        state = {
            "config": json.dumps(self.config.model_dump(mode="json")), "step": self.step, **self.origin,
            "student": self.student.state_dict(), "optimiser": self.optimiser.state_dict(),
            "corrupt": self.corrupt, "agreement": self.agreement,
        }  # fmt: skip
        runs.save_checkpoint(self.folder / runs.CHECKPOINT, state)

    def _plain_student(self) -> Student:
        plain = Student(**self.student.settings)
        plain.load_state_dict(self.student.state_dict())
        return plain

    def provenance(self) -> dict[str, Any]:
        """Where the encoder comes from."""
        config = self.config
        return {
            "command": "xdistill distill", "config": config.model_dump(mode="json"), **self.origin,
            "teacher": config.teacher.name, "images": len(self.images), "corrupt": len(self.corrupt),
            "steps": self.step, "epochs": round(self.step * config.batch / len(self.views.rows), 2),
            "held_out": self.agreement, "processes": self.those.count, "commit": runs.commit(),
            "xdistill_ros": __version__, "torch": torch.__version__,
        }  # fmt: skip


class _Imitation(nn.Module):
    """The student as it is trained: its forward pass is the guess of the teacher's feature."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.student = student

    def forward(self, images: Tensor) -> Tensor:
        return self.student.imitate(images)


@contextmanager
def _progress(done: int, steps: int, shown: bool) -> Iterator[Callable[[int, float], None]]:
    """A bar over the steps; what it gives is called with how many were done, and their loss."""
    console = Console(stderr=True)
    columns = (TextColumn("distilling"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
               TextColumn("loss {task.fields[loss]:.4f}"))  # fmt: skip
    with Progress(*columns, console=console, disable=not (shown and console.is_terminal)) as bar:
        task = bar.add_task("distilling", total=steps, completed=done, loss=float("nan"))
        yield lambda count, loss: bar.update(task, advance=count, loss=loss)
