"""Parts of an analysis: stages, scores, neighbours, and heat that lies where the cause is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.support import stores
from tests.support.small_policy import small_policy
from xdistill_ros.episodes import Control, Episode, Store
from xdistill_ros.learn.analyse import around, embedding, neighbours, rows, stages, study
from xdistill_ros.learn.analyse.features import Typical
from xdistill_ros.learn.analyse.looks import looks
from xdistill_ros.learn.analyse.rows import Moments
from xdistill_ros.learn.analyse.subjects import Subject
from xdistill_ros.learn.analyse.tap import Tap
from xdistill_ros.learn.errors import LearnError
from xdistill_ros.learn.networks import backbones
from xdistill_ros.learn.networks.encoders import Backbone, Encoder, InputSpec, Student
from xdistill_ros.perception import PreprocessSpec
from xdistill_ros.perception.heat import on_image, to_unit


def grasp(made: list[stores.Row], first: int = 6, after: int = 18) -> None:
    """Commands the gripper to close at row `first` and to open at row `after`."""
    for number, row in enumerate(made):
        row["action"] = np.append(row["action"][:6], 0.0 if first <= number < after else 0.08)


class Told:
    """What a store tells of its rows: episodes of 24, without a disk."""

    path = Path("told.zarr")
    rig = stores.tiny_rig()

    def __init__(self, episodes: int, **columns: np.ndarray) -> None:
        self.ends = [24 * (index + 1) for index in range(episodes)]
        self.episodes = [Episode(index, end - 24, end, None) for index, end in enumerate(self.ends)]
        count = 24 * episodes
        self._columns = {
            "stage": np.zeros(count), "action": np.full((count, 7), 0.04), "timestamp": 0.1 * np.arange(count),
            "in_control": np.full(count, int(Control.PERSON)),
        } | columns  # fmt: skip

    def data(self, key: str) -> np.ndarray:
        return self._columns[key]


def grasping(episodes: int = 2) -> Told:
    """The gripper is commanded to close from row 6 to 18 of each."""
    widths = np.where((np.arange(24) >= 6) & (np.arange(24) < 18), 0.0, 0.08)
    return Told(episodes, action=np.tile(widths, episodes)[:, None].repeat(7, 1))


def test_stages_are_those_that_the_operator_marked():
    found = stages.of(Told(2, stage=np.append(np.arange(24) // 8, np.zeros(24))))
    assert found.names == ("stage 0", "stage 1", "stage 2")
    assert found.labels[:24].tolist() == [0] * 8 + [1] * 8 + [2] * 8
    assert set(found.labels[24:]) == {stages.UNKNOWN}
    assert "1 of 2 episodes have no mark" in found.origin


def test_without_marks_stages_follow_the_commanded_gripper_and_it_is_said():
    found = stages.of(grasping())
    assert found.names == ("before the grasp", "holding", "after the release")
    assert found.labels[24:].tolist() == [0] * 6 + [1] * 12 + [2] * 6
    assert "nobody marked stages" in found.origin
    assert "40 mm" in found.origin


def test_a_gripper_that_does_not_move_makes_one_stage():
    found = stages.of(Told(1))
    assert found.names == ("the whole task",)
    assert "one stage" in found.origin


def test_only_rows_of_a_person_are_looked_at():
    control = np.full(48, int(Control.PERSON))
    control[:10] = int(Control.POLICY)
    chosen = rows.choose(Told(2, in_control=control))
    assert chosen.index.tolist() == list(range(10, 48))
    assert chosen.episode.tolist() == [0] * 14 + [1] * 24
    assert chosen.second[0] == pytest.approx(1.0)
    with pytest.raises(LearnError, match="in 0 rows only; at least 12 are needed"):
        rows.choose(Told(2, in_control=np.zeros(48)))


def test_a_store_is_thinned_out_evenly(monkeypatch):
    monkeypatch.setattr(rows, "MOST_ROWS", 16)
    chosen = rows.choose(grasping())
    assert chosen.every == 3
    assert chosen.index.tolist() == list(range(0, 48, 3))


def test_history_repeats_the_first_row_of_an_episode_and_never_reaches_into_another():
    assert rows.history(Told(2), [0, 5, 24, 47]).tolist() == [[0, 0], [4, 5], [24, 24], [46, 47]]


def clusters(apart: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random, stage = np.random.default_rng(0), np.arange(120) % 3
    points = random.standard_normal((120, 5)) + apart * np.eye(5)[stage]
    return points.astype(np.float32), stage, np.arange(120) // 12


def test_stages_that_lie_apart_score_high_and_mixed_ones_do_not():
    far, near = (embedding.silhouette(*clusters(apart), seed=0) for apart in (20.0, 0.0))
    assert far is not None
    assert near is not None
    assert far.value > 0.8
    assert abs(near.value) < 0.1
    assert far.low < far.value < far.high


def test_a_score_of_one_stage_is_not_defined_and_unknown_stages_do_not_count():
    points, stage, episode = clusters(20.0)
    assert embedding.silhouette(points, np.zeros_like(stage), episode, 0) is None
    half = np.where(np.arange(120) < 60, stage, stages.UNKNOWN)
    whole = embedding.silhouette(points[:60], stage[:60], episode[:60], 0)
    assert embedding.silhouette(points, half, episode, 0) == whole


def test_a_map_keeps_clusters_apart_and_is_the_same_again():
    points, stage, episode = clusters(20.0)
    drawn = embedding.on_a_map(points, seed=1)
    score = embedding.silhouette(drawn, stage, episode, 0)
    assert score is not None
    assert score.value > 0.5
    np.testing.assert_array_equal(drawn, embedding.on_a_map(points, seed=1))


def test_neighbours_are_of_other_episodes_one_each_the_nearest_first():
    features = np.array([[1, 0], [1, 0.1], [1, 0.2], [0, 1], [1, 1], [-1, 0]], np.float32)
    episode = np.array([0, 0, 1, 1, 2, 2])
    found = neighbours.nearest(features, episode, 0, features[0], count=5)
    assert [one.at for one in found] == [2, 4]
    assert found[1].cosine == pytest.approx(np.sqrt(0.5))
    assert neighbours.nearest(features, np.zeros(6, int), 0, features[0], 5) == []


def test_agreement_counts_rows_whose_nearest_of_another_episode_is_of_their_stage():
    features = np.array([[1, 0], [0, 1], [1, 0.1], [0.1, 1]], np.float32)
    episode, stage = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    assert neighbours.agreement(features, episode, stage) == 1.0
    assert neighbours.agreement(features, episode, np.array([0, 1, 1, 0])) == 0.0
    assert neighbours.agreement(features, np.zeros(4, int), stage) is None


@pytest.mark.parametrize("feature", ["pooled", "projection"])
def test_the_tapped_maps_of_a_cnn_are_its_last_ones(feature):
    torch.manual_seed(0)
    encoder, images = Student(8, feature).eval(), torch.rand(2, 3, 64, 96)
    with torch.no_grad(), Tap(encoder) as tap:
        encoder(images)
        torch.testing.assert_close(tap.spatial(tap.maps), encoder.maps(images))
    assert not encoder.trunk.layer4._forward_hooks


def test_the_tapped_maps_of_a_transformer_reach_its_feature():
    network = backbones.vision_transformer(
        "vit_tiny_patch16_224", img_size=(32, 48), embed_dim=24, depth=2, num_heads=2
    )
    images = torch.rand(2, 3, 32, 48, requires_grad=True)
    with Tap(network) as tap:
        feature = network(images)
        (gradient,) = torch.autograd.grad(feature[:, :1].sum(), [tap.maps])
    assert tap.spatial(gradient).shape == (2, 24, 2, 3)
    assert tap.spatial(gradient).abs().max() > 0


def test_images_too_small_for_maps_are_said_to_be():
    class Averages(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.mean((2, 3))

    network = Averages()
    with Tap(network) as tap:
        network(torch.rand(1, 3, 8, 8))
    with pytest.raises(LearnError, match="use larger images"):
        _ = tap.maps


class Reds(Encoder):
    """Its feature is how much red there is; its maps are the redness of 8x8 cells."""

    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.AvgPool2d(8)
        self.feature_dim, self.input, self.settings = 1, InputSpec(), {}

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.cells(images[:, :1]).mean((2, 3))


def plain_spec() -> PreprocessSpec:
    """Images as they are."""
    return PreprocessSpec(
        source_width_px=64, source_height_px=48, resize_width_px=64, resize_height_px=48,
        mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0),
    )  # fmt: skip


def test_heat_lies_on_what_the_feature_is_about():
    images = np.zeros((1, 1, 48, 64, 3), np.uint8)
    images[0, 0, 16:24, 40:48, 0] = 255
    spec = plain_spec()
    subject = Subject("reds", Path(), Reds(), stores.tiny_rig(), {"front": spec}, None)
    moments = Moments({"front": images}, np.eye(4)[None, None], np.zeros((1, 1)), np.zeros((1, 1, 6)))
    found = looks(subject, Typical(np.zeros(1, np.float32), np.ones(1, np.float32)), moments, 0)
    assert found.cam["front"].shape == (1, 6, 8)
    assert np.argwhere(found.cam["front"][0] > 0).tolist() == [[2, 5]]
    heat = on_image(found.cam["front"][0], spec)
    assert np.unravel_index(heat.argmax(), heat.shape) == pytest.approx((19.5, 43.5), abs=1.5)
    assert found.saliency["front"].shape == (1, 48, 64)


def test_a_policys_heat_follows_what_its_plan_depends_on(table_rig):
    policy = small_policy(table_rig)
    moments = Moments(
        {name: np.random.default_rng(0).integers(0, 255, (1, 2, 64, 96, 3), np.uint8) for name in policy.preprocess},
        np.tile(np.eye(4), (1, 2, 1, 1)), np.full((1, 2), 0.04), np.zeros((1, 2, 6)),
    )  # fmt: skip
    subject = Subject("policy", Path(), policy.encoder, table_rig, policy.preprocess, policy)
    width = 2 * policy.encoder.feature_dim
    usual = Typical(np.zeros(width, np.float32), np.ones(width, np.float32))
    found = looks(subject, usual, moments, 0)
    assert found.cam["front"].shape == (1, 2, 3)
    assert all(found.saliency[name].max() > 0 for name in policy.preprocess)
    blind = policy.head.film.embed[0].weight
    with torch.no_grad():
        blind.zero_()
    assert all(looks(subject, usual, moments, 0).saliency[name].max() == 0 for name in policy.preprocess)


def test_what_the_crop_cuts_off_has_no_heat():
    spec = PreprocessSpec(
        source_width_px=64, source_height_px=48, resize_width_px=32, resize_height_px=24, crop_width_px=16,
        crop_height_px=12,
    )  # fmt: skip
    heat = on_image(np.ones((3, 4)), spec)
    assert heat.shape == (48, 64)
    assert heat[24, 32] == pytest.approx(1.0)
    assert heat[:10].max() == 0.0
    assert heat[:, :14].max() == 0.0


def test_heats_are_scaled_together_and_no_heat_stays_none():
    scaled = to_unit({"a": np.full((2, 2), 4.0, np.float32), "b": np.full((2, 2), 1.0, np.float32)})
    assert scaled["a"].max() == 1.0
    assert scaled["b"].max() == 0.25
    assert to_unit({"a": np.zeros((2, 2), np.float32)})["a"].max() == 0.0


def test_heat_around_the_hand_is_one_where_it_is_even(table_rig):
    camera = around.fixed_cameras(table_rig)["front"]
    even = np.ones((camera.height_px, camera.width_px), np.float32)
    tcp_m = np.array([0.4, 0.0, 0.1])
    assert around.concentration(even, tcp_m, camera) == pytest.approx(1.0)
    assert around.concentration(even * 0, tcp_m, camera) is None
    assert around.concentration(even, np.array([-3.0, 0.0, 0.1]), camera) is None
    assert list(around.fixed_cameras(table_rig)) == ["front"]


def test_the_object_lies_where_the_gripper_first_closes_until_the_hand_is_there(table_rig, tmp_path):
    def reaching(made):
        for k, row in enumerate(made):
            row["robot_eef_pose"][:3] = np.array([0.35, -0.25, 0.2]) + min(k / 16, 1.0) * np.array([0.1, 0.45, -0.15])
            row["action"][-1] = 0.08 if k < 16 else 0.01

    def idle(made):
        for row in made:
            row["action"][-1] = 0.08

    path = stores.write_store(tmp_path / "s.zarr", 2, table_rig, changes={0: reaching, 1: idle})
    found = around.Whereabouts(Store(path))
    camera = around.fixed_cameras(table_rig)["front"]
    np.testing.assert_allclose(found.of("hand", 0, camera), [0.35, -0.25, 0.2], atol=1e-6)
    np.testing.assert_allclose(found.of("object", 0, camera), [0.45, 0.2, 0.05], atol=1e-6)
    assert found.of("object", 15, camera) is None, "the hand is over it"
    assert found.of("object", 16, camera) is None, "it is held"
    assert found.of("object", 30, camera) is None, "in the other episode nothing is taken"


def test_typical_features_do_not_blow_up_what_hardly_varies():
    random = np.random.default_rng(0)
    features = np.stack([random.standard_normal(200), 1e-6 * random.standard_normal(200)], axis=1).astype(np.float32)
    assert Typical.of(features).standardise(features)[:, 1].std() < 1e-4
    assert replace(Typical.of(features), spread=np.ones(2, np.float32)).standardise(features).shape == (200, 2)


def test_a_backbone_can_be_tapped_too():
    torch.manual_seed(0)
    encoder = Backbone("resnet18").eval()
    with torch.no_grad(), Tap(encoder) as tap:
        encoder(torch.rand(1, 3, 64, 64))
    assert tap.maps.shape == (1, 512, 2, 2)


@pytest.mark.parametrize(("spoilt", "said"), [(np.nan, "not finite"), (0.0, "same feature for every moment")])
def test_features_of_which_nothing_can_be_said_are_refused(monkeypatch, table_rig, spoilt, said):
    monkeypatch.setattr(study, "features", lambda *_: np.full((20, 4), spoilt, np.float32))
    subject = Subject("odd", Path(), Reds(), table_rig, {}, None)
    with pytest.raises(LearnError, match=f"odd: .*{said}"):
        study.study(subject, {}, None, 0)
