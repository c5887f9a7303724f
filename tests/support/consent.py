"""What a person does before an arm moves, and that nothing else makes it move."""

from __future__ import annotations

import time

from tests.support.graph import PATIENCE_S, Probe


def engage(probe: Probe) -> None:
    """As a person would: again until the arm is at rest and its state fresh."""
    probe.wait(lambda: not probe.mode.startswith("policy"), "the arm holds")
    said = len(probe.modes)
    probe.engage_at_rest()
    probe.wait(lambda: _follows(probe, said), "the bridge follows the policy")


def set_going(probe: Probe) -> None:
    """The arm is under way. A person engages again where the machine has stalled until a watchdog ended consent."""
    given_up_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < given_up_s:
        said = len(probe.modes)
        probe.engage_at_rest()
        probe.wait(lambda said=said: _follows(probe, said), "the bridge follows the policy")
        probe.wait(lambda: probe.moves() or not probe.mode.startswith("policy"), "the arm moves")
        if probe.moves():
            return
    raise AssertionError(f"the arm is never under way: {probe.modes[-5:]}")


def _follows(probe: Probe, said: int) -> bool:
    """The policy, now or in a mode said after the first `said`."""
    return any(mode.startswith("policy") for mode in (probe.mode, *(mode for mode, _ in probe.modes[said:])))


def assert_holds_until_engaged(probe: Probe) -> None:
    """Whatever came back, nothing moves without consent; with it, the arm moves."""
    probe.wait_ticks(30)
    assert_rests_until_engaged(probe)


def assert_rests_until_engaged(probe: Probe) -> None:
    """What was commanded last was rest; with consent, the arm moves."""
    assert probe.mode.startswith("hold")
    assert all(probe.speed(i) == 0.0 for i in range(-20, 0))
    set_going(probe)
    probe.engage(False)
    probe.wait(lambda: probe.mode.startswith("hold"), "the arm holds")
