"""Teachers by name, students of every kind, their file, cached features, and how agreement is measured."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import pytest
import torch
from safetensors.torch import load_file, save_file

from xdistill_ros.learn import weights
from xdistill_ros.learn.distil.cache import Cached, FeatureFile
from xdistill_ros.learn.distil.config import Distillation
from xdistill_ros.learn.distil.measure import agreement, neighbours
from xdistill_ros.learn.distil.teachers import Published
from xdistill_ros.learn.documents import changed, checked
from xdistill_ros.learn.errors import LearnError
from xdistill_ros.learn.networks import backbones, pretrained
from xdistill_ros.learn.networks.encoders import Backbone, Student

from .distillation import SIZE, TEACHER, teacher_weights


@pytest.fixture
def tiny(monkeypatch):
    """Every model of the zoo is a tiny one."""
    for name, origin in pretrained.ZOO.items():
        monkeypatch.setitem(pretrained.ZOO, name, replace(origin, architecture=TEACHER))


def test_a_teacher_is_frozen_and_sees_pixels_alone(tmp_path):
    teacher = Published.load(TEACHER, teacher_weights(tmp_path / "t.safetensors"), SIZE)
    images = torch.randint(0, 255, (3, 24, 32, 3), dtype=torch.uint8)
    target, counted = teacher.targets(images, torch.tensor([0, 1, 2]))
    assert target.shape == counted.shape == (3, teacher.dim) == (3, 64)
    assert not target.requires_grad
    assert not any(parameter.requires_grad for parameter in teacher.network.parameters())
    assert not teacher.network.training
    other = Published.load(TEACHER, teacher_weights(tmp_path / "o.safetensors", seed=5), SIZE)
    assert teacher.digest != other.digest


def test_missing_and_unexpected_weights_are_named(tmp_path):
    state = load_file(teacher_weights(tmp_path / "t.safetensors"))
    state["blocks.9.norm1.weight"] = state.pop("blocks.2.norm1.weight")
    state["norm.weight"] = torch.zeros(3)
    save_file(state, tmp_path / "t.safetensors")
    with pytest.raises(LearnError) as told:
        pretrained.load(TEACHER, tmp_path / "t.safetensors", SIZE)
    assert "1 missing (blocks.2.norm1.weight)" in str(told.value)
    assert "1 unexpected (blocks.9.norm1.weight)" in str(told.value)
    assert "1 of another shape (norm.weight (3,) instead of (64,))" in str(told.value)


@pytest.mark.usefixtures("tiny")
def test_a_file_that_holds_no_weights_is_named_with_where_to_get_them(tmp_path):
    (tmp_path / "t.safetensors").write_text("no weights")
    with pytest.raises(LearnError, match=r"t\.safetensors: cannot be read as weights .*huggingface\.co/timm/vit_large"):
        pretrained.load("dinov2_vitl14", tmp_path / "t.safetensors", SIZE)
    with pytest.raises(LearnError, match=r"nothing\.pth: no such file.*Depth-Anything-V2-Small"):
        pretrained.load("depth_anything", tmp_path / "nothing.pth", SIZE)
    with pytest.raises(LearnError, match=r"unknown pretrained model 'dino'; known: dinov2_vits14"):
        pretrained.load("dino")


@pytest.mark.usefixtures("tiny")
def test_weights_that_no_cache_has_and_that_cannot_be_downloaded_are_named(tmp_path, monkeypatch):
    def unreachable(*_: object) -> str:
        raise huggingface_hub.errors.LocalEntryNotFoundError("no network")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", unreachable)
    with pytest.raises(LearnError, match=r"dinov2_vits14: its weights are neither in torch\.hub's cache .*They are"):
        pretrained.load("dinov2_vits14", None, SIZE)


@pytest.mark.usefixtures("tiny")
def test_torch_hubs_cache_is_looked_into(tmp_path, monkeypatch):
    state = load_file(teacher_weights(tmp_path / "t.safetensors"))
    (tmp_path / "checkpoints").mkdir()
    torch.save(state | {"mask_token": torch.zeros(1, 64)}, tmp_path / "checkpoints" / "dinov2_vits14_pretrain.pth")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    loaded = pretrained.load("dinov2_vits14", None, SIZE)
    torch.testing.assert_close(loaded.trunk.state_dict()["norm.weight"], state["norm.weight"])


NAMES = {
    "patch_embed.proj": "embeddings.patch_embeddings.projection", "pos_embed": "embeddings.position_embeddings",
    "cls_token": "embeddings.cls_token", "attn.proj": "attention.output.dense", "norm1": "layernorm_before",
    "norm2": "layernorm_after", "mlp.fc1": "intermediate.dense", "mlp.fc2": "output.dense",
}  # fmt: skip


def as_hugging_face(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """timm's names turned into those of Hugging Face's ViT, query, key and value apart."""
    renamed: dict[str, torch.Tensor] = {}
    for key, value in state.items():
        if found := re.fullmatch(r"blocks\.(\d+)\.attn\.qkv\.(\w+)", key):
            for name, part in zip(("query", "key", "value"), value.chunk(3), strict=True):
                renamed[f"encoder.layer.{found[1]}.attention.attention.{name}.{found[2]}"] = part.clone()
            continue
        for old, new in NAMES.items():
            key = key.replace(old, new)
        key = re.sub(r"^norm\.", "layernorm.", key)
        renamed[key.replace("blocks.", "encoder.layer.")] = value
    return renamed


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(
    ("name", "prefix", "convert"),
    [("depth_anything", "pretrained.", dict), ("theia", "backbone.model.", as_hugging_face)],
)
def test_backbones_are_taken_out_of_the_models_around_them(tmp_path, name, prefix, convert):
    state = load_file(teacher_weights(tmp_path / "t.safetensors"))
    around = {f"{prefix}{key}": value for key, value in convert(state).items()}
    around |= {f"{prefix}pooler.dense.weight": torch.zeros(1)} if convert is as_hugging_face else {}
    save_file(
        around | {"depth_head.weight": torch.zeros(1), "translator.bias": torch.zeros(1)},
        tmp_path / "whole.safetensors",
    )
    loaded = pretrained.load(name, tmp_path / "whole.safetensors", SIZE).trunk.state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in state.items())


@pytest.mark.parametrize(
    ("name", "architecture", "classifier"),
    [
        ("convnext_base", "timm/test_convnext", "head.fc"),
        ("vit_small", "timm/test_vit", "head"),
        ("resnet18_imagenet", "resnet18", "fc"),
    ],
)
def test_a_classifier_s_file_gives_all_but_its_classifier(tmp_path, monkeypatch, name, architecture, classifier):
    torch.manual_seed(0)
    if architecture == "resnet18":
        state = backbones.torchvision_resnet(architecture).state_dict()
    else:
        state = backbones._timm().create_model(architecture.removeprefix("timm/"), num_classes=5).state_dict()
    save_file({key: value.contiguous() for key, value in state.items()}, tmp_path / "whole.safetensors")
    monkeypatch.setitem(pretrained.ZOO, name, replace(pretrained.ZOO[name], architecture=architecture))
    loaded = pretrained.load(name, tmp_path / "whole.safetensors").trunk.state_dict()
    assert all(torch.equal(state[key], value) for key, value in loaded.items())
    assert state.keys() - loaded.keys() == {f"{classifier}.weight", f"{classifier}.bias"}


def test_positions_are_resampled_to_another_image_size(tmp_path):
    loaded = pretrained.load(TEACHER, teacher_weights(tmp_path / "t.safetensors"), (32, 64))
    assert loaded.input.size == (32, 64)
    assert loaded(torch.zeros(1, 3, 32, 64)).shape == (1, 64)
    assert loaded.maps(torch.zeros(1, 3, 32, 64)).shape == (1, 64, 2, 4)


def test_every_name_of_the_zoo_and_every_architecture_is_one_that_the_libraries_have():
    timm = backbones._timm()
    assert all(timm.is_model(name.split(".")[0]) for name, _ in backbones._NAMED.values())
    assert all(origin.architecture in backbones.ARCHITECTURES for origin in pretrained.ZOO.values())
    with pytest.raises(LearnError, match="unknown network 'resnet'"):
        Backbone("resnet")
    with pytest.raises(LearnError, match="timm has no network 'resnet_19'"):
        Backbone("timm/resnet_19")


@pytest.mark.parametrize("architecture", ["resnet18", "timm/test_convnext", "timm/test_vit"])
def test_a_student_of_any_kind_survives_its_file(tmp_path, architecture):
    torch.manual_seed(0)
    student = Student(24, "projection", architecture, SIZE)
    student.train()(torch.randn(4, 3, *SIZE))
    student.eval()
    weights.save(student, tmp_path / "s.safetensors", {"teacher": "somebody"})
    loaded = weights.load(tmp_path / "s.safetensors")
    images = torch.randn(2, 3, *SIZE)
    torch.testing.assert_close(loaded(images), student(images), rtol=0, atol=0)
    assert loaded(images).shape == (2, loaded.feature_dim) == (2, 24)
    assert loaded.input == student.input
    assert weights.provenance(tmp_path / "s.safetensors") == {"teacher": "somebody"}
    maps = loaded.maps(images)
    assert maps.shape[:2] == (2, student.projection.in_features)
    if architecture == "resnet18":
        assert set(dict(loaded.named_children())) == {"trunk", "projection"}
        torch.testing.assert_close(maps.mean((2, 3)), loaded.pooled(images))


def test_what_is_no_encoder_and_what_is_newer_is_refused(tmp_path):
    path = tmp_path / "e.safetensors"
    with pytest.raises(LearnError, match=r"e\.safetensors: no such file"):
        weights.load(path)
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(LearnError, match="no encoder of `xdistill distill`"):
        weights.load(path)
    save_file({"a": torch.zeros(1)}, path, {"format": weights.FORMAT, "version": "2"})
    with pytest.raises(LearnError, match="version 2, this software reads up to 1"):
        weights.load(path)
    weights.save(Student(8), path, {})
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(LearnError, match="not readable as safetensors"):
        weights.load(path)


def test_cached_features_are_filled_block_by_block_and_what_is_there_is_not_asked_again(tmp_path):
    file = FeatureFile(tmp_path / "cache", 10, 3, block=4)
    file.prepare({"teacher": "somebody"})
    assert [list(rows) for rows in file.missing()] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    features = torch.arange(30.0).view(10, 3)
    file.put(range(8, 10), features[8:])
    file.put(range(4), features[:4])
    again = FeatureFile(tmp_path / "cache", 10, 3, block=4)
    again.prepare({"teacher": "somebody"})
    assert again.missing() == [range(4, 8)]
    again.put(range(4, 8), features[4:8])
    target, counted = Cached(again.values()).targets(torch.zeros(2), torch.tensor([9, 2]))
    torch.testing.assert_close(target, features[[9, 2]])
    assert counted.min() == 1.0


def test_a_disk_without_room_for_the_cache_is_named_before_anything_is_computed(tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(LearnError, match=r"0\.80 GB for cached features cannot be had .* lower teacher\.cached_views"):
        FeatureFile(tmp_path / "cache", 400_000, 1000).prepare({})


def test_agreement_is_whole_with_oneself_and_none_with_chance():
    torch.manual_seed(0)
    wanted = torch.randn(300, 16)
    same = agreement(wanted, 3.0 * wanted, wanted)
    assert same.mse == 0.0
    assert same.cosine == pytest.approx(1.0)
    assert same.neighbours == same.neighbours_pooled == 1.0
    chance = agreement(torch.randn(300, 16), torch.randn(300, 5), wanted)
    assert chance.neighbours < 0.1
    assert abs(chance.cosine) < 0.1


def test_nobody_is_their_own_neighbour():
    near = neighbours(torch.randn(30, 4))
    assert near.shape == (30, 10)
    assert not (near == torch.arange(30).unsqueeze(1)).any()


@pytest.mark.parametrize("name", ["distil_folder", "distil_imagenet"])
def test_the_shipped_configurations_are_valid_and_name_teachers_and_students_that_exist(name):
    path = Path("config/learn") / f"{name}.yaml"
    found = checked(Distillation, changed([path], {"data.images": ["somewhere"]}, []), name)
    assert found.teacher.name in pretrained.ZOO
    assert found.student.architecture in backbones.ARCHITECTURES
