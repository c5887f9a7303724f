"""What /trial/status says, and what it does not say while who operates must not know."""

from __future__ import annotations

from pathlib import Path

from xdistill_ros.trials import Protocol, Provenance, ResultsLog, status
from xdistill_ros.trials.desk import Desk, State
from xdistill_ros.trials.protocol import parse
from xdistill_ros.trials.status import UnderWay

from .conftest import Make


def blind() -> Protocol:
    document = {
        "name": "small", "blinded": True, "policies": {"ours": {}, "theirs": {"bundles": "x"}},
        "tasks": {"move_cube": {"conditions": {"id": {"trials": 1, "instructions": "On the line."}},
                                "stages": ["held", "placed"], "success_criterion": "It lies there."}},
    }  # fmt: skip
    return parse(document, "the test")


def log_of(folder: Path, protocol: Protocol, provenance: Provenance) -> ResultsLog:
    return ResultsLog(folder / "r.jsonl", protocol, {(name, "move_cube"): provenance for name in protocol.policies})


def test_before_the_first_trial_it_counts_what_is_planned(tmp_path: Path, provenance: Provenance) -> None:
    protocol = blind()
    said = status.values(protocol, log_of(tmp_path, protocol, provenance), Desk(True), None, 0, "", "")
    assert said == {"state": "reset", "protocol": "small", "done": "0", "planned": "2", "scored_by": "simulator",
                    "can_undo": "0", "last": ""}  # fmt: skip


def test_a_trial_under_way_is_told_with_its_time_its_stages_and_what_success_is(
    tmp_path: Path, provenance: Provenance, make: Make
) -> None:
    protocol, desk = blind(), Desk(False)
    log = log_of(tmp_path, protocol, provenance)
    log.append(make(policy="theirs"))
    trial = make(policy="ours").trial
    under_way = UnderWay(trial).now(attempt=2, limit_s=14.0, began_ns=1_000_000_000)
    said = status.values(protocol, log, desk, under_way, 3_500_000_000, "held", "it went well")
    assert (said["seconds"], said["time_limit_s"], said["attempt"]) == ("2.5", "14", "2")
    assert (said["stages"], said["stage"], said["success_criterion"]) == ("held,placed", "held", "It lies there.")
    assert (said["done"], said["instructions"], said["last"]) == ("1", "On the line.", "it went well")
    assert said["can_undo"] == "1"
    desk.enter(State.RUNNING)
    assert status.values(protocol, log, desk, under_way, 0, "", "")["can_undo"] == "0"


def test_a_blinded_policy_is_named_nowhere(tmp_path: Path, provenance: Provenance, make: Make) -> None:
    protocol = blind()
    trial = make(policy="theirs").trial
    said = status.values(protocol, log_of(tmp_path, protocol, provenance), Desk(True), UnderWay(trial), 0, "", "")
    assert said["policy"] == "blinded"
    assert "theirs" not in " ".join(said.values())
    assert status.shown(protocol, trial) == "move_cube / id / 100000 / blinded"
    seeing = protocol.model_copy(update={"blinded": False})
    assert status.shown(seeing, trial) == "move_cube / id / 100000 / theirs"
