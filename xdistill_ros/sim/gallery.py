"""A contact sheet of all tasks under all conditions: `python -m xdistill_ros.sim.gallery out.png`.

Each picture is the front camera in the middle of a demonstration, with the wrist camera's view in its corner.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from xdistill_ros import rig as rigs
from xdistill_ros.resources import config
from xdistill_ros.rig import Rig

from .conditions import CONDITIONS, conditions_of
from .pilots import ExpertPilot
from .render import Pixels
from .rollout import Run
from .tasks import TASKS
from .world import World

MOMENT = 0.66  # share of a demonstration after which its picture is taken
TILE = (400, 300)
INSET = (140, 105)
MARGIN = 6


def contact_sheet(rig: Rig, seed: int = 3) -> Pixels:
    """(H, W, 3) uint8 RGB: a row a task, a column a condition; the last column is for those that not all tasks have."""
    rows = []
    for name in TASKS:
        with World(rig, name) as world:
            own = [condition for condition in conditions_of(world.task) if condition not in CONDITIONS]
            tiles = [tile(world, condition, seed) for condition in (*CONDITIONS, *own)]
        rows.append(tiles)
    columns = max(len(tiles) for tiles in rows)
    blank = np.full((TILE[1], TILE[0], 3), 255, np.uint8)
    return np.vstack([np.hstack([*tiles, *[blank] * (columns - len(tiles))]) for tiles in rows])


def tile(world: World, condition: str, seed: int) -> Pixels:
    """One picture, TILE in size: resets `world` and demonstrates up to MOMENT."""
    world.reset(seed, condition)
    pilot = ExpertPilot()
    pilot.begin(world, seed)
    run = Run(world, pilot)
    while pilot.progress < MOMENT:
        run.tick()
    picture = cv2.resize(world.render("front"), TILE, interpolation=cv2.INTER_AREA)
    if "wrist" in world.rig.cameras:
        inset = cv2.resize(world.render("wrist"), INSET, interpolation=cv2.INTER_AREA)
        inset = cv2.copyMakeBorder(inset, 2, 2, 2, 2, cv2.BORDER_CONSTANT, value=(255, 255, 255))
        picture[-inset.shape[0] - MARGIN : -MARGIN, -inset.shape[1] - MARGIN : -MARGIN] = inset
    label = f"{world.task.name} / {condition}"
    for colour, width in (((255, 255, 255), 3), ((30, 30, 30), 1)):
        cv2.putText(picture, label, (8, TILE[1] - 10), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, width, cv2.LINE_AA)
    return np.asarray(picture, dtype=np.uint8)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Renders every task under every condition into one picture.")
    parser.add_argument("picture", type=Path, help="PNG file to write")
    parser.add_argument("--seed", type=int, default=3)
    arguments = parser.parse_args()
    sheet = contact_sheet(rigs.load(config("rigs/sim_table.yaml")), arguments.seed)
    cv2.imwrite(str(arguments.picture), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main()
