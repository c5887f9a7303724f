"""The schedule: complete, balanced, repeatable, and never on a scene that was trained on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdistill_ros.trials import FIRST_EVALUATION_SEED, Trial, schedule

names = st.lists(st.sampled_from(["move_cube", "drawer_open", "door_close"]), unique=True)
counts = st.dictionaries(st.sampled_from(["id", "position", "colour", "lighting"]), st.integers(0, 6))


@given(tasks=names, trials=counts, seed=st.integers())
def test_every_task_has_every_condition_as_often_as_asked(tasks: list[str], trials: dict[str, int], seed: int) -> None:
    planned = schedule(tasks, trials, order_seed=seed)
    expected = [Trial(task, name, FIRST_EVALUATION_SEED + k) for task in tasks for name, n in trials.items()
                for k in range(n)]  # fmt: skip
    assert sorted(planned) == sorted(expected)


@given(tasks=names, trials=counts, seed=st.integers())
def test_seeds_grow_from_block_to_block_so_that_a_run_cut_short_is_balanced(
    tasks: list[str], trials: dict[str, int], seed: int
) -> None:
    seeds = [trial.seed for trial in schedule(tasks, trials, order_seed=seed)]
    assert seeds == sorted(seeds)


def test_the_order_is_drawn_from_its_seed_alone() -> None:
    first, again, other = (schedule(["move_cube"], {"id": 5, "colour": 5, "table": 5}, seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert [trial.condition for trial in first[:3]] != [trial.condition for trial in first[3:6]]


@pytest.mark.parametrize(
    ("tasks", "trials", "first_seed", "words"),
    [
        (["a", "a"], {"id": 1}, FIRST_EVALUATION_SEED, "repeat"),
        (["a"], {"id": -1}, FIRST_EVALUATION_SEED, "-1 trials"),
        (["a"], {"id": 1}, 25, "trained on"),
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused(
    tasks: list[str], trials: dict[str, int], first_seed: int, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        schedule(tasks, trials, first_seed=first_seed)
