"""The arithmetic of a benchmark's table."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdistill_ros.learn.bench import grid, report, scores
from xdistill_ros.learn.bench.config import Benchmark
from xdistill_ros.learn.bench.grid import Cell, Evaluation, Result
from xdistill_ros.learn.bench.scores import Count, Stratum


def result(task: str, encoder: str, seed: int, *successes: int, of: int = 20) -> Result:
    evaluations = [Evaluation(10 * (k + 1), {"id": (good, of)}, 60.0 * (k + 1)) for k, good in enumerate(successes)]
    return Result(Cell(task, encoder, seed), tuple(evaluations))


def tried(encoder: str, seed: int, good: int, away: tuple[int, int]) -> Result:
    counts = {"id": (good, 20), "colour": (away[0], 5), "position": (away[1], 5)}
    return Result(Cell("move_cube", encoder, seed), (Evaluation(12, counts, 100.0),))


def test_the_maximum_is_the_first_of_the_best_and_the_last_is_the_last() -> None:
    one = result("push", "a", 0, 4, 9, 9, 6)
    assert scores.picked(one, "maximum").epoch == 20
    assert scores.picked(one, "last").counts == {"id": (6, 20)}


def test_means_are_over_seeds_and_then_over_tasks() -> None:
    results = [result("reach", "a", 0, 20), result("reach", "a", 1, 10), result("push", "a", 0, 5)]
    mean = scores.mean(scores.counts("metaworld", results, "last")["a"])
    assert mean is not None
    assert mean.value == pytest.approx((0.75 + 0.25) / 2)  # push counts as much as reach, with half the seeds
    assert (mean.strata, mean.seeds) == (2, 1)


def test_variants_are_pooled_and_count_as_much_as_what_was_trained_on() -> None:
    of = scores.counts("table", [tried("a", 0, 20, (1, 2))], "last")["a"]
    assert of[Stratum("move_cube", scores.OUT)] == [Count(3, 10)]
    mean = scores.mean(of)
    assert mean is not None
    assert mean.value == pytest.approx((1.0 + 0.3) / 2)


def test_an_interval_of_one_seed_is_that_of_its_episodes() -> None:
    mean = scores.mean({Stratum("push", "hard"): [Count(10, 20)]})
    assert mean is not None
    assert mean.low == pytest.approx(0.29, abs=0.02)  # Jeffreys' interval of 10 of 20
    assert mean.high == pytest.approx(0.71, abs=0.02)


def test_seeds_that_differ_widen_the_interval() -> None:
    alike = scores.mean({Stratum("push", "hard"): [Count(10, 20)] * 3})
    apart = scores.mean({Stratum("push", "hard"): [Count(0, 20), Count(10, 20), Count(20, 20)]})
    assert alike is not None
    assert apart is not None
    assert apart.value == alike.value
    assert apart.high - apart.low > 1.5 * (alike.high - alike.low)


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=6))
def test_a_mean_lies_within_its_interval_and_all_within_0_and_1(pairs: list[tuple[int, int]]) -> None:
    found = {Stratum(f"t{k}", "easy"): [Count(a, 20), Count(b, 20)] for k, (a, b) in enumerate(pairs)}
    mean = scores.mean(found)
    assert mean is not None
    assert 0.0 <= mean.low <= mean.value <= mean.high <= 1.0
    assert mean.value == pytest.approx(np.mean([(a + b) / 40 for a, b in pairs]))


def test_a_difference_is_over_what_both_have() -> None:
    mine = {Stratum("push", "hard"): [Count(15, 20)], Stratum("reach", "easy"): [Count(20, 20)]}
    base = {Stratum("push", "hard"): [Count(5, 20)]}
    apart = scores.difference(mine, base)
    assert apart is not None
    assert apart.value == pytest.approx(0.5)
    assert 0.1 < apart.low < 0.3
    assert scores.difference(mine, {}) is None


def benchmark() -> Benchmark:
    return Benchmark.model_validate({
        "suite": "metaworld", "tasks": ["reach", "push"], "seeds": [0, 1], "baseline": "b",
        "encoders": [{"name": "a", "word": "xdistill", "origin": "from the table"}, {"name": "b", "word": "dinov2"}],
        "metaworld": {}, "training": {},
    })  # fmt: skip


def test_the_report_has_the_paper_s_columns_intervals_and_what_was_not_run(tmp_path) -> None:
    for one in [
        result("reach", "a", 0, 18, 16), result("reach", "a", 1, 20, 20), result("push", "a", 0, 10, 8),
        result("reach", "b", 0, 10, 10),
    ]:  # fmt: skip
        folder = one.cell.folder(tmp_path)
        folder.mkdir(parents=True)
        one.write(folder)
    made = report.report(benchmark(), tmp_path)
    assert made.headline.startswith("4 of 8 cells are done")
    assert made.sections[0].header == ("encoder", "easy", "hard", "average")
    name, easy, hard, average = made.sections[0].rows[0]
    assert (name, easy.split()[0], hard.split()[0], average.split()[0]) == ("a", "95.0", "50.0", "72.5")
    assert made.sections[0].rows[1][2] == report.NOTHING  # b never pushed
    assert made.sections[1].rows[0][1].startswith("+45.0 [")  # and is compared where it reached
    assert ("reach", "easy", "95 (10, 10) / 90", "50 (10) / 50") in made.sections[-1].rows
    assert made.sections[-1].rows[-2:] == tuple(
        (name, "not run", report.NOTHING, report.NOTHING) for name in ("Adroit (3 tasks)", "DexArt (2 tasks)")
    )
    text = made.markdown()
    assert "Adroit (3 tasks): not run, it needs" in text
    assert "DexArt (2 tasks): not run, it needs" in text
    assert "a: from the table." in text
    assert "| a | 95.0 [" in text
    assert made.csv().splitlines()[1].split(",")[:5] == ["reach", "a", "0", "2", "10"]


def test_nothing_done_is_a_report_too(tmp_path) -> None:
    made = report.report(benchmark(), tmp_path)
    assert made.headline.startswith("0 of 8")
    assert made.sections == ()
    assert made.csv() == "task\n"


def test_a_result_is_read_as_it_was_written(tmp_path) -> None:
    one = tried("a", 2, 7, (1, 0))
    one.write(tmp_path)
    assert grid.Result.read(tmp_path) == one
