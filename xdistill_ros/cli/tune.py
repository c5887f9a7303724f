"""`xdistill tune`: one encoder for several tasks. Owns options and what is printed; `learn.training.joint` does it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from xdistill_ros.cli.shown import sentences
from xdistill_ros.learn.errors import LearnError


def tune(
    runs: Annotated[list[Path], typer.Argument(help="Runs of `xdistill train --frozen` with the same encoder.")],
    out: Annotated[Path, typer.Option(help="Folder of the encoder; the same command goes on in it.")],
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="A field, such as steps=500; docs/train.md has them. Repeatable.")
    ] = None,
) -> None:
    """Tune one encoder end to end with the policies of several tasks, so that their bundles can share it."""
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    with sentences("learn", LearnError, run=out):
        from xdistill_ros.learn.documents import changed, checked
        from xdistill_ros.learn.training.joint import Joint
        from xdistill_ros.learn.training.joint import tune as run

        made = run(runs, checked(Joint, changed([], {}, set_ or []), "options"), out)
    typer.echo(f"{made}: train each task on it: xdistill train --frozen --encoder xdistill --weights {made} ...")
