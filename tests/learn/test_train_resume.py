"""A training that is killed, that finds the disk full, or that is started twice: nothing is lost, nothing is mixed."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.stores import write_episode, write_store
from tests.support.training import curve, kill_at, lines, tiny
from xdistill_ros.episodes import Store, Writer
from xdistill_ros.learn import policies, runs
from xdistill_ros.learn.data.material import Batch
from xdistill_ros.learn.errors import LearnError
from xdistill_ros.learn.training import prepare
from xdistill_ros.learn.training.policy import Policy
from xdistill_ros.learn.training.settings import TrainSettings
from xdistill_ros.learn.training.trainer import Training, train


def same_weights(one: Path, other: Path) -> bool:
    return (one / policies.WEIGHTS).read_bytes() == (other / policies.WEIGHTS).read_bytes()


def test_after_a_kill_the_loss_curve_is_the_uninterrupted_one_bit_for_bit(
    store: Path, student: Path, tmp_path: Path
) -> None:
    changes = {"encoder__tune": True, "encoder__copies": 0, "batch": 12, "checkpoint_s": 0.0}
    wanted = tiny(store, student, **changes)  # every step is a checkpoint
    train(wanted.model_copy(update={"checkpoint_s": 1000.0}), tmp_path / "whole")
    assert kill_at(5, wanted, tmp_path / "killed") == -signal.SIGKILL
    assert [step for step, _ in curve(tmp_path / "killed")] == [1, 2, 3, 4, 5]
    train(wanted, tmp_path / "killed")
    assert curve(tmp_path / "killed") == curve(tmp_path / "whole")
    assert lines(tmp_path / "killed", "held_out") == lines(tmp_path / "whole", "held_out")
    assert same_weights(tmp_path / "killed", tmp_path / "whole")


@pytest.mark.parametrize("checkpoint_s", [0.0, 1000.0], ids=["each step", "none yet"])
def test_steps_after_the_last_checkpoint_are_taken_again(
    store: Path, student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checkpoint_s: float
) -> None:
    wanted = tiny(store, student, epochs=4, log_every=1, checkpoint_s=checkpoint_s)
    train(wanted, tmp_path / "whole")
    original = Training._step

    def interrupted(self: Training, batch: Batch) -> torch.Tensor:
        if self.step == 7:
            raise KeyboardInterrupt
        return original(self, batch)

    with monkeypatch.context() as patched:
        patched.setattr(Training, "_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(wanted, tmp_path / "cut")
    assert len(curve(tmp_path / "cut")) == 7
    assert (tmp_path / "cut" / runs.CHECKPOINT).exists() == (checkpoint_s == 0.0)
    train(wanted, tmp_path / "cut")
    assert curve(tmp_path / "cut") == curve(tmp_path / "whole")


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """As on a full disk, whatever is written to a file beyond `size` bytes fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_the_old_checkpoint_and_the_run_goes_on_when_there_is_room(
    store: Path, student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = tiny(store, student, checkpoint_s=0.0)
    train(wanted, tmp_path / "whole")
    original = Training._save

    def full_at_three(self: Training) -> None:
        with largest_file(20_000 if self.step == 3 else 10**9):
            original(self)

    with monkeypatch.context() as patched:
        patched.setattr(Training, "_save", full_at_three)
        with pytest.raises(LearnError, match=r"could not be written .+; the one before is whole"):
            train(wanted, tmp_path / "full")
    kept = runs.load_checkpoint(tmp_path / "full" / runs.CHECKPOINT)
    assert kept is not None
    assert kept["step"] == 2
    assert not list((tmp_path / "full").glob("*partial*"))
    train(wanted, tmp_path / "full")
    assert curve(tmp_path / "full") == curve(tmp_path / "whole")


def test_two_runs_in_one_folder_are_refused(store: Path, student: Path, tmp_path: Path) -> None:
    held = runs.lock(tmp_path)
    with pytest.raises(LearnError, match="another run"):
        train(tiny(store, student), tmp_path)
    held.close()
    assert not (tmp_path / runs.METRICS).exists()


@pytest.fixture
def begun(store: Path, student: Path, tmp_path: Path) -> tuple[TrainSettings, Path]:
    wanted = tiny(store, student, epochs=1)
    train(wanted, tmp_path / "run")
    return wanted, tmp_path / "run"


def test_a_checkpoint_of_another_configuration_is_refused_by_field_with_both_values(
    begun: tuple[TrainSettings, Path],
) -> None:
    wanted, folder = begun
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    other = wanted.model_copy(update={"batch": 8, "unet": wanted.unet.model_copy(update={"kernel": 5})})
    with pytest.raises(LearnError) as refused:
        train(other, folder)
    for words in ("batch", "16", "8", "unet.kernel", "3", "5"):
        assert words in str(refused.value)
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def test_what_does_not_decide_the_result_may_change(begun: tuple[TrainSettings, Path]) -> None:
    wanted, folder = begun
    before = curve(folder)
    outcome = train(wanted.model_copy(update={"checkpoint_s": 7.0, "log_every": 3}), folder)
    assert outcome.steps == len(before)
    assert curve(folder) == before


def test_a_store_that_grew_is_another_configuration(student: Path, tmp_path: Path) -> None:
    path = write_store(tmp_path / "s.zarr", 3)
    wanted = tiny(path, student, epochs=1)
    train(wanted, tmp_path / "run")
    rig = Store(path).rig
    with Writer(path, rig, "pick") as writer:
        write_episode(writer, rig, 3)
    with pytest.raises(LearnError, match=r"content\.store"):
        train(wanted, tmp_path / "run")


def test_memory_that_runs_out_is_told_with_what_to_lower_and_the_run_goes_on(
    store: Path, student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = tiny(store, student, checkpoint_s=0.0)
    original, steps = Policy.loss, []

    def large(self: Policy, *arguments: Any, **named: Any) -> torch.Tensor:
        steps.append(0)
        if len(steps) == 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return original(self, *arguments, **named)

    with monkeypatch.context() as patched:
        patched.setattr(Policy, "loss", large)
        with pytest.raises(LearnError) as told:
            train(wanted, tmp_path)
    assert "at step 3" in str(told.value)
    assert "64 images of 16x16" in str(told.value)
    assert "Lower --batch (to 8)" in str(told.value)
    train(wanted, tmp_path)
    assert len(curve(tmp_path)) == 6


@pytest.mark.parametrize("where", ["fit", "cache_features"])
def test_memory_that_runs_out_before_the_first_step_is_told_too(
    store: Path, student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    with monkeypatch.context() as patched:
        patched.setattr(prepare, where, full)
        with pytest.raises(LearnError, match=r"before the first step, of 16 windows.+lower batch \(to 8\)"):
            train(tiny(store, student, epochs=1), tmp_path)
    train(tiny(store, student, epochs=1), tmp_path)
    assert curve(tmp_path), "the folder is free again"


def test_a_loss_that_is_no_number_ends_the_run_before_it_is_kept(
    store: Path, student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Policy.loss
    monkeypatch.setattr(Policy, "loss", lambda self, *given, **named: original(self, *given, **named) * float("nan"))
    with pytest.raises(LearnError, match="the loss of step 1 is nan"):
        train(tiny(store, student), tmp_path)
    assert not (tmp_path / runs.CHECKPOINT).exists()
