"""`xdistill export`: every precision and kind of encoder equals torch, or nothing is written; the card tells of it."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

from tests.support import stores
from tests.support.bundles import cache_home
from tests.support.torch_policy import unrounded_policy
from xdistill_ros.cli.main import app
from xdistill_ros.episodes import Store
from xdistill_ros.learn import policies
from xdistill_ros.learn.errors import LearnError
from xdistill_ros.learn.export import compose, publish, stages
from xdistill_ros.learn.export.bundle import encoder_graph
from xdistill_ros.learn.export.card import Data
from xdistill_ros.learn.export.example import imagined, recorded, recorded_by
from xdistill_ros.learn.export.publish import Published, Story
from xdistill_ros.learn.networks import backbones
from xdistill_ros.learn.networks.encoders import Encoder, InputSpec
from xdistill_ros.learn.networks.pointnet import PointNet
from xdistill_ros.learn.networks.rounding import Precision, on_levels, round_to_half
from xdistill_ros.perception import GraphSession
from xdistill_ros.policy.bundle import Bundle
from xdistill_ros.policy.loading import load_bundle
from xdistill_ros.rig import Rig
from xdistill_ros.trials import TrialResult

__all__ = ["cache_home"]
STORY = Story({"command": "a test", "seeds": [1, 2], "frozen": True}, "a small ResNet")


class Small(Encoder):
    """A thin network of timm's, as any encoder of the zoo is for the export."""

    def __init__(self, trunk: nn.Module, feature_dim: int) -> None:
        super().__init__()
        self.network, self.feature_dim, self.input = trunk, feature_dim, InputSpec(size=(24, 32))

    def forward(self, images: Tensor) -> Tensor:
        feature: Tensor = self.network(images)
        return feature


def vit() -> Small:
    made = backbones.vision_transformer("vit_tiny_patch16_224", img_size=(24, 32), patch_size=8, depth=2)
    return Small(made, 192)


def convnext() -> Small:
    return Small(
        backbones.vision_transformer("convnext_atto", depths=(1,) * 4, dims=(8, 16, 32, 64), output_stride=8), 64
    )


@pytest.fixture(scope="module")
def rig() -> Rig:
    return stores.tiny_rig()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, rig: Rig) -> Path:
    return stores.write_store(tmp_path_factory.mktemp("export") / "push.zarr", 2, rig, seed=7)


def export(rig: Rig, out: Path, precision: Precision, encoder: Encoder | None = None, **options: Any) -> Published:
    trained = unrounded_policy(rig, encoder=encoder)
    return publish.publish(trained, imagined(rig), out, precision, STORY, **options)


def stored(path: Path) -> set[str]:
    """Types of the large constants of a graph."""
    graph = onnx.load(path).graph
    return {onnx.TensorProto.DataType.Name(one.data_type) for one in graph.initializer if np.prod(one.dims) > 600}


# ---- what is exported equals torch


def test_fp32_is_the_policy_to_the_last_digits_that_matter(rig: Rig, tmp_path: Path) -> None:
    done = export(rig, tmp_path / "models" / "push", "fp32")
    assert done.parity.action < 1e-5
    assert load_bundle(done.folder, rig).hash == done.hash
    assert stored(done.folder / "step.onnx") == {"FLOAT"}
    assert stored(Bundle.read(done.folder).encoder_path) == {"FLOAT"}


def test_two_bytes_a_number_cost_less_than_a_hundredth_of_the_range(rig: Rig, tmp_path: Path) -> None:
    done = export(rig, tmp_path / "models" / "push", "fp16")
    bundle = load_bundle(done.folder, rig)
    assert 1e-7 < done.parity.action_share < 1e-2
    assert stored(done.folder / "step.onnx") == stored(bundle.encoder_path) == {"FLOAT16"}


