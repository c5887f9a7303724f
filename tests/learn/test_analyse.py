"""`xdistill analyse` from the command line: the page, its results, and what it refuses."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner, Result

from tests.learn.test_analyse_parts import grasp
from tests.support import stores
from tests.support.small_policy import small_policy
from tests.support.tiny_bundle import write_tiny_bundle
from xdistill_ros.cli.main import app
from xdistill_ros.learn import policies, runs, weights
from xdistill_ros.learn.networks.encoders import Student
from xdistill_ros.learn.networks.pointnet import PointNet

SIZE = (64, 64)
SMALL = "timm/test_resnet"
"""Far smaller than a ResNet-18, since it is looked through many times."""


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    changes = dict.fromkeys(range(3), grasp)
    return stores.write_store(tmp_path_factory.mktemp("stores") / "pick.zarr", 3, changes=changes)


@pytest.fixture(scope="module")
def policy(tmp_path_factory) -> Path:
    """A training run's folder, as far as an analysis reads it."""
    folder = tmp_path_factory.mktemp("runs") / "tuned"
    tuned = small_policy(stores.tiny_rig(), size=SIZE, encoder=Student(12, architecture=SMALL).eval())
    policies.save(tuned, folder, {"command": "a test"})
    return folder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> Path:
    """A distillation's encoder."""
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("runs") / "distilled" / "encoder.safetensors"
    weights.save(Student(12, architecture=SMALL).eval(), path, {"command": "a test"})
    return path


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["analyse", *map(str, words)])


@pytest.fixture(scope="module")
def page(tmp_path_factory, store, policy, encoder) -> tuple[Path, Result]:
    """An analysis of both, with a film."""
    out = tmp_path_factory.mktemp("pages") / "page"
    done = run("--store", store, policy, encoder.parent, "--out", out, "--episode", 1, "--video", "--image-width", 64)
    assert done.exit_code == 0, done.output
    return out, done


def test_the_command_prints_a_score_for_each_encoder(page):
    out, done = page
    lines = {line.split()[0]: line for line in done.output.splitlines() if line.strip()}
    found = json.loads((out / "results.json").read_text())
    assert [one["name"] for one in found["encoders"]] == ["tuned", "distilled", "pixels"]
    for one in found["encoders"]:
        assert f"{one['silhouette_of_map']['value']:.3f}" in lines[one["name"]]
        assert f"{one['silhouette_of_features']['value']:.3f}" in lines[one["name"]]
        assert -1.0 <= one["silhouette_of_features"]["low"] <= one["silhouette_of_features"]["high"] <= 1.0
    assert "nobody marked stages" in done.output
    assert str(out / "index.html") in done.output.replace("\n", "")


def test_the_results_tell_what_was_shown_of_each_stage(page):
    found = json.loads((page[0] / "results.json").read_text())
    assert found["stages"] == {"before the grasp": 18, "holding": 36, "after the release": 18}
    assert [one["stage"] for one in found["frames"]] == list(found["stages"])
    for frame in found["frames"]:
        assert frame["episode"] == 1
        assert set(frame["heats"]) == {"tuned", "distilled"}
        for nearest in frame["nearest"].values():
            assert sorted(near["episode"] for near in nearest) == [0, 2]
    assert found["encoders"][0]["policy"] is True
    assert found["encoders"][1]["policy"] is False
    assert set(found["encoders"][0]["around"]["hand"]) == {"cam", "saliency"}


def test_the_page_is_whole_and_asks_nothing_of_the_web(page):
    out, _ = page
    text = (out / "index.html").read_text()
    sources = re.findall(r'src="([^"]+)"', text)
    assert len(sources) > 20
    assert [name for name in sources if not (out / name).is_file()] == []
    assert not re.search(r"<script|https?://|@import|url\(", text)
    assert "prefers-color-scheme: dark" in text
    assert text.count("<svg") == 3
    assert all(f"<h4>{name}</h4>" in text for name in ("tuned", "distilled", "pixels"))


def test_the_film_shows_every_row(page):
    import av

    with av.open(str(page[0] / "film.mp4")) as film:
        frames = list(film.decode(video=0))
    assert len(frames) == 24
    assert frames[0].width == 5 * 256
    assert frames[1].time - frames[0].time == pytest.approx(0.1, abs=0.002)


def test_the_configuration_lies_beside_the_page(page):
    assert "video: true" in (page[0] / runs.CONFIG).read_text()


