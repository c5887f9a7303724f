"""`verify` finds each fault that is planted, in the episode that has it, and finds nothing in a good store."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr

from tests.support import stores
from tests.support.stores import Row
from xdistill_ros.episodes import Store, StoreError, Writer, layout
from xdistill_ros.episodes.edit import merge
from xdistill_ros.episodes.findings import Finding, Severity, Verdict, verdict
from xdistill_ros.episodes.verify import verify

FRONT = "front"


def found(path: Path) -> list[Finding]:
    return verify(Store(path), lambda: None)


def only_in(findings: list[Finding], episode: int, words: str) -> Finding:
    """The finding that has these words, when all findings are of that episode."""
    assert {one.episode for one in findings} == {episode}, findings
    return next(one for one in findings if words in one.what)


def spoilt(tmp_path: Path, change: stores.Change, rows: int = 24) -> Path:
    return stores.write_store(tmp_path / "store", 2, rows=rows, changes={1: change})


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stores.write_store(tmp_path_factory.mktemp("good") / "store", 3)


@pytest.fixture
def store(good: Path, tmp_path: Path) -> Path:
    """Three good episodes of 24 rows, to be damaged."""
    return shutil.copytree(good, tmp_path / "store")


@pytest.mark.parametrize("codec", ["blosc_lz4", "blosc_zstd", "jpeg"])
def test_nothing_is_found_in_a_good_store(tmp_path: Path, codec: str) -> None:
    assert found(stores.write_store(tmp_path / "store", 3, stores.tiny_rig(codec=codec))) == []


def test_nothing_is_found_in_a_store_without_episodes(tmp_path: Path) -> None:
    assert found(stores.write_store(tmp_path / "store", 0)) == []


def test_depth_is_checked_too(tmp_path: Path) -> None:
    path = stores.write_store(tmp_path / "store", 2, stores.tiny_rig(depth=True))
    assert found(path) == []
    (path / "data" / "front_depth" / "30.0.0").unlink()
    assert only_in(found(path), 1, "front_depth: files are gone or cut").severity is Severity.ERROR


def test_every_episode_is_counted(store: Path) -> None:
    counted = []
    verify(Store(store), lambda: counted.append(1))
    assert len(counted) == 3


# ---- images


def test_a_frozen_camera_is_found(tmp_path: Path) -> None:
    def freeze(rows: list[Row]) -> None:
        for row in rows[10:16]:
            row[FRONT] = rows[9][FRONT]

    finding = only_in(found(spoilt(tmp_path, freeze)), 1, "front: frozen images")
    assert finding.severity is Severity.ERROR
    assert "7 rows the same from row 9" in finding.value


def test_a_still_picture_of_a_still_arm_is_not_frozen(tmp_path: Path) -> None:
    def rest(rows: list[Row]) -> None:
        for row in rows[10:16]:
            row |= {key: rows[9][key] for key in (FRONT, "wrist", "robot_joint", "robot_eef_pose", "action")}

    assert found(spoilt(tmp_path, rest)) == []


@pytest.mark.parametrize(("level", "words"), [(0, "front: black images"), (200, "front: uniform images")])
def test_an_image_that_shows_nothing_is_found(tmp_path: Path, level: int, words: str) -> None:
    def cover(rows: list[Row]) -> None:
        rows[7][FRONT] = np.full_like(rows[7][FRONT], level)

    finding = only_in(found(spoilt(tmp_path, cover)), 1, words)
    assert finding.value == "1 rows, the first 7"


def test_over_exposure_is_found(tmp_path: Path) -> None:
    def expose(rows: list[Row]) -> None:
        rows[3][FRONT] = np.where(np.arange(32)[None, :, None] < 20, 255, rows[3][FRONT]).astype(np.uint8)

    assert only_in(found(spoilt(tmp_path, expose)), 1, "over-exposed").severity is Severity.WARNING


def test_an_episode_darker_than_the_others_is_found(tmp_path: Path) -> None:
    def darken(rows: list[Row]) -> None:
        for row in rows:
            row["wrist"] = row["wrist"] // 2

    path = stores.write_store(tmp_path / "store", 3, rows=16, changes={1: darken})
    finding = only_in(found(path), 1, "wrist: brightness unlike")
    assert finding.severity is Severity.WARNING


@pytest.mark.parametrize(
    ("codec", "words"), [("blosc_lz4", "front: files are gone or cut"), ("jpeg", "front: images cannot be read")]
)
def test_an_image_that_is_cut_is_found(tmp_path: Path, codec: str, words: str) -> None:
    path = stores.write_store(tmp_path / "store", 3, stores.tiny_rig(codec=codec))
    chunk = path / "data" / FRONT / "30.0.0.0"
    chunk.write_bytes(chunk.read_bytes()[:50])
    assert only_in(found(path), 1, words).severity is Severity.ERROR


# ---- time


def test_a_gap_is_found_with_its_place(tmp_path: Path) -> None:
    finding = only_in(found(spoilt(tmp_path, lambda rows: rows.__delitem__(slice(12, 15)))), 1, "gap")
    assert finding.value == "3 rows, 3 in a row after row 11"


def test_one_missing_row_in_a_long_episode_is_no_gap(tmp_path: Path) -> None:
    assert found(spoilt(tmp_path, lambda rows: rows.pop(30), rows=80)) == []


def test_stamps_that_go_back_are_found(tmp_path: Path) -> None:
    def turn_back(rows: list[Row]) -> None:
        rows[5]["timestamp"], rows[6]["timestamp"] = rows[6]["timestamp"], rows[5]["timestamp"]

    finding = only_in(found(spoilt(tmp_path, turn_back)), 1, "raw/grid: stamps go back 1 times, first at sample 6")
    assert finding.severity is Severity.ERROR


def test_commands_for_one_instant_are_no_fault_and_those_that_go_back_are(store: Path) -> None:
    """While ROS time stands still the control thread goes on, so its ticks may share a stamp."""
    array = zarr.open_array(store / "raw/command/stamp_ns", mode="r+", zarr_format=2)
    array[5] = array[4]
    assert found(store) == []
    array[5] = array[3]
    assert "raw/command: stamps go back 1 times" in only_in(found(store), 0, "stamps go back").what


def test_another_rate_is_found(tmp_path: Path) -> None:
    def slow(rows: list[Row]) -> None:
        del rows[1::2]

    assert only_in(found(spoilt(tmp_path, slow)), 1, "period of the rows").value == "200.0 ms"


def test_steps_that_alternate_between_a_camera_s_frames_are_no_fault(tmp_path: Path) -> None:
    """A camera of 15 Hz on a grid of 10 Hz: rows are one frame apart or two."""

    def nearest(rows: list[Row]) -> None:
        for k, row in enumerate(rows):
            row["timestamp"] = stores.BEGIN_NS * 1e-9 + 60 + round(k * 1.5) / 15

    assert found(spoilt(tmp_path, nearest)) == []


def test_a_camera_that_loses_frames_is_found(store: Path) -> None:
    array = zarr.open_array(store / "raw/cameras/front/stamp_ns", mode="r+", zarr_format=2)
    opened = Store(store)
    span = opened.span(opened.episodes[1], "raw/cameras/front")
    array[span] = stores.BEGIN_NS + 70_000_000 * np.arange(span.stop - span.start)
    assert only_in(found(store), 1, "front: frames are lost").value == "14.29 Hz"


def test_a_very_short_episode_is_found(tmp_path: Path) -> None:
    assert only_in(found(stores.write_store(tmp_path / "store", 1, rows=6)), 0, "very short").value == "6 rows"


# ---- actions and what is told


def test_a_saturated_action_is_found(tmp_path: Path) -> None:
    upper = stores.tiny_rig().arm.workspace.upper_m[1]

    def push(rows: list[Row]) -> None:
        for row in rows[10:16]:
            row["action"][1] = upper

    finding = only_in(found(spoilt(tmp_path, push)), 1, "tcp.y at its limit")
    assert finding.value == "25% of the rows"


def test_a_saturated_joint_is_found_where_joints_are_commanded(tmp_path: Path) -> None:
    rig = stores.tiny_rig(action_space={"kind": "joint_position", "reference": "absolute"})

    def push(rows: list[Row]) -> None:
        for row in rows:
            row["action"][2] = rig.arm.joints["joint3"].upper_rad

    path = stores.write_store(tmp_path / "store", 1, rig, changes={0: push})
    assert "joint3 at its limit" in only_in(found(path), 0, "saturated").what


def test_a_number_that_is_none_is_found(tmp_path: Path) -> None:
    def break_one(rows: list[Row]) -> None:
        rows[4]["action"][0] = np.nan

    assert only_in(found(spoilt(tmp_path, break_one)), 1, "action is not finite").severity is Severity.ERROR


def test_a_target_that_nobody_gave_is_no_fault(tmp_path: Path) -> None:
    def nobody(rows: list[Row]) -> None:
        for row in rows:
            row["target"] = np.full(7, np.nan)

    assert found(spoilt(tmp_path, nobody)) == []


def test_an_episode_that_a_fault_ended_is_named(tmp_path: Path) -> None:
    path = stores.write_store(tmp_path / "store", 1, ended_by="disk full")
    assert only_in(found(path), 0, "ended by a fault").value == "disk full"


def test_what_is_told_of_another_number_of_rows_is_found(store: Path) -> None:
    lines = store / layout.EPISODES_FILE
    first, rest = lines.read_text().split("\n", 1)
    lines.write_text(first + "\n" + rest.replace('"rows":24', '"rows":25', 1))
    assert only_in(found(store), 1, "rows told by").value == "25"


# ---- arrays and files


def test_a_missing_image_is_found_in_its_episode_alone(store: Path) -> None:
    (store / "data" / FRONT / "25.0.0.0").unlink()
    findings = found(store)
    assert only_in(findings, 1, "data/front: files are gone or cut").value == "1, the first 25"
    assert [verdict(findings, index) for index in range(3)] == [Verdict.GOOD, Verdict.BAD, Verdict.GOOD]


def test_a_black_image_that_is_there_is_not_a_missing_one(tmp_path: Path) -> None:
    def cover(rows: list[Row]) -> None:
        rows[7][FRONT] = np.zeros_like(rows[7][FRONT])

    assert not [one for one in found(spoilt(tmp_path, cover)) if "files are gone or cut" in one.what]


def test_a_missing_chunk_of_numbers_is_found_in_every_episode_in_it(store: Path) -> None:
    (store / "data" / "action" / "0.0").unlink()
    assert {one.episode for one in found(store) if "data/action: files are gone or cut" in one.what} == {0, 1, 2}


def test_numbers_that_cannot_be_decoded_are_found(store: Path) -> None:
    chunk = store / "data" / "action" / "0.0"
    chunk.write_bytes(chunk.read_bytes()[:16] + bytes(chunk.stat().st_size - 16))
    assert [one.episode for one in found(store) if one.what == "numbers cannot be read"] == [0, 1, 2]


def test_a_ragged_array_is_found_in_the_episodes_it_lacks(store: Path) -> None:
    zarr.open_array(store / "data" / "gripper", mode="r+", zarr_format=2).resize((60, 1))
    assert only_in(found(store), 2, "data/gripper is too short").value == "60 rows"


def test_a_ragged_last_chunk_is_no_fault(tmp_path: Path) -> None:
    """1030 rows: numbers lie in chunks of 1024, the second of which is written full size with 6 rows of use."""
    path = tmp_path / "store"
    merge(path, [stores.write_store(tmp_path / "tenth", 1, rows=103)] * 10, lambda: None)
    assert found(path) == []
    assert Store(path).data("action").shape[0] == 1030
    assert (path / "data" / "action" / "1.0").is_file()


def test_a_missing_array_is_found(store: Path) -> None:
    (store / "data" / "stage" / ".zarray").unlink()
    assert any(one.what == "data/stage is not there" and one.episode is None for one in found(store))


def test_an_array_of_another_type_is_found(store: Path) -> None:
    description = store / "data" / "gripper" / ".zarray"
    description.write_text(description.read_text().replace("<f8", "<f4"))
    assert any("data/gripper has another shape or type" in one.what for one in found(store))


def test_ends_that_do_not_increase_are_found(store: Path) -> None:
    zarr.open_array(store / layout.DATA_ENDS, mode="r+", zarr_format=2)[1] = 24
    findings = found(store)
    assert "episode_ends do not increase at episode 1" in findings[0].what
    assert [verdict(findings, index) for index in range(3)] == [Verdict.BAD] * 3


def test_a_stream_that_lost_an_episode_is_found(store: Path) -> None:
    zarr.open_array(store / "raw/state/episode_ends", mode="r+", zarr_format=2).resize((1,))
    findings = found(store)
    assert any("raw/state is not whole" in one.what for one in findings)
    assert [verdict(findings, index) for index in range(3)] == [Verdict.GOOD, Verdict.BAD, Verdict.BAD]


def test_a_store_with_an_open_episode_is_told_to_be_repaired(tmp_path: Path) -> None:
    rig, path = stores.tiny_rig(), tmp_path / "store"
    stores.write_store(path, 1, rig)
    writer = Writer(path, rig, "pick")  # as if it had been killed: never closed
    for k in range(20):
        writer.append(stores.row_at(rig, stores.BEGIN_NS + k * stores.PERIOD_NS))
    findings = found(path)
    writer.close()
    assert {one.episode for one in findings} == {None}
    assert "repair the store" in findings[0].limit
    assert found(path) == []


def test_a_folder_that_is_no_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no episode store there"):
        found(tmp_path)
