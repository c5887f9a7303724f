"""A trained policy in a folder comes back as it was, or is refused in a sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.rigs import sim_table
from tests.support.torch_policy import random_policy
from xdistill_ros.learn import policies
from xdistill_ros.learn.errors import LearnError
from xdistill_ros.learn.networks.encoders import Student
from xdistill_ros.learn.policies import Trained


@pytest.fixture(scope="module")
def policy() -> Trained:
    made = random_policy(sim_table())
    torch.manual_seed(1)
    encoder = Student(12, "projection").eval()  # not a folded one, which only a bundle holds
    return Trained(made.task, made.rig, made.preprocess, made.proprio, made.statistics, encoder, made.head)


@pytest.fixture
def folder(policy: Trained, tmp_path: Path) -> Path:
    policies.save(policy, tmp_path, {"command": "a test", "seeds": [1, 2]})
    return tmp_path


def test_it_comes_back_as_it_was(policy: Trained, folder: Path) -> None:
    again = policies.load(folder)
    assert (again.task, again.proprio, dict(again.preprocess)) == (policy.task, policy.proprio, dict(policy.preprocess))
    assert again.statistics == policy.statistics
    assert again.head.schedule == policy.head.schedule
    assert not again.head.training
    assert not again.encoder.training
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(1, 3, 24, 32, generator=generator)
    condition, noise = torch.randn(1, len(policy.head.film.mean)), torch.randn(1, *policy.head.shape)
    with torch.no_grad():
        torch.testing.assert_close(again.encoder(image), policy.encoder(image), rtol=0, atol=0)
    torch.testing.assert_close(
        again.head.sample(condition, noise), policy.head.sample(condition, noise), rtol=0, atol=0
    )
    assert policies.provenance(folder) == {"command": "a test", "seeds": [1, 2]}


def test_the_folder_may_be_carried_to_another_machine(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    from xdistill_ros.arm import Kinematics

    elsewhere = tmp_path_factory.mktemp("elsewhere") / "policy"
    folder.rename(elsewhere)
    rig = policies.load(elsewhere).rig
    assert rig.arm.urdf.parent == elsewhere
    assert np.isfinite(Kinematics(rig).forward(np.array(rig.arm.home_rad))).all()


def test_weights_of_another_policy_are_refused(folder: Path) -> None:
    path = folder / policies.WEIGHTS
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(LearnError, match=r"not the file that policy\.yaml was written with"):
        policies.load(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("version: 1", "version: 2", 1), "reads up to 1"),
        (lambda text: text.replace("xdistill_policy", "something"), "no policy of `xdistill train`"),
        (lambda text: text.replace("kind: student", "kind: oracle"), "kind is 'oracle', known: student"),
        (lambda text: text.replace("condition_dim: ", "condition_dim: 1"), "not this policy's head"),
        (lambda text: text.replace("task: ", "tusk: ", 1), "tusk"),
        (lambda text: "][" + text, "not readable as YAML"),
    ],
)
def test_a_document_that_is_wrong_is_refused(folder: Path, change, said: str) -> None:
    path = folder / policies.DOCUMENT
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(LearnError, match=said):
        policies.load(folder)


def test_a_folder_without_a_policy_says_who_makes_one(tmp_path: Path) -> None:
    with pytest.raises(LearnError, match="`xdistill train --out"):
        policies.load(tmp_path)
