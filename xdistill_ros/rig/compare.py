"""Whether a bundle made for one rig may run on another: the differences that matter, in words."""

from __future__ import annotations

from dataclasses import dataclass

from .schema import Rig


@dataclass(frozen=True)
class Difference:
    """One field in which two rigs differ, and what to do about it."""

    field: str
    wanted: object
    found: object
    remedy: str

    def __str__(self) -> str:
        return f"{self.field}: the bundle was trained with {self.wanted}, this rig has {self.found}; {self.remedy}"


def differences(trained: Rig, running: Rig) -> list[Difference]:
    """What keeps a bundle trained on `trained` from running on `running`; empty when nothing does.

    Compared: camera names and order, image geometry, action space, rates and horizons, joints, gripper width.
    Not compared: latencies, safety limits, topics, calibration, which may differ without changing the policy.
    """
    found: list[Difference] = []

    def compare(field: str, wanted: object, actual: object, remedy: str) -> None:
        if wanted != actual:
            found.append(Difference(field, wanted, actual, remedy))

    compare("cameras", list(trained.cameras), list(running.cameras), "name and order the rig's cameras alike")
    for name in trained.cameras.keys() & running.cameras.keys():
        old, new = trained.cameras[name], running.cameras[name]
        for field in ("width_px", "height_px"):
            remedy = "set the camera to that size, or train anew"
            compare(f"cameras.{name}.{field}", getattr(old, field), getattr(new, field), remedy)
    retrain = "change the rig's policy section, or train anew"
    for field in ("rate_hz", "observation_horizon", "prediction_horizon"):
        compare(f"policy.{field}", getattr(trained.policy, field), getattr(running.policy, field), retrain)
    for field in ("kind", "reference"):
        old_space, new_space = trained.policy.action_space, running.policy.action_space
        compare(f"policy.action_space.{field}", getattr(old_space, field), getattr(new_space, field), retrain)
    compare("arm.joints", list(trained.arm.joints), list(running.arm.joints), "run it on the arm it was trained on")
    compare("arm.model", trained.arm.model, running.arm.model, "run it on the arm it was trained on")
    compare(
        "gripper.open_width_m", trained.gripper.open_width_m, running.gripper.open_width_m, "train for this gripper"
    )
    return found
