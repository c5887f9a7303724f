"""`xdistill train`: from a store and an encoder's word to a policy in a folder."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.summary.writer import event_file_writer
from typer.testing import CliRunner

from tests.support.stores import tiny_rig, write_store
from tests.support.training import curve, lines, save_student, tiny
from tests.support.training_material import material_of
from xdistill_ros.cli.main import app
from xdistill_ros.learn import policies
from xdistill_ros.learn.data.material import Batch
from xdistill_ros.learn.data.windows import Statistics
from xdistill_ros.learn.documents import read
from xdistill_ros.learn.errors import LearnError
from xdistill_ros.learn.networks import zoo
from xdistill_ros.learn.networks.rounding import on_levels
from xdistill_ros.learn.training import boards, held_out, trainer
from xdistill_ros.learn.training.prepare import Prepared
from xdistill_ros.learn.training.settings import settings
from xdistill_ros.learn.training.trainer import Outcome, train
from xdistill_ros.policy.actions import ChannelRange


@pytest.fixture(scope="module")
def trained(store: Path, student: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run by command of a frozen encoder on cached features."""
    folder = tmp_path_factory.mktemp("run") / "run"
    config = folder.parent / "train.yaml"
    document = tiny(store, student).model_dump(mode="json")
    del document["store"]
    config.write_text(yaml.safe_dump(document), encoding="utf-8")
    words = ["train", "--config", config, "--store", store, "--epochs", 12, "--set", "validate_every_epochs=4"]
    words += ["--out", folder]
    ended = CliRunner().invoke(app, [str(word) for word in words])
    assert ended.exit_code == 0, ended.output
    assert "36 steps, 12 epochs" in ended.output
    assert "position mm" in ended.output
    return folder


def test_the_loss_falls_and_every_step_of_it_is_on_disk(trained: Path) -> None:
    losses = curve(trained)
    assert [step for step, _ in losses] == list(range(1, 37))
    assert np.mean([loss for _, loss in losses[-6:]]) < 0.5 * np.mean([loss for _, loss in losses[:6]])


def test_errors_of_held_out_episodes_are_told_by_horizon_step(trained: Path) -> None:
    found = lines(trained, "held_out")
    assert [one["epoch"] for one in found] == [4, 8, 12]
    for name in ("position_mm", "rotation_deg", "gripper_mm"):
        assert len(found[-1][name]) == 16
    assert np.mean(found[-1]["position_mm"]) < np.mean(found[0]["position_mm"])
    assert found[-1]["loss"] < found[0]["loss"]


def test_speed_and_the_share_of_waiting_for_data_are_measured(trained: Path) -> None:
    found = lines(trained, "speed")
    assert len(found) >= 12
    assert all(one["samples_s"] > 0 and 0 <= one["loader_share"] <= 1 for one in found)


def test_the_policy_is_opened_again_and_says_where_it_comes_from(trained: Path, student: Path) -> None:
    policy = policies.load(trained)
    assert policy.task == "pick"
    assert policy.rig.arm.urdf.is_file()
    assert policy.preprocess["front"].output_size == (16, 16)
    told = policies.provenance(trained)
    assert told["encoder"] == "xdistill"
    assert len(told["episodes"]) == 2
    assert len(told["held_out"]) == 1
    assert len(told["store_sha256"]) == len(told["encoder_sha256"]) == 64
    given = load_file(student)
    for name, value in policy.encoder.state_dict().items():
        torch.testing.assert_close(value, given[name], msg="a frozen encoder is the one that was given")


def test_the_saved_configuration_gives_the_same_training(trained: Path, tmp_path: Path) -> None:
    again = settings([read(trained / "config.yaml")], "config.yaml")
    train(again, tmp_path / "again")
    assert curve(tmp_path / "again") == curve(trained)


