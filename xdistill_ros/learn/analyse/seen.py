"""What each encoder looked at in each of the moments that are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

import cv2
import numpy as np

from xdistill_ros.episodes import Store
from xdistill_ros.perception.heat import Heat, on_image, to_unit

from .around import PLACES, Place, Whereabouts, concentration, fixed_cameras
from .features import Typical
from .looks import Looks, looks
from .rows import history, moments, pictures
from .subjects import Subject

Kind = Literal["cam", "saliency"]
KINDS: tuple[Kind, ...] = ("cam", "saliency")
_BLUR_PX = 1.5  # of saliency, on the encoder's input: single pixels cannot be seen on a page


@dataclass(frozen=True)
class Seen:
    """Looks of one subject at rows of a store."""

    subject: Subject
    places: Mapping[int, int]
    """Where a row of `data/` is among the looks."""
    looks: Looks

    def heat(self, row: int, kind: Kind) -> dict[str, Heat]:
        """Heat maps (H, W) in [0, 1] on the camera's images of a row, on one scale for all cameras."""
        found = {}
        for camera, spec in self.subject.preprocess.items():
            values = getattr(self.looks, kind)[camera][self.places[row]]
            if kind == "saliency":
                values = cv2.GaussianBlur(values, (0, 0), _BLUR_PX)
            found[camera] = on_image(values, spec)
        return to_unit(found)


def see(
    store: Store, rows: Sequence[int], subjects: Sequence[Subject], typical: Sequence[Typical], seed: int
) -> list[Seen]:
    """What each of `subjects` looks at in `rows` of `data/`; nothing of those that take points."""
    wanted = sorted(set(rows))
    places = {row: place for place, row in enumerate(wanted)}
    observed = history(store, wanted)
    looking = [(one, usual) for one, usual in zip(subjects, typical, strict=True) if not one.points]
    small = pictures(store, observed.flatten().tolist(), [view for one, _ in looking for view in one.views])
    made = []
    for subject, usual in looking:
        images = {view.camera: small[view] for view in subject.views}
        made.append(Seen(subject, places, looks(subject, usual, moments(store, wanted, images), seed)))
    return made


def around(store: Store, seen: Seen, rows: Sequence[int]) -> dict[str, dict[str, dict[str, float]]]:
    """Mean `concentration` over `rows`, for each place, kind of heat map and fixed camera that shows the place."""
    whereabouts, cameras = Whereabouts(store), fixed_cameras(store.rig)
    found: dict[tuple[Place, Kind, str], list[float]] = {}
    for kind in KINDS:
        for row in rows:
            heats = seen.heat(row, kind)
            for place, name in product(PLACES, cameras.keys() & heats.keys()):
                point_m = whereabouts.of(place, row, cameras[name])
                value = None if point_m is None else concentration(heats[name], point_m, cameras[name])
                found.setdefault((place, kind, name), []).extend([] if value is None else [value])
    return {
        place: {
            kind: {name: float(np.mean(found[place, kind, name])) for name in cameras if found.get((place, kind, name))}
            for kind in KINDS
        }
        for place in PLACES
    }
