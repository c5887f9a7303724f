"""Results to test with."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from xdistill_ros.trials import Latency, Protocol, Provenance, TrialResult
from xdistill_ros.trials.protocol import parse

Make = Callable[..., TrialResult]


@pytest.fixture
def provenance() -> Provenance:
    return Provenance(bundle="move_cube", bundle_sha256="0123456789abcdef", rig="sim_table")


@pytest.fixture
def make(provenance: Provenance) -> Make:
    """A result of the first trial of move_cube, with fields changed as given."""

    def result(**fields: object) -> TrialResult:
        document = {
            "task": "move_cube",
            "condition": "id",
            "seed": 100_000,
            "success": True,
            "duration_s": 6.25,
            "ended_by": "success",
            "finished_at": datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
            "refusals": {"stale_image": 2},
            "latencies": {"capture": Latency(median_ms=80.0, p99_ms=99.0, count=60)},
            "provenance": provenance,
        }
        return TrialResult.model_validate(document | fields)

    return result


@pytest.fixture
def protocol() -> Protocol:
    """Two conditions of one task, three starts each, by one policy."""
    plan = {"conditions": {"id": 3, "colour": 3}, "stages": ["held", "lifted", "placed"]}
    return parse({"name": "small", "tasks": {"move_cube": plan}}, "the test")
