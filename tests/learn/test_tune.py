"""One encoder for several tasks: tuned with the policies of all of them, from runs that shared it frozen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from tests.support.stores import write_episode, write_store
from tests.support.training import tiny
from xdistill_ros.cli.main import app
from xdistill_ros.episodes import Store, Writer
from xdistill_ros.learn import runs, weights
from xdistill_ros.learn.data.material import Batch
from xdistill_ros.learn.errors import LearnError
from xdistill_ros.learn.networks.head import Head
from xdistill_ros.learn.training import joint
from xdistill_ros.learn.training.joint import Joint
from xdistill_ros.learn.training.policy import Policy
from xdistill_ros.learn.training.trainer import train

CHANGES = (
    "brightness", "contrast", "saturation", "channel_gain", "blur_probability", "noise", "erase_probability",
)  # fmt: skip


@pytest.fixture(scope="module")
def two(store: Path, student: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Runs of two tasks on one frozen encoder."""
    folder = tmp_path_factory.mktemp("runs")
    other = write_store(folder / "other.zarr", 2)
    for name, which in (("one", store), ("two", other)):
        train(tiny(which, student, epochs=2), folder / name)
    return [folder / "one", folder / "two"]


def tensors(path: Path) -> dict[str, torch.Tensor]:
    return weights.load(path).state_dict()


def test_the_command_moves_the_weights_and_keeps_the_distilled_statistics(
    two: list[Path], student: Path, store: Path, tmp_path: Path
) -> None:
    words = ["tune", *two, "--out", tmp_path, "--set", "steps=3", "--set", "windows=4", "--set", "encoder_rate=0.001"]
    ended = CliRunner().invoke(app, [str(word) for word in words])
    assert ended.exit_code == 0, ended.output
    before, after = tensors(student), tensors(tmp_path / joint.ENCODER)
    changed = {name for name, value in before.items() if not torch.equal(after[name], value)}
    assert not [name for name in changed if "running" in name]
    assert {name for name in before if name.endswith("weight") and before[name].ndim == 4} <= changed
    told = weights.provenance(tmp_path / joint.ENCODER)
    assert told["runs"] == [str(one) for one in two]
    assert [json.loads(line)["step"] for line in (tmp_path / runs.METRICS).read_text().splitlines()] == [1, 2, 3]
    again = train(tiny(store, tmp_path / joint.ENCODER, epochs=2), tmp_path / "anew")
    assert again.steps > 0, "what was tuned is an encoder to train on"


def test_the_losses_of_all_tasks_fall(two: list[Path], tmp_path: Path) -> None:
    wanted = Joint(steps=60, windows=8, head_rate=2e-3, encoder_rate=1e-3)
    joint.tune(two, wanted, tmp_path)
    told = [json.loads(line) for line in (tmp_path / runs.METRICS).read_text().splitlines()]
    for name in ("one", "two"):
        losses = [one[name] for one in told]
        assert sum(losses[-10:]) < 0.8 * sum(losses[:10])


def test_an_anchor_keeps_the_features_where_they_were(store: Path, student: Path, tmp_path: Path) -> None:
    """Where frames are not changed at random: else the anchor brings the features of changed ones to the others."""
    images = torch.randn(16, 3, 16, 16)
    plain = {"resize_width_px": 16, "resize_height_px": 16, "augmentation": dict.fromkeys(CHANGES, 0)}
    train(tiny(store, student, image=plain, epochs=2), tmp_path / "run")

    def moved(anchor: float) -> float:
        out = tmp_path / str(anchor)
        wanted = Joint(steps=20, windows=8, encoder_rate=5e-4, anchor=anchor)
        tuned = weights.load(joint.tune([tmp_path / "run"], wanted, out))
        with torch.no_grad():
            apart = tuned(images) - weights.load(student)(images)
        return float(apart.square().mean())

    assert moved(100.0) < 0.7 * moved(0.0)


