"""The policies of a protocol are read and checked before the first trial; each is known by its content."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.support.rigs import sim_table
from tests.support.tiny_bundle import write_tiny_bundle
from xdistill_ros.nodes.attempts.contestants import Contestants
from xdistill_ros.policy.manifest import BundleError
from xdistill_ros.policy.remote.description import RemoteError
from xdistill_ros.resources import config
from xdistill_ros.trials import Protocol, ProtocolError, Trial
from xdistill_ros.trials.protocol import parse

CUBE = {"move_cube": {"conditions": {"id": 1}}}
EXAMPLE = config("remotes/openpi_example.yaml")


class Switched:
    """Remembers who was given the arm."""

    def __init__(self) -> None:
        self.to: list[tuple[str, ...]] = []

    def to_bundle(self, folder: Path, bundle_hash: str) -> None:
        self.to.append((folder.parent.name, bundle_hash))

    def to_remote(self, description: Path, description_sha256: str, task: str) -> None:
        assert len(description_sha256) == 64
        self.to.append((description.name, task))


def protocol(**policies: dict[str, str]) -> Protocol:
    return parse({"name": "small", "tasks": CUBE, "policies": policies}, "the test")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed, name in enumerate(("ours", "theirs")):
        write_tiny_bundle(tmp_path / name / "move_cube", sim_table(), task="move_cube", seed=seed)
    remote = yaml.safe_load(EXAMPLE.read_text())
    (tmp_path / "far.yaml").write_text(yaml.safe_dump(remote))
    return tmp_path


def test_bundles_and_a_remote_policy_take_turns_each_with_a_provenance_of_its_own(folder: Path) -> None:
    made = Contestants(
        protocol(ours={"bundles": "ours"}, theirs={"bundles": "theirs"}, far={"remote": "far.yaml"}), folder, folder,
        sim_table(),
    )  # fmt: skip
    assert made.both
    assert len({one.bundle_sha256 for one in made.provenance.values()}) == 3
    assert " at ws" in made.provenance["far", "move_cube"].bundle
    switch = Switched()
    for name in ("theirs", "far", "ours"):
        made.use(Trial("move_cube", "id", 100_000, name), switch)  # type: ignore[arg-type]
    assert [one[0] for one in switch.to] == ["theirs", "far.yaml", "ours"]


def test_bundles_alone_or_a_remote_policy_alone_are_not_both(folder: Path) -> None:
    for given in ({"ours": {"bundles": "ours"}}, {"far": {"remote": "far.yaml"}}):
        assert not Contestants(protocol(**given), folder, folder, sim_table()).both


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"ours": {"bundles": "nowhere"}}, BundleError, r"nowhere/move_cube/bundle\.yaml: cannot be read"),
        ({"far": {"remote": "nowhere.yaml"}}, RemoteError, r"nowhere\.yaml"),
        ({"a": {"bundles": "ours"}, "b": {"bundle": "ours/move_cube"}}, ProtocolError, "a and b are the same bundle"),
    ],
)
def test_a_policy_that_cannot_be_tried_is_refused_before_the_first_trial(
    folder: Path, given: dict[str, dict[str, str]], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        Contestants(protocol(**given), folder, folder, sim_table())
