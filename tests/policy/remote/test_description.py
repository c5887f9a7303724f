"""The description of a remote policy: what is allowed, and that a mistake is named before anything moves."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.rigs import sim_table
from xdistill_ros import resources
from xdistill_ros.policy.remote.description import Remote, RemoteError, check_fits, load
from xdistill_ros.policy.remote.provenance import RemoteProvenance
from xdistill_ros.rig import Rig


def written(folder: Path, document: dict[str, Any]) -> Path:
    path = folder / "remote.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def test_the_shipped_example_fits_the_simulated_table(rig: Rig) -> None:
    remote = load(resources.config("remotes/openpi_example.yaml"))
    check_fits(remote, rig)
    assert remote.prompt_for("move_cube")


@pytest.mark.parametrize(
    ("where", "value", "said"),
    [
        (("url",), "http://127.0.0.1:8000", "ws://host:port"),
        (("url",), "ws://me:secret@127.0.0.1:8000", "api_key_variable"),
        (("url",), "ws://127.0.0.1:8000?token=1", "no query"),
        (("url",), "ws://127.0.0.1:800000", "Port out of range"),
        (("cameras",), {}, "cameras"),
        (("cameras", "front", "width_px"), 5000, "cameras.front.width_px is 5000"),
        (("cameras", "front", "layout"), "rgb", "cameras.front.layout is 'rgb'"),
        (("cameras", "front", "key"), "wrist_rgb", "name one place"),
        (("state",), [{"key": ["base_rgb", "inside"], "parts": ["joints"]}], "name one place"),
        (("state",), [{"key": "state", "parts": ["elbow"]}], "state.0.parts.0"),
        (("actions", "parts"), ["joints", "tcp_position", "tcp_rotation_6d", "gripper_width"], "either joints"),
        (("actions", "parts"), ["tcp_position", "gripper_width"], "one of tcp_rotation_vector"),
        (("actions", "parts"), ["joints", "gripper_width", "gripper_opening"], "exactly one of gripper_width"),
        (("actions", "ask_after"), 15, "leaves none"),
        (("actions", "rate_hz"), 0, "actions.rate_hz is 0"),
        (("time_out_s",), float("nan"), "time_out_s"),
        (("headers",), {"X-Lab": "a\r\nb"}, "printable ASCII"),
        (("prompts",), "pick", "prompts: unknown field"),
    ],
)
def test_a_wrong_field_is_named_with_what_is_allowed(
    document: dict[str, Any], tmp_path: Path, where: tuple[str, ...], value: object, said: str
) -> None:
    place = document
    for name in where[:-1]:
        place = place[name]
    place[where[-1]] = value
    with pytest.raises(RemoteError, match=re.escape(said)) as refused:
        load(written(tmp_path, document))
    assert str(tmp_path) in str(refused.value)


def test_a_missing_field_and_a_missing_file_are_named(document: dict[str, Any], tmp_path: Path) -> None:
    del document["url"]
    with pytest.raises(RemoteError, match="url: missing"):
        load(written(tmp_path, document))
    with pytest.raises(RemoteError, match=r"config/remotes/"):
        load(tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(RemoteError, match="holds list"):
        load(tmp_path / "list.yaml")


def test_everything_that_does_not_fit_the_rig_is_named_at_once(document: dict[str, Any], rig: Rig) -> None:
    document["cameras"]["top"] = {"key": "top_rgb"}
    document["actions"] |= {"used": 100}
    document["time_out_s"] = 0.6
    with pytest.raises(RemoteError) as refused:
        check_fits(Remote.model_validate(document), rig)
    said = str(refused.value)
    assert "cameras.top: the rig's cameras are front, wrist" in said
    assert "actions.used: 100 of them last 9.90 s, the bridge takes 3.20 s" in said
    assert "time_out_s: 0.6, but 0.520 s are left" in said


def test_a_short_reserve_bounds_the_time_out(document: dict[str, Any], rig: Rig) -> None:
    document["actions"] |= {"used": 8, "ask_after": 4}
    with pytest.raises(RemoteError, match=r"0\.220 s are left"):
        check_fits(Remote.model_validate(document), rig)


def test_tcp_poses_do_not_fit_a_rig_that_acts_on_joints(document: dict[str, Any]) -> None:
    rig = sim_table()
    space = rig.policy.action_space.model_copy(update={"kind": "joint_position", "reference": "absolute"})
    jointed = rig.model_copy(update={"policy": rig.policy.model_copy(update={"action_space": space})})
    check_fits(Remote.model_validate(document), jointed)
    document["actions"]["parts"] = ["tcp_position", "tcp_rotation_6d", "gripper_width"]
    with pytest.raises(RemoteError, match="joint_position"):
        check_fits(Remote.model_validate(document), jointed)


def test_the_prompt_is_one_for_all_or_the_tasks_own(document: dict[str, Any]) -> None:
    with pytest.raises(RemoteError, match="no prompt for task 'fly'"):
        Remote.model_validate(document).prompt_for("fly")
    document["prompt"] = "do it"
    assert Remote.model_validate(document).prompt_for("fly") == "do it"


def test_the_key_comes_from_the_environment_and_from_nowhere_else(
    document: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = Remote.model_validate(document | {"api_key_variable": "A_POLICYS_KEY", "headers": {"X-Lab": "ours"}})
    monkeypatch.delenv("A_POLICYS_KEY", raising=False)
    with pytest.raises(RemoteError, match=r"\$A_POLICYS_KEY is not set"):
        remote.request_headers()
    monkeypatch.setenv("A_POLICYS_KEY", "s3cret")
    assert remote.request_headers() == {"X-Lab": "ours", "Authorization": "Api-Key s3cret"}
    assert "s3cret" not in RemoteProvenance.of(remote).model_dump_json()


def test_provenance_tells_descriptions_and_servers_apart(document: dict[str, Any], remote: Remote) -> None:
    other = copy.deepcopy(document)
    other["prompt"]["move_cube"] = "throw the cube"
    hashes = {
        RemoteProvenance.of(remote).hash,
        RemoteProvenance.of(Remote.model_validate(other)).hash,
        RemoteProvenance.of(remote, "0" * 64).hash,
    }
    assert len(hashes) == 3
    assert RemoteProvenance.of(Remote.model_validate(document)) == RemoteProvenance.of(remote)
    said = RemoteProvenance.of(remote, "0" * 64).model_dump()
    assert RemoteProvenance.model_validate(said).hash == RemoteProvenance.of(remote, "0" * 64).hash
