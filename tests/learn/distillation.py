"""A distillation of nothing much, in seconds: small pictures, timm's test networks with random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file

from xdistill_ros.learn.distil.config import Distillation
from xdistill_ros.learn.documents import load, merged, nested
from xdistill_ros.learn.networks.encoders import Backbone

SIZE = (32, 32)
TEACHER = "timm/test_vit"


def picture(seed: int, width: int = 56, height: int = 48) -> Image.Image:
    """A few coloured blobs, none like another's."""
    draw = np.random.default_rng(seed)
    coarse = draw.integers(0, 256, (4, 5, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def pictures(folder: Path, count: int = 44) -> Path:
    """`count` pictures in two folders below `folder`, JPEG and PNG."""
    for number in range(count):
        path = folder / f"class_{number % 2}" / f"{number:03d}.{'JPEG' if number % 3 else 'png'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(number).save(path)
    return folder


def teacher_weights(path: Path, seed: int = 1) -> Path:
    """A teacher that nobody trained, whose features differ from image to image."""
    torch.manual_seed(seed)
    network = Backbone(TEACHER, SIZE).trunk
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.15)
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, path)
    return path


def config_file(folder: Path, **changes: Any) -> Path:
    """A configuration over `pictures` and `teacher_weights`, made in `folder` if they are not there."""
    images, weights = folder / "images", folder / "teacher.safetensors"
    if not images.exists():
        pictures(images)
    if not weights.exists():
        teacher_weights(weights)
    document = {
        "data": {"images": [str(images)], "held_out": 12},
        "teacher": {"name": TEACHER, "weights": str(weights), "size_px": SIZE},
        "student": {"architecture": "timm/test_resnet", "size_px": SIZE},
        "steps": 10, "batch": 8, "learning_rate": 3e-4, "bf16": False, "log_every": 1, "check_every": 5,
        "machine": {"device": "cpu", "workers": 0, "save_every": 4},
    }  # fmt: skip
    document = merged([document, *(nested(name.replace("__", "."), value) for name, value in changes.items())])
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(json.loads(json.dumps(document, default=str))))
    return path


def config(folder: Path, **changes: Any) -> Distillation:
    """As `config_file`, read."""
    return load(Distillation, config_file(folder, **changes))


def lines(run: Path, key: str) -> dict[int, Any]:
    """What `metrics.jsonl` of a run says of `key`, by step."""
    told = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: line[key] for line in told if key in line}
