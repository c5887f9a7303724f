"""Why a policy of LeRobot's cannot run on a rig: other channels, units, cameras, horizons, networks."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from xdistill_ros.learn.errors import LearnError
from xdistill_ros.rig import Rig

from .lerobot_checkpoint import ACTION, STATE, Checkpoint

_SLACK = {"m": 0.05, "rad": 0.2, "rotation": 0.02}


def check(checkpoint: Checkpoint, rig: Rig) -> None:
    """Raises LearnError, in a sentence, for a policy that `rig`, or a bundle, cannot have."""
    for problem in chain(_problems(checkpoint, rig), _unit_problems(checkpoint, rig)):
        raise LearnError(f"{checkpoint.folder}: {problem}")


def _problems(checkpoint: Checkpoint, rig: Rig) -> Iterator[str]:
    """What keeps this policy from running on this rig, in sentences."""
    config, wanted = checkpoint.config, len(rig.channels)
    if config.use_separate_rgb_encoder_per_camera:
        yield "it has an encoder for each camera, a bundle has one for all; train with one (LeRobot's default)"
    strange = [name for name, one in config.input_features.items() if one.type != "VISUAL" and name != STATE]
    if strange:
        yield f"input {strange[0]} is not known here; a policy sees {STATE} and images of the rig's cameras"
    if rig.policy.action_space.reference != "absolute":
        yield (
            f"its actions are absolute, those of rig {rig.name} are relative to the observed pose; give it a rig file "
            "with policy.action_space.reference: absolute, and run it with that"
        )
    for name, features in ((STATE, config.input_features), (ACTION, config.output_features)):
        shape = features[name].shape if name in features else ()
        if shape != (wanted,):
            yield (
                f"{name} has shape {list(shape)}, the rig's channels are {wanted}: {', '.join(rig.channels)}; "
                "`xdistill episodes export --as lerobot` writes such a data set"
            )
    for field, here in (
        ("n_obs_steps", rig.policy.observation_horizon), ("horizon", rig.policy.prediction_horizon),
    ):  # fmt: skip
        ours = {"n_obs_steps": "observation_horizon", "horizon": "prediction_horizon"}[field]
        if getattr(config, field) != here:
            yield f"{field} is {getattr(config, field)}, the rig's policy.{ours} is {here}; make them equal"
    yield from _camera_problems(checkpoint, rig)
    if config.beta_schedule != "squaredcos_cap_v2":
        yield f"beta_schedule is {config.beta_schedule}, a bundle samples with squaredcos_cap_v2"


def _camera_problems(checkpoint: Checkpoint, rig: Rig) -> Iterator[str]:
    cameras = set(checkpoint.cameras.values())
    if cameras != set(rig.cameras):
        yield (
            f"it sees cameras {', '.join(sorted(cameras)) or '(none)'}, rig {rig.name} has {', '.join(rig.cameras)}; "
            "they must be the same ones by name"
        )
        return
    for feature, name in checkpoint.cameras.items():
        camera, shape = rig.cameras[name], checkpoint.config.input_features[feature].shape
        if shape != (3, camera.height_px, camera.width_px):
            size = "x".join(map(str, shape[:0:-1]))
            yield f"{feature} is {size} px, the rig's camera {name} has {camera.width_px}x{camera.height_px}"


def _unit_problems(checkpoint: Checkpoint, rig: Rig) -> Iterator[str]:
    """Statistics in degrees, millimetres or percent cannot be the rig's numbers, whatever the shapes say."""
    allowed = [_allowed(rig, channel) for channel in rig.channels]
    for name in (STATE, ACTION):
        scale = checkpoint.scales[name]
        for channel, (low, high), centre, half in zip(rig.channels, allowed, scale.centre, scale.half, strict=True):
            if not low <= centre <= high or half > high - low:
                yield (
                    f"{name} has {channel} from {centre - half:.3g} to {centre + half:.3g}, on rig {rig.name} it goes "
                    f"from {low:.3g} to {high:.3g}; the policy was trained in other units, or on another arm"
                )


def _allowed(rig: Rig, channel: str) -> tuple[float, float]:
    """Where a channel's values can lie on `rig`, with some slack."""
    if channel == "gripper.width":
        return rig.gripper.closed_width_m - _SLACK["m"], rig.gripper.open_width_m + _SLACK["m"]
    if channel.startswith("tcp.r"):
        return -1.0 - _SLACK["rotation"], 1.0 + _SLACK["rotation"]
    if channel.startswith("tcp."):
        axis = "xyz".index(channel[-1])
        box = rig.arm.workspace
        return box.lower_m[axis] - _SLACK["m"], box.upper_m[axis] + _SLACK["m"]
    joint = rig.arm.joints[channel]
    return joint.lower_rad - _SLACK["rad"], joint.upper_rad + _SLACK["rad"]
