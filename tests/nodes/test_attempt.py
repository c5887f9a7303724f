"""An attempt is void when a node that it needed was another process at its end, however soon it was back."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from xdistill_ros.nodes.attempts.attempt import Attempts
from xdistill_ros.nodes.attempts.operator import InterruptedAttemptError
from xdistill_ros.nodes.base import observed as room
from xdistill_ros.nodes.base.observed import Observed
from xdistill_ros.trials.desk import Desk


def says(observed: Observed, node: str, process: str) -> None:
    """A node's report on /diagnostics."""
    values = [KeyValue(key="state", value="active"), KeyValue(key="process", value=process)]
    observed.update(DiagnosticArray(status=[DiagnosticStatus(name=node, values=values)]))


def attempt(observed: Observed, meanwhile: Callable[[], None]) -> str:
    """How one of a tenth of a second ended, in whose middle something happened."""
    time_ns = [0]

    def sleep() -> None:
        time_ns[0] += 10_000_000
        if time_ns[0] == 50_000_000:
            meanwhile()

    def waited(condition: Callable[[], object], what: str) -> None:
        assert condition(), what

    operator = SimpleNamespace(
        mode="policy", succeeded=False, stage="", sleep=sleep, engage=lambda: None,
        calls=SimpleNamespace(switch=lambda *_: None), wait=waited,
    )  # fmt: skip
    node = SimpleNamespace(now_ns=lambda: time_ns[0], time=SimpleNamespace(stood_still_s=lambda: 0.0))
    return Attempts(node, operator, observed, Desk(False)).run(0.1, False).ended_by  # type: ignore[arg-type]


@pytest.mark.parametrize("node", ["sim_node", "camera_front", "encoder_node", "remote_sampler_node", "arm_bridge_node"])
def test_a_process_that_began_anew_before_anybody_missed_it_voids_the_attempt(node: str) -> None:
    observed = Observed()
    says(observed, node, "process 1")
    with pytest.raises(InterruptedAttemptError, match="gone for a while"):
        attempt(observed, lambda: says(observed, node, "process 2"))


def test_who_goes_on_who_is_new_and_who_does_not_matter_leave_it_as_it_is() -> None:
    observed = Observed()
    says(observed, "encoder_node", "process 1")
    says(observed, "dashboard_node", "process 2")

    def meanwhile() -> None:
        says(observed, "encoder_node", "process 1")
        says(observed, "dashboard_node", "process 3")
        says(observed, "camera_front", "process 4")

    assert attempt(observed, meanwhile) == "time_limit"


def test_who_is_not_back_yet_is_named_until_it_reports_again(monkeypatch: pytest.MonkeyPatch) -> None:
    observed, now_s = Observed(), [100.0]
    monkeypatch.setattr(room, "time", SimpleNamespace(monotonic=lambda: now_s[0]))
    says(observed, "encoder_node", "process 1")
    says(observed, "dashboard_node", "process 2")
    assert observed.silent == []
    now_s[0] += 3.0
    assert observed.silent == ["encoder_node"]
    says(observed, "encoder_node", "process 3")
    assert observed.silent == []