def test_int8_levels_cost_nothing_once_the_head_was_trained_on_them(rig: Rig, tmp_path: Path) -> None:
    trained = unrounded_policy(rig)
    trained = replace(trained, encoder=on_levels(trained.encoder), head=round_to_half(trained.head))
    done = publish.publish(trained, imagined(rig), tmp_path / "models" / "push", "int8", STORY)
    bundle = load_bundle(done.folder, rig)
    assert done.parity.action_share < 1e-5
    assert stored(done.folder / "step.onnx") == {"FLOAT16"}
    assert stored(bundle.encoder_path) == {"INT8", "FLOAT16"}
    with pytest.raises(LearnError, match=r"train with --set encoder\.int8=true"):
        export(rig, tmp_path / "models" / "unpolished", "int8")


@pytest.mark.parametrize("make", [vit, convnext])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_an_encoder_of_another_kind_is_exported_too(rig: Rig, tmp_path: Path, make: Any, precision: Precision) -> None:
    torch.manual_seed(1)
    done = export(rig, tmp_path / "models" / "push", precision, make())
    bundle = load_bundle(done.folder, rig)
    assert done.parity.action < 1e-4 if precision == "fp32" else done.parity.action_share < 1e-2
    assert ("FLOAT16" in stored(bundle.encoder_path)) is (precision == "fp16")
    graph = bundle.encoder_path.read_bytes()
    assert b"site-packages" not in graph  # nor any other word of this computer
    assert b"test_export" not in graph
    assert onnx.load(bundle.encoder_path).opset_import[0].version == 18


def test_int8_levels_are_refused_for_an_encoder_without_them(rig: Rig, tmp_path: Path) -> None:
    with pytest.raises(LearnError, match=r"precision int8 is for the convolutions of a ResNet-18.*--precision fp16"):
        export(rig, tmp_path / "models" / "push", "int8", vit())


def test_points_are_exported_as_a_graph_and_refused_as_a_bundle(rig: Rig, tmp_path: Path) -> None:
    """The graph computes what torch does; but nothing that runs gives an encoder depth."""
    torch.manual_seed(1)
    network, points = PointNet(16, (8, 16)).eval(), torch.randn(1, 3, 6, 8)
    path = tmp_path / "points.onnx"
    path.write_bytes(encoder_graph(network, 6, 8, "fp32"))
    session = GraphSession(path, {"image": (1, 3, 6, 8)}, {"feature": (1, 16)}, threads=1)
    with torch.no_grad():
        np.testing.assert_allclose(session.run(image=points.numpy()), network(points).numpy(), atol=1e-5)
    with pytest.raises(LearnError, match="encoder pointnet takes points of aligned depth"):
        export(rig, tmp_path / "models" / "push", "fp32", network)


def test_the_stages_are_named_in_their_order_and_drift_together(rig: Rig, tmp_path: Path) -> None:
    parity = export(rig, tmp_path / "models" / "push", "fp16").parity
    names = [stage.name for stage in parity.stages]
    cameras = [f"{stage} {camera}" for camera in rig.cameras for stage in ("preprocess", "feature")]
    steps = [f"step {number}" for number in range(1, 6)]
    assert names == [*cameras, "condition", "FiLM", *steps, "actions"]
    found = dict(zip(names, parity.stages, strict=True))
    assert found["preprocess front"].difference < 1e-5
    assert found["feature front"].difference > found["preprocess front"].difference
    assert parity.action_share == pytest.approx(found["step 5"].difference / 2)


# ---- or nothing is written


def spoiled(graph: Any) -> Any:
    """A graph's maker whose constants come out a little larger."""

    def make(*arguments: Any) -> bytes:
        model = onnx.load_from_string(graph(*arguments))
        for one in model.graph.initializer:
            values = onnx.numpy_helper.to_array(one)
            if values.dtype.kind == "f" and values.size > 100:
                one.CopyFrom(onnx.numpy_helper.from_array((values * 1.02).astype(values.dtype), one.name))
        return bytes(model.SerializeToString())

    return make


