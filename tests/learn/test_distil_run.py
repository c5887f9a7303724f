"""`xdistill distill` from images to an encoder: interrupted, on full disks, by several processes, with bad input."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn.utils import parameters_to_vector
from typer.testing import CliRunner

from xdistill_ros.cli.main import app
from xdistill_ros.learn import runs, weights
from xdistill_ros.learn.distil import run as running
from xdistill_ros.learn.distil.config import Distillation
from xdistill_ros.learn.distil.run import distil
from xdistill_ros.learn.documents import load
from xdistill_ros.learn.errors import LearnError
from xdistill_ros.learn.networks.encoders import Student

from .distillation import SIZE, config, config_file, lines, picture, teacher_weights

ROOT = Path(__file__).resolve().parents[2]
CHILD = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def test_a_student_learns_the_teachers_feature_and_says_how_near_it_came(tmp_path):
    chosen = config(
        tmp_path, student__architecture="resnet18", steps=30, learning_rate=1e-3, check_every=30, machine__save_every=30
    )
    made = distil(chosen, tmp_path / "run")
    losses = list(lines(tmp_path / "run", "loss").values())
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:5])
    found = lines(tmp_path / "run", "held_out")[30]
    assert set(found) == {"mse", "cosine", "neighbours", "neighbours_pooled"}
    assert 0.0 <= found["neighbours"] <= 1.0
    told = weights.provenance(made)
    assert told["teacher"] == "timm/test_vit"
    assert (told["steps"], told["images"], told["corrupt"]) == (30, 44, 0)
    assert len(told["teacher_hash"]) == len(told["data_hash"]) == 64
    assert told["held_out"] == found
    encoder = weights.load(made)
    assert encoder(torch.zeros(1, 3, *SIZE)).shape == (1, 512)
    assert not torch.equal(encoder.trunk.bn1.running_mean, torch.zeros(64)), "statistics are part of what was distilled"


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from xdistill_ros.learn.distil import run
from xdistill_ros.learn.distil.config import Distillation
from xdistill_ros.learn.documents import load
torch.set_num_threads(1)
learn = run.Run._learn
def until(self, batch):
    if self.step == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return learn(self, batch)
run.Run._learn = until
run.distil(load(Distillation, Path(sys.argv[1])), Path(sys.argv[2]))
"""


def test_a_run_that_was_killed_goes_on_bit_by_bit_as_if_it_had_not_been(tmp_path):
    chosen = config(tmp_path, machine__workers=1)
    whole = distil(chosen, tmp_path / "whole")
    command = [sys.executable, "-c", KILLED, tmp_path / "config.yaml", tmp_path / "cut"]
    assert subprocess.run(command, env=CHILD, cwd=ROOT, check=False).returncode == -signal.SIGKILL
    assert max(lines(tmp_path / "cut", "loss")) == 7
    assert runs.load_checkpoint(tmp_path / "cut" / "checkpoint.pt")["step"] == 4
    again = distil(chosen, tmp_path / "cut")
    for key in ("loss", "held_out", "learning_rate"):
        assert lines(tmp_path / "cut", key) == lines(tmp_path / "whole", key)
    one, other = load_file(whole), load_file(again)
    assert all(torch.equal(one[name], other[name]) for name in one)


TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
DISTILL = ("-m", "xdistill_ros.cli.main", "distill")


