"""The benchmarks of the paper: which tasks, how hard, and what those need that cannot be run here.

Classes of MetaWorld's tasks: Seo et al. 2022 (arXiv 2206.14244), appendix, as DP3 (Ze et al. 2024, arXiv 2403.03954)
and LeRobot's `metaworld_config.json` use them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Difficulty = Literal["easy", "medium", "hard", "very hard"]

METAWORLD: dict[Difficulty, tuple[str, ...]] = {
    "easy": (
        "button-press", "button-press-topdown", "button-press-topdown-wall", "button-press-wall", "coffee-button",
        "dial-turn", "door-close", "door-lock", "door-open", "door-unlock", "drawer-close", "drawer-open",
        "faucet-close", "faucet-open", "handle-press", "handle-press-side", "handle-pull", "handle-pull-side",
        "lever-pull", "peg-unplug-side", "plate-slide", "plate-slide-back", "plate-slide-back-side",
        "plate-slide-side", "reach", "reach-wall", "window-close", "window-open",
    ),
    "medium": (
        "basketball", "bin-picking", "box-close", "coffee-pull", "coffee-push", "hammer", "peg-insert-side",
        "push-wall", "soccer", "sweep", "sweep-into",
    ),
    "hard": ("assembly", "hand-insert", "pick-out-of-hole", "pick-place", "push", "push-back"),
    "very hard": ("disassemble", "pick-place-wall", "shelf-place", "stick-pull", "stick-push"),
}  # fmt: skip
COUNTS: dict[Difficulty, int] = {"easy": 20, "medium": 7, "hard": 1, "very hard": 1}
"""How many of each class X-Distill (arXiv 2601.11269) ran."""

DIFFICULTY: dict[str, Difficulty] = {task: name for name, tasks in METAWORLD.items() for task in tasks}


def the_29() -> tuple[str, ...]:
    """Twenty-nine tasks in the paper's numbers.

    Which ones it ran, no source at hand says: these are the first of each class by name, so that nobody chose them.
    """
    return tuple(task for name, count in COUNTS.items() for task in sorted(METAWORLD[name])[:count])


@dataclass(frozen=True)
class NotRun:
    """A suite of the paper's table that needs what cannot be downloaded here."""

    name: str
    tasks: int
    needs: str

    @property
    def row(self) -> str:
        """What its row is called."""
        return f"{self.name} ({self.tasks} tasks)"


NOT_RUN = (
    NotRun(
        "Adroit", 3,
        "demonstrations by VRL3's reinforcement-learning experts, whose checkpoints lie in DP3's OneDrive folder "
        "(github.com/YanjieZe/3D-Diffusion-Policy, README), and mj_envs with mujoco-py 2.1",
    ),
    NotRun(
        "DexArt", 2,
        "demonstrations by DexArt's own checkpoints, which lie with its assets on Google Drive "
        "(github.com/Kami-code/dexart-release, README), and SAPIEN 2.2; which two of its four tasks is not told",
    ),
)  # fmt: skip
