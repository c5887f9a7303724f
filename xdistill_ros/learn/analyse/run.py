"""`xdistill analyse`: from a store and some encoders to a folder with a page about them."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xdistill_ros import __version__
from xdistill_ros.episodes import Store
from xdistill_ros.episodes.files import write_whole
from xdistill_ros.learn import runs
from xdistill_ros.learn.errors import LearnError

from . import neighbours, page, rows, seen, subjects
from .bars import track
from .film import film
from .pictures import beside, save, scatter, under_heat
from .results import FILM, FORMAT, PAGE, PICTURES, RESULTS, Frame, Near, Results
from .rows import Rows
from .seen import Seen
from .study import Studied, of_pixels, study, tiny_views
from .subjects import Subject

_AROUND_ROWS, _NEAREST, _THUMB_PX = 60, 6, 96


@dataclass(frozen=True)
class Asked:
    """What is to be shown. row: of the episode; none for one in the middle of each stage."""

    episode: int = 0
    row: int | None = None
    video: bool = False
    width_px: int = 128
    seed: int = 0


def analyse(store_path: Path, paths: Sequence[Path], out: Path, asked: Asked) -> Results:
    """Compares the encoders in `paths` on a store, and writes the page into `out`. Raises LearnError, StoreError."""
    store = Store(store_path)
    chosen = rows.choose(store)
    shown = _shown(store, chosen, asked)
    compared = subjects.load(paths, store.rig, asked.width_px)
    if asked.video and all(one.points for one in compared):
        raise LearnError("no film: it shows heat maps, which are drawn of images, and all these encoders take points")
    _check_free(out)
    with runs.lock(out):
        _clear(out)
        told = {"store": str(store_path), "encoders": [str(path) for path in paths], **dataclasses.asdict(asked)}
        runs.write_config(out, told)
        return _compare(store, chosen, shown, compared, out, asked)


def _compare(
    store: Store, chosen: Rows, shown: Sequence[int], compared: Sequence[Subject], out: Path, asked: Asked
) -> Results:
    tiny = tiny_views(store.rig)
    read = rows.pictures(store, chosen.index.tolist(), [*tiny, *(view for one in compared for view in one.views)])
    studied = [study(one, read, chosen, asked.seed) for one in compared]
    reference = of_pixels({view: read[view] for view in tiny}, chosen, asked.seed)
    filmed = store.episodes[asked.episode] if asked.video else None
    film_rows = range(filmed.start, filmed.stop) if filmed else range(0)
    sample = chosen.index[np.linspace(0, len(chosen.index) - 1, _AROUND_ROWS).round().astype(int)].tolist()
    looked_at = [*chosen.index[shown].tolist(), *sample, *film_rows]
    watched = seen.see(store, looked_at, compared, [one.typical for one in studied], asked.seed)
    around = {
        one.subject.name: seen.around(store, one, sample) for one in track(watched, "heat around hand and object")
    }
    frames = [_frame(store, chosen, at, watched, studied, out) for at in track(shown, "pictures of moments")]
    if filmed:
        film(store, filmed, film_rows, chosen, watched, out / FILM)
    results = Results(
        store=store.path.name, task=str(store.attributes.get("task", "")), episodes=len(np.unique(chosen.episode)),
        rows=len(chosen.index), every=chosen.every, stages=_counts(chosen), stages_from=chosen.origin, seed=asked.seed,
        software=__version__, frames=frames,
        film=FILM if filmed else None, film_episode=filmed.index if filmed else None,
        encoders=[
            *(dataclasses.replace(one.result, around=around.get(one.result.name, {})) for one in studied),
            reference.result,
        ],
    )  # fmt: skip
    rings = {at: str(number) for number, at in enumerate(shown, start=1)}
    maps = {
        one.result.name: scatter(one.points, chosen.stage, rings, f"t-SNE of {one.result.name}")
        for one in [*studied, reference]
    }
    _write(out, results, maps, chosen.names)
    return results


def _shown(store: Store, chosen: Rows, asked: Asked) -> list[int]:
    """Places among `chosen` of the moments that are shown. Raises LearnError for what the store does not have."""
    if asked.episode >= len(store.episodes):
        raise LearnError(f"{store.path}: no episode {asked.episode}; it has {len(store.episodes)}, counted from 0")
    episode = store.episodes[asked.episode]
    places = np.flatnonzero(chosen.episode == asked.episode)
    if not len(places):
        raise LearnError(f"{store.path}: a person never moved the arm in episode {asked.episode}; name another")
    if asked.row is None:
        return [
            int(of_stage[len(of_stage) // 2])
            for stage in np.unique(chosen.stage[places]).tolist()
            for of_stage in [places[chosen.stage[places] == stage]]
        ]
    length = episode.stop - episode.start
    if asked.row >= length:
        raise LearnError(f"{store.path}: episode {asked.episode} has {length} rows, counted from 0; no row {asked.row}")
    return [int(places[np.abs(chosen.index[places] - episode.start - asked.row).argmin()])]


def _counts(chosen: Rows) -> dict[str, int]:
    return {name: int((chosen.stage == number).sum()) for number, name in enumerate(chosen.names)}


def _stage(chosen: Rows, at: int) -> str:
    return chosen.names[chosen.stage[at]] if chosen.stage[at] >= 0 else "no stage"


def _frame(
    store: Store, chosen: Rows, at: int, watched: Sequence[Seen], studied: Sequence[Studied], out: Path
) -> Frame:
    """Draws one moment: images, heat, nearest moments."""
    episode, index = int(chosen.episode[at]), int(chosen.index[at])
    row = index - store.episodes[episode].start
    mark = f"{PICTURES}/episode{episode}_row{row}"
    cameras = list(dict.fromkeys(camera for one in studied for camera in one.result.inputs))
    images = {camera: np.asarray(store.data(camera)[index], np.uint8) for camera in cameras}
    pictures = {camera: f"{mark}_{camera}.jpg" for camera in cameras}
    for camera, name in pictures.items():
        save(out / name, images[camera])
    heats = {
        one.subject.name: _heats(one, index, images, f"{mark}_encoder{number}", out)
        for number, one in enumerate(watched)
    }
    nearest = {
        one.result.name: [
            _near(store, chosen, near, list(one.result.inputs), out)
            for near in neighbours.nearest(one.centred, chosen.episode, episode, one.centred[at], _NEAREST)
        ]
        for one in studied
    }
    return Frame(episode, row, float(chosen.second[at]), _stage(chosen, at), pictures, heats, nearest)


def _heats(
    one: Seen, index: int, images: Mapping[str, NDArray[np.uint8]], mark: str, out: Path
) -> dict[str, dict[str, str]]:
    drawn: dict[str, dict[str, str]] = {}
    for kind in seen.KINDS:
        heats = one.heat(index, kind)
        drawn[kind] = {camera: f"{mark}_{kind}_{camera}.jpg" for camera in heats}
        for camera, name in drawn[kind].items():
            save(out / name, under_heat(images[camera], heats[camera]))
    return drawn


def _near(store: Store, chosen: Rows, near: neighbours.Neighbour, cameras: Sequence[str], out: Path) -> Near:
    episode, index = int(chosen.episode[near.at]), int(chosen.index[near.at])
    row = index - store.episodes[episode].start
    name = f"{PICTURES}/near_{'_'.join(cameras)}_episode{episode}_row{row}.jpg"
    save(out / name, beside([np.asarray(store.data(camera)[index], np.uint8) for camera in cameras], _THUMB_PX))
    return Near(episode, row, float(chosen.second[near.at]), _stage(chosen, near.at), near.cosine, name)


def _check_free(out: Path) -> None:
    """Raises LearnError where `out` holds anything else than an analysis."""
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        try:
            ours = json.loads((out / RESULTS).read_bytes())["format"] == FORMAT
        except (OSError, ValueError, KeyError, TypeError):
            ours = False
        if not ours:
            raise LearnError(f"{out}: is not empty, and no earlier analysis; name a new folder")


def _clear(out: Path) -> None:
    """Removes an earlier analysis; marks the folder as one's that is not finished."""
    shutil.rmtree(out / PICTURES, ignore_errors=True)
    (out / PAGE).unlink(missing_ok=True)
    (out / FILM).unlink(missing_ok=True)
    (out / PICTURES).mkdir()
    write_whole(out / RESULTS, json.dumps({"format": FORMAT, "unfinished": True}).encode())


def _write(out: Path, results: Results, maps: dict[str, str], stages: Sequence[str]) -> None:
    (out / PAGE).write_text(page.html(results, maps, stages), encoding="utf-8")
    write_whole(out / RESULTS, json.dumps(dataclasses.asdict(results), indent=1, allow_nan=False).encode())
