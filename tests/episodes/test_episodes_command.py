"""`xdistill episodes`: what it prints, and that bad input is a sentence with exit code 2, never a traceback."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
import zarr
from typer.testing import CliRunner, Result

from tests.support import bags, stores
from tests.support.rigs import SIM_TABLE
from xdistill_ros.cli.main import app
from xdistill_ros.episodes import Store, Writer

ROOT = Path(__file__).parents[2]


def run(*words: object, answer: str = "") -> Result:
    return CliRunner().invoke(app, ["episodes", *map(str, words)], input=answer)


def refused(*words: object) -> str:
    """What is said when a command is refused: it must be told in at most a few lines, with exit code 2."""
    ended = run(*words)
    assert ended.exit_code == 2, ended.output
    assert "Traceback" not in ended.output
    assert ended.stderr.strip()
    return ended.stderr


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stores.write_store(tmp_path_factory.mktemp("two") / "store", 2)


@pytest.fixture
def store(two: Path, tmp_path: Path) -> Path:
    return shutil.copytree(two, tmp_path / "store")


def test_list_has_a_line_for_each_episode_and_counts_them(two: Path) -> None:
    said = run("list", two).stdout
    assert said.count("pick") == 2
    assert "2 episodes, 48 rows, 5 s" in said


def test_square_brackets_in_what_people_wrote_are_shown(tmp_path: Path) -> None:
    path = stores.write_store(tmp_path / "store", 1, task="pick [red] cube", ended_by="[disk] full")
    assert "pick [red] cube" in run("list", path).stdout
    assert "[disk] full" in run("verify", path).stdout


def test_show_names_arrays_codecs_and_what_is_told_of_an_episode(two: Path) -> None:
    said = run("show", two, 1).stdout
    assert "48 x 24 x 32 x 3" in said
    assert "id=blosc cname=lz4 clevel=1" in said
    assert '"operator": "ada"' in said


def test_verify_ends_0_for_a_good_store_and_1_for_a_bad_one(store: Path) -> None:
    good = run("verify", store)
    assert good.exit_code == 0
    assert "2 good, 0 look at it, 0 do not train on it" in good.stdout
    (store / "data" / "front" / "30.0.0.0").unlink()
    bad = run("verify", store)
    assert bad.exit_code == 1
    assert "data/front: files are gone" in bad.stdout
    assert "1 good, 0 look at it, 1 do not train on it" in bad.stdout


def test_a_half_written_store_is_repaired_with_a_sentence(store: Path) -> None:
    rig = stores.tiny_rig()
    writer = Writer(store, rig, "pick")
    for k in range(10):
        writer.append(stores.row_at(rig, stores.BEGIN_NS + k * stores.PERIOD_NS))
    writer._lock.close()
    assert "repair the store" in run("verify", store).stdout.replace("\n", " ")
    assert "The 2 committed episodes are as they were" in run("repair", store).stdout
    assert "nothing to repair; its 2 episodes are whole" in run("repair", store).stdout


def test_delete_asks_first(store: Path) -> None:
    assert run("delete", store, 0, answer="n\n").exit_code == 1
    assert len(Store(store).episodes) == 2
    assert "1 episodes are left" in run("delete", store, 0, "--yes").stdout
    assert len(Store(store).episodes) == 1


def test_realign_takes_the_arm_s_kinematics_from_the_store(store: Path) -> None:
    attributes = store / ".zattrs"
    elsewhere = attributes.read_text().replace(str(stores.tiny_rig().arm.urdf), "/on/another/machine/arm.urdf")
    attributes.write_text(elsewhere)
    shifts = ("--shift", "front=-0.01", "--shift", "wrist=-0.01")
    assert "48 rows aligned again, 0 lost" in run("realign", store, *shifts).stdout
    assert "{'front': -0.01, 'wrist': -0.01} s added" in run("show", store).stdout


def test_merge_export_plot_and_video_say_what_they_made(store: Path, two: Path, tmp_path: Path) -> None:
    assert "4 episodes" in run("merge", tmp_path / "both", store, two).stdout
    assert "2 episodes, 48 frames" in run("export", store, tmp_path / "set", "--as", "lerobot").stdout
    for words, name in (
        (("export", store, tmp_path / "a.zarr.zip", "--as", "umi"), "a.zarr.zip"),
        (("plot", store, 1, "-o", tmp_path / "a.png"), "a.png"),
        (("video", store, 1, "-o", tmp_path / "a.mp4"), "a.mp4"),
    ):
        assert name in run(*words).stdout
        assert (tmp_path / name).stat().st_size > 1000


def rig_file(folder: Path) -> Path:
    """The tiny rig as a file."""
    document = yaml.safe_load(SIM_TABLE.read_text())
    document["arm"]["urdf"] = str((SIM_TABLE.parent / document["arm"]["urdf"]).resolve())
    tiny = stores.tiny_rig()
    for name, camera in document["cameras"].items():
        camera |= {"width_px": tiny.cameras[name].width_px, "height_px": tiny.cameras[name].height_px}
    document["recording"] = {"min_free_gb": 0.001}
    path = folder / "rig.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def test_bags_are_imported_one_after_the_other(tmp_path: Path) -> None:
    carried = bags.messages(stores.tiny_rig(), seconds=2.0)
    made = [bags.write_bag(tmp_path / "one", carried), bags.write_bag(tmp_path / "two.mcap", carried, mcap=True)]
    ended = run("import", tmp_path / "store", *made, "--rig", rig_file(tmp_path), "--task", "pick")
    assert ended.exit_code == 0, ended.output
    assert "one: episode 0, 19 rows, 0 gaps" in ended.stdout
    assert "two.mcap: episode 1, 19 rows, 0 gaps" in ended.stdout
    assert run("verify", tmp_path / "store").exit_code == 0


# ---- bad input


@pytest.mark.parametrize("command", ["list", "show", "verify", "repair"])
def test_a_folder_that_is_no_store_is_refused(command: str, tmp_path: Path) -> None:
    assert "no episode store there" in refused(command, tmp_path)
    assert "no episode store there" in refused(command, tmp_path / "nothing")
    zarr.open_group(tmp_path / "other", mode="w", zarr_format=2).create_group("data")
    assert "no episode store of xdistill_ros" in refused(command, tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other"]  # nothing was made of it


@pytest.mark.parametrize("command", ["list", "verify", "repair"])
def test_a_store_of_a_newer_version_is_refused_with_the_remedy(command: str, store: Path) -> None:
    attributes = store / ".zattrs"
    attributes.write_text(attributes.read_text().replace('"version": 1', '"version": 9'))
    assert "reads up to 1: update xdistill_ros" in refused(command, store)


def test_a_store_whose_episodes_file_is_gone_is_refused(store: Path) -> None:
    (store / "episodes.jsonl").unlink()
    assert "episodes.jsonl is gone" in refused("list", store)


def test_an_episode_that_is_not_there_is_refused(store: Path) -> None:
    for words in (("show", store, 2), ("plot", store, 2), ("video", store, 2), ("delete", store, 2, "--yes")):
        assert "it has 2, counted from 0" in refused(*words)


def test_stores_of_different_rigs_are_not_merged(store: Path, tmp_path: Path) -> None:
    other = stores.write_store(tmp_path / "other", 1, stores.tiny_rig(rate_hz=20.0))
    assert "policy.rate_hz: 10.0 in the store, 20.0 now" in refused("merge", store, other)


def test_a_bag_for_a_store_of_another_rig_is_refused(tmp_path: Path) -> None:
    bag = bags.write_bag(tmp_path / "bag", bags.messages(stores.tiny_rig(), seconds=0.5))
    path = stores.write_store(tmp_path / "store", 1, stores.tiny_rig(rate_hz=20.0))
    said = refused("import", path, bag, "--rig", rig_file(tmp_path), "--task", "pick")
    assert "recorded with another rig" in said
    assert "policy.rate_hz" in said


def test_a_shift_that_cannot_be_read_is_refused(store: Path) -> None:
    assert "give STREAM=SECONDS" in refused("realign", store, "--shift", "front")
    assert "no stream side" in refused("realign", store, "--shift", "side=0.01")


def test_what_an_extra_brings_is_named_when_it_is_missing(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    assert "pip install 'xdistill_ros[episodes]'" in refused("video", store, 0)
    assert not list(store.parent.glob("*.mp4"))


def test_a_store_that_is_being_recorded_can_be_read_and_not_edited(store: Path) -> None:
    with Writer(store, stores.tiny_rig(), "pick"):
        assert run("list", store).exit_code == 0
        assert run("verify", store).exit_code == 0
        for words in (("delete", store, 0, "--yes"), ("repair", store), ("realign", store, "--shift", "front=0.01")):
            assert "another recorder or tool has this store open" in refused(*words)


@pytest.fixture
def locked(store: Path) -> Iterator[Path]:
    """A store in a folder in which nobody may write."""
    for path in [store.parent, *store.parent.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield store
    for path in [store.parent, *store.parent.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)


def lose_power_over_permissions() -> None:
    """In a child before it executes Python: root without CAP_DAC_OVERRIDE may write no more than others (prctl(2))."""
    ctypes.CDLL(None).prctl(24, 1)


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("list", "STORE"), 0, "2 episodes"),
        (("verify", "STORE"), 0, "2 good"),
        (("delete", "STORE", "0", "--yes"), 2, "Permission denied"),
        (("repair", "STORE"), 2, "Permission denied"),
        (("export", "STORE", "STORE.zip", "--as", "umi"), 2, "Permission denied"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_read_only_folder_can_be_read_and_the_rest_is_refused_in_a_sentence(
    locked: Path, words: tuple[str, ...], status: int, said: str
) -> None:
    told = (word.replace("STORE", str(locked)) for word in words)
    ended = subprocess.run(
        [sys.executable, "-m", "xdistill_ros.cli.main", "episodes", *told],
        cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)},
        preexec_fn=lose_power_over_permissions if os.geteuid() == 0 else None,
    )  # fmt: skip
    assert ended.returncode == status, ended.stderr
    assert said in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
