"""From demonstrations to a bundle by the commands alone: what one of them leaves is what the next one takes."""

from __future__ import annotations

from pathlib import Path

import yaml
from typer.testing import CliRunner

from tests.support.bundles import cache_home
from tests.support.training import tiny
from xdistill_ros.cli.main import app
from xdistill_ros.episodes import Store
from xdistill_ros.learn import policies
from xdistill_ros.policy.loading import load_bundle

__all__ = ["cache_home"]


def said(*words: object) -> str:
    """What a command prints. It must have succeeded."""
    ended = CliRunner().invoke(app, [str(word) for word in words])
    assert ended.exit_code == 0, ended.output
    return ended.stdout


def test_a_store_becomes_a_run_a_bundle_and_a_replay(store: Path, student: Path, tmp_path: Path) -> None:
    config, run, bundle = tmp_path / "tiny.yaml", tmp_path / "run", tmp_path / "models" / "pick"
    config.write_text(yaml.safe_dump(tiny(store, student).model_dump(mode="json")), encoding="utf-8")
    assert "6 steps, 2 epochs" in said("train", "--config", config, "--out", run)
    assert "actions differ by" in said("export", run, "--out", bundle, "--precision", "fp16")

    loaded = load_bundle(bundle, Store(store).rig)
    told, trained = loaded.manifest.provenance, policies.provenance(run)
    assert (told["encoder"], told["steps"]) == ("xdistill", 6)
    assert told["store_sha256"] == trained["store_sha256"]
    assert told["encoder_sha256"] == trained["encoder_sha256"]
    assert loaded.manifest.preprocess == policies.load(run).preprocess
    assert "epochs: 2" in (bundle / "MODEL_CARD.md").read_text(encoding="utf-8")

    picture = tmp_path / "replay.png"
    printed = said("replay", store, 1, "--bundle", bundle, "--out", picture)
    assert "position, mm" in printed
    assert picture.read_bytes().startswith(b"\x89PNG")
