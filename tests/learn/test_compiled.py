"""`compile`: what is compiled learns the same. The code generator of torch is left out; it is torch's to test."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.training import curve, tiny
from xdistill_ros.learn.distil.run import distil
from xdistill_ros.learn.training.trainer import train

from .distillation import config, lines


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What was given to torch.compile, which then runs the graphs that it finds as they are."""
    given: list[object] = []
    original = torch.compile

    def watched(model: object, **named: object) -> object:
        given.append(model)
        return original(model, **{**named, "backend": "eager"})

    monkeypatch.setattr(torch, "compile", watched)
    return given


def test_a_training_that_is_compiled_has_the_same_curve(
    store: Path, student: Path, tmp_path: Path, compiled: list[object]
) -> None:
    make = partial(tiny, store, student, encoder__tune=True, encoder__copies=0, epochs=1)
    train(make(), tmp_path / "plain")
    assert not compiled
    train(make(compile=True), tmp_path / "compiled")
    assert len(compiled) == 2, "encoder and denoiser"
    plain, other = (np.array(curve(tmp_path / name)) for name in ("plain", "compiled"))
    np.testing.assert_allclose(other, plain, rtol=1e-5)


def test_a_distillation_that_is_compiled_has_the_same_curve(tmp_path: Path, compiled: list[object]) -> None:
    make = partial(config, tmp_path, steps=3)
    distil(make(), tmp_path / "plain")
    assert not compiled
    distil(make(machine__compile=True), tmp_path / "compiled")
    assert len(compiled) == 2, "teacher and student"
    plain, other = (lines(tmp_path / name, "loss") for name in ("plain", "compiled"))
    assert other == pytest.approx(plain, rel=1e-4)
