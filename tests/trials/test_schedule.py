"""The schedule: complete, balanced, repeatable, and never on a scene that was trained on."""

from __future__ import annotations

from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdistill_ros.trials import FIRST_EVALUATION_SEED, Trial, schedule

conditions = st.dictionaries(st.sampled_from(["id", "position", "colour", "lighting"]), st.integers(0, 6))
plans = st.dictionaries(st.sampled_from(["move_cube", "drawer_open", "door_close"]), conditions)
policies = st.lists(st.sampled_from(["ours", "theirs", "third"]), unique=True, min_size=1)
Plan = dict[str, dict[str, int]]


@given(plan=plans, names=policies, seed=st.integers(), across=st.booleans())
def test_every_policy_tries_every_condition_as_often_as_asked(
    plan: Plan, names: list[str], seed: int, across: bool
) -> None:
    planned = schedule(plan, names, order_seed=seed, across_tasks=across)
    expected = [
        Trial(task, name, FIRST_EVALUATION_SEED + k, policy)
        for task, counts in plan.items() for name, count in counts.items() for k in range(count) for policy in names
    ]  # fmt: skip
    assert sorted(planned) == sorted(expected)


@given(plan=plans, names=policies, seed=st.integers())
def test_all_policies_try_a_start_one_after_the_other(plan: Plan, names: list[str], seed: int) -> None:
    planned = schedule(plan, names, order_seed=seed)
    runs = [[trial.policy for trial in group] for _, group in groupby(planned, key=lambda trial: trial.start)]
    assert all(sorted(run) == sorted(names) for run in runs)


@given(plan=plans, seed=st.integers())
def test_seeds_grow_from_block_to_block_so_that_a_run_cut_short_is_balanced(plan: Plan, seed: int) -> None:
    across = [trial.seed for trial in schedule(plan, ["ours"], order_seed=seed, across_tasks=True)]
    assert across == sorted(across)
    within = schedule(plan, ["ours"], order_seed=seed)
    for _, group in groupby(within, key=lambda trial: trial.task):
        seeds = [trial.seed for trial in group]
        assert seeds == sorted(seeds)


def test_tasks_come_one_after_the_other_unless_they_are_to_be_mixed() -> None:
    plan = {"a": {"id": 5}, "b": {"id": 5}}
    assert [trial.task for trial in schedule(plan, ["ours"])] == ["a"] * 5 + ["b"] * 5
    mixed = [trial.task for trial in schedule(plan, ["ours"], across_tasks=True)]
    assert [set(mixed[k : k + 2]) for k in range(0, 10, 2)] == [{"a", "b"}] * 5


def test_the_order_is_drawn_from_its_seed_alone() -> None:
    plan = {"move_cube": {"id": 5, "colour": 5, "table": 5}}
    first, again, other = (schedule(plan, ["ours", "theirs"], seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert len({tuple(trial.policy for trial in first[k : k + 2]) for k in range(0, 30, 2)}) == 2, "who begins varies"


def test_a_scene_that_was_trained_on_is_refused() -> None:
    with pytest.raises(ValueError, match="trained on"):
        schedule({"a": {"id": 1}}, ["ours"], first_seed=25)