def test_a_finished_run_is_left_as_it_is_and_nothing_is_prepared_for_it(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepared(*_: object) -> Prepared:
        raise AssertionError("minutes of reading, for nothing")

    monkeypatch.setattr(trainer, "prepare", prepared)
    before = (trained / "metrics.jsonl").read_bytes()
    outcome = train(settings([read(trained / "config.yaml")], "config.yaml"), trained)
    assert (trained / "metrics.jsonl").read_bytes() == before
    assert (outcome.steps, outcome.held_out["epoch"]) == (lines(trained, "step")[-1]["step"], 12)


def test_a_finished_run_of_another_configuration_is_refused(trained: Path) -> None:
    wanted = settings([read(trained / "config.yaml")], "config.yaml")
    with pytest.raises(LearnError, match="seed"):
        train(wanted.model_copy(update={"seed": 7}), trained)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_noise_and_velocity_can_be_predicted_too(store: Path, student: Path, tmp_path: Path, kind: str) -> None:
    train(tiny(store, student, schedule__prediction_type=kind, epochs=8), tmp_path)
    losses = [loss for _, loss in curve(tmp_path)]
    assert np.mean(losses[-6:]) < np.mean(losses[:6])
    assert policies.load(tmp_path).head.schedule.prediction_type == kind


def test_a_frozen_encoder_is_rounded_first_where_it_will_be_exported_so(store: Path, tmp_path: Path) -> None:
    student = save_student(tmp_path / "encoder.safetensors", "resnet18")
    train(tiny(store, student, encoder__int8=True, epochs=1), tmp_path / "run")
    wanted, kept = on_levels(zoo.encoder("xdistill", student)), policies.load(tmp_path / "run").encoder
    for name, value in wanted.state_dict().items():
        assert torch.equal(value, kept.state_dict()[name]), name


def test_an_encoder_is_tuned_at_its_own_rate_and_its_statistics_stay(
    store: Path, student: Path, tmp_path: Path
) -> None:
    changes = {"encoder__tune": True, "encoder__copies": 0, "encoder__learning_rate": 3e-4, "epochs": 1, "batch": 12}
    train(tiny(store, student, **changes), tmp_path)
    given, kept = load_file(student), policies.load(tmp_path).encoder.state_dict()
    moved = {name for name, value in kept.items() if not torch.equal(value, given[name])}
    assert "trunk.layer1.0.conv1.weight" in moved
    assert not [name for name in moved if "running" in name]


def test_a_frozen_encoder_may_see_frames_changed_afresh_each_step(store: Path, student: Path, tmp_path: Path) -> None:
    train(tiny(store, student, encoder__copies=0, epochs=1, batch=12), tmp_path)
    given, kept = load_file(student), policies.load(tmp_path).encoder.state_dict()
    assert all(torch.equal(value, given[name]) for name, value in kept.items())


def test_points_of_depth_are_trained_on(tmp_path: Path) -> None:
    store = write_store(tmp_path / "s.zarr", 2, tiny_rig(depth=True), rows=20)
    image = {"resize_width_px": 12, "resize_height_px": 8, "crop_width_px": None, "crop_height_px": None}
    wanted = tiny(store, encoder__word="pointnet", image=image, epochs=4)
    train(wanted, tmp_path / "run")
    losses = [loss for _, loss in curve(tmp_path / "run")]
    assert losses[-1] < losses[0]
    assert type(policies.load(tmp_path / "run").encoder).__name__ == "PointNet"


def test_only_the_named_cameras_are_used(store: Path, student: Path, tmp_path: Path) -> None:
    train(tiny(store, student, cameras=["wrist"], epochs=1), tmp_path)
    policy = policies.load(tmp_path)
    assert list(policy.rig.cameras) == list(policy.preprocess) == ["wrist"]


class Oracle:
    """A policy that says what was commanded, but for an offset."""

    def __init__(self, offset: float) -> None:
        self.offset = offset
        self.head = SimpleNamespace(film=SimpleNamespace(mean=torch.zeros(1)))

    def actions(self, batch: Batch, noise: torch.Tensor) -> torch.Tensor:
        del noise
        return batch.actions + self.offset


def test_a_policy_that_is_right_has_no_error_and_one_that_names_no_rotation_has_none_to_tell(store: Path) -> None:
    material, rig, statistics = material_of(store)
    space = rig.policy.action_space
    for name, values in held_out.action_errors(Oracle(0.0), material, space, statistics, 0).items():
        np.testing.assert_allclose(values, 0.0, atol=1e-2, err_msg=name)
    flat = Statistics(ChannelRange(minimum=(-1e-9,) * 10, maximum=(1e-9,) * 10), statistics.proprio)
    found = held_out.action_errors(Oracle(0.0), material, space, flat, 0)
    assert set(found["rotation_deg"]) == {None}


def test_the_maximum_over_training_is_told_with_its_epoch() -> None:
    outcome = Outcome(Path("x"), 1, 1, rollouts=[(200, 11, 20), (400, 15, 20), (600, 15, 20), (800, 9, 20)])
    assert outcome.best == (400, 15, 20)
    assert Outcome(Path("x"), 1, 1).best is None


def test_weights_and_biases_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shown: list[tuple[int, dict[str, float]]] = []

    class Run:
        def log(self, scalars: dict[str, float], step: int) -> None:
            shown.append((step, scalars))

        def finish(self) -> None:
            shown.append((-1, {}))

    class Wandb:
        init = staticmethod(lambda **_: Run())

    real = boards.importlib.import_module
    monkeypatch.setattr(boards.importlib, "import_module", lambda name: Wandb if name == "wandb" else real(name))
    board = boards.Boards(tmp_path, "arm", {}, 0)
    board.show(3, {"loss": 0.5, "nothing": None})
    board.close()
    assert shown == [(3, {"loss": 0.5}), (-1, {})]


def shown_by_tensorboard(folder: Path, name: str) -> list[tuple[int, float]]:
    found = EventAccumulator(str(folder / "tensorboard"))
    found.Reload()
    return [(one.step, one.value) for one in found.Scalars(name)]


def test_tensorboard_shows_the_curves(trained: Path) -> None:
    losses = shown_by_tensorboard(trained, "loss")
    assert losses[-1][0] == 36
    told = {one["epoch"] * 3: one["loss"] for one in lines(trained, "held_out")}
    assert shown_by_tensorboard(trained, "held_out/loss") == [
        (step, pytest.approx(loss, rel=1e-5)) for step, loss in told.items()
    ]


def test_tensorboard_shows_no_step_twice_when_a_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for begun_at, loss in ((0, 0.5), (2, 0.25)):
        # files of one second are read in the order of further numbers in their names, 10 before 9
        monkeypatch.setattr(event_file_writer, "time", SimpleNamespace(time=lambda at=begun_at: 1e9 + at))
        board = boards.Boards(tmp_path, None, {}, begun_at)
        for step in range(begun_at + 1, 5):
            board.show(step, {"loss": loss})
        board.close()
    assert shown_by_tensorboard(tmp_path, "loss") == [(1, 0.5), (2, 0.5), (3, 0.25), (4, 0.25)]


@pytest.mark.parametrize("word", ["resnet18_scratch", "pointnet"])
def test_words_without_weights_build_at_once(word: str) -> None:
    encoder = zoo.encoder(word)
    assert encoder(torch.zeros(2, 3, 32, 32)).shape == (2, encoder.feature_dim)


def test_the_shipped_configurations_are_valid_and_spell_the_defaults_out() -> None:
    real = settings([read(Path("config/learn/train_real.yaml")), {"store": "s", "encoder": {"word": "dinov2"}}], "real")
    plain = settings([{"store": "s", "encoder": {"word": "dinov2"}}], "plain").model_dump(exclude={"image"})
    assert real.model_dump(exclude={"image"}) == plain
    cpu = settings([read(Path("config/learn/train_cpu.yaml")), {"store": "s", "encoder": {"word": "xdistill"}}], "cpu")
    assert cpu.image.wished_size == (96, 128)
    assert cpu.encoder.copies == 4
