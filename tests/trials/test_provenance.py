"""What a result was made with is written down: rig, calibration, software, computer."""

from __future__ import annotations

from pathlib import Path

from tests.support.rigs import sim_table
from xdistill_ros import __version__
from xdistill_ros.trials.provenance import provenance, rig_sha256, software


def test_the_rigs_hash_follows_what_it_says_and_not_where_its_files_lie(tmp_path: Path) -> None:
    rig = sim_table()
    moved = tmp_path / "arm.urdf"
    moved.write_bytes(rig.arm.urdf.read_bytes())
    elsewhere = rig.model_copy(update={"arm": rig.arm.model_copy(update={"urdf": moved})})
    assert rig_sha256(elsewhere) == rig_sha256(rig)
    moved.write_bytes(rig.arm.urdf.read_bytes() + b"<!-- longer -->")
    assert rig_sha256(elsewhere) != rig_sha256(rig)
    assert rig_sha256(rig.model_copy(update={"name": "other"})) != rig_sha256(rig)


def test_a_result_names_version_commit_and_computer() -> None:
    made = provenance("cube", "0123456789ab", sim_table(), "in_process")
    assert software().startswith(__version__)
    assert made.software == software()
    assert made.host
    assert made.calibration_sha256 == "", "nothing was measured of a simulated table"
    assert made.same_policy(made.model_copy(update={"software": "9", "host": "other"}))
    assert not made.same_policy(made.model_copy(update={"runner": "graph"}))
    assert not made.same_policy(made.model_copy(update={"rig_sha256": "other"}))
