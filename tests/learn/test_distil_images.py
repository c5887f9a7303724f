"""Images for distillation: found, read, cropped and ordered, whatever is wrong with some of them."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from xdistill_ros.learn.distil.config import DataConfig
from xdistill_ros.learn.distil.images import Images
from xdistill_ros.learn.distil.views import Order, Views, loader, split
from xdistill_ros.learn.errors import LearnError

from .distillation import picture, pictures


def shards(folder: Path, into: Path, each: int = 15) -> Path:
    """The images below `folder` as WebDataset would have packed them: with a label beside each."""
    into.mkdir()
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    for number, start in enumerate(range(0, len(paths), each)):
        with tarfile.open(into / f"train-{number:04d}.tar", "w") as archive:
            for path in paths[start : start + each]:
                archive.add(path, path.relative_to(folder))
                label = tarfile.TarInfo(str(path.relative_to(folder).with_suffix(".cls")))
                label.size = 1
                archive.addfile(label, io.BytesIO(b"7"))
    return into


def views(images: Images, *, varied: bool = True, teacher_px: tuple[int, int] | None = None, seed: int = 0) -> Views:
    config = DataConfig(images=(Path("unused"),), held_out=12)
    return Views(images, np.arange(len(images)), config, (24, 32), teacher_px, seed, varied)


def flat(batches: Iterable[list[int]]) -> list[int]:
    return list(chain.from_iterable(batches))


def test_images_are_found_at_any_depth_and_in_the_order_of_their_names(tmp_path):
    folder = pictures(tmp_path / "images", 7)
    (folder / "class_0" / "readme.txt").write_text("no image")
    found = Images.find([folder])
    names = [found.name(index) for index in range(len(found))]
    assert len(names) == 7
    assert names == sorted(names)
    assert all(Path(name).is_file() for name in names)


def test_shards_hold_the_same_pixels_as_the_folder_that_they_were_packed_from(tmp_path):
    folder = pictures(tmp_path / "images", 20)
    loose, packed = Images.find([folder]), Images.find([shards(folder, tmp_path / "shards")])
    assert len(packed) == 20
    for index in range(20):
        np.testing.assert_array_equal(np.array(loose.open(index)), np.array(packed.open(index)))
    assert packed.name(0).endswith("train-0000.tar/class_0/000.png")


def test_an_index_survives_being_kept_and_its_hash_follows_the_data_and_not_where_they_lie(tmp_path):
    first = Images.find([pictures(tmp_path / "here", 9)])
    first.save(tmp_path / "index.npz")
    again = Images.load(tmp_path / "index.npz")
    assert again.digest == first.digest
    assert again.name(4) == first.name(4)
    moved = (tmp_path / "here").rename(tmp_path / "there")
    assert Images.find([moved]).digest == first.digest
    picture(99).save(moved / "one_more.png")
    assert Images.find([moved]).digest != first.digest


def test_a_shard_that_was_cut_off_is_named(tmp_path):
    packed = shards(pictures(tmp_path / "images", 10), tmp_path / "shards")
    whole = packed / "train-0000.tar"
    whole.write_bytes(whole.read_bytes()[: 3 * 1024])
    with pytest.raises(LearnError, match=r"train-0000\.tar: not a whole, uncompressed tar"):
        Images.find([packed])


@pytest.mark.parametrize("content", [None, "empty"])
def test_a_place_without_images_is_named(tmp_path, content):
    place = tmp_path / "nothing"
    if content:
        place.mkdir()
    with pytest.raises(LearnError, match="nothing: no"):
        Images.find([place])


def damaged(folder: Path) -> list[str]:
    """Three of the pictures are made unreadable in different ways; their names."""
    paths = sorted(folder.rglob("*.JPEG"))[:3]
    paths[0].write_bytes(paths[0].read_bytes()[:-200])
    paths[1].write_text("this is text")
    paths[2].write_bytes(b"")
    return [str(path) for path in paths]


def test_corrupt_images_are_skipped_and_named_and_the_batch_stays_full(tmp_path):
    folder = pictures(tmp_path / "images", 20)
    names = damaged(folder)
    seen = views(Images.find([folder]))
    batches = list(loader(seen, [list(range(10)), list(range(10, 20))], workers=0, pin=False))
    assert all(batch.student.shape == (10, 24, 32, 3) for batch in batches)
    corrupt = dict(named for batch in batches for named in batch.corrupt)
    assert sorted(corrupt) == sorted(names)
    assert "truncated" in corrupt[names[0]]
    assert corrupt[names[1]] == "not an image"
    bad = {index for index in range(20) if seen.images.name(index) in names}
    used = torch.cat([batch.keys for batch in batches]).tolist()
    assert not bad & set(used), "the key tells whose picture it is, so that a cached feature fits"


def test_a_data_set_without_a_readable_image_ends_with_one_of_their_names(tmp_path):
    folder = pictures(tmp_path / "images", 4)
    for path in folder.rglob("*.*"):
        path.write_text("text")
    with pytest.raises(LearnError, match=r"in a row cannot be read, one of them .*class_0.*not an image"):
        list(loader(views(Images.find([folder])), [[0, 1]], workers=0, pin=False))


def test_the_workers_do_not_change_what_is_seen(tmp_path):
    seen = views(Images.find([pictures(tmp_path / "images", 12)]))
    batches = [list(range(6)), list(range(6, 12))]
    alone, helped = (list(loader(seen, batches, workers, pin=False)) for workers in (0, 2))
    for one, other in zip(alone, helped, strict=True):
        torch.testing.assert_close(one.student, other.student, rtol=0, atol=0)


def test_every_image_is_seen_once_an_epoch_in_another_order_each_and_the_same_after_an_interruption(tmp_path):
    seen = views(Images.find([pictures(tmp_path / "images", 20)]))
    whole = list(Order(seen, 5, 0, 8, None))
    positions = [[key % 20 for key in batch] for batch in whole]
    assert sorted(flat(positions[:4])) == sorted(flat(positions[4:])) == list(range(20))
    assert positions[:4] != positions[4:]
    assert {key // 20 for key in flat(whole[4:])} == {1}, "a new view in the second epoch"
    assert list(Order(seen, 5, 3, 8, None)) == whole[3:]
    assert {key // 20 for key in flat(Order(seen, 5, 0, 8, 1))} == {0}, "only one view, if only one is cached"


def test_processes_share_a_batch_between_them(tmp_path):
    seen = views(Images.find([pictures(tmp_path / "images", 20)]))
    alone = list(Order(seen, 6, 0, 3, None))
    shares = [list(Order(seen, 6, 0, 3, None, rank, 2)) for rank in range(2)]
    for step, batch in enumerate(alone):
        assert sorted(shares[0][step] + shares[1][step]) == sorted(batch)


def test_shards_are_shuffled_among_few_at_a_time_and_each_image_comes_once(tmp_path, monkeypatch):
    monkeypatch.setattr("xdistill_ros.learn.distil.views._TOGETHER", 2)
    seen = views(Images.find([shards(pictures(tmp_path / "images", 24), tmp_path / "shards", each=4)]))
    keys = flat(Order(seen, 4, 0, 6, None))
    assert sorted(keys) == list(range(24))
    first = {int(seen.images.where[key]) for key in keys[:8]}
    assert len(first) == 2


def test_teacher_and_student_see_the_same_part_of_an_image(tmp_path):
    seen = views(Images.find([pictures(tmp_path / "images", 6)]), teacher_px=(48, 64))
    for key in range(12):
        one = seen[key]
        shrunk = Image.fromarray(one.teacher.numpy()).resize((32, 24), Image.Resampling.BOX)
        assert np.abs(np.array(shrunk).astype(float) - one.student.numpy()).mean() < 4.0
    assert not torch.equal(seen[0].student, seen[6].student), "another view"


def test_what_is_held_out_is_neither_cropped_nor_mirrored_nor_trained_on(tmp_path):
    images = Images.find([pictures(tmp_path / "images", 30)])
    train, held_out = split(30, 12, 8, seed=3)
    assert sorted([*train, *held_out]) == list(range(30))
    middle = views(images, varied=False)
    wanted = images.open(0).convert("RGB").resize((32, 24), Image.Resampling.BICUBIC, box=(0, 3, 56, 45))
    difference = np.abs(np.array(wanted).astype(int) - middle[0].student.numpy())
    assert difference.mean() < 2.0
    assert torch.equal(middle[0].student, replace(middle, seed=5)[0].student)


def test_a_large_photograph_is_decoded_small_and_looks_the_same(tmp_path, monkeypatch):
    picture(1, 1600, 1200).save(tmp_path / "large.jpg", quality=95)
    seen = views(Images.find([tmp_path]), varied=False)
    quick = seen[0].student.numpy().astype(int)
    monkeypatch.setattr("xdistill_ros.learn.distil.views._shrunk", lambda image, box, *_: (image, box))
    assert np.abs(quick - seen[0].student.numpy().astype(int)).mean() < 2.0


def test_too_few_images_for_a_batch_are_refused_with_the_numbers():
    with pytest.raises(LearnError, match=r"30 images without the 12 of data\.held_out do not fill a batch of 32"):
        split(30, 12, 32, 0)
