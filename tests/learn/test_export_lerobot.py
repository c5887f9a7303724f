"""A policy that LeRobot trained becomes a bundle which computes what LeRobot computes, or is refused in a sentence."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from tests.support import lerobot, lerobot_reference
from tests.support.bundles import cache_home
from tests.support.rigs import SIM_TABLE
from xdistill_ros import rig as rigs
from xdistill_ros.arm import Kinematics
from xdistill_ros.cli.main import app
from xdistill_ros.learn.errors import LearnError
from xdistill_ros.learn.export import lerobot as importing
from xdistill_ros.learn.export import lerobot_checkpoint
from xdistill_ros.learn.export.example import Example, imagined
from xdistill_ros.learn.export.publish import Story, publish
from xdistill_ros.perception import Preprocess
from xdistill_ros.policy import actions as meaning
from xdistill_ros.policy.bundle import Bundle
from xdistill_ros.policy.loading import load_bundle
from xdistill_ros.policy.observation import Observation
from xdistill_ros.policy.sampler import Sampler
from xdistill_ros.rig import Rig
from xdistill_ros.rig.poses import pose_from_9d, pose_to_9d

__all__ = ["cache_home"]
ROOT = Path(__file__).parents[2]
JOINTS: dict[str, object] = {"kind": "joint_position", "reference": "absolute"}
POSES: dict[str, object] = {"kind": "tcp_pose", "reference": "absolute"}


def small_rig(space: dict[str, object], **policy: object) -> Rig:
    """The simulated table with two cameras of 64x48 pixels and absolute actions."""
    document = rigs.load(SIM_TABLE).model_dump(mode="json")
    for camera in document["cameras"].values():
        camera |= {"width_px": 64, "height_px": 48}
    document["policy"] |= {"action_space": space, "prediction_horizon": 8, "action_horizon": 4, **policy}
    return rigs.parse(document, "small rig")


def imported(folder: Path, rig: Rig, out: Path, **options: Any) -> Bundle:
    trained = importing.policy(lerobot_checkpoint.read(folder), rig, "push", **options)
    done = publish(trained, imagined(rig), out, "fp32", Story({"command": "a test"}))
    assert done.parity.action < 1e-4
    return load_bundle(out, rig)


def run(bundle: Bundle, example: Example, noise: np.ndarray) -> np.ndarray:
    """The bundle's chunk, as a robot would compute it."""
    manifest = bundle.manifest
    features = []
    for step in range(len(example.poses)):
        images = {name: Preprocess(spec)(example.pixels[name][step]) for name, spec in manifest.preprocess.items()}
        features.append(np.concatenate([bundle.encoder(name, threads=1).encode(x) for name, x in images.items()]))
    proprio = meaning.proprioception(manifest.proprio, example.poses, example.widths, example.joints)
    observation = Observation(10**18, np.stack(features), proprio, example.poses[-1])
    chunk = Sampler(bundle, seed=0, threads=1).sample(observation, noise=noise)
    assert chunk.times_ns[0] == chunk.observation_ns == 10**18
    return chunk.actions


def observed(rig: Rig) -> tuple[Example, np.ndarray, np.ndarray]:
    """Two different images and states within the training range, the gripper at its constant value, and noise."""
    random, example = np.random.default_rng(3), imagined(rig, seed=3)
    joints = example.joints + random.uniform(-0.05, 0.05, example.joints.shape)
    poses = np.array([Kinematics(rig).forward(angles) for angles in joints])
    moved = Example(example.pixels, poses, np.full(len(joints), 0.04), joints)
    body = joints if rig.policy.action_space.kind == "joint_position" else pose_to_9d(poses)
    noise = random.standard_normal((rig.policy.prediction_horizon, len(rig.channels)), dtype=np.float32)
    return moved, np.hstack([body, np.full((len(joints), 1), 0.04)]), noise