def by_two(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """What becomes of two processes of torchrun."""
    return subprocess.run([*TORCHRUN, *words], env=CHILD, cwd=ROOT, check=False, capture_output=True, text=True)


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Path:
    """A folder with a configuration of six steps, and what two processes made of it in `two`."""
    folder = tmp_path_factory.mktemp("shared")
    path = config_file(folder, steps=6, check_every=6, learning_rate=1e-4)
    ended = by_two(*DISTILL, path, "--out", folder / "two")
    assert ended.returncode == 0, ended.stderr
    assert "held out: mean squared error" in ended.stdout
    return folder


def moved_apart(one: Path, other: Path, chosen: Distillation) -> float:
    """How far the weights of two runs lie apart, of the way that the first took from its random beginning."""
    students = [weights.load(path) for path in (one, other)]
    torch.manual_seed(chosen.seed)
    start = Student(**students[0].settings)
    begun, first, second = (parameters_to_vector(network.parameters()).detach() for network in (start, *students))
    assert (first - begun).abs().max() < 2 * chosen.steps * chosen.learning_rate, "that is where it began"
    return float((second - first).norm() / (first - begun).norm())


def test_two_processes_of_torchrun_compute_what_one_does(shared, tmp_path):
    chosen = load(Distillation, shared / "config.yaml")
    alone, together = distil(chosen, tmp_path / "one"), shared / "two" / running.ENCODER
    one, two = (lines(run, "loss") for run in (tmp_path / "one", shared / "two"))
    np.testing.assert_allclose(list(two.values()), list(one.values()), rtol=1e-4)
    told = [lines(run, "held_out")[6]["mse"] for run in (tmp_path / "one", shared / "two")]
    np.testing.assert_allclose(told[1], told[0], rtol=1e-3)
    assert moved_apart(alone, together, chosen) < 0.01
    first, second = load_file(alone), load_file(together)
    for name in (name for name in first if "running" in name):
        torch.testing.assert_close(second[name], first[name], rtol=1e-3, atol=1e-4)
    assert weights.provenance(together)["processes"] == 2


def test_what_two_processes_began_two_or_one_end_after_a_kill(shared, tmp_path):
    chosen = load(Distillation, shared / "config.yaml")
    killed = tmp_path / "killed.py"
    killed.write_text(KILLED.replace("self.step == 7", 'self.step == 5 and os.environ["RANK"] == "1"'))
    assert by_two(killed, shared / "config.yaml", tmp_path / "cut").returncode != 0
    assert runs.load_checkpoint(tmp_path / "cut" / runs.CHECKPOINT)["step"] == 4
    shutil.copytree(tmp_path / "cut", tmp_path / "alone")
    whole, cut = shared / "two", tmp_path / "cut"
    assert by_two(*DISTILL, shared / "config.yaml", "--out", cut).returncode == 0
    assert lines(cut, "loss") == lines(whole, "loss")
    one, other = load_file(whole / running.ENCODER), load_file(cut / running.ENCODER)
    assert all(torch.equal(one[name], other[name]) for name in one)
    alone = distil(chosen, tmp_path / "alone")
    np.testing.assert_allclose(
        list(lines(tmp_path / "alone", "loss").values()), list(lines(whole, "loss").values()), rtol=1e-4
    )
    assert moved_apart(whole / running.ENCODER, alone, chosen) < 0.01


def test_a_finished_run_is_not_repeated(tmp_path, monkeypatch):
    distil(config(tmp_path, steps=4), tmp_path / "run")
    monkeypatch.setattr(running.Run, "_learn", lambda *_: pytest.fail("it was repeated"))
    before = (tmp_path / "run" / "metrics.jsonl").read_text()
    distil(config(tmp_path, steps=4), tmp_path / "run")
    assert (tmp_path / "run" / "metrics.jsonl").read_text() == before


def test_cached_features_teach_what_the_teacher_does_and_are_asked_for_once(tmp_path, monkeypatch):
    distil(config(tmp_path, steps=8), tmp_path / "direct")
    distil(config(tmp_path, steps=8, teacher__cached_views=2), tmp_path / "cached")
    direct, cached = (list(lines(tmp_path / name, "loss").values()) for name in ("direct", "cached"))
    np.testing.assert_allclose(cached, direct, rtol=2e-3)
    monkeypatch.setattr("xdistill_ros.learn.distil.teachers.Published.targets", lambda *_: pytest.fail("asked again"))
    shared = tmp_path / "cached" / "features"
    distil(config(tmp_path, steps=2, teacher__cached_views=2, machine__cache=str(shared)), tmp_path / "other")


def test_corrupt_images_are_counted_and_named_in_the_runs_folder(tmp_path):
    path = config_file(tmp_path)
    bad = tmp_path / "images" / "class_1" / "001.JPEG"
    bad.write_text("text")
    for views, name in ((0, "direct"), (1, "cached")):
        made = distil(config(tmp_path, teacher__cached_views=views), tmp_path / name)
        assert (tmp_path / name / "corrupt.txt").read_text() == f"{bad}\tnot an image\n"
        assert weights.provenance(made)["corrupt"] == 1
    assert path.exists()


def test_two_runs_in_one_folder_are_refused(tmp_path):
    with runs.lock(tmp_path / "run"), pytest.raises(LearnError, match="another run works in this folder"):
        distil(config(tmp_path), tmp_path / "run")


def test_a_checkpoint_of_another_configuration_is_refused_by_field_and_values(tmp_path):
    distil(config(tmp_path, steps=4), tmp_path / "run")
    with pytest.raises(LearnError, match=r"checkpoint\.pt: .*batch is 8 there and 6 now; steps is 4 there and 6 now"):
        distil(config(tmp_path, steps=6, batch=6), tmp_path / "run")
    with pytest.raises(LearnError, match=r"student\.feature is 'pooled' there and 'projection' now"):
        distil(config(tmp_path, steps=4, student__feature="projection"), tmp_path / "run")


def test_other_data_and_another_teacher_are_refused_and_moved_ones_are_not(tmp_path):
    distil(config(tmp_path, steps=4), tmp_path / "run")
    moved = (tmp_path / "images").rename(tmp_path / "elsewhere")
    distil(config(tmp_path, steps=4, data__images=[str(moved)]), tmp_path / "run")
    other = teacher_weights(tmp_path / "other.safetensors", seed=2)
    with pytest.raises(LearnError, match="teacher_hash is"):
        distil(config(tmp_path, steps=4, data__images=[str(moved)], teacher__weights=str(other)), tmp_path / "run")
    picture(77).save(moved / "more.png")
    with pytest.raises(LearnError, match="data_hash is"):
        distil(config(tmp_path, steps=4, data__images=[str(moved)]), tmp_path / "run")


def test_a_full_disk_leaves_the_last_checkpoint_whole_and_the_run_can_go_on(tmp_path, monkeypatch):
    whole = distil(config(tmp_path), tmp_path / "whole")
    sync = os.fsync
    written = []

    def full(descriptor: int) -> None:
        name = str(Path(f"/proc/self/fd/{descriptor}").readlink())
        if "checkpoint" in name:
            written.append(name)
            if len(written) == 2:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(LearnError, match=r"No space left on device\); the one before is whole\. It needs \d+ MB"):
        distil(config(tmp_path), tmp_path / "run")
    assert runs.load_checkpoint(tmp_path / "run" / "checkpoint.pt")["step"] == 4
    assert not list((tmp_path / "run").glob(".*partial")), "what was written of the new one only fills the disk"
    monkeypatch.undo()
    again = distil(config(tmp_path), tmp_path / "run")
    assert lines(tmp_path / "run", "loss") == lines(tmp_path / "whole", "loss")
    assert all(torch.equal(one, load_file(again)[name]) for name, one in load_file(whole).items())


def test_a_damaged_checkpoint_is_named(tmp_path):
    distil(config(tmp_path, steps=4), tmp_path / "run")
    path = tmp_path / "run" / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(LearnError, match=r"checkpoint\.pt: not readable as a checkpoint"):
        distil(config(tmp_path, steps=4), tmp_path / "run")


def test_too_little_memory_on_the_gpu_says_what_to_lower(tmp_path, monkeypatch):
    def out_of_memory(*_: object) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(running.Run, "_learn", out_of_memory)
    with pytest.raises(LearnError, match=r"does not hold a step of 8 images: lower batch .* student\.size_px"):
        distil(config(tmp_path), tmp_path / "run")


def test_a_loss_that_is_not_a_number_ends_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(running.Run, "_learn", lambda run, batch: torch.tensor(float("nan")))  # noqa: ARG005
    with pytest.raises(LearnError, match=r"step 1: the loss is nan; lower learning_rate"):
        distil(config(tmp_path), tmp_path / "run")


def test_a_batch_that_processes_cannot_share_is_refused():
    from xdistill_ros.learn.distil.processes import Processes

    with pytest.raises(LearnError, match="batch is 10, wanted a multiple of the 4 processes"):
        Processes(0, 4, torch.device("cpu")).share(10)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["missing.yaml"], "missing.yaml: cannot be read"),
        (["--set", "nonsense=1", "--images", "x"], "nonsense is 1: Extra inputs are not permitted"),
        (["--set", "data.held_out"], "--set data.held_out: give FIELD=VALUE"),
        ([], "data is missing: name where the images lie, --images FOLDER"),
        (["--images", "nowhere"], "nowhere: no such folder or shard"),
        (["--images", ".", "--set", "machine.save_every=7"], "wanted a multiple of log_every"),
        (["--images", ".", "--set", "data.crop_scale=[0.9, 0.5]"], "wanted 0 < low <= high <= 1"),
    ],
)
def test_the_command_answers_bad_input_in_a_sentence_and_ends_2(tmp_path, options, said):
    ended = CliRunner().invoke(app, ["distill", "--out", str(tmp_path / "run"), *options])
    assert ended.exit_code == 2
    assert said in ended.output
    assert "Traceback" not in ended.output


def test_options_change_what_the_file_says(tmp_path):
    path = config_file(tmp_path)
    options = [
        "--steps",
        "2",
        "--student",
        "timm/test_vit",
        "--set",
        "data.held_out=13",
        "--out",
        str(tmp_path / "run"),
    ]
    ended = CliRunner().invoke(app, ["distill", str(path), *options])
    assert ended.exit_code == 0, ended.output
    told = weights.provenance(tmp_path / "run" / "encoder.safetensors")["config"]
    assert (told["steps"], told["student"]["architecture"], told["data"]["held_out"]) == (2, "timm/test_vit", 13)
    assert "2 steps" in ended.output
