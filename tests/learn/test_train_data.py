"""From a store to batches: caches, crops, points, the order of windows, and who waits for whom."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.stores import tiny_rig, write_episode, write_store
from tests.support.training_material import material_of
from xdistill_ros.episodes import Store, Writer
from xdistill_ros.learn.data import image_cache
from xdistill_ros.learn.data.augment import Augmentation
from xdistill_ros.learn.data.demonstrations import demonstrations
from xdistill_ros.learn.data.eyes import Colours, Points
from xdistill_ros.learn.data.identity import store_hash
from xdistill_ros.learn.data.material import Order
from xdistill_ros.learn.data.points import View
from xdistill_ros.learn.data.view import network_input, uncropped
from xdistill_ros.learn.networks.pointnet import PointNet
from xdistill_ros.learn.training.prefetch import Prefetched
from xdistill_ros.perception import Preprocess, PreprocessSpec
from xdistill_ros.rig.poses import pose_from_quaternion

PLAIN = Augmentation(
    brightness=0, contrast=0, saturation=0, channel_gain=0, blur_probability=0, noise=0, erase_probability=0
)


def spec(source: tuple[int, int] = (32, 24), crop: tuple[int, int] | None = (12, 10)) -> PreprocessSpec:
    return PreprocessSpec(
        source_width_px=source[0], source_height_px=source[1], resize_width_px=16, resize_height_px=12,
        crop_width_px=crop and crop[0], crop_height_px=crop and crop[1],
    )  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(write_store(tmp_path_factory.mktemp("store") / "s.zarr", 2, tiny_rig(depth=True), rows=18))


@pytest.fixture
def both() -> dict[str, PreprocessSpec]:
    return {"front": spec(), "wrist": spec((16, 16))}


def test_the_cache_holds_every_row_as_the_preprocessing_resizes_it(
    store: Store, both: dict[str, PreprocessSpec]
) -> None:
    images = image_cache.cached_images(store, both, "memory")
    assert {name: array.shape for name, array in images.items()} == {"front": (36, 12, 16, 3), "wrist": (36, 12, 16, 3)}
    shrink = Preprocess(uncropped(both["front"])).geometry
    np.testing.assert_array_equal(images["front"][21], shrink(np.asarray(store.data("front")[21])))


def test_mapped_files_hold_the_same_and_are_found_again(
    store: Store, both: dict[str, PreprocessSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    in_memory = image_cache.cached_images(store, both, "memory")
    mapped = image_cache.cached_images(store, both, "mapped")
    for name, array in mapped.items():
        assert isinstance(array, np.memmap)
        np.testing.assert_array_equal(array, in_memory[name])
    monkeypatch.setattr(image_cache, "_decoded", None)  # nothing is read again
    image_cache.cached_images(Store(store.path), both, "mapped")
    assert not list(image_cache.cache_folder().glob("*partial*"))


def test_what_is_mapped_belongs_to_content_and_preprocessing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = write_store(tmp_path / "s.zarr", 1)
    one = {"front": spec()}
    image_cache.cached_images(Store(path), one, "mapped")
    image_cache.cached_images(Store(path), {"front": spec(crop=(8, 8))}, "mapped")
    assert len(list(image_cache.cache_folder().iterdir())) == 1, "a crop is taken out of the same images"
    rig = Store(path).rig
    with Writer(path, rig, "pick") as writer:
        write_episode(writer, rig, 1)
    assert image_cache.cached_images(Store(path), one, "mapped")["front"].shape[0] == 48
    assert len(list(image_cache.cache_folder().iterdir())) == 2


def test_a_copied_store_is_the_same_and_a_changed_one_is_not(tmp_path: Path) -> None:
    import shutil

    path = write_store(tmp_path / "s.zarr", 2, rows=6)
    told = store_hash(Store(path))
    shutil.copytree(path, tmp_path / "copy.zarr")
    assert store_hash(Store(tmp_path / "copy.zarr")) == told
    image = tmp_path / "copy.zarr" / "data" / "front" / "3.0.0.0"
    image.write_bytes(image.read_bytes() + b"x")
    assert store_hash(Store(tmp_path / "copy.zarr")) != told


def test_depths_are_the_nearest_pixels_and_never_an_average(store: Store, both: dict[str, PreprocessSpec]) -> None:
    depths = image_cache.cached_depths(store, {"front": both["front"]}, "memory")["front"]
    assert depths.dtype == np.int16
    assert set(np.unique(depths)) == {700}


@pytest.mark.parametrize("crop", [None, (12, 10), (11, 9)])
def test_without_chance_the_input_is_what_the_running_policy_sees(crop: tuple[int, int] | None) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    wanted = Preprocess(spec(crop=crop))
    cached = torch.from_numpy(Preprocess(uncropped(spec(crop=crop))).geometry(pixels))[None]
    found = network_input(cached, spec(crop=crop), None, torch.Generator())
    np.testing.assert_allclose(found.numpy(), wanted(pixels), atol=1e-5)


def test_a_random_crop_takes_all_places_and_nothing_from_outside() -> None:
    images = torch.zeros(400, 12, 16, 3, dtype=torch.uint8)
    rows, columns = torch.meshgrid(torch.arange(12), torch.arange(16), indexing="ij")
    images[..., 0], images[..., 1] = rows, columns
    plain = spec().model_copy(update={"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)})
    seen = 255.0 * network_input(images, plain, PLAIN, torch.Generator().manual_seed(0))
    corners = {(round(float(one[0, 0, 0])), round(float(one[1, 0, 0]))) for one in seen}
    assert corners == {(y, x) for y in range(3) for x in range(5)}
    torch.testing.assert_close(seen[:, 0].amax((1, 2)) - seen[:, 0].amin((1, 2)), torch.full((400,), 9.0))


def test_a_camera_that_looks_down_on_a_plane_sees_points_of_that_height(store: Store) -> None:
    rig = store.rig
    front = rig.cameras["front"]
    down = front.optical_pose.model_copy(
        update={"position_m": (0.4, 0.0, 0.7), "quaternion_wxyz": (0.0, 1.0, 0.0, 0.0)}
    )
    above = rig.model_copy(update={"cameras": {"front": front.model_copy(update={"optical_pose": down})}})
    depth = torch.full((1, 24, 32), 600, dtype=torch.int16)
    depth[0, 0, 0] = 0
    points = View.of(above, "front", 24, 32).points(depth)
    assert points.shape == (1, 3, 24, 32)
    torch.testing.assert_close(points[:, 2], torch.full((1, 24, 32), 0.1), atol=1e-5, rtol=0)
    lens, pose = front.intrinsics, pose_from_quaternion(down.position_m, down.quaternion_wxyz)
    pixel = np.array([0.6 * (20 - lens.cx_px) / lens.fx_px, 0.6 * (10 - lens.cy_px) / lens.fy_px, 0.6, 1.0])
    np.testing.assert_allclose(points[0, :, 10, 20].numpy(), (pose @ pixel)[:3], atol=1e-5)


def test_what_does_not_count_repeats_a_point_that_does(store: Store) -> None:
    view = View.of(store.rig, "wrist", 4, 4)
    depth = torch.full((2, 4, 4), 500, dtype=torch.int16)
    depth[0, 0] = 0  # not measured
    depth[0, 1] = 5000  # beyond the hand's reach
    depth[1] = 0
    points = view.points(depth)
    torch.testing.assert_close(points[0, :, :2].flatten(1), points[0, :, 2, :1].expand(-1, 8))
    assert not points[1].any()


def test_the_order_of_points_does_not_matter_to_the_encoder() -> None:
    torch.manual_seed(0)
    encoder, points = PointNet().eval(), torch.randn(2, 3, 6, 8)
    mixed = points.flatten(2)[:, :, torch.randperm(48)].view(2, 3, 8, 6)
    torch.testing.assert_close(encoder(points), encoder(mixed))
    assert encoder.maps(points).shape == (2, 256, 6, 8)
    torch.testing.assert_close(encoder.read_out(encoder.maps(points).amax((2, 3))), encoder(points))


def test_frames_and_numbers_of_a_window_belong_together(store: Store) -> None:
    material, rig, statistics = material_of(store.path)
    rows = np.array([3, 20])
    batch = material.gather(rows)
    assert batch.seen.shape == (2, 2, 2, 2)  # cameras, windows, steps, what stands in the cache
    for camera in range(2):
        assert batch.seen[camera, ..., 0].tolist() == material.windows.frames[rows][..., camera].tolist()
        assert set(batch.seen[camera, ..., 1].flatten().tolist()) == {float(camera)}
    shown = demonstrations(store)
    np.testing.assert_allclose(batch.actions.numpy(), shown.windows.targets(rig, statistics)[rows])
    assert float(batch.proprio.abs().max()) <= 1.0 + 1e-6


def test_each_window_of_a_batch_has_a_copy_of_its_own(store: Store) -> None:
    material, _, _ = material_of(store.path, copies=4)
    frames = 36
    plain = material.gather(np.arange(10)).seen[..., 0]
    assert float(plain.max()) < frames, "copy 0"
    drawn = material.gather(np.arange(10), np.random.default_rng(1)).seen[..., 0]
    torch.testing.assert_close(drawn % frames, plain)
    copies = (drawn // frames).permute(1, 0, 2).flatten(1)
    assert (copies == copies[:, :1]).all(), "cameras and steps of a window share one"
    assert len(copies.unique()) > 2


def test_every_epoch_has_every_window_once_in_an_order_that_the_seed_alone_decides() -> None:
    order = Order(50, 8, seed=3)
    assert order.steps == 7
    epochs = [np.concatenate([order.rows(7 * epoch + step) for step in range(7)]) for epoch in range(2)]
    for epoch in epochs:
        assert sorted(epoch.tolist()) == list(range(50))
    assert epochs[0].tolist() != epochs[1].tolist()
    np.testing.assert_array_equal(Order(50, 8, seed=3).rows(9), order.rows(9))
    assert Order(50, 8, seed=4).rows(9).tolist() != order.rows(9).tolist()


def test_batches_come_in_order_made_ahead_in_another_thread() -> None:
    made: list[int] = []
    threads = set()

    def make(step: int) -> int:
        made.append(step)
        threads.add(threading.current_thread())
        return step * step

    batches = Prefetched(make, 3, 9, ahead=2)
    taken = []
    for item in batches:
        taken.append(item)
        assert len(made) <= len(taken) + 3
    assert taken == [step * step for step in range(3, 9)]
    assert threading.current_thread() not in threads
    assert batches.waited_s > 0.0


def test_an_error_while_gathering_reaches_the_training() -> None:
    def broken(step: int) -> int:
        return 1 // (2 - step)

    taken = []
    with pytest.raises(ZeroDivisionError):
        taken.extend(Prefetched(broken, 0, 10))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("loader") and thread.is_alive()]


def test_both_kinds_of_eyes_give_what_an_encoder_takes(store: Store, both: dict[str, PreprocessSpec]) -> None:
    colours = Colours(both["front"], Augmentation())
    frames = torch.randint(0, 255, (2, 5, 12, 16, 3), dtype=torch.uint8)
    assert colours(frames, torch.Generator().manual_seed(0)).shape == colours(frames, None).shape == (10, 3, 10, 12)
    plain = {name: uncropped(one) for name, one in both.items()}
    points = Points.of(store.rig, plain)
    assert points(torch.full((2, 5, 12, 16), 700, dtype=torch.int16), None).shape == (10, 3, 12, 16)