CHANGES: dict[str, dict[str, Any]] = {
    "plain": {},
    "cropped": {"crop_shape": [37, 51]},
    "resized": {"resize_shape": [40, 50], "crop_ratio": 0.75, "crop_shape": [30, 37]},
    "other_network": {"use_group_norm": False, "use_film_scale_modulation": False, "kernel_size": 5},
    "other_numbers": {"prediction_type": "sample",
                      "normalization_mapping": {"VISUAL": "MIN_MAX", "STATE": "MEAN_STD", "ACTION": "MEAN_STD"}},
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_the_bundle_computes_what_lerobot_computes(tmp_path: Path, name: str) -> None:
    rig, changes = small_rig(JOINTS), CHANGES[name]
    bundle = imported(lerobot.write(tmp_path / "checkpoint", rig, **changes), rig, tmp_path / "models" / "push")
    example, state, noise = observed(rig)
    wanted = lerobot_reference.actions(rig, example.pixels, state, noise, **changes)
    found = run(bundle, example, noise)
    assert found.shape == wanted.shape == (7, 7)  # of 8, less the one before the newest observation
    np.testing.assert_allclose(found, wanted, atol=5e-5)
    assert np.ptp(wanted[:, :-1], axis=0).min() > 1e-3


def test_poses_are_the_same_once_their_rotations_are_ones(tmp_path: Path) -> None:
    rig = small_rig(POSES)
    bundle = imported(lerobot.write(tmp_path / "checkpoint", rig), rig, tmp_path / "models" / "push")
    example, state, noise = observed(rig)
    wanted = lerobot_reference.actions(rig, example.pixels, state, noise).astype(float)
    wanted[:, :9] = pose_to_9d(pose_from_9d(wanted[:, :9]))
    np.testing.assert_allclose(run(bundle, example, noise), wanted, atol=1e-4)


def test_statistics_are_read_where_each_version_keeps_them(tmp_path: Path) -> None:
    rig = small_rig(JOINTS)
    old, new = (lerobot_checkpoint.read(lerobot.write(tmp_path / version, rig, version)) for version in ("0.3", "0.4"))
    assert old.scales.keys() == new.scales.keys()
    for name, scale in new.scales.items():
        np.testing.assert_array_equal(old.scales[name].centre, scale.centre)
        np.testing.assert_array_equal(old.scales[name].half, scale.half)
    assert old.weights.keys() == new.weights.keys()


def test_a_channel_that_never_changed_is_shown_to_the_network_as_it_was(tmp_path: Path) -> None:
    """LeRobot would divide by 1e-8: a gripper that is off by a micrometre would be seen a hundred spans away."""
    rig = small_rig(JOINTS)
    bundle = imported(lerobot.write(tmp_path / "checkpoint", rig), rig, tmp_path / "models" / "push")
    example, _, noise = observed(rig)
    off = Example(example.pixels, example.poses, example.widths + 0.01, example.joints)
    np.testing.assert_array_equal(run(bundle, example, noise), run(bundle, off, noise))


def test_a_policy_trained_with_ddpm_samples_by_ddim_in_fewer_steps(tmp_path: Path) -> None:
    rig = small_rig(JOINTS)
    folder = lerobot.write(tmp_path / "checkpoint", rig, noise_scheduler_type="DDPM", num_inference_steps=None)
    checkpoint = lerobot_checkpoint.read(folder)
    assert importing.policy(checkpoint, rig, "push").head.schedule.inference_steps == 16
    assert importing.policy(checkpoint, rig, "push", steps=5).head.schedule.inference_steps == 5
    told = importing.provenance(checkpoint, importing.policy(checkpoint, rig, "push"))
    assert told["sampling"] == "DDIM, 16 steps; LeRobot's own is DDPM, 100 steps"


def test_a_training_folder_of_lerobot_and_a_compiled_network_are_read(tmp_path: Path) -> None:
    rig = small_rig(JOINTS)
    folder = lerobot.write(tmp_path / "last" / "pretrained_model", rig)
    weights = load_file(folder / "model.safetensors")
    compiled = {name.replace("diffusion.unet.", "diffusion.unet._orig_mod."): one for name, one in weights.items()}
    plain = lerobot_checkpoint.read(folder).weights
    save_file(compiled, folder / "model.safetensors")
    assert lerobot_checkpoint.read(tmp_path / "last").weights.keys() == plain.keys()


def edited(folder: Path, name: str, **changes: Any) -> Path:
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return folder


def feature(kind: str, *shape: int) -> dict[str, Any]:
    return {"type": kind, "shape": list(shape)}


FRONT, WRIST, TOP = (f"observation.images.{name}" for name in ("front", "wrist", "top"))
IMAGE, STATE = feature("VISUAL", 3, 48, 64), feature("STATE", 7)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"type": "act"}, "type is 'act'; of LeRobot's policies DiffusionPolicy"),
        ({"use_separate_rgb_encoder_per_camera": True}, "an encoder for each camera"),
        ({"input_features": {"observation.state": STATE, FRONT: IMAGE}}, "cameras front, rig .* has front, wrist"),
        ({"input_features": {"observation.state": STATE, FRONT: IMAGE, TOP: IMAGE}}, "it sees cameras front, top"),
        ({"input_features": {"observation.state": STATE, FRONT: IMAGE, WRIST: feature("VISUAL", 3, 96, 96)}},
         "wrist is 96x96 px, the rig's camera wrist has 64x48"),
        ({"input_features": {"observation.state": feature("STATE", 6), FRONT: IMAGE, WRIST: IMAGE}},
         r"observation.state has shape \[6\], the rig's channels are 7"),
        ({"n_obs_steps": 1}, "n_obs_steps is 1, the rig's policy.observation_horizon is 2"),
        ({"horizon": 16}, "horizon is 16, the rig's policy.prediction_horizon is 8"),
        ({"beta_schedule": "linear"}, "beta_schedule is linear"),
        ({"vision_backbone": "vit_b_16"}, "torchvision has no network 'vit_b_16'"),
        ({"prediction_type": "sampel"}, "sampling: "),
        ({"num_inference_steps": 101}, "inference_steps 101 exceeds"),
        ({"kernel_size": 5}, r"model.safetensors: unet does not fit its config.json: size mismatch"),
        ({"down_dims": [16, 32, 64]}, r"lacks diffusion.unet.down_modules.2.0.cond_encoder"),
        ({"n_obs_steps": "two"}, "config.json: n_obs_steps: "),
    ],
)  # fmt: skip
def test_what_a_bundle_cannot_have_is_refused_in_a_sentence(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    rig = small_rig(JOINTS)
    folder = lerobot.write(tmp_path / "checkpoint", rig)
    if "input_features" in changes:  # statistics of whatever it sees
        spare = {f"{TOP}.mean": torch.zeros(3), f"{TOP}.std": torch.ones(3)}
        save_file(load_file(folder / "inputs.safetensors") | spare, folder / "inputs.safetensors")
        if changes["input_features"]["observation.state"]["shape"] == [6]:
            short = {
                name: one[:6] if "state" in name else one
                for name, one in load_file(folder / "inputs.safetensors").items()
            }
            save_file({name: one.clone() for name, one in short.items()}, folder / "inputs.safetensors")
    with pytest.raises(LearnError, match=message):
        importing.policy(lerobot_checkpoint.read(edited(folder, "config.json", **changes)), rig, "push")


def test_relative_actions_and_other_units_are_refused(tmp_path: Path) -> None:
    rig = small_rig(JOINTS)
    folder = lerobot.write(tmp_path / "checkpoint", rig)
    with pytest.raises(LearnError, match="its actions are absolute, those of rig sim_table are relative"):
        importing.policy(lerobot_checkpoint.read(folder), small_rig({"kind": "tcp_pose", "reference": "relative"}), "x")
    degrees = {n: np.degrees(one.numpy()) if ".m" in n and "images" not in n else one
               for n, one in load_file(folder / "inputs.safetensors").items()}  # fmt: skip
    save_file({name: torch.as_tensor(one) for name, one in degrees.items()}, folder / "inputs.safetensors")
    with pytest.raises(
        LearnError, match=r"observation\.state has joint2 from .* the policy was trained in other units"
    ):
        importing.policy(lerobot_checkpoint.read(folder), rig, "x")


def test_a_checkpoint_with_a_missing_or_damaged_part_names_it(tmp_path: Path) -> None:
    rig = small_rig(JOINTS)
    folder = lerobot.write(tmp_path / "checkpoint", rig)
    with pytest.raises(LearnError, match=r"config\.json: cannot be read"):
        lerobot_checkpoint.read(tmp_path)
    (folder / "outputs.safetensors").write_bytes(b"cut off")
    with pytest.raises(LearnError, match=r"outputs\.safetensors: is damaged"):
        lerobot_checkpoint.read(folder)
    save_file({"action.mean": torch.zeros(7)}, folder / "outputs.safetensors")
    with pytest.raises(LearnError, match="action has no statistic 'min', which MIN_MAX needs"):
        lerobot_checkpoint.read(folder)
    edited(folder, "policy_preprocessor.json", steps=[{"registry_name": "delta_action_processor", "config": {}}])
    with pytest.raises(LearnError, match="step delta_action_processor is not known here"):
        lerobot_checkpoint.read(folder)


def test_the_command_imports_and_says_how_it_samples(tmp_path: Path) -> None:
    rig = small_rig(JOINTS)
    folder = lerobot.write(tmp_path / "checkpoint", rig, noise_scheduler_type="DDPM")
    path = tmp_path / "rig.json"  # which is YAML too
    path.write_text(json.dumps(rig.model_dump(mode="json")))
    out = tmp_path / "models" / "push"
    words = ["export", str(folder), "--from", "lerobot", "--task", "push", "--out", str(out)]
    without = CliRunner().invoke(app, words)
    assert without.exit_code == 2
    assert "--from lerobot needs --rig RIG.yaml and --task NAME" in without.stderr
    ended = CliRunner().invoke(app, [*words, "--rig", str(path), "--precision", "fp32"])
    assert ended.exit_code == 0, ended.output
    assert "sampling: DDIM, 4 steps; LeRobot's own is DDPM, 4 steps" in ended.stdout
    assert "made up" in ended.stdout
    assert "step 4" in ended.stdout
    assert "LeRobot" in (out / "MODEL_CARD.md").read_text()
    assert load_bundle(out, rig).manifest.past_actions == 1


@pytest.mark.skipif("XDISTILL_LEROBOT_PYTHON" not in os.environ, reason="no environment with lerobot is named")
@pytest.mark.parametrize("form", ["plain", "resized"])
def test_lerobot_s_own_policy_gives_the_same_actions(tmp_path: Path, form: str) -> None:
    rig, changes = small_rig(JOINTS), CHANGES[form]
    example, state, noise = observed(rig)
    given = {f"pixels_{name}": np.stack(images) for name, images in example.pixels.items()}
    np.savez(tmp_path / "given.npz", state=state, noise=noise, **given)
    settings = lerobot.config(rig, **changes)
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    stats = {name: {key: value.tolist() for key, value in one.items()} for name, one in lerobot.statistics(rig).items()}
    (tmp_path / "stats.json").write_text(json.dumps(stats))
    hidden = ("PYTHONPATH", "LD_LIBRARY_PATH", "_ROS_WHEELS_BOOTSTRAP_COMPLETE")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    line = [os.environ["XDISTILL_LEROBOT_PYTHON"], str(ROOT / "tools/lerobot_samples.py"), str(tmp_path)]
    said = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    bundle = imported(tmp_path / "checkpoint", rig, tmp_path / "models" / "push")
    wanted = np.load(tmp_path / "wanted.npz")["actions"]
    np.testing.assert_allclose(run(bundle, example, noise)[: len(wanted)], wanted, atol=1e-4)
