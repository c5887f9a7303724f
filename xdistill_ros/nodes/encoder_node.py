"""Images in, features out: one feature vector for every camera frame, with that frame's stamp.

Refuses what is not the rig's camera (size, encoding), what lies in the future, goes backwards or is older than the
limit; it never repeats or fills in a frame. Preprocessing and network are `perception/`'s.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from sensor_msgs.msg import Image

from xdistill_ros.perception import Encoder, GraphError, Preprocess
from xdistill_ros.policy.bundle import Bundle, BundleError
from xdistill_ros.timeline import FreshStamps

from . import messages, qos
from .lifecycle import GraphNode, run
from .tunables import Tunable


class EncoderNode(GraphNode):
    """See the module's docstring."""

    tunables: ClassVar[tuple[Tunable, ...]] = (
        Tunable("bundle", "", "bundle folder; takes effect when configured"),
        Tunable("threads", 1, "threads of one inference", 1, 64),
        Tunable("provider", "", "ONNX Runtime provider that must not fall back to another; empty: any"),
    )
    refusals = (BundleError, GraphError)

    def __init__(self) -> None:
        super().__init__("encoder_node")
