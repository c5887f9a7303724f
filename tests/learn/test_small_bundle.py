"""The bundle that is stored in one and two bytes is the torch policy."""

from __future__ import annotations

import shutil

import numpy as np
import onnx
import pytest
import torch

from tests.support.torch_policy import blocks, random_policy
from xdistill_ros.learn.export.bundle import export
from xdistill_ros.learn.export.example import Example
from xdistill_ros.learn.export.graph import Graph
from xdistill_ros.perception import Preprocess
from xdistill_ros.policy import parity
from xdistill_ros.policy.bundle import Bundle


@pytest.fixture
def exported(table_rig, tmp_path):
    """A bundle on disk, with what it was made of."""
    random, steps = np.random.default_rng(0), table_rig.policy.observation_horizon
    example = Example(
        pixels={name: tuple(blocks(random, 480, 640) for _ in range(steps)) for name in table_rig.cameras},
        poses=np.tile(np.eye(4), (steps, 1, 1)), widths=np.full(steps, 0.05), joints=np.zeros((steps, 6)),
    )  # fmt: skip
    trained = random_policy(table_rig)
    return export(trained, example, {"command": "a test"}, tmp_path / "models" / "move_cube"), trained, example


def test_the_exported_bundle_computes_what_torch_computes(exported):
    folder, trained, _ = exported
    worst = parity.check(Bundle.read(folder))
    assert worst["actions"] < 1e-4
    assert worst["feature.front"] < 1e-4
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