def test_a_tuning_that_was_cut_off_goes_on_as_if_it_had_not_been(
    two: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = Joint(steps=4, windows=4, save_every=2)
    whole = joint.tune(two, wanted, tmp_path / "whole")
    original = joint._Tuning._step

    def until(self, step, *rest):
        if step == 3:
            raise KeyboardInterrupt
        return original(self, step, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(joint._Tuning, "_step", until)
        with pytest.raises(KeyboardInterrupt):
            joint.tune(two, wanted, tmp_path / "cut")
    assert runs.load_checkpoint(tmp_path / "cut" / runs.CHECKPOINT)["step"] == 2
    again = joint.tune(two, wanted, tmp_path / "cut")
    assert (tmp_path / "cut" / runs.METRICS).read_text() == (tmp_path / "whole" / runs.METRICS).read_text()
    one, other = tensors(whole), tensors(again)
    assert all(torch.equal(one[name], other[name]) for name in one)
    with pytest.raises(LearnError, match="windows is 4 there and 5 now"):
        joint.tune(two, wanted.model_copy(update={"windows": 5}), tmp_path / "cut")


def test_all_that_the_networks_are_shown_was_brought_to_their_device(
    two: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU the material stays in the computer's memory; here, where there is none, each move makes a copy."""
    brought: list[torch.Tensor] = []
    shown: list[torch.Tensor] = []
    features, loss = Policy.features, Head.loss

    def copied(self, device):
        assert device.type == "cpu"
        parts = [part.clone() for part in (self.seen, self.proprio, self.actions)]
        brought.extend(parts)
        return Batch(*parts)

    def watched_features(self, seen, generator):
        shown.append(seen)
        return features(self, seen, generator)

    def watched_loss(self, condition, actions, generator):
        shown.append(actions)
        return loss(self, condition, actions, generator)

    monkeypatch.setattr(Batch, "to", copied)
    monkeypatch.setattr(Policy, "features", watched_features)
    monkeypatch.setattr(Head, "loss", watched_loss)
    joint.tune(two, Joint(steps=1, windows=2), tmp_path)
    assert len(shown) >= 2 * (1 + 1 + 3), "the head's standard, the spread, and a step's windows of each task"
    assert all(any(one is other for other in brought) for one in shown)


def test_a_loss_that_is_no_number_ends_the_tuning_and_leaves_no_encoder(
    two: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Head.loss
    monkeypatch.setattr(Head, "loss", lambda self, *given: original(self, *given) * float("nan"))
    with pytest.raises(LearnError, match=r"the loss of step 1 of one is nan; .+ Lower encoder_rate and head_rate"):
        joint.tune(two, Joint(steps=2, windows=2, save_every=1), tmp_path)
    assert not (tmp_path / joint.ENCODER).exists()
    assert not (tmp_path / runs.CHECKPOINT).exists()


def test_a_gradient_that_is_no_number_moves_no_weight(
    two: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Head.loss

    def steep(self, *given):
        found = original(self, *given)
        return found + (found - found.detach()).clamp(min=0).sqrt()  # the slope of a root at nought

    monkeypatch.setattr(Head, "loss", steep)
    with pytest.raises(LearnError, match="the norm of the gradient of step 1 is nan"):
        joint.tune(two, Joint(steps=1, windows=2), tmp_path)
    assert not (tmp_path / joint.ENCODER).exists()


def test_memory_that_runs_out_is_told_with_what_to_lower_and_the_tuning_goes_on(
    two: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, original = Joint(steps=3, windows=4, save_every=1), joint._Tuning._step

    def large(self, step, *rest):
        if step == 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return original(self, step, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(joint._Tuning, "_step", large)
        with pytest.raises(LearnError, match=r"4 windows of each of 2 tasks.+--set windows=2"):
            joint.tune(two, wanted, tmp_path)
    joint.tune(two, wanted, tmp_path)
    assert [json.loads(line)["step"] for line in (tmp_path / runs.METRICS).read_text().splitlines()] == [1, 2, 3]


def test_a_store_may_move_while_a_tuning_rests_but_not_grow(student: Path, tmp_path: Path) -> None:
    before, run, wanted = write_store(tmp_path / "s.zarr", 2), tmp_path / "run", Joint(steps=1, windows=2)
    train(tiny(before, student, epochs=2), run)
    joint.tune([run], wanted, tmp_path / "out")
    after = before.rename(tmp_path / "moved.zarr")
    (run / runs.CONFIG).write_text((run / runs.CONFIG).read_text().replace(str(before), str(after)))
    joint.tune([run], wanted, tmp_path / "out")
    rig = Store(after).rig
    with Writer(after, rig, "pick") as writer:
        write_episode(writer, rig, 2)
    with pytest.raises(LearnError, match=r"runs\.run\.content\.store"):
        joint.tune([run], wanted, tmp_path / "out")


def test_runs_without_an_encoder_in_common_are_refused(two: list[Path], store: Path, tmp_path: Path) -> None:
    train(tiny(store, epochs=2), tmp_path / "scratch")
    with pytest.raises(LearnError, match="began with 2 different encoders"):
        joint.tune([two[0], tmp_path / "scratch"], Joint(), tmp_path / "out")
    with pytest.raises(LearnError, match="told apart by their folders' names"):
        joint.tune([two[0], two[0]], Joint(), tmp_path / "out")


def test_a_run_that_tuned_an_encoder_of_its_own_is_refused(store: Path, student: Path, tmp_path: Path) -> None:
    train(tiny(store, student, encoder__tune=True, encoder__copies=0, epochs=2, batch=12), tmp_path / "tuned")
    with pytest.raises(LearnError, match="tuned an encoder of its own; train it --frozen"):
        joint.tune([tmp_path / "tuned"], Joint(), tmp_path / "out")


def test_a_folder_that_is_no_run_is_said(tmp_path: Path) -> None:
    ended = CliRunner().invoke(app, ["tune", str(tmp_path / "nothing"), "--out", str(tmp_path / "out")])
    assert ended.exit_code == 2
    assert "`xdistill train --out" in ended.output
