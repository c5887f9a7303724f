"""A subscription that is read when its value is needed."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from std_msgs.msg import String

from tests.support.graph import own_domain
from xdistill_ros.nodes.base.polled import Polled

SPUN_S = 1.0


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    with own_domain() as number:
        monkeypatch.setenv("ROS_DOMAIN_ID", str(number))
        rclpy.init()
        made = rclpy.create_node("reader")
        yield made
        made.destroy_node()
        rclpy.shutdown()


def test_what_has_arrived_is_taken_in_its_order_and_the_executor_sleeps_meanwhile(node: Node) -> None:
    called: list[String] = []
    polled = Polled(node.create_subscription(String, "words", called.append, 10))
    words = node.create_publisher(String, "words", 10)
    while not words.get_subscription_count():
        time.sleep(0.01)
    for word in ("one", "two"):
        words.publish(String(data=word))
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    busy_s = -time.thread_time()
    until_s = time.monotonic() + SPUN_S
    while (left_s := until_s - time.monotonic()) > 0.0:
        executor.spin_once(timeout_sec=left_s)
    busy_s += time.thread_time()
    executor.shutdown()
    assert busy_s < 0.3 * SPUN_S, f"an executor with nothing to do was busy for {busy_s:.2f} s of {SPUN_S} s"
    assert [message.data for message, _ in polled.take()] == ["one", "two"]
    assert not list(polled.take())
    assert not called
