"""From recordings to a bundle: heads learn, all is tuned together, and the bundle is the torch policy."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from xdistill_ros.learn.data.augment import Augmentation
from xdistill_ros.learn.data.frames import Frames, cache_features
from xdistill_ros.learn.data.windows import windows
from xdistill_ros.learn.export.bundle import export
from xdistill_ros.learn.export.example import Example
from xdistill_ros.learn.export.graph import Graph
from xdistill_ros.learn.export.rounding import deployable, round_to_half
from xdistill_ros.learn.networks.encoders import Student
from xdistill_ros.learn.networks.unet import UNetConfig
from xdistill_ros.learn.policies import Trained
from xdistill_ros.learn.table.evaluate import FIRST_SEED
from xdistill_ros.learn.table.recipe import Recipe, fingerprint
from xdistill_ros.learn.training.config import FineTune, HeadConfig
from xdistill_ros.learn.training.loop import Course, TaskData, fine_tune, new_head, train_heads
from xdistill_ros.perception import Preprocess, PreprocessSpec
from xdistill_ros.policy import parity
from xdistill_ros.policy.bundle import Bundle
from xdistill_ros.policy.ddim import Schedule

PARTS = ("tcp_relative", "tcp_height", "gripper_width")
SMALL = HeadConfig(
    unet=UNetConfig(widths=(16, 32), groups=4, step_dim=16, condition_hidden=32, condition_dim=16),
    schedule=Schedule(prediction_type="sample", clip_sample_range=1.5), copies=2, steps=60, batch=32,
)  # fmt: skip


@pytest.fixture
def shop(recording, table_rig, forward):
    """Data, frames, an encoder and its cached features."""
    recordings = [recording(0), recording(3)]
    spec = PreprocessSpec(source_width_px=640, source_height_px=480, resize_width_px=32, resize_height_px=24)
    preprocess = dict.fromkeys(table_rig.cameras, spec)
    data = TaskData.of(windows(recordings, table_rig, forward), table_rig, PARTS)
    frames = Frames.of(recordings, preprocess)
    torch.manual_seed(0)
    encoder = Student(12, "projection").eval()
    cached = cache_features(encoder, frames, 2, Augmentation(), seed=0)
    return data, frames, encoder, cached, preprocess


def test_copy_zero_is_what_the_running_policy_would_see(shop):
    _, frames, encoder, cached, _ = shop
    assert cached.shape == (2, 2, len(frames.images["front"]), 12)
    tensor = frames.tensor(frames.images["wrist"][3:4], None, torch.Generator())
    with torch.no_grad():
        np.testing.assert_allclose(cached[0, 1, 3], encoder(tensor)[0].numpy(), atol=1e-4)
    assert not np.allclose(cached[0], cached[1], atol=1e-3)


def test_a_head_learns_and_its_average_is_returned(shop):
    data, _, _, cached, _ = shop
    head = new_head(data, cached, SMALL)
    condition = data.condition(np.arange(20), data.gather(np.arange(20), cached, np.zeros(20, int)))
    actions, generator = torch.from_numpy(data.targets[:20]), torch.Generator()
    before = head.eval().loss(condition, actions, generator.manual_seed(1)).item()
    trained = train_heads({"one": Course(head, data, cached, SMALL, SMALL.steps, 2e-3, "test")})["one"]
    assert not trained.training
    assert trained.loss(condition, actions, generator.manual_seed(1)).item() < 0.7 * before


def test_joint_tuning_moves_the_weights_and_keeps_the_distilled_statistics(shop):
    data, frames, encoder, cached, _ = shop
    heads = {name: new_head(data, cached, SMALL) for name in ("one", "two")}
    before = copy.deepcopy(encoder.state_dict())
    config = FineTune(steps=2, windows=3, encoder_rate=1e-3)
    both = dict.fromkeys(heads, data), dict.fromkeys(heads, frames), dict.fromkeys(heads, cached)
    tuned, tuned_heads = fine_tune(encoder, heads, *both, config)
    after = tuned.state_dict()
    assert set(tuned_heads) == {"one", "two"}
    for name, value in before.items():
        if "running" in name:
            torch.testing.assert_close(after[name], value)
    assert not torch.equal(after["trunk.layer1.0.conv1.weight"], before["trunk.layer1.0.conv1.weight"])


@pytest.fixture
def exported(shop, table_rig, tmp_path):
    """A bundle on disk, with what it was made of."""
    data, _, encoder, cached, preprocess = shop
    head = new_head(data, cached, SMALL).eval()
    round_to_half(head)
    rng = np.random.default_rng(0)
    shape, steps = (480, 640, 3), table_rig.policy.observation_horizon
    example = Example(
        pixels={name: tuple(rng.integers(0, 255, shape, np.uint8) for _ in range(steps)) for name in table_rig.cameras},
        poses=np.tile(np.eye(4), (steps, 1, 1)), widths=np.full(steps, 0.05), joints=np.zeros((steps, 6)),
    )  # fmt: skip
    trained = Trained("move_cube", table_rig, preprocess, PARTS, data.statistics, deployable(encoder), head)
    return export(trained, example, {"command": "a test"}, tmp_path / "models" / "move_cube"), trained, example


def test_the_exported_bundle_computes_what_torch_computes(exported):
    folder, trained, _ = exported
    worst = parity.check(Bundle.read(folder))
    assert worst["actions"] < 1e-4
    assert worst["feature.front"] < 1e-4
    assert {"models"} == {folder.parent.name}
    assert (folder.parent / "shared").is_dir()
    assert trained.encoder.feature_dim == Bundle.read(folder).manifest.encoder.feature_dim


def test_raw_pixels_give_the_same_feature_in_torch_and_in_the_bundle(exported):
    folder, trained, example = exported
    bundle, pixels = Bundle.read(folder), example.pixels["front"][0]
    tensor = Preprocess(bundle.manifest.preprocess["front"])(pixels)
    with torch.no_grad():
        ours = trained.encoder(torch.from_numpy(tensor))[0].numpy()
    np.testing.assert_allclose(bundle.encoder("front", threads=1).encode(tensor), ours, atol=1e-4)


def test_a_changed_weight_is_noticed(exported, tmp_path):
    folder, _, _ = exported
    copied = tmp_path / "copy"
    shutil.copytree(folder.parent, copied)
    path = copied / "move_cube" / "step.onnx"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ValueError, match="SHA-256"):
        Bundle.read(copied / "move_cube")


def test_weights_are_stored_in_one_and_two_bytes(exported):
    folder, _, _ = exported
    encoder = onnx.load(next((folder.parent / "shared").iterdir()))
    stored = {onnx.TensorProto.DataType.Name(tensor.data_type) for tensor in encoder.graph.initializer}
    assert "INT8" in stored
    large = [t for t in encoder.graph.initializer if np.prod(t.dims) > 5000 and t.data_type == onnx.TensorProto.FLOAT]
    assert not large
    assert next((folder.parent / "shared").iterdir()).stat().st_size < 12e6


def test_a_weight_that_fp16_cannot_hold_is_refused():
    with pytest.raises(ValueError, match="round the network before export"):
        Graph("test").half(np.array([0.1], np.float32))


def test_the_shipped_recipe_is_valid_and_trains_on_no_trial_seed():
    recipe = Recipe.load(Path("config/learn/sim_table.yaml"))
    last = recipe.demonstrations.first_seed + 10 * recipe.demonstrations.count
    assert last < recipe.renderings.seed < recipe.renderings.seed + recipe.renderings.per_task < FIRST_SEED
    assert recipe.proprio == PARTS


def test_a_recipe_says_which_field_is_wrong():
    with pytest.raises(ValueError, match="heads"):
        Recipe.model_validate({"rig": "x", "tasks": ["move_cube"], "heads": {}})


def test_a_fingerprint_follows_the_configuration_and_the_rig(table_rig):
    assert fingerprint(table_rig, SMALL) == fingerprint(table_rig, SMALL.model_copy())
    assert fingerprint(table_rig, SMALL) != fingerprint(table_rig, SMALL.model_copy(update={"steps": 61}))
    front = table_rig.cameras["front"]
    pose = front.optical_pose.model_copy(update={"position_m": (1.0, 0.0, 0.6)})
    moved = table_rig.cameras | {"front": front.model_copy(update={"optical_pose": pose})}
    assert fingerprint(table_rig, SMALL) != fingerprint(table_rig.model_copy(update={"cameras": moved}), SMALL)
    elsewhere = table_rig.arm.model_copy(update={"urdf": Path("/elsewhere") / table_rig.arm.urdf.name})
    assert fingerprint(table_rig, SMALL) == fingerprint(table_rig.model_copy(update={"arm": elsewhere}), SMALL)