def test_a_graph_that_computes_something_else_never_becomes_a_bundle(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compose, "step_graph", spoiled(compose.step_graph))
    with pytest.raises(ValueError, match="actions differs from the reference by"):
        export(rig, tmp_path / "models" / "push", "fp32")
    assert list((tmp_path / "models").iterdir()) == []


@pytest.mark.parametrize(("precision", "allowed"), [("fp32", "1e-04"), ("fp16", "1%"), ("int8", "1%")])
def test_above_the_limit_it_is_refused_with_both_numbers(
    rig: Rig, tmp_path: Path, precision: Precision, allowed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rounded networks agree with the bundle, the ones that were trained do not."""
    trained, other = unrounded_policy(rig), unrounded_policy(rig)
    with torch.no_grad():
        other.head.unet.out.weight *= 1.2
    monkeypatch.setattr(publish, "compare", lambda _, *rest: stages.compare(other, *rest))
    with pytest.raises(LearnError, match=rf"actions differ by .*, allowed is {allowed}.* nothing was written"):
        publish.publish(trained, imagined(rig), tmp_path / "models" / "push", precision, STORY)
    assert list((tmp_path / "models").iterdir()) == []


def test_nan_is_refused() -> None:
    parity = stages.Parity("fp16", (stages.Stage("step 1", 1.0, 0.0), stages.Stage("actions", 1.0, 0.0)), float("nan"))
    with pytest.raises(LearnError, match="nan"):
        parity.check()


def test_a_folder_that_is_there_stays_as_it_is(rig: Rig, tmp_path: Path) -> None:
    first = export(rig, tmp_path / "models" / "push", "fp16")
    with pytest.raises(LearnError, match="exists; name another folder"):
        export(rig, first.folder, "fp32")
    assert load_bundle(first.folder, rig).hash == first.hash
    again = export(rig, first.folder, "fp32", replace=True)
    assert load_bundle(first.folder, rig).hash == again.hash != first.hash


# ---- what it tells


def test_the_reference_is_the_stores_first_moment(store: Path) -> None:
    opened = Store(store)
    example = recorded_by(store, opened.rig)
    np.testing.assert_array_equal(example.pixels["front"][1], np.asarray(opened.data("front")[1]))
    np.testing.assert_allclose(example.joints, opened.data("robot_joint")[:2])
    assert example.poses.shape == (2, 4, 4)


def test_a_policy_of_fewer_cameras_takes_those_of_the_store(store: Path) -> None:
    rig = Store(store).rig
    assert list(recorded_by(store, rig.model_copy(update={"cameras": {"wrist": rig.cameras["wrist"]}})).pixels) == [
        "wrist"
    ]


def test_a_store_of_another_rig_is_refused(tmp_path: Path, rig: Rig) -> None:
    other = stores.write_store(tmp_path / "other.zarr", 1, stores.tiny_rig(rate_hz=5.0), rows=4)
    with pytest.raises(
        LearnError, match=r"another rig than the policy's(?s:.*)policy.rate_hz: 10.0 in the policy, 5.0"
    ):
        recorded_by(other, rig)


def test_the_card_tells_of_data_training_parity_and_results(store: Path, tmp_path: Path) -> None:
    opened = Store(store)
    trained = replace(unrounded_policy(opened.rig), task="push")
    results = [result(success) for success in (True, True, False)]
    story = Story(
        {"command": "a test", "seed": 3}, "ResNet-18", Data.of(opened), {"steps": 300, "encoder": "xdistill"}, results
    )
    done = publish.publish(trained, recorded(opened), tmp_path / "push", "fp16", story)
    card = (done.folder / "MODEL_CARD.md").read_text()
    headings = ("Intended use", "Limits", "Data", "Networks", "Parity", "Results", "Provenance", "Training")
    assert [line[3:] for line in card.splitlines() if line.startswith("## ")] == list(headings)
    for told in (
        "| store | push.zarr |", "| episodes | 2 |", "| operators | ada |", "| seeds of simulated scenes | 7 |",
        "| ONNX opset | 18 |", "| weights stored as | fp16 |", "| push | id | 2/3 |", "encoder: xdistill",
        done.parity.verdict, f"Bundle `{done.hash}`", "| seed | 3 |",
    ):  # fmt: skip
        assert told in card
    assert card.count("| step ") == 5
    # it is for people: who adds a line to it does not make another bundle of it
    (done.folder / "MODEL_CARD.md").write_text(card + "\nSeen on Monday.\n")
    assert load_bundle(done.folder, opened.rig).hash == done.hash


def result(success: bool) -> Any:
    return TrialResult.model_validate({
        "task": "push", "condition": "id", "seed": 100_000, "success": success, "duration_s": 3.0,
        "ended_by": "success" if success else "time_limit", "finished_at": "2026-11-21T12:00:00+00:00",
        "provenance": {"bundle": "push", "bundle_sha256": "0123456789abcdef", "rig": "sim_table"},
    })  # fmt: skip


def test_a_runs_policy_is_exported_by_the_command(store: Path, tmp_path: Path) -> None:
    opened = Store(store)
    run, out = tmp_path / "run", tmp_path / "models" / "push"
    policies.save(unrounded_policy(opened.rig), run / "best", {"seed": 4, "store": str(store), "encoder": "xdistill"})
    weights = {"weights": str(store.parent / "encoder.safetensors")}
    (run / "config.yaml").write_text(json.dumps({"store": str(store), "epochs": 77, "encoder": weights}))
    ended = CliRunner().invoke(app, ["export", str(run / "best"), "--out", str(out), "--precision", "fp32"])
    assert ended.exit_code == 0, ended.output
    card = (out / "MODEL_CARD.md").read_text()
    assert "epochs: 77" in card
    assert "weights: encoder.safetensors" in card
    assert "| encoder | xdistill |" in card
    assert str(store.parent) not in card + (out / "bundle.yaml").read_text()  # nobody else has this computer's folders
    assert "actions differ by" in ended.stdout
    assert "no TensorRT engines: this ONNX Runtime offers" in ended.stdout
    assert load_bundle(out, opened.rig).manifest.provenance["seed"] == 4
    again = CliRunner().invoke(app, ["export", str(run / "best"), "--out", str(out)])
    assert (again.exit_code, "exists; name another folder" in again.stderr) == (2, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["RUN"], "name the bundle's folder: --out models/NAME"),
        (["RUN", "--out", "OUT", "--task", "x"], "--rig, --task and --steps are for --from lerobot"),
        (["NOTHING", "--out", "OUT"], "policy.yaml: cannot be read"),
        (["RUN", "--out", "OUT", "--results", "NOTHING"], "NOTHING: no results of trials there"),
        (["RUN", "--out", "OUT"], "its episode store .* is not there any more; name it with --store"),
        (["BUNDLE", "--out", "OUT"], "is a bundle already"),
    ],
)
def test_a_command_that_cannot_be_carried_out_is_answered_in_a_sentence(
    rig: Rig, tmp_path: Path, words: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    policies.save(unrounded_policy(rig), Path("RUN"), {"store": "gone.zarr"})
    Path("BUNDLE").mkdir()
    Path("BUNDLE/bundle.yaml").touch()
    ended = CliRunner().invoke(app, ["export", *words])
    assert ended.exit_code == 2, ended.output
    assert "Traceback" not in ended.output
    assert re.search(message, ended.stderr)
    assert not Path("OUT").exists()


def test_what_is_exported_can_be_moved_alone(rig: Rig, tmp_path: Path) -> None:
    done = export(rig, tmp_path / "models" / "push", "fp16")
    alone = shutil.copytree(done.folder, tmp_path / "elsewhere" / "push")
    shutil.copy(Bundle.read(done.folder).encoder_path, alone)
    assert load_bundle(alone, rig).hash == done.hash
