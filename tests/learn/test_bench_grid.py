"""A grid goes on wherever it was killed, by any number of processes, and refuses another protocol."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from xdistill_ros.cli.main import app
from xdistill_ros.episodes import StoreError
from xdistill_ros.learn import runs
from xdistill_ros.learn.bench import grid
from xdistill_ros.learn.bench.config import Benchmark
from xdistill_ros.learn.bench.grid import Cell, Evaluation, Shard
from xdistill_ros.learn.documents import load
from xdistill_ros.learn.errors import LearnError
from xdistill_ros.rig import RigError

TASKS, ENCODERS, SEEDS = ("reach", "push", "hammer"), ("xdistill", "resnet18_scratch"), (0, 1)


def document(**changes: Any) -> dict[str, Any]:
    return {
        "suite": "metaworld", "tasks": list(TASKS), "seeds": list(SEEDS), "baseline": "resnet18_scratch",
        "encoders": [{"name": name, "word": name} for name in ENCODERS],
        "metaworld": {"every_epochs": 5}, "training": {"epochs": 10},
    } | changes  # fmt: skip


def benchmark(**changes: Any) -> Benchmark:
    return Benchmark.model_validate(document(**changes))


def protocol(cell: Cell) -> dict[str, Any]:
    return {"task": cell.task, "epochs": 10}


class Work:
    """Stands for training: says which cells it was given, and dies in `dies_in`."""

    def __init__(self, dies_in: Cell | None = None) -> None:
        self.worked: list[Cell] = []
        self.dies_in = dies_in

    def __call__(self, cell: Cell, folder: Path) -> Sequence[Evaluation]:
        assert (folder / runs.CONFIG).exists()
        if cell == self.dies_in:
            raise KeyboardInterrupt
        self.worked.append(cell)
        return [Evaluation(5, {"id": (3, 20)}, 1.0), Evaluation(10, {"id": (2, 20)}, 2.0)]


def test_the_first_seed_is_done_before_the_second_begins() -> None:
    seeds = [cell.seed for cell in grid.cells(benchmark())]
    assert seeds == sorted(seeds)
    assert len(set(grid.cells(benchmark()))) == len(TASKS) * len(ENCODERS) * len(SEEDS)


@pytest.mark.parametrize("count", [1, 2, 5, 30])
def test_shares_have_every_cell_once(count: int) -> None:
    shares = [Shard(index, count).of(grid.cells(benchmark())) for index in range(count)]
    together = [cell for share in shares for cell in share]
    assert sorted(together, key=str) == sorted(grid.cells(benchmark()), key=str)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_grid_that_grows_keeps_its_order() -> None:
    before, after = grid.cells(benchmark()), grid.cells(benchmark(tasks=[*TASKS, "soccer"]))
    assert [cell for cell in after if cell.task != "soccer"] == before


@pytest.mark.parametrize("text", ["2/2", "1", "a/b", "-1/2", "1/0", "0/2/3"])
def test_a_share_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(LearnError, match="i/n"):
        Shard.parse(text)


def test_a_killed_grid_goes_on_with_the_cell_it_was_at(tmp_path: Path) -> None:
    order = grid.cells(benchmark())
    killed = Work(dies_in=order[4])
    with pytest.raises(KeyboardInterrupt):
        grid.run(benchmark(), tmp_path, Shard(), killed, protocol)
    assert killed.worked == order[:4]
    again = Work()
    outcome = grid.run(benchmark(), tmp_path, Shard(), again, protocol)
    assert again.worked == order[4:]
    assert outcome.done == order
    assert [one.cell for one in grid.results(benchmark(), tmp_path)] == order


def test_two_shares_do_what_one_process_does(tmp_path: Path) -> None:
    shares = [Work(), Work()]
    for index, work in enumerate(shares):
        grid.run(benchmark(), tmp_path, Shard(index, 2), work, protocol)
    assert not set(shares[0].worked) & set(shares[1].worked)
    assert len(list(grid.results(benchmark(), tmp_path))) == len(grid.cells(benchmark()))


def test_a_cell_that_another_process_works_at_is_left_to_it(tmp_path: Path) -> None:
    taken = grid.cells(benchmark())[2]
    with runs.lock(taken.folder(tmp_path)):
        outcome = grid.run(benchmark(), tmp_path, Shard(), Work(), protocol)
    assert outcome.busy == [taken]
    assert len(outcome.done) == len(grid.cells(benchmark())) - 1


@pytest.mark.parametrize("error", [LearnError, StoreError, RigError, OSError])
def test_a_cell_that_cannot_be_worked_is_named_and_the_others_go_on(tmp_path: Path, error: type[Exception]) -> None:
    bad = grid.cells(benchmark())[1]

    def work(cell: Cell, folder: Path) -> Sequence[Evaluation]:
        if cell == bad:
            raise error("what is wrong with it")
        return Work()(cell, folder)

    outcome = grid.run(benchmark(), tmp_path, Shard(), work, protocol)
    assert outcome.failed == {bad: "what is wrong with it"}
    assert len(outcome.done) == len(grid.cells(benchmark())) - 1


def test_results_of_another_protocol_are_refused_by_field_and_values(tmp_path: Path) -> None:
    grid.run(benchmark(), tmp_path, Shard(), Work(), protocol)
    other = benchmark(training={"epochs": 20})
    with pytest.raises(LearnError, match=r"training\.epochs is 10 there and 20 now"):
        grid.run(other, tmp_path, Shard(), Work(), protocol)


def test_a_cell_with_other_weights_is_refused(tmp_path: Path) -> None:
    grid.run(benchmark(), tmp_path, Shard(), Work(), protocol)
    outcome = grid.run(benchmark(), tmp_path, Shard(), Work(), lambda cell: {**protocol(cell), "epochs": 11})
    assert len(outcome.failed) == len(grid.cells(benchmark()))
    assert "epochs is 10 there and 11 now" in next(iter(outcome.failed.values()))


def test_tasks_encoders_seeds_and_the_machine_may_change(tmp_path: Path) -> None:
    grid.run(benchmark(), tmp_path, Shard(), Work(), protocol)
    more = Work()
    grown = benchmark(seeds=[0, 1, 2], training={"epochs": 10, "threads": 2, "device": "cuda"})
    grid.run(grown, tmp_path, Shard(), more, protocol)
    assert {cell.seed for cell in more.worked} == {2}


def test_a_damaged_result_says_what_to_do(tmp_path: Path) -> None:
    grid.run(benchmark(), tmp_path, Shard(), Work(), protocol)
    cell = grid.cells(benchmark())[0]
    (cell.folder(tmp_path) / grid.RESULT).write_text("{", encoding="utf-8")
    with pytest.raises(LearnError, match="remove it and run its cell again"):
        list(grid.results(benchmark(), tmp_path))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tasks": ["reach", "reach"]}, "tasks names reach more than once"),
        ({"tasks": ["fly"]}, "MetaWorld has no task fly"),
        ({"baseline": "none"}, "baseline is 'none'"),
        ({"suite": "table"}, "a section `table` must say its protocol"),
        ({"metaworld": {"action_horizon": 20}}, "action_horizon 20 is beyond prediction_horizon 16"),
        ({"encoders": [{"name": "A/B", "word": "dinov2"}]}, "encoders.0.name"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    path = tmp_path / "bench.yaml"
    path.write_text(json.dumps(document(**changes)), encoding="utf-8")
    with pytest.raises(LearnError) as told:
        load(Benchmark, path)
    assert said in str(told.value)


def test_the_command_prints_and_writes_the_table_of_what_is_done(tmp_path: Path) -> None:
    grid.run(benchmark(), tmp_path, Shard(0, 2), Work(), protocol)
    ended = CliRunner().invoke(app, ["bench", "table", str(tmp_path)])
    assert ended.exit_code == 0, ended.output
    assert "6 of 12 cells are done" in ended.output
    assert "6 of 12 cells are done" in (tmp_path / "table.md").read_text(encoding="utf-8")
    assert (tmp_path / "table.csv").read_text(encoding="utf-8").count("\n") == 1 + 6


def test_the_command_says_what_is_missing_without_a_traceback(tmp_path: Path) -> None:
    ended = CliRunner().invoke(app, ["bench", "table", str(tmp_path)])
    assert ended.exit_code == 2
    assert "config.yaml" in ended.output
    assert "Traceback" not in ended.output


@pytest.mark.parametrize("name", ["metaworld", "metaworld_cpu", "table", "table_pointnet"])
def test_the_benchmarks_that_ship_are_whole(name: str) -> None:
    from xdistill_ros.learn.training.settings import settings

    shipped = load(Benchmark, Path(f"config/bench/{name}.yaml"))
    made = settings([shipped.training, {"store": "x", "encoder": {"word": "dinov2"}}], name)
    assert made.epochs == shipped.training["epochs"]
    assert len(shipped.names) == 1 or shipped.baseline in shipped.names


def test_the_row_of_points_has_the_table_s_protocol_and_budget() -> None:
    colours, points = (load(Benchmark, Path(f"config/bench/{name}.yaml")) for name in ("table", "table_pointnet"))
    assert points.tasks == colours.tasks
    assert points.table is not None
    assert points.table.model_copy(update={"stores": "episodes/{task}.zarr"}) == colours.table
    assert points.training == {key: value for key, value in colours.training.items() if key != "image"}


def test_the_paper_s_grid_has_29_tasks_in_its_numbers() -> None:
    from xdistill_ros.learn.bench import suites

    shipped = load(Benchmark, Path("config/bench/metaworld.yaml"))
    assert shipped.tasks == suites.the_29()
    found = [suites.DIFFICULTY[task] for task in shipped.tasks]
    assert {name: found.count(name) for name in suites.METAWORLD} == suites.COUNTS
    assert len(suites.DIFFICULTY) == 50
