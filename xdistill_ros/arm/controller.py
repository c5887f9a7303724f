"""The arm's controller without ROS: states and chunks in, one command a tick out.

Owns consent, the sources of targets, the motion chain, the monitors, and one lock that makes feeding (executor) and
ticking (control thread) safe. The bridge node and the in-process simulation use this same class. It must not wait,
publish, or read a clock: both clocks are handed in.

What ends a motion: a target that is missing only brakes, and the arm goes on if one comes within `consent_lapse_s`;
a fault ends consent at once; STOP and following error latch. In all cases the arm decelerates at its limits from the
next tick on, and then the position is held by commands, not by silence, as long as the arm is where it came to rest and
somebody takes them.
"""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from xdistill_ros.policy.chunk import Chunk, Target
from xdistill_ros.policy.chunk_checks import Commanded
from xdistill_ros.policy.chunk_timeline import Merge
from xdistill_ros.rig import Hold, Reason, Refusal, Rig
from xdistill_ros.timeline.state import ArmState

from .command import TickResult
from .control_time import ControlTime
from .envelope import Checked
from .gripper import GripperRate
from .modes import Consent, Mode
from .monitors import Rest, RosClock, StateFreshness
from .motion import Motion
from .person import PersonSource
from .record import NO_CHUNK, CommandedActions, ExecutionRecord
from .slow import slowed
from .sources import PolicySource

Array = NDArray[np.float64]

# An arm whose measured joints are faster than this has not come to rest yet, rad/s.
_RESTING = 0.05


