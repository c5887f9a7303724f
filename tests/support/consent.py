"""What a person does before an arm moves, and that nothing else makes it move."""

from __future__ import annotations

import time

from tests.support.graph import PATIENCE_S, Probe

_TICKS = 10


def engage(probe: Probe) -> None:
    """As a person would: again until the arm is at rest and its state fresh."""
    probe.wait(lambda: not probe.mode.startswith("policy"), "the arm holds")
    said = len(probe.modes)
    probe.engage_at_rest()
    probe.wait(
        lambda: any(mode.startswith("policy") for mode, _ in probe.modes[said:]), "the bridge follows the policy"
    )


def set_going(probe: Probe) -> None:
    """The arm is under way. A person engages again where the machine has stalled until a watchdog ended consent."""
    for _ in range(10):
        engage(probe)
        probe.wait(lambda: probe.moves() or not probe.mode.startswith("policy"), "the arm moves")
        if probe.mode.startswith("policy"):
            return
    raise AssertionError(f"the arm is never under way: {probe.modes[-5:]}")


def get_moving(probe: Probe) -> None:
    """Engages until the arm moves: again where a machine that stood still has ended consent before it did."""
    given_up_s = time.monotonic() + PATIENCE_S

    def moves() -> bool:
        return len(probe.commands) > _TICKS and all(probe.speed(i) > 0.01 for i in range(-_TICKS, 0))

    while time.monotonic() < given_up_s:
        since = len(probe.modes)
        probe.engage_at_rest()
        probe.wait(lambda since=since: moves() or any(m.startswith("hold") for m, _ in probe.modes[since:]), "it moves")
        if moves():
            return
    raise AssertionError(f"the arm does not move; modes {probe.modes[-5:]}")


def assert_holds_until_engaged(probe: Probe) -> None:
    """Whatever came back, nothing moves without consent; with it, the arm moves."""
    probe.wait_ticks(30)
    assert_rests_until_engaged(probe)


def assert_rests_until_engaged(probe: Probe) -> None:
    """What was commanded last was rest; with consent, the arm moves."""
    assert probe.mode.startswith("hold")
    assert all(probe.speed(i) == 0.0 for i in range(-20, 0))
    get_moving(probe)
    probe.engage(False)
    probe.wait(lambda: probe.mode.startswith("hold"), "the arm holds")
