"""How far a policy's actions are from what was commanded in episodes that it was not trained on, by horizon step."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from xdistill_ros.learn.data.material import Material
from xdistill_ros.learn.data.windows import Statistics
from xdistill_ros.policy import actions as meaning
from xdistill_ros.rig import ActionSpace
from xdistill_ros.rig.poses import pose_from_9d

from .policy import Policy

Errors = dict[str, list[float | None]]
_BATCH = 64


def action_errors(policy: Policy, material: Material, space: ActionSpace, statistics: Statistics, seed: int) -> Errors:
    """Mean error by horizon step (T,) of each quantity; None where the network named no rotation in every window.

    `position_mm`, `rotation_deg`, `gripper_mm`; or `joints_deg` (mean of the joints) and `gripper_mm`.
    """
    found = [
        _errors(space, sample, material.windows.actions[row])
        for row, sample in _sampled(policy, material, space, statistics, seed)
    ]
    return {name: _mean(np.stack([one[name] for one in found])) for name in found[0]}


@torch.inference_mode()
def loss(policy: Policy, material: Material, seed: int) -> float:
    """Mean loss over all windows, at noise that is the same each time."""
    generator, total = torch.Generator().manual_seed(seed), 0.0
    for rows in _batches(material):
        batch = material.gather(rows).to(_device(policy))
        total += policy.loss(batch, generator, changed=False).item() * len(rows)
    return total / len(material)


def _sampled(
    policy: Policy, material: Material, space: ActionSpace, statistics: Statistics, seed: int
) -> list[tuple[int, NDArray[np.float64]]]:
    """Each window's number and the absolute actions (T, A) that the policy proposes for it."""
    generator, made = torch.Generator().manual_seed(seed), []
    for rows in _batches(material):
        batch = material.gather(rows)
        noise = torch.randn(batch.actions.shape, generator=generator).to(_device(policy))
        samples = policy.actions(batch.to(_device(policy)), noise).float().cpu().numpy()
        for row, sample in zip(rows.tolist(), samples, strict=True):
            newest = material.windows.poses[row, -1]
            made.append((row, meaning.from_network(space, statistics.action, sample, newest)))
    return made


def _errors(
    space: ActionSpace, found: NDArray[np.float64], wanted: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    gripper = 1e3 * np.abs(found[:, -1] - wanted[:, -1])
    if space.kind != "tcp_pose":
        return {"joints_deg": np.degrees(np.abs(found - wanted)[:, :-1].mean(axis=1)), "gripper_mm": gripper}
    position = 1e3 * np.linalg.norm(found[:, :3] - wanted[:, :3], axis=1)
    if not np.isfinite(found).all():
        nothing = np.full(len(found), np.nan)
        return {"position_mm": nothing, "rotation_deg": nothing, "gripper_mm": nothing}
    here, there = (pose_from_9d(actions[:, :9])[:, :3, :3] for actions in (found, wanted))
    cosine = (np.einsum("tij,tij->t", here, there) - 1.0) / 2.0
    return {
        "position_mm": position, "rotation_deg": np.degrees(np.arccos(cosine.clip(-1.0, 1.0))), "gripper_mm": gripper,
    }  # fmt: skip


def _mean(errors: NDArray[np.float64]) -> list[float | None]:
    """(W, T) to (T,), over the windows in which there is a number."""
    known = np.isfinite(errors)
    counts, sums = known.sum(axis=0), np.where(known, errors, 0.0).sum(axis=0)
    return [round(float(total / count), 4) if count else None for total, count in zip(sums, counts, strict=True)]


def _batches(material: Material) -> list[NDArray[np.int64]]:
    return np.array_split(np.arange(len(material)), range(_BATCH, len(material), _BATCH))


def _device(policy: Policy) -> torch.device:
    return policy.head.film.mean.device