class Controller:
    """One arm. Every public method may be called from any thread."""

    def __init__(self, rig: Rig, *, shadow: bool = False, merge: Merge | None = None, speed: float = 1.0) -> None:
        """`shadow` computes everything and commands nothing. `merge` overrides the rig's strategy. `speed`: see `slow`.

        Raises ValueError for a speed outside [0.1, 1].
        """
        rig = slowed(rig, speed)
        self._rig = rig
        self._shadow = shadow
        self._lock = threading.Lock()
        self._consent = Consent()
        factor = rig.simulation.real_time_factor if rig.simulation else 1.0
        self._watchdog_s = rig.arm.safety.watchdog_s / factor
        self._policy = PolicySource(rig, merge, speed)
        self._person = PersonSource(rig, self._watchdog_s)
        self._motion = Motion(rig)
        self._gripper = GripperRate(rig)
        self._record = ExecutionRecord(rig)
        self._states = StateFreshness(rig)
        self._rest = Rest(rig)
        self._clock = RosClock(rig)
        self._time = ControlTime(1.0 / rig.arm.interface.rate_hz)
        self._auto_engage = bool(rig.simulation and rig.simulation.auto_engage)
        self._seeded = False
        self._now_ns = 0
        self._steady_s: float | None = None
        self._fault: Hold | None = None
        self._wanting_s = 0.0
        self._unserved = False

    # --- a person's doing -------------------------------------------------------------------------------------------

    def engage(self, on: bool, mode: Mode = Mode.POLICY) -> Refusal | None:
        """Gives (or withdraws) consent to motion in `mode`; the command starts at the measured state, at rest."""
        with self._lock:
            self._auto_engage = False
            if not on:
                self._consent.disengage()
                return None
            return None if self._consent.mode is mode else self._engage(mode)

    def clutch(self, held: bool) -> Refusal | None:
        """A person's dead-man's switch: held, it is consent to follow their targets; let go, the arm holds.

        Pressed while the policy moves the arm it takes over without a jump: the arm comes to rest, then follows.
        Only `engage` hands back.
        """
        with self._lock:
            if held and self._consent.mode in (Mode.POLICY, Mode.HOME, Mode.RELEASE):
                self._consent.mode = Mode.TELEOP
                self._person.clear()
                self._policy.clear()
                return None
            if held:
                return None if self._consent.mode is Mode.TELEOP else self._engage(Mode.TELEOP)
            if self._consent.mode is Mode.TELEOP:
                self._consent.end(Hold(Reason.CLUTCH_RELEASED, "the clutch is released; press it to go on"))
            return None

    def stop(self) -> None:
        """STOP: the arm decelerates from the next tick on and is held until reset and engaged."""
        with self._lock:
            hold = Hold(Reason.STOP_PRESSED, "STOP; reset, then engage")
            self._motion.envelope.latch(hold)
            self._consent.latch(hold)

    def reset(self) -> Refusal | None:
        """Clears STOP and latched faults; the arm still holds until engaged.

        From now on an arm that rests is held where it is measured, not where it was told to be before it was stopped.
        """
        with self._lock:
            refusal = self._consent.reset()
            if refusal is None:
                self._motion.envelope.release()
                state = self._states.newest
                if self._seeded and state is not None and self._at_rest(state):
                    self._motion.seed(state.positions)
            return refusal

    def home(self) -> Refusal | None:
        """Goes home in joint space, if engaged, keeping what is in the hand; then holds until engaged again."""
        return self._take_up(Mode.HOME, "going home")

    def release(self) -> Refusal | None:
        """Opens the gripper where the arm stands, if engaged; holds once it is told the widest, until engaged again.

        What is in the hand falls, so it is a service of its own and never part of another.
        """
        return self._take_up(Mode.RELEASE, "opening the gripper")

    def fault(self, hold: Hold) -> None:
        """A fault found elsewhere (a peer died): ends consent."""
        with self._lock:
            self._consent.end(hold)

    def unserved(self, hold: Hold) -> None:
        """Nobody takes commands: consent ends and, once at rest, nothing is commanded until the arm is engaged again.

        Else whoever takes them next would move an arm that was moved meanwhile to where it was told to be before.
        """
        with self._lock:
            self._consent.end(hold)
            self._unserved = True

    # --- what arrives -----------------------------------------------------------------------------------------------

    def on_state(self, state: ArmState, now_ns: int) -> Refusal | None:
        """A measured state at ROS time `now_ns`; latches when the arm does not follow."""
        with self._lock:
            self._now_ns = max(self._now_ns, now_ns)
            refusal = self._states.accept(state, now_ns)
            if refusal is not None:
                if refusal.reason is Reason.JOINT_STATE_INVALID:
                    self._consent.end(Hold(refusal.reason, refusal.sentence))
                return refusal
            if self._ought_to_follow():
                self._motion.envelope.watch(state)
            elif self._seeded and not self._shadow and self._at_rest(state) and self._rest.left(state):
                self._unserved = True
            return None

    def on_chunk(self, chunk: Chunk, now_ns: int) -> Refusal | None:
        """A proposal of the policy at ROS time `now_ns`; a refused one changes nothing."""
        with self._lock:
            if self._consent.mode is not Mode.POLICY:
                return Refusal(Reason.NOT_ENGAGED, f"chunks are not taken in mode {self._consent.mode.value}")
            if self._shadow and self._states.newest is not None:
                self._motion.seed(self._states.newest.positions)
            joints = self._motion.envelope.positions
            commanded = Commanded(self._motion.kinematics.forward(joints), joints)
            return self._policy.offer(chunk, now_ns, commanded)

    def on_teleop(self, target: Target, steady_s: float) -> Refusal | None:
        """A person's target, at steady time `steady_s`: each keeps the dead-man alive for `watchdog_s`."""
        with self._lock:
            if self._consent.mode is not Mode.TELEOP:
                return Refusal(
                    Reason.NOT_ENGAGED, f"a person's targets are not taken in mode {self._consent.mode.value}"
                )
            assert self._gripper.width_m is not None, "the gripper was seeded with the arm"
            commanded = self._motion.kinematics.forward(self._motion.envelope.positions)
            at_rest = self._motion.envelope.at_rest
            hold = self._person.offer(target, commanded, self._gripper.width_m, at_rest=at_rest, steady_s=steady_s)
            if hold is not None:
                self._consent.end(hold)
                return Refusal(hold.reason, hold.sentence)
            return None

    # --- the control thread -----------------------------------------------------------------------------------------

    def tick(self, now_ros_ns: int, now_steady_s: float) -> TickResult:
        """Decides the command for ROS time `now_ros_ns`; to be called at the rig's control rate."""
        with self._lock:
            fault = self._watch(now_ros_ns, now_steady_s)
            time_ns = self._time.advance(now_ros_ns)
            if self._auto_engage and fault is None and self._engage(Mode.POLICY) is None:
                self._auto_engage = False
            if self._unserved and self._motion.envelope.at_rest:
                self._void()
            if not self._seeded:
                return TickResult(time_ns, None, None, self._consent.mode, fault or self._consent.hold)
            return self._move(time_ns, now_steady_s, fault)

    def commanded(self, now_ns: int) -> CommandedActions:
        """Actions executed and committed, on the policy's grid: what `/arm/commanded` says at ROS time `now_ns`.

        Committed is what will be done before a chunk sampled now can arrive, as late as chunks have lately been.
        """
        with self._lock:
            engaged = self._consent.mode is Mode.POLICY
            return self._record.actions(self._policy.committed(now_ns, self._record.period_ns) if engaged else [])

    @property
    def mode(self) -> Mode:
        """As of now."""
        with self._lock:
            return self._consent.mode

    @property
    def hold(self) -> Hold | None:
        """Why there is no consent, as of now; None while there is."""
        with self._lock:
            return self._consent.hold

    @property
    def interventions(self) -> dict[Reason, int]:
        """How often the envelope intervened, by reason."""
        with self._lock:
            return dict(self._motion.envelope.counts)

    # --- within the lock --------------------------------------------------------------------------------------------

    def _engage(self, mode: Mode) -> Refusal | None:
        # the last tick's fault counts too: while ROS time stands still, the newest state never grows old
        fault = self._fault or self._states.check(self._now_ns)
        if fault is not None:
            return Refusal(fault.reason, fault.sentence)
        state = self._states.newest
        assert state is not None, "a state that is fresh has arrived"
        if not self._at_rest(state):
            fastest = float(np.abs(state.velocities).max())
            return Refusal(Reason.ARM_MOVING, f"a joint moves at {fastest:.3f} rad/s; engage when the arm is at rest")
        refusal = self._consent.engage(mode)
        if refusal is None:
            self._start(state)
        return refusal

    def _take_up(self, mode: Mode, what: str) -> Refusal | None:
        """Another way of moving under the consent that is in force."""
        with self._lock:
            if not self._consent.engaged:
                return Refusal(Reason.NOT_ENGAGED, f"{what} is motion: engage first")
            self._consent.mode = mode
            return None

    def _at_rest(self, state: ArmState) -> bool:
        """Whether neither the measured arm nor the set-point moves; that of a world that has ended moves nothing."""
        commanded = self._seeded and not self._motion.envelope.at_rest
        return bool(np.abs(state.velocities).max() <= _RESTING) and not commanded

    def _ought_to_follow(self) -> bool:
        """Whether a difference between measured and commanded is an error; a held arm may be pushed aside by hand."""
        moving = self._consent.engaged or not self._motion.envelope.at_rest
        return self._seeded and moving and not self._shadow

    def _void(self) -> None:
        """What was commanded holds no longer: nothing is, until the arm is engaged where it then is."""
        self._seeded = self._unserved = False
        self._policy.clear()
        self._record.clear()

    def _start(self, state: ArmState) -> None:
        """Everything begins at the measured state; nothing planned before is resumed."""
        self._motion.seed(state.positions)
        self._gripper.seed(state.gripper_width_m)
        self._policy.clear()
        self._person.clear()
        self._record.clear()
        self._rest.clear()
        self._wanting_s = 0.0
        self._seeded, self._unserved = True, False

    def _watch(self, now_ns: int, steady_s: float) -> Hold | None:
        """Looks for faults before anything is decided; what it finds ends consent or latches."""
        if self._seeded and self._steady_s is not None and steady_s - self._steady_s > self._watchdog_s:
            self._motion.resume_from_rest()
        self._steady_s = steady_s
        self._now_ns = max(self._now_ns, now_ns)
        fault = self._clock.check(now_ns, steady_s)
        if fault is not None and fault.reason is Reason.CLOCK_BACKWARDS:
            self._forget_time(now_ns)
        fault = fault or self._states.check(now_ns)
        self._fault = fault
        if fault is not None:
            self._consent.end(fault)
        if self._motion.envelope.latched is not None:
            self._consent.latch(self._motion.envelope.latched)
        return fault

    def _forget_time(self, now_ns: int) -> None:
        """Another world has begun: its arm is where it is, and the old set-point would make it leap."""
        self._void()
        self._now_ns = now_ns
        self._states.newest = None
        self._time.clear()

    def _move(self, time_ns: int, steady_s: float, fault: Hold | None) -> TickResult:
        target = self._target(time_ns, steady_s)
        checked, hold = self._command(target, time_ns)
        self._count_wanting(hold)
        followed = target if isinstance(target, Target) and hold is None else None
        width = self._width(followed)
        pose = self._motion.kinematics.forward(checked.command.positions)
        chunk_ns = followed.chunk_ns if followed and self._consent.mode is Mode.POLICY else NO_CHUNK
        self._record.executed(time_ns, pose, checked.command.positions, width, chunk_ns)
        return TickResult(
            time_ns=time_ns,
            command=None if self._shadow else checked.command,
            gripper_width_m=None if self._shadow else width,
            mode=self._consent.mode,
            hold=self._consent.hold or hold or fault,
            interventions=checked.interventions,
            target=followed,
            tcp_pose=pose,
        )

    def _width(self, followed: Target | None) -> float:
        """One tick of the gripper: after the target, or open when that was asked for, else as it is."""
        if followed is not None:
            self._gripper.step(followed.gripper_width_m)
        elif self._consent.mode is Mode.RELEASE and self._motion.envelope.at_rest:
            self._gripper.open()
            if self._gripper.is_open:
                self._consent.end(Hold(Reason.RELEASED, "the gripper is open; engage to go on"))
        assert self._gripper.width_m is not None, "the gripper was seeded with the arm"
        return self._gripper.width_m

    def _target(self, time_ns: int, steady_s: float) -> Target | Hold | None:
        """What is to be followed; a Hold when there is nothing; None when going home."""
        match self._consent.mode:
            case Mode.POLICY:
                return self._policy.target(time_ns)
            case Mode.TELEOP:
                return self._person.target(time_ns, steady_s)
            case Mode.HOME:
                return None
            case Mode.RELEASE:
                return Hold(Reason.RELEASING, "the arm stands while the gripper opens")
            case Mode.HOLD | Mode.STOPPED:
                assert self._consent.hold is not None, "a mode that holds has its reason"
                return self._consent.hold

    def _command(self, target: Target | Hold | None, time_ns: int) -> tuple[Checked, Hold | None]:
        """One tick of motion, or of braking and why."""
        if isinstance(target, Hold):
            return self._motion.brake(time_ns), target
        checked, hold = self._motion.go_home(time_ns) if target is None else self._motion.follow(target, time_ns)
        if checked.hold is not None:
            self._consent.end(checked.hold)
        elif target is None and self._motion.is_home:
            self._consent.end(Hold(Reason.HOME_REACHED, "the arm is home; engage to go on"))
        return checked, hold

    def _count_wanting(self, hold: Hold | None) -> None:
        """Consent lapses when there was nothing to follow for too long; waiting for the first chunk is not that."""
        if hold is None or not self._consent.engaged or self._consent.mode is Mode.RELEASE:
            self._wanting_s = 0.0
            return
        if hold.reason is Reason.WAITING_FOR_DATA:
            return
        self._wanting_s += 1.0 / self._rig.arm.interface.rate_hz
        if self._wanting_s > self._rig.arm.safety.consent_lapse_s:
            sentence = f"nothing to follow for {self._wanting_s:.1f} s ({hold}); engage to go on"
            self._consent.end(Hold(Reason.CONSENT_LAPSED, sentence))
