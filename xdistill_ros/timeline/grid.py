"""Alignment: what was seen and where the arm was at one time, out of streams that tick by themselves.

The one place where streams are joined. The running policy calls it on buffers that fill as data arrives, the
recorder and the training set on whole recordings; a row for a given time is the same either way. It fills
nothing in: what is missing is a refusal that names the stream.

The rule. A row for time t belongs to the image nearest to t (of any camera; the rig's order breaks ties). That
image's exposure is the row's stamp. Every other camera gives its image nearest to that stamp, and the arm's state
is interpolated to it. "Nearest" always means within half a frame period of that camera.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from xdistill_ros.rig import Reason, Refusal, Rig

from .buffer import StampedBuffer
from .interpolation import interpolate_state
from .state import ArmState

T = TypeVar("T")


@dataclass(frozen=True)
class Row(Generic[T]):
    """One aligned instant: an image (or its feature, or its index) of every camera and the arm's state."""

    stamp_ns: int
    """Exposure of the image the row belongs to; the arm's state is of this time."""
    images: dict[str, T]
    """By camera, in the rig's order."""
    image_stamps_ns: dict[str, int]
    """Each image's own exposure."""
    state: ArmState


@dataclass(frozen=True)
class Grid:
    """The times at which a rig's policy observes, and the tolerances of alignment. All in nanoseconds."""

    period_ns: int
    """Between two observation steps and between two actions."""
    steps: int
    """Observation steps, the newest included."""
    camera_period_ns: dict[str, int]
    """Nominal time between two frames, in the rig's camera order."""
    state_gap_ns: int
    """Longest gap between two joint states that is interpolated over."""

    @classmethod
    def of(cls, rig: Rig) -> Grid:
        """The grid of `rig.policy` over the rig's cameras."""
        return cls(
            period_ns=round(1e9 / rig.policy.rate_hz),
            steps=rig.policy.observation_horizon,
            camera_period_ns={name: round(1e9 * camera.period_s) for name, camera in rig.cameras.items()},
            state_gap_ns=round(1e9 * rig.observation.joint_state_s),
        )

    def observation_times(self, newest_ns: int) -> tuple[int, ...]:
        """Times of the observation steps that end at `newest_ns`, oldest first."""
        return tuple(newest_ns - step * self.period_ns for step in reversed(range(self.steps)))

    def action_times(self, newest_ns: int, horizon: int) -> tuple[int, ...]:
        """Times of the `horizon` actions that belong to an observation at `newest_ns`; the first is that time."""
        return tuple(newest_ns + step * self.period_ns for step in range(horizon))

    def newest_common(self, images: Mapping[str, StampedBuffer[T]], states: StampedBuffer[ArmState]) -> int | Refusal:
        """The newest exposure that every camera and the arm's state reach up to.

        Only up to there is a row final: whatever arrives later lies beyond it and cannot change it.
        """
        reached = states.newest_ns
        if reached is None:
            return Refusal(Reason.WAITING_FOR_DATA, "no joint state has arrived yet")
        for name in self.camera_period_ns:
            newest = images[name].newest_ns
            if newest is None:
                return Refusal(Reason.WAITING_FOR_DATA, f"camera {name}: no image has arrived yet")
            reached = min(reached, newest)
        exposures = [images[name].newest_until(reached) for name in self.camera_period_ns]
        known = [stamp for stamp in exposures if stamp is not None]
        if not known:
            return Refusal(Reason.WAITING_FOR_DATA, "no image yet that the joint states and all cameras reach up to")
        return max(known)

    def row(
        self, time_ns: int, images: Mapping[str, StampedBuffer[T]], states: StampedBuffer[ArmState]
    ) -> Row[T] | Refusal:
        """The row for `time_ns` by the module's rule, or which stream is missing there."""
        owner = self._nearest_camera(time_ns, images)
        if isinstance(owner, Refusal):
            return owner
        camera, stamp_ns = owner
        chosen: dict[str, tuple[int, T]] = {}
        for name in self.camera_period_ns:
            found = self.image_at(name, stamp_ns, images[name])
            if isinstance(found, Refusal):
                return Refusal(found.reason, f"{found.sentence} (an image of camera {camera})")
            chosen[name] = found
        state = self.state_at(stamp_ns, states)
        if isinstance(state, Refusal):
            return state
        return Row(
            stamp_ns=stamp_ns,
            images={name: image for name, (_, image) in chosen.items()},
            image_stamps_ns={name: stamp for name, (stamp, _) in chosen.items()},
            state=state,
        )

    def align(
        self, newest_ns: int, images: Mapping[str, StampedBuffer[T]], states: StampedBuffer[ArmState]
    ) -> tuple[Row[T], ...] | Refusal:
        """The rows of all observation steps that end at `newest_ns`, oldest first, or the first refusal."""
        rows: list[Row[T]] = []
        for time_ns in self.observation_times(newest_ns):
            row = self.row(time_ns, images, states)
            if isinstance(row, Refusal):
                return row
            rows.append(row)
        return tuple(rows)

    def _nearest_camera(self, time_ns: int, images: Mapping[str, StampedBuffer[T]]) -> tuple[str, int] | Refusal:
        """The camera whose image is nearest to `time_ns`, and that image's exposure."""
        found: list[tuple[str, int]] = []
        for name, period_ns in self.camera_period_ns.items():
            image = images[name].nearest(time_ns, period_ns // 2)
            if image is not None:
                found.append((name, image[0]))
        if not found:
            return Refusal(
                Reason.FRAME_MISSING,
                f"no camera has an image within half a frame period of {time_ns}; it was lost or is not kept any more",
            )
        return min(found, key=lambda named: abs(named[1] - time_ns))

    def image_at(self, camera: str, time_ns: int, images: StampedBuffer[T]) -> tuple[int, T] | Refusal:
        """The image of `camera` nearest to `time_ns`, with its stamp, or why there is none."""
        period_ns = self.camera_period_ns[camera]
        return images.nearest(time_ns, period_ns // 2) or Refusal(
            Reason.CAMERAS_APART,
            f"{images.name} has no image within {period_ns / 2e6:.1f} ms of {time_ns}; "
            "frames were lost or the cameras' clocks differ",
        )

    def state_at(self, time_ns: int, states: StampedBuffer[ArmState]) -> ArmState | Refusal:
        """The state interpolated to `time_ns`, or why it cannot be."""
        pair = states.around(time_ns)
        if pair is None:
            return Refusal(Reason.WAITING_FOR_DATA, f"{states.name} do not reach around the image at {time_ns}")
        (before_ns, before), (after_ns, after) = pair
        if after_ns - before_ns > self.state_gap_ns:
            return Refusal(
                Reason.STALE_JOINT_STATE,
                f"{states.name} around the image are {(after_ns - before_ns) / 1e6:.1f} ms apart, "
                f"{self.state_gap_ns / 1e6:.1f} ms allowed; the driver stalled or messages were lost",
            )
        return interpolate_state(before, after, time_ns)
