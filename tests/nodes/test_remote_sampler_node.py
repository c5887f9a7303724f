"""What the remote sampler's node refuses before it speaks with anybody, in words for the operator."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import rclpy
import yaml
from rclpy.lifecycle import TransitionCallbackReturn

from tests.support.graph import own_domain, write_rig
from xdistill_ros import resources
from xdistill_ros.nodes.remote_sampler_node import RemoteSamplerNode
from xdistill_ros.policy import remote


@pytest.fixture
def domain(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with own_domain() as number:
        monkeypatch.setenv("ROS_DOMAIN_ID", str(number))
        yield
        rclpy.try_shutdown()


def configured(folder: Path, task: str = "move_cube", **changes: object) -> tuple[TransitionCallbackReturn, str]:
    """Of the shipped example with other fields: what configuring it came to, and what the node says."""
    document = yaml.safe_load(resources.config("remotes/openpi_example.yaml").read_text(encoding="utf-8"))
    path = folder / "remote.yaml"
    path.write_text(yaml.safe_dump(document | changes))
    given = {"rig": write_rig(folder), "remote": path, "task": task}
    rclpy.init(args=["--ros-args", *(word for name, value in given.items() for word in ("-p", f"{name}:={value}"))])
    node = RemoteSamplerNode()
    return node.trigger_configure(), node.health.status("", {}).message


@pytest.mark.usefixtures("domain")
def test_a_server_that_is_not_there_yet_keeps_it_from_nothing(tmp_path: Path) -> None:
    assert configured(tmp_path, url="ws://127.0.0.1:1")[0] == TransitionCallbackReturn.SUCCESS


@pytest.mark.usefixtures("domain")
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"url": "http://127.0.0.1"}, "remote.yaml: url is 'http://127.0.0.1'"),
        ({"time_out_s": 5.0}, "does not fit the rig sim_table: time_out_s: 5.0"),
        ({"cameras": {"top": {"key": "top_rgb"}}}, "cameras.top: the rig's cameras are front, wrist"),
        ({"task": "fly"}, "no prompt for task 'fly'"),
        ({"api_key_variable": "NOBODYS_POLICY_KEY"}, "$NOBODYS_POLICY_KEY is not set"),
    ],
)
def test_a_description_that_cannot_be_used_leaves_it_unconfigured_with_the_sentence(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    result, sentence = configured(tmp_path, **changes)  # type: ignore[arg-type]
    assert result == TransitionCallbackReturn.FAILURE
    assert said in sentence


@pytest.mark.usefixtures("domain")
def test_without_the_extra_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("wire", "link", "connection"):  # imported anew
        monkeypatch.delitem(sys.modules, f"{remote.__name__}.{name}", raising=False)
        monkeypatch.delattr(remote, name, raising=False)
    monkeypatch.setitem(sys.modules, "msgpack", None)
    result, sentence = configured(tmp_path)
    assert result == TransitionCallbackReturn.FAILURE
    assert "no msgpack: pip install 'xdistill_ros[remote]'" in sentence