def test_again_in_the_same_folder_it_finds_the_same_and_shows_the_row_that_is_named(
    tmp_path, page, store, policy, encoder
):
    out = shutil.copytree(page[0], tmp_path / "page")
    before = json.loads((out / "results.json").read_text())
    words = ("--store", store, policy, encoder.parent, "--out", out, "--image-width", 64, "--episode", 2, "--row", 7)
    assert run(*words).exit_code == 0
    found = json.loads((out / "results.json").read_text())
    assert found["encoders"] == before["encoders"]
    assert [(one["episode"], one["row"]) for one in found["frames"]] == [(2, 7)]
    assert found["film"] is None
    assert not (out / "film.mp4").exists()
    shown = {path.name for path in (out / "pictures").iterdir() if path.name.startswith("episode")}
    assert {name.split("_row")[0] for name in shown} == {"episode2"}


def test_with_one_stage_and_one_episode_it_is_said_what_is_undefined(tmp_path, encoder):
    store = stores.write_store(tmp_path / "still.zarr", 1, rows=13)
    done = run("--store", store, encoder, "--out", tmp_path / "page", "--image-width", 64)
    assert done.exit_code == 0, done.output
    assert "no silhouette score" in done.output
    assert "one stage" in done.output
    assert json.loads((tmp_path / "page" / "results.json").read_text())["encoders"][0]["silhouette_of_map"] is None
    text = (tmp_path / "page" / "index.html").read_text()
    assert "Not defined here" in text
    assert "no other episode" in text


def test_encoders_of_points_are_compared_without_heat(tmp_path):
    rig, random = stores.tiny_rig(depth=True), np.random.default_rng(0)

    def deepen(made: list[stores.Row]) -> None:
        grasp(made, 4, 8)
        for row in made:
            row["front_depth"] = random.integers(400, 1200, (24, 32), np.uint16)

    store = stores.write_store(tmp_path / "deep.zarr", 2, rig, 12, dict.fromkeys(range(2), deepen))
    points = tmp_path / "points"
    policies.save(small_policy(rig, size=SIZE, encoder=PointNet().eval()), points, {})
    done = run("--store", store, points, "--out", tmp_path / "page")
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "page" / "results.json").read_text())
    assert found["encoders"][0]["silhouette_of_features"] is not None
    assert found["frames"][0]["heats"] == {}
    assert "takes points of depth" in (tmp_path / "page" / "index.html").read_text()
    refused = run("--store", store, points, "--out", tmp_path / "film", "--video")
    assert (refused.exit_code, refused.output.count("\n")) == (2, 1)


def refusals(tmp_path: Path, store: Path, policy: Path, encoder: Path) -> dict[str, tuple[list[object], str]]:
    """Words of the command, and what it says."""

    def with_cameras(**changed: int) -> Path:
        document = stores.tiny_rig().model_dump(mode="json")
        front = document["cameras"]["front"] | changed
        rig = stores.rigs.parse(document | {"cameras": {("front" if changed else "side"): front}}, "another rig")
        return stores.write_store(tmp_path / f"cameras{len(changed)}.zarr", 1, rig)

    full = tmp_path / "full"
    full.mkdir()
    (full / "thesis.tex").touch()
    bundle = write_tiny_bundle(tmp_path / "models" / "tiny", stores.rigs.load(stores.SIM_TABLE))
    page = tmp_path / "page"
    return {
        "no store": ([tmp_path, encoder, "--out", page], "no episode store there"),
        "empty store": ([stores.write_store(tmp_path / "empty.zarr", 0), encoder, "--out", page], "holds no episode"),
        "other cameras": ([with_cameras(), policy, "--out", page], "sees camera 'front', the store has side"),
        "other pixels": ([with_cameras(width_px=48), policy, "--out", page], "32x24 pixels for the policy, 48x24 in"),
        "no episode": ([store, encoder, "--out", page, "--episode", 3], "no episode 3; it has 3, counted from 0"),
        "no row": ([store, encoder, "--out", page, "--row", 24], "episode 0 has 24 rows, counted from 0; no row 24"),
        "no encoder": ([store, tmp_path / "nothing", "--out", page], "neither a training run"),
        "a bundle": ([store, bundle, "--out", page], "a bundle; name the training run that it was exported from"),
        "the same twice": ([store, encoder, encoder.parent, "--out", page], "named twice"),
        "another's folder": ([store, encoder, "--out", full], "is not empty, and no earlier analysis"),
    }


def test_what_cannot_be_done_is_said_in_a_sentence(tmp_path, store, policy, encoder):
    for what, (words, said) in refusals(tmp_path, store, policy, encoder).items():
        done = run("--store", *words)
        assert done.exit_code == 2, (what, done.output)
        assert said in done.output, (what, done.output)
        assert "Traceback" not in done.output
    assert not (tmp_path / "page").exists()


def test_two_analyses_do_not_share_a_folder(tmp_path, store, encoder):
    out = tmp_path / "page"
    out.mkdir()
    with runs.lock(out):
        (out / "results.json").write_text(json.dumps({"format": "xdistill_ros analysis"}))
        done = run("--store", store, encoder, "--out", out)
    assert done.exit_code == 2
    assert "another run works in this folder" in done.output
