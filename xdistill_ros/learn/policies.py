"""A trained policy of one task: its networks, and all that decides what their numbers mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from xdistill_ros.learn.data.windows import Statistics
from xdistill_ros.learn.networks.encoders import Encoder
from xdistill_ros.learn.networks.head import Head
from xdistill_ros.perception import PreprocessSpec
from xdistill_ros.policy.actions import ProprioPart
from xdistill_ros.rig import Rig


@dataclass(frozen=True)
class Trained:
    """A trained policy of one task."""

    task: str
    rig: Rig
    preprocess: Mapping[str, PreprocessSpec]
    proprio: tuple[ProprioPart, ...]
    statistics: Statistics
    encoder: Encoder
    head: Head
