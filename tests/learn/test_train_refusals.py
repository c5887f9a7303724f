"""What cannot be trained is said before it begins: what, where, which value, what to do; exit code 2, no traceback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from tests.support.rigs import sim_table
from tests.support.stores import Row, tiny_rig, write_episode, write_store
from tests.support.training import tiny
from xdistill_ros.cli.main import app
from xdistill_ros.episodes import Control, Store, Writer
from xdistill_ros.learn.data.demonstrations import demonstrations
from xdistill_ros.learn.errors import LearnError
from xdistill_ros.learn.networks import zoo
from xdistill_ros.learn.training import rollouts
from xdistill_ros.learn.training.settings import RolloutSettings
from xdistill_ros.learn.training.trainer import train


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_store(tmp_path_factory.mktemp("store") / "s.zarr", 2)


def refused(*words: object) -> str:
    """What the command says when it refuses."""
    ended = CliRunner().invoke(app, ["train", *map(str, words)])
    assert ended.exit_code == 2, ended.output
    assert "Traceback" not in ended.output
    return " ".join(ended.stderr.split())


def test_a_camera_that_the_store_has_not(store: Path, student: Path, tmp_path: Path) -> None:
    with pytest.raises(LearnError, match=r"no camera left, which `cameras` names; its cameras are front, wrist"):
        train(tiny(store, student, cameras=["front", "left"]), tmp_path)


def test_episodes_shorter_than_the_horizon_are_left_out_and_named(tmp_path: Path) -> None:
    rig = tiny_rig()
    with Writer(tmp_path / "s.zarr", rig, "pick") as writer:
        for index, rows in enumerate((24, 15, 24)):
            write_episode(writer, rig, index, rows)
    shown = demonstrations(Store(tmp_path / "s.zarr"))
    assert shown.episodes == [0, 2]
    (said,) = shown.left_out
    assert "episode 1: a stretch of 15 rows" in said
    assert "the prediction horizon is 16" in said


def test_a_store_of_nothing_but_short_episodes(student: Path, tmp_path: Path) -> None:
    path = write_store(tmp_path / "s.zarr", 2, rows=10)
    with pytest.raises(LearnError, match=r"none of its 2 episodes can be trained on: episode 0: a stretch of 10 rows"):
        train(tiny(path, student), tmp_path / "run")


def test_an_episode_that_nobody_demonstrated_is_left_out(tmp_path: Path) -> None:
    def by_policy(rows: list[Row]) -> None:
        for row in rows:
            row["in_control"] = int(Control.POLICY)

    shown = demonstrations(Store(write_store(tmp_path / "s.zarr", 2, changes={0: by_policy})))
    assert shown.episodes == [1]
    assert shown.left_out == ("episode 0: nobody demonstrated in it",)


@pytest.mark.parametrize("key", ["action", "robot_joint", "gripper"])
def test_a_number_that_is_none_is_named_by_episode_and_row(tmp_path: Path, key: str) -> None:
    def spoil(rows: list[Row]) -> None:
        rows[7][key] = np.full_like(np.asarray(rows[7][key], float), np.nan)

    path = write_store(tmp_path / "s.zarr", 2, changes={1: spoil})
    with pytest.raises(LearnError, match=rf"episode 1, row 7 of {key} is .*xdistill episodes delete"):
        demonstrations(Store(path))


def test_points_without_depth(store: Path, tmp_path: Path) -> None:
    said = refused("--store", store, "--encoder", "pointnet", "--out", tmp_path, "--set", "held_out=0")
    assert "takes aligned depth, and the store's rig records none of camera front, wrist" in said
    assert "set cameras.NAME.depth in the rig and record again" in said
    assert "config/rigs/sim_table_depth.yaml" in said


def test_a_word_without_its_weights(store: Path, tmp_path: Path) -> None:
    said = refused("--store", store, "--encoder", "xdistill", "--out", tmp_path, "--set", "held_out=0")
    assert "encoder xdistill needs its weights: --weights RUN/encoder.safetensors" in said


def test_weights_that_are_not_there_and_a_word_that_is_none(store: Path, tmp_path: Path) -> None:
    here = ("--store", store, "--out", tmp_path, "--set", "held_out=0")
    for word in ("xdistill", "resnet18_imagenet", "dinov2", "depth_anything", "theia", "convnext", "vit_small"):
        assert "no such file" in refused(*here, "--encoder", word, "--weights", tmp_path / "gone.safetensors")
    assert "there are xdistill, resnet18_scratch" in refused(*here, "--encoder", "resnet19")


def test_weights_for_a_word_that_has_none(student: Path) -> None:
    with pytest.raises(LearnError, match="begins untrained"):
        zoo.encoder("resnet18_scratch", student)


def test_an_untrained_encoder_is_not_frozen(store: Path, tmp_path: Path) -> None:
    assert "frozen it would stay random" in refused(
        "--store", store, "--encoder", "resnet18_scratch", "--frozen", "--out", tmp_path
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"held_out": 2}, "2 episodes can be trained on and held_out is 2"),
        ({"optimiser__warm_up_steps": 500}, "warm_up_steps is 500, and 2 epochs of 23 windows"),
        ({"unet__widths": [8] * 6}, "prediction_horizon 16 is not divisible by 32"),
    ],
)
def test_settings_that_do_not_fit_the_store(
    store: Path, student: Path, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(LearnError, match=said):
        train(tiny(store, student, **changes), tmp_path)


def test_a_gpu_that_is_not_there(store: Path, student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(LearnError, match="this torch sees no GPU"):
        train(tiny(store, student, device="cuda"), tmp_path)


def test_a_store_that_is_none_and_fields_that_are_wrong(student: Path, tmp_path: Path) -> None:
    words = ("--encoder", "xdistill", "--weights", student, "--out", tmp_path)
    assert "no episode store there" in refused("--store", tmp_path / "gone.zarr", *words)
    assert "store is missing: add it, or give --store" in refused(*words)
    here = ("--store", tmp_path, *words)
    assert "epoch is 3: Extra inputs are not permitted" in refused(*here, "--set", "epoch=3")
    assert "give FIELD=VALUE" in refused(*here, "--set", "epochs")
    for word in ("copies=3", "int8=true"):
        name = word.split("=")[0]
        assert f"tune is true: {name} is for a frozen encoder" in refused(*here, "--set", f"encoder.{word}")
    assert "give both, or neither" in refused(*here, "--set", "image.resize_width_px=64")
    assert "cannot be read as a configuration" in refused(*here, "--config", tmp_path / "gone.yaml")


def test_a_fixed_size_of_the_encoder_is_kept(store: Path, tmp_path: Path) -> None:
    from xdistill_ros.learn import weights
    from xdistill_ros.learn.networks.encoders import Student

    weights.save(Student(8, architecture="vit_small", size=(32, 32)), tmp_path / "vit.safetensors", {})
    with pytest.raises(LearnError, match="16x16 px reach the encoder, which takes 32x32"):
        train(tiny(store, tmp_path / "vit.safetensors"), tmp_path / "run")


def test_rollouts_need_a_simulated_rig_a_task_and_a_condition() -> None:
    rig, wanted = sim_table(), RolloutSettings()
    rollouts.check(rig, "move_cube", wanted)
    with pytest.raises(LearnError, match="it is hardware"):
        rollouts.check(rig.model_copy(update={"simulation": None}), "move_cube", wanted)
    with pytest.raises(LearnError, match="no task 'pick'"):
        rollouts.check(rig, "pick", wanted)
    with pytest.raises(LearnError, match="condition 'dark' does not exist"):
        rollouts.check(rig, "move_cube", wanted.model_copy(update={"condition": "dark"}))
