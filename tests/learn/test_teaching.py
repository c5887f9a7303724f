"""The privileged teacher's knowledge, and a student that learns it, is interrupted, and goes on."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from xdistill_ros.learn.data.augment import Augmentation
from xdistill_ros.learn.distil.in_memory import DistilConfig, Renderings, distil, weighted_mse
from xdistill_ros.learn.networks.encoders import Student
from xdistill_ros.learn.rates import one_cycle
from xdistill_ros.learn.table.geometry import ABSENT, UNSEEN, Quantities, Scenes, join, quantities
from xdistill_ros.learn.table.privileged import Privileged
from xdistill_ros.learn.table.probe import held_out_errors
from xdistill_ros.rig.poses import pose_matrix
from xdistill_ros.sim.motion import DOWN

PLAIN = Augmentation(
    brightness=0, contrast=0, saturation=0, channel_gain=0, blur_probability=0, noise=0, erase_probability=0
)


def scenes(point: tuple[float, float, float], task: str = "one") -> Scenes:
    """One scene: a camera one metre over the base looking down, the TCP below it, one point."""
    eye = pose_matrix(np.array([[0.4, 0.0, 1.0]]), DOWN[None])
    tcp = pose_matrix(np.array([[0.4, 0.0, 0.2]]), DOWN[None])
    state = {"point.thing": np.array([point]), "yaw.thing": np.array([[0.3]]), "opening": np.array([[0.05]])}
    return Scenes(task, state, tcp, {"front": eye}, np.array([0.08]), np.array([False]))


def column(table: Quantities, name: str) -> float:
    return float(table.values[0, table.names.index(name)])


def test_a_point_is_where_the_camera_and_the_gripper_find_it(table_rig):
    camera = table_rig.cameras["front"]
    table = quantities(scenes((0.45, 0.0, 0.0)), "front", camera)
    lens = camera.intrinsics
    assert column(table, "one/point.thing.image.0") == pytest.approx((0.05 * lens.fx_px + lens.cx_px) / camera.width_px)
    assert column(table, "one/point.thing.depth.0") == pytest.approx(1.0)
    found = [column(table, f"one/point.thing.from_tcp.{axis}") for axis in range(3)]
    np.testing.assert_allclose(found, [0.05, 0.0, 0.2], atol=1e-9)
    assert column(table, "one/yaw.thing.from_tcp.0") == pytest.approx(np.sin(0.3))


def test_what_the_camera_cannot_see_counts_little(table_rig):
    table = quantities(scenes((3.0, 0.0, 0.0)), "front", table_rig.cameras["front"])
    assert table.weights[0, table.names.index("one/point.thing.from_tcp.0")] == UNSEEN
    assert column(table, "flag.one/point.thing.seen.0") == 0.0


def test_a_column_that_a_task_lacks_is_masked(table_rig):
    camera = table_rig.cameras["front"]
    both = join([quantities(scenes((0.4, 0.1, 0.0), task), "front", camera) for task in ("one", "two")])
    absent = both.names.index("two/point.thing.depth.0")
    assert both.weights[0, absent] == ABSENT
    assert both.weights[1, absent] == 1.0
    target, weights = Privileged(both).targets(torch.zeros(2, 4, 4, 3), torch.tensor([0, 1]))
    assert target[0, absent] == 0.0
    assert torch.isfinite(target).all()
    assert weights.shape == target.shape


def test_the_teachers_feature_states_the_quantities_linearly():
    values = np.random.default_rng(0).normal(3.0, 0.2, (40, 4))
    teacher = Privileged(Quantities(("a", "b", "c", "flag.d"), values, np.ones_like(values)))
    target, _ = teacher.targets(torch.zeros(40, 2, 2, 3), torch.arange(40))
    assert target.shape == (40, teacher.dim) == (40, 4 + 2 * 3 * 3)
    np.testing.assert_allclose(teacher.read(target.numpy()), values, atol=1e-4)


def test_a_quantity_that_never_changes_gives_a_finite_target():
    values = np.full((10, 2), 0.7)
    teacher = Privileged(Quantities(("a", "b"), values, np.ones_like(values)))
    target, _ = teacher.targets(torch.zeros(10, 2, 2, 3), torch.arange(10))
    assert torch.isfinite(target).all()


def little(count: int = 60) -> tuple[Renderings, Quantities]:
    """Images whose brightness is the quantity."""
    values = np.random.default_rng(1).uniform(0, 1, (count, 3))
    pixels = (values[:, None, None, :] * np.ones((1, 16, 16, 1)) * 255).astype(np.uint8)
    names = tuple(f"x/point.thing.from_tcp.{axis}" for axis in range(3))
    return Renderings(pixels, (0.5,) * 3, (0.25,) * 3), Quantities(names, values, np.ones_like(values))


def test_a_student_learns_what_the_image_shows_and_continues_where_it_was_cut_off(tmp_path):
    data, table = little()
    teacher = Privileged(table, frequencies=())
    config = DistilConfig(
        steps=30, batch=8, held_out=12, check_every=15, save_every=15, bf16=False, coarse_share=0.2, augmentation=PLAIN
    )

    def student() -> Student:
        torch.manual_seed(0)
        return Student(teacher.dim)

    whole = student()
    history = distil(whole, teacher, data, config, tmp_path / "whole.pt")
    assert history[-1] < history[0]
    assert held_out_errors(whole, teacher, data, table, 12)["x/point.thing"] < 0.5

    class CutOffError(Exception):
        pass

    class Fragile(Privileged):
        def targets(self, images: torch.Tensor, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            self.calls = getattr(self, "calls", 0) + 1
            if self.calls > 20:
                raise CutOffError
            return super().targets(images, rows)

    with pytest.raises(CutOffError):
        distil(student(), Fragile(table, frequencies=()), data, config, tmp_path / "cut.pt")
    continued = Student(teacher.dim)
    again = distil(continued, teacher, data, config, tmp_path / "cut.pt")
    np.testing.assert_allclose(again, history, rtol=1e-3)


def test_a_finished_distillation_is_not_repeated(tmp_path):
    data, table = little()
    config = DistilConfig(steps=2, batch=4, held_out=8, bf16=False, augmentation=PLAIN)
    teacher = Privileged(table)
    first, second = Student(teacher.dim), Student(teacher.dim)
    distil(first, teacher, data, config, tmp_path / "done.pt")
    distil(second, teacher, data, config, tmp_path / "done.pt")
    assert all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )


def test_the_learning_rate_rises_then_falls_to_nothing():
    rates = [one_cycle(step, 100, 0.1) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(1.0)
    assert rates.index(max(rates)) in (9, 10)
    assert rates[100] == pytest.approx(0.0, abs=1e-9)


def test_weights_of_zero_take_an_error_out_of_the_loss():
    guess, wanted = torch.tensor([[1.0, 9.0]]), torch.tensor([[0.0, 0.0]])
    assert weighted_mse(guess, wanted, torch.tensor([[1.0, 0.0]])) == 1.0


def test_no_augmentation_changes_nothing_and_augmentation_stays_within_range():
    images = torch.rand(6, 3, 12, 16)
    generator = torch.Generator().manual_seed(0)
    torch.testing.assert_close(PLAIN(images, generator), images)
    changed = Augmentation(shift_px=2, erase_probability=1.0)(images, generator)
    assert changed.shape == images.shape
    assert 0.0 <= float(changed.min()) <= float(changed.max()) <= 1.0
    assert not torch.allclose(changed, images)


def test_augmentation_is_repeatable_by_its_generator():
    images = torch.rand(4, 3, 12, 16)
    one, two = (Augmentation()(images, torch.Generator().manual_seed(7)) for _ in range(2))
    torch.testing.assert_close(one, two)
