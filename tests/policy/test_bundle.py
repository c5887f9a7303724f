"""What a bundle is refused for: damage, another rig, a newer format, another computation."""

from __future__ import annotations

import contextlib
import hashlib
import shutil

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.rigs import sim_table
from tests.support.tiny_bundle import write_tiny_bundle
from xdistill_ros.policy import bundle as bundle_module
from xdistill_ros.policy import parity
from xdistill_ros.policy.bundle import Bundle
from xdistill_ros.policy.loading import load_bundle
from xdistill_ros.policy.manifest import BUNDLE_FILES, BundleError, Manifest, dump, parse


def edit(folder, change):
    """Applies `change` to the manifest's document."""
    path = folder / "bundle.yaml"
    document = yaml.safe_load(path.read_text())
    change(document)
    path.write_text(yaml.safe_dump(document))


def replace_file(folder, name, content):
    """Replaces a file and its checksum, as a wrong export would have it."""
    (folder / name).write_bytes(content)
    edit(folder, lambda d: d["files"].update({name: hashlib.sha256(content).hexdigest()}))


def test_an_intact_bundle_loads_and_has_a_name_of_its_own(folder, rig, tmp_path):
    bundle = load_bundle(folder, rig)
    other = load_bundle(write_tiny_bundle(tmp_path / "models" / "other", rig, seed=1), rig)
    assert len(bundle.hash) == 12
    assert bundle.hash != other.hash
    assert bundle.frame_id("front") == f"front@{bundle.hash}"


def test_bundles_share_an_encoder_by_its_hash(folder, rig, tmp_path):
    other = load_bundle(write_tiny_bundle(tmp_path / "models" / "other", rig, name="other"), rig)
    bundle = load_bundle(folder, rig)
    assert other.encoder_path == bundle.encoder_path
    assert bundle.encoder_path.name == f"{bundle.manifest.encoder.sha256[:16]}.onnx"
    assert len(list((tmp_path / "models" / "shared").iterdir())) == 1


def test_an_encoder_in_the_bundles_own_folder_serves_too(folder, rig, tmp_path):
    bundle = load_bundle(folder, rig)
    alone = tmp_path / "elsewhere" / "tiny"
    shutil.copytree(folder, alone)
    shutil.copy(bundle.encoder_path, alone)
    assert load_bundle(alone, rig).hash == bundle.hash


def test_a_missing_encoder_is_named_with_the_places_looked_at(folder, rig, tmp_path):
    shutil.rmtree(tmp_path / "models" / "shared")
    with pytest.raises(BundleError, match=r"encoder [0-9a-f]{16}\.onnx is in neither .*shared"):
        load_bundle(folder, rig)


@pytest.mark.parametrize("name", [*BUNDLE_FILES, "encoder"])
def test_one_flipped_bit_in_any_file_is_noticed(folder, rig, name):
    path = Bundle.read(folder).encoder_path if name == "encoder" else folder / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleError, match=rf"{path.name}: SHA-256 is .* the manifest says .* copy the bundle anew"):
        load_bundle(folder, rig)


def test_a_flipped_byte_is_noticed_also_after_the_bundle_was_loaded_once(folder, rig):
    load_bundle(folder, rig)
    path = folder / "step.onnx"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(BundleError, match="SHA-256"):
        load_bundle(folder, rig)


@pytest.mark.parametrize("name", BUNDLE_FILES)
def test_a_missing_file_is_named(folder, rig, name):
    (folder / name).unlink()
    with pytest.raises(BundleError, match=f"{name}: cannot be read"):
        load_bundle(folder, rig)


def test_a_folder_without_a_manifest_is_no_bundle(tmp_path, rig):
    with pytest.raises(BundleError, match=r"bundle\.yaml: cannot be read"):
        load_bundle(tmp_path, rig)


def test_a_newer_format_says_so_before_anything_else(folder, rig):
    edit(folder, lambda d: d.update(format_version=2, something_new=1))
    with pytest.raises(BundleError, match="format_version is 2, this software reads up to 1; update"):
        load_bundle(folder, rig)


