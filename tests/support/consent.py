"""What a person does before an arm moves, and that nothing else makes it move."""

from __future__ import annotations

from tests.support.graph import Probe


def engage(probe: Probe) -> None:
    """As a person would: again until the arm is at rest and its state fresh."""
    probe.wait(lambda: not probe.mode.startswith("policy"), "the arm holds")
    probe.engage_at_rest()
    probe.wait(lambda: probe.mode.startswith("policy"), "the bridge follows the policy")


def assert_holds_until_engaged(probe: Probe) -> None:
    """Whatever came back, nothing moves without consent; with it, the arm moves."""
    probe.wait_ticks(30)
    assert_rests_until_engaged(probe)


def assert_rests_until_engaged(probe: Probe) -> None:
    """What was commanded last was rest; with consent, the arm moves."""
    assert probe.mode.startswith("hold")
    assert all(probe.speed(i) == 0.0 for i in range(-20, 0))
    engage(probe)
    probe.wait_moving()
    probe.engage(False)
    probe.wait(lambda: probe.mode.startswith("hold"), "the arm holds")
