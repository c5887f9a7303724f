"""A bench for the arm's controller: an ideal arm that lags, two clocks that the test moves, and every command kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xdistill_ros import rig as rigs
from xdistill_ros.arm import Controller, Kinematics, TickResult
from xdistill_ros.policy.chunk import Chunk
from xdistill_ros.rig import Refusal, Rig, poses
from xdistill_ros.timeline.state import ArmState

Array = NDArray[np.float64]
START_NS = 1_700_000_000_000_000_000
TICK_NS = 10_000_000
GRID_NS = 100_000_000
SIM_TABLE = Path(__file__).parents[2] / "config" / "rigs" / "sim_table.yaml"


def load_rig(auto_engage: bool = False) -> Rig:
    """The simulated table, which here engages only when told to."""
    rig = rigs.load(SIM_TABLE)
    assert rig.simulation is not None
    return rig.model_copy(update={"simulation": rig.simulation.model_copy(update={"auto_engage": auto_engage})})


def chunk_of(tcp: Array, width_m: float, observation_ns: int) -> Chunk:
    """A chunk on the policy's grid from TCP poses (T, 4, 4)."""
    actions = np.concatenate([poses.pose_to_9d(tcp), np.full((len(tcp), 1), width_m)], axis=1)
    return Chunk(observation_ns, observation_ns + np.arange(len(tcp)) * GRID_NS, actions)


@dataclass
class Bench:
    """A controller and an arm that does what it was told `lag_ticks` ago, unless it is frozen or held."""

    rig: Rig
    controller: Controller
    lag_ticks: int = 7
    now_ns: int = START_NS
    steady_s: float = 100.0
    results: list[TickResult] = field(default_factory=list)
    measured: Array = field(init=False)
    silent: bool = False
    jammed: bool = False
    clock_stands: bool = False

    def __post_init__(self) -> None:
        self.measured = np.array(self.rig.arm.home_rad)
        self.kinematics = Kinematics(self.rig)

    @classmethod
    def engaged(cls, rig: Rig, **options: object) -> Bench:
        """A bench whose operator has given consent."""
        bench = cls(rig, Controller(rig, **options))  # type: ignore[arg-type]
        bench.run(3)
        assert bench.controller.engage(True) is None
        return bench

    @property
    def tcp(self) -> Array:
        """(4, 4) measured."""
        return self.kinematics.forward(self.measured)

    @property
    def last(self) -> TickResult:
        return self.results[-1]

    @property
    def positions(self) -> Array:
        """(N, J) every command that was sent."""
        return np.array([result.command.positions for result in self.results if result.command])

    @property
    def velocities(self) -> Array:
        """(N - 1, J) changes of the sent commands over the time between their stamps."""
        stamps_s = np.array([result.time_ns - START_NS for result in self.results if result.command]) / 1e9
        return np.diff(self.positions, axis=0) / np.diff(stamps_s)[:, None]

    def run(self, ticks: int) -> TickResult:
        """Measures, reports and ticks so many times."""
        for _ in range(ticks):
            self._tick()
        return self.last

    def _tick(self) -> None:
        if not self.clock_stands:
            self.now_ns += TICK_NS
        self.steady_s += TICK_NS / 1e9
        before = self.measured
        sent = [result.command.positions for result in self.results[-self.lag_ticks :] if result.command]
        if len(sent) == self.lag_ticks and not self.jammed:
            self.measured = sent[0]
        if not self.silent:
            self.controller.on_state(self.state((self.measured - before) / (TICK_NS / 1e9)), self.now_ns)
        self.results.append(self.controller.tick(self.now_ns, self.steady_s))

    def state(self, velocities: Array | None = None) -> ArmState:
        """As the driver reports it now."""
        still = np.zeros_like(self.measured)
        return ArmState(self.now_ns, self.measured, still if velocities is None else velocities, 0.08)

    def reach(
        self, offset_m: tuple[float, float, float], seconds: float = 1.5, width_m: float = 0.04
    ) -> Refusal | None:
        """Offers a chunk that goes straight from the commanded TCP to `offset_m` from it in `seconds`."""
        start = self.last.tcp_pose if self.last.tcp_pose is not None else self.tcp
        tcp = np.repeat(start[None], 16, axis=0)
        share = np.clip(np.arange(16) * GRID_NS / 1e9 / seconds, 0.0, 1.0)
        tcp[:, :3, 3] += share[:, None] * np.array(offset_m)
        return self.controller.on_chunk(chunk_of(tcp, width_m, self.now_ns), self.now_ns)


def limits(rig: Rig) -> tuple[Array, Array, Array, Array]:
    """Lower, upper, velocity and acceleration limits (J,)."""
    joints = list(rig.arm.joints.values())
    return (
        np.array([joint.lower_rad for joint in joints]),
        np.array([joint.upper_rad for joint in joints]),
        np.array([joint.velocity_rad_s for joint in joints]),
        np.array([joint.acceleration_rad_s2 for joint in joints]),
    )


def assert_within_limits(rig: Rig, positions: Array, dt_s: float = TICK_NS / 1e9) -> None:
    """Consecutive commands (N, J), the first of them at rest, keep position, velocity and acceleration limits."""
    lower, upper, speed, acceleration = limits(rig)
    velocities = np.diff(positions, axis=0) / dt_s
    changes = np.diff(velocities, axis=0, prepend=np.zeros((1, len(lower))))
    assert np.all(positions >= lower - 1e-9)
    assert np.all(positions <= upper + 1e-9)
    assert np.all(np.abs(velocities) <= speed + 1e-6)
    assert np.all(np.abs(changes) <= acceleration * dt_s + 1e-6)