def test_a_bundle_of_another_rig_names_every_field_with_both_values(folder):
    other = sim_table(rate_hz=15.0, prediction_horizon=24)
    with pytest.raises(BundleError) as error:
        load_bundle(folder, other)
    message = str(error.value)
    assert "policy.rate_hz: the bundle was trained with 10.0, this rig has 15.0" in message
    assert "policy.prediction_horizon: the bundle was trained with 16, this rig has 24" in message
    assert "train anew" in message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("schedule"), "schedule: missing"),
        (lambda d: d.update(schedul=1), "schedul: unknown field; did you mean schedule?"),
        (lambda d: d["schedule"].update(prediction_type="velocity"), "schedule.prediction_type is 'velocity'"),
        (lambda d: d["statistics"]["action"].update(minimum=[0.0]), "minimum has 1 channels, maximum 10"),
        (lambda d: d["statistics"].update(action={"minimum": [0.0], "maximum": [1.0]}), "has 1 channels, the bundle"),
        (lambda d: d["preprocess"].pop("wrist"), r"preprocess is for cameras \['front'\]"),
        (lambda d: d["preprocess"]["front"].update(source_width_px=320), "preprocess.front is for 320x480"),
        (lambda d: d["files"].pop("step.onnx"), "a bundle has"),
        (lambda d: d["files"].update({"../../etc/passwd": "0" * 64}), "a bundle has"),
        (lambda d: d.update(name=None), "name"),
    ],
)
def test_a_wrong_manifest_names_file_field_and_value(folder, rig, change, message):
    edit(folder, change)
    with pytest.raises(BundleError, match=message) as error:
        load_bundle(folder, rig)
    assert "bundle.yaml" in str(error.value)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_happens_to_the_manifest_is_a_bundle_error(folder, data):
    """Cut, overwritten or with any value replaced: a bundle error, never another exception."""
    source = folder / "bundle.yaml"
    text = source.read_bytes()
    cut = data.draw(st.integers(0, len(text) - 1))
    insert = data.draw(st.binary(min_size=1, max_size=20))
    damaged = text[:cut] + insert + text[cut + data.draw(st.integers(0, 30)) :]
    with contextlib.suppress(BundleError):  # anything else that is raised fails the test
        assert isinstance(parse(damaged, source), Manifest)


def test_writing_and_reading_a_manifest_keeps_it(bundle):
    assert parse(dump(bundle.manifest), bundle.path) == bundle.manifest


def test_no_path_of_the_writers_machine_is_written(folder):
    assert str(folder.parent) not in (folder / "bundle.yaml").read_text()
    assert yaml.safe_load((folder / "bundle.yaml").read_text())["rig"]["arm"]["urdf"] == "sim_arm.urdf"


def test_a_bundle_that_computes_something_else_is_refused(folder, rig, tmp_path):
    """The graphs of another seed under valid checksums: only parity can tell."""
    other = write_tiny_bundle(tmp_path / "models" / "other", rig, seed=1)
    replace_file(folder, "step.onnx", (other / "step.onnx").read_bytes())
    with pytest.raises(BundleError, match=r"actions differs from the reference by .* allowed is 1\.00e-04"):
        load_bundle(folder, rig)


def test_a_reference_that_lacks_an_output_is_refused(folder, rig):
    with np.load(folder / "reference.npz") as archive:
        arrays = dict(archive)
    del arrays["actions"]
    replace_file(folder, "reference.npz", parity.pack(arrays))
    with pytest.raises(BundleError, match=r"reference\.npz: lacks 'actions'"):
        load_bundle(folder, rig)


@pytest.mark.parametrize(
    ("name", "content"),
    [("step.onnx", b"no graph"), ("reference.npz", b"no archive"), ("step_film.npy", b"no table")],
)
def test_an_unreadable_file_under_a_valid_checksum_is_refused_by_name(folder, rig, name, content):
    replace_file(folder, name, content)
    with pytest.raises(BundleError, match=name):
        load_bundle(folder, rig)


def test_a_step_table_for_another_number_of_steps_is_refused(folder, rig):
    edit(folder, lambda d: d["schedule"].update(inference_steps=8))
    with pytest.raises(BundleError, match=r"step_film\.npy: float32 \(5, 8\), wanted float32 \(8, 8\)"):
        load_bundle(folder, rig)


def test_parity_is_checked_once_for_each_content(folder, rig, cache_home, monkeypatch):
    checks = []
    real = parity.check
    monkeypatch.setattr(parity, "check", lambda bundle: checks.append(bundle.hash) or real(bundle))
    first = load_bundle(folder, rig)
    load_bundle(folder, rig)
    assert checks == [first.hash]
    edit(folder, lambda d: d.update(task="drawer_open"))
    second = load_bundle(folder, rig)
    assert checks == [first.hash, second.hash]
    assert len(list((cache_home / "xdistill_ros" / "parity").iterdir())) == 2


def test_another_provider_or_version_of_onnx_runtime_is_checked_anew(folder, rig, cache_home, monkeypatch):
    load_bundle(folder, rig)
    monkeypatch.setattr("onnxruntime.__version__", "99.0")
    load_bundle(folder, rig)
    monkeypatch.setattr(parity, "preferred_provider", lambda: "CUDAExecutionProvider")
    load_bundle(folder, rig)
    assert len(list((cache_home / "xdistill_ros" / "parity").iterdir())) == 3


def test_a_cache_that_cannot_be_written_costs_time_and_not_the_start(folder, rig, cache_home, caplog):
    cache_home.write_text("a file where the folder should be")
    load_bundle(folder, rig)
    assert "parity is checked at every start" in caplog.text


def test_writing_an_inconsistent_bundle_is_an_error(rig, tmp_path):
    with pytest.raises(BundleError, match=r"statistics\.action has 1 channels"):
        write_tiny_bundle(
            tmp_path / "b", rig,
            statistics={
                "action": {"minimum": (0.0,), "maximum": (1.0,)},
                "proprio": {"minimum": (-1.0,) * 11, "maximum": (1.0,) * 11},
            },
        )  # fmt: skip
    with pytest.raises(BundleError, match="a bundle has"):
        bundle_module.write(tmp_path / "c", {}, {"step.onnx": b""}, b"")
