"""`xdistill distill` where the configuration has renderings: the simulated table is its own teacher's."""

from __future__ import annotations

from pathlib import Path

import torch
from typer.testing import CliRunner

from xdistill_ros.cli.main import app
from xdistill_ros.learn import runs, weights

SMALL = ("renderings.per_task=8", "distil.held_out=100", "distil.steps=2", "distil.batch=4", "tasks=[door_close]")


def distilled(out: Path, *changes: str):
    words = ["distill", "config/learn/distil_table.yaml", "--out", str(out)]
    return CliRunner().invoke(app, [*words, *(word for one in (*SMALL, *changes) for word in ("--set", one))])


def test_the_command_renders_distils_and_goes_on_where_it_was(tmp_path: Path) -> None:
    ended = distilled(tmp_path)
    assert ended.exit_code == 0, ended.output
    assert "2 steps on renderings of door_close" in ended.output
    assert "point.handle" in ended.output
    first = weights.load(tmp_path / "encoder.safetensors")
    with torch.no_grad():
        assert first(torch.randn(2, 3, 96, 128)).shape == (2, 512), "a policy is given the pooled feature"
    told = weights.provenance(tmp_path / "encoder.safetensors")
    assert (told["tasks"], told["steps"]) == (["door_close"], 2)
    rendered = {path: path.stat().st_mtime_ns for path in (tmp_path / "renderings").iterdir()}
    assert rendered
    assert runs.load_checkpoint(tmp_path / runs.CHECKPOINT)["step"] == 2
    assert distilled(tmp_path).exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "renderings").iterdir()} == rendered
    again = weights.load(tmp_path / "encoder.safetensors").state_dict()
    assert all(torch.equal(value, again[name]) for name, value in first.state_dict().items())
    other = distilled(tmp_path, "distil.steps=3")
    assert other.exit_code == 2
    assert "distil.steps is 2 there and 3 now" in other.output


def test_a_field_that_is_wrong_is_named(tmp_path: Path) -> None:
    ended = distilled(tmp_path, "renderings.seed=7")
    assert ended.exit_code == 2
    assert "renderings.seed is 7: Input should be greater than or equal to 50000" in ended.output
