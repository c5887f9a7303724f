"""Where a running policy looks: the bundle's graphs give torch's Grad-CAM, without torch."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from tests.support.small_policy import small_policy
from tests.support.tiny_bundle import write_tiny_bundle
from xdistill_ros.learn.analyse import looks as looking
from xdistill_ros.learn.analyse.features import Typical
from xdistill_ros.learn.analyse.rows import Moments
from xdistill_ros.learn.analyse.subjects import Subject
from xdistill_ros.learn.errors import LearnError
from xdistill_ros.learn.export import shares
from xdistill_ros.learn.export.bundle import export
from xdistill_ros.learn.export.example import Example
from xdistill_ros.learn.networks.rounding import deployable, round_to_half
from xdistill_ros.perception import GraphError, Preprocess
from xdistill_ros.policy import actions, parity
from xdistill_ros.policy.bundle import Bundle
from xdistill_ros.policy.gaze import SHARES_FILE, Gaze
from xdistill_ros.policy.observation import Observation

SEED = 3


@dataclasses.dataclass(frozen=True)
class Case:
    """A bundle, the policy it was made of, and one observation of both."""

    folder: Path
    bundle: Bundle
    policy: object
    images: dict
    observation: Observation
    moments: Moments


def make(folder: Path, rig, feature: str) -> Case:
    trained = small_policy(rig, feature)
    trained = dataclasses.replace(trained, encoder=deployable(trained.encoder))
    round_to_half(trained.head)
    random, steps = np.random.default_rng(1), rig.policy.observation_horizon
    large = {
        name: random.integers(0, 255, (steps, 6, 8, 3), np.uint8).repeat(80, 1).repeat(80, 2) for name in rig.cameras
    }
    poses, widths, joints = np.tile(np.eye(4), (steps, 1, 1)), np.full(steps, 0.05), np.zeros((steps, 6))
    poses[:, 0, 3] = [0.1 * step for step in range(steps)]
    example = Example({name: tuple(images) for name, images in large.items()}, poses, widths, joints)
    export(trained, example, {"command": "a test"}, folder)
    small = {
        name: np.stack([Preprocess(spec).geometry(image) for image in large[name]])
        for name, spec in trained.preprocess.items()
    }
    with torch.no_grad():
        features = np.concatenate([
            trained.encoder(torch.from_numpy(Preprocess(spec).normalise(small[name]))).numpy()
            for name, spec in trained.preprocess.items()
        ], axis=1)  # fmt: skip
    proprio = actions.proprioception(trained.proprio, poses, widths, joints)
    moments = Moments({name: images[None] for name, images in small.items()}, poses[None], widths[None], joints[None])
    newest = {name: images[-1] for name, images in large.items()}
    return Case(folder, Bundle.read(folder), trained, newest, Observation(0, features, proprio, poses[-1]), moments)


@pytest.fixture(scope="module")
def cases(tmp_path_factory, table_rig) -> dict[str, Case]:
    torch.set_num_threads(1)
    return {
        feature: make(tmp_path_factory.mktemp(feature) / "models" / "move_cube", table_rig, feature)
        for feature in ("pooled", "projection")
    }


@pytest.mark.parametrize("feature", ["pooled", "projection"])
def test_the_heat_of_a_running_policy_is_the_length_of_torchs_grad_cams(cases, feature, monkeypatch):
    case = cases[feature]
    shares.write(case.bundle)
    gaze = Gaze(case.bundle, threads=1, seed=SEED)
    subject = Subject("it", case.folder, case.policy.encoder, case.policy.rig, case.policy.preprocess, case.policy)
    width = len(case.policy.preprocess) * case.policy.encoder.feature_dim
    usual = Typical(np.zeros(width, np.float32), np.ones(width, np.float32))
    estimated = looking.looks(subject, usual, case.moments, SEED).cam

    def every_number(_: int, shape: tuple[int, int], __: int) -> torch.Tensor:
        count = shape[0] * shape[1]
        return float(np.sqrt(count)) * torch.eye(count).view(count, *shape)

    monkeypatch.setattr(looking, "directions", every_number)
    exact = looking.looks(subject, usual, case.moments, SEED).cam
    for camera, pixels in case.images.items():
        found = gaze.relevance(camera, pixels, case.observation)
        assert found.shape == (2, 3)
        np.testing.assert_allclose(found, exact[camera][0], rtol=0.02, atol=0.002 * found.max())
        np.testing.assert_allclose(found, estimated[camera][0], rtol=0.8)
        assert np.corrcoef(found.flatten(), estimated[camera][0].flatten())[0, 1] > 0.8


def test_heat_lies_on_the_image_in_zero_to_one_on_one_scale_for_all_cameras(cases):
    case = cases["pooled"]
    shares.write(case.bundle)
    gaze = Gaze(case.bundle, threads=1)
    heats = gaze.heat(case.images, case.observation)
    assert {name: heat.shape for name, heat in heats.items()} == dict.fromkeys(case.images, (480, 640))
    assert max(heat.max() for heat in heats.values()) == pytest.approx(1.0)
    assert min(heat.min() for heat in heats.values()) >= 0.0
    alone = gaze.heat({"front": case.images["front"]}, case.observation)
    assert list(alone) == ["front"]
    with pytest.raises(KeyError):
        gaze.heat({"side": case.images["front"]}, case.observation)


@pytest.mark.parametrize("feature", ["pooled", "projection"])
def test_what_is_appended_is_small_and_changes_nothing_of_the_bundle(cases, feature):
    case = cases[feature]
    path = shares.write(case.bundle)
    assert path.stat().st_size < 2000
    assert Bundle.read(case.folder).hash == case.bundle.hash
    parity.check(case.bundle)
    joined = onnx.load_model_from_string(case.bundle.encoder_path.read_bytes() + path.read_bytes())
    assert [output.name for output in joined.graph.output] == ["feature", "shares"]


def test_an_export_leaves_the_shares_beside_the_graphs(tmp_path, table_rig):
    assert (make(tmp_path / "models" / "move_cube", table_rig, "pooled").folder / SHARES_FILE).is_file()


@pytest.mark.parametrize("task", ["move_cube", "move_brush", "writing_agi", "drawer_open", "door_close"])
def test_the_shipped_bundles_can_show_where_they_look(task):
    Gaze(Bundle.read(Path("models") / task), threads=1)


def test_a_bundle_without_shares_says_what_to_do(cases):
    case = cases["pooled"]
    (case.folder / SHARES_FILE).unlink(missing_ok=True)
    with pytest.raises(GraphError, match=r"shares.pb: cannot be read .* export the bundle anew"):
        Gaze(case.bundle, threads=1)


def test_shares_that_do_not_add_up_to_the_feature_are_refused(cases):
    case = cases["pooled"]
    more = onnx.load_model_from_string(shares.appended(case.bundle.encoder_path.read_bytes()))
    more.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(np.float32(0.5), "shares_of_one_cell"))
    (case.folder / SHARES_FILE).write_bytes(more.SerializeToString())
    with pytest.raises(GraphError, match="do not add up to the feature"):
        Gaze(case.bundle, threads=1)


def test_a_damaged_file_is_refused(cases):
    case = cases["pooled"]
    (case.folder / SHARES_FILE).write_bytes(b"\x00\x01nonsense")
    with pytest.raises(GraphError, match="cannot open it"):
        Gaze(case.bundle, threads=1)


def test_an_encoder_whose_feature_is_not_linear_in_its_maps_is_refused_by_name(tmp_path, table_rig):
    folder = write_tiny_bundle(tmp_path / "tiny", table_rig)
    with pytest.raises(LearnError, match="comes out of a Tanh"):
        shares.write(Bundle.read(folder))


def test_it_runs_where_torch_and_onnx_are_not_installed(cases):
    shares.write(cases["pooled"].bundle)
    script = (
        "import sys\n"
        "for name in ('torch', 'onnx', 'diffusers', 'sklearn'): sys.modules[name] = None\n"
        "from pathlib import Path\n"
        "from xdistill_ros.policy.bundle import Bundle\n"
        "from xdistill_ros.policy.gaze import Gaze\n"
        f"Gaze(Bundle.read(Path({str(cases['pooled'].folder)!r})), threads=1)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
