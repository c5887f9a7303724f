"""The teleop_node's process between a page and a made-up arm: what it publishes, when it lets go, and its own end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from sensor_msgs.msg import Joy

from tests.support.graph import Probe
from tests.support.steered import MadeUpArm, Steered, steered
from tests.support.teleop import HOME, Browser
from xdistill_ros.nodes.base import messages

pytestmark = pytest.mark.timeout(180)  # real processes, on a machine that may be busy
HEARTBEAT_S = 2.0  # the longest there is: a busy machine is not to be taken for a lost page


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Steered]:
    with steered(tmp_path_factory.mktemp("teleop"), heartbeat_s=HEARTBEAT_S, stale_s=1.0) as running:
        yield running


@pytest.fixture
def arm(made: Steered) -> Iterator[MadeUpArm]:
    """At home and holding."""
    arm = made.arm
    arm.tcp, arm.talking = HOME.copy(), True
    arm.say("hold (not_engaged: nobody has engaged the arm)")
    yield arm
    arm.talking = True


async def until(probe: Probe, condition: Callable[[], Any], what: str) -> None:
    await asyncio.to_thread(probe.wait, condition, what)


@asynccontextmanager
async def moving(made: Steered) -> AsyncIterator[Browser]:
    """A page that has moved the arm 3 cm up and holds its clutch still."""
    async with made.browser() as page:
        await page.engage()
        await until(made.probe, lambda: made.probe.mode == "teleop", "the arm follows")
        for step in range(1, 4):
            await page.sample(0.0, step * 0.01, 0.0)
        await until(made.probe, lambda: abs(made.arm.tcp[2, 3] - 0.31) < 1e-6, "the arm is 3 cm higher")
        yield page


async def released(made: Steered, reason: str) -> None:
    """The clutch is open and the reason stands on /diagnostics."""
    await until(made.probe, lambda: not made.arm.clutch, "the clutch is open")
    await until(made.probe, lambda: made.probe.refused("teleop_node", reason), f"{reason} is counted")


def test_pressing_the_clutch_says_so_and_asks_for_the_place_where_the_arm_is(made: Steered, arm: MadeUpArm) -> None:
    async def visit() -> None:
        async with made.browser() as page:
            since = len(arm.targets)
            await page.take_the_helm()
            await until(made.probe, lambda: arm.joys and not arm.clutch, "an open hand is said")
            await page.sample(trigger=0.25)
            await until(made.probe, lambda: len(arm.targets) > since, "a target")
            target, joy = arm.targets[-1], next(joy for joy in reversed(arm.joys) if joy.buttons[0])
            assert np.allclose(messages.pose_of(target), HOME, atol=1e-9)
            assert target.header.frame_id == made.rig.arm.base_frame
            assert abs(time.time_ns() - messages.to_ns(target.header.stamp)) < 10e9
            assert joy.axes[0] == pytest.approx(0.75)

    asyncio.run(visit())


def test_the_arm_goes_where_the_hand_goes_as_the_operator_faces_it(made: Steered, arm: MadeUpArm) -> None:
    """The shipped rig's operator faces the arm: pushing away from oneself is against the base frame's x."""

    async def visit() -> None:
        async with moving(made) as page:
            await page.sample(0.0, 0.03, -0.05)
            await until(made.probe, lambda: abs(arm.tcp[0, 3] - 0.31) < 1e-4, "the arm has gone 5 cm towards its base")
            assert arm.tcp[1, 3] == pytest.approx(0.0, abs=1e-4)

    asyncio.run(visit())


@pytest.mark.usefixtures("arm")
def test_a_page_that_vanishes_lets_go(made: Steered) -> None:
    async def visit() -> None:
        async with moving(made) as page:
            page.socket._response.connection.transport.abort()
            await released(made, "client_gone")

    asyncio.run(visit())


@pytest.mark.usefixtures("arm")
def test_a_page_that_falls_silent_lets_go(made: Steered) -> None:
    async def visit() -> None:
        async with moving(made):
            await released(made, "heartbeat_lost")

    asyncio.run(visit())


def test_a_leap_lets_go_and_the_arm_is_not_asked_to_follow_it(made: Steered, arm: MadeUpArm) -> None:
    async def visit() -> None:
        async with moving(made) as page:
            since = len(arm.targets)
            await page.sample(0.0, 0.2, 0.0)
            await page.sample(0.0, 0.21, 0.0)
            await released(made, "pose_jump")
            assert len(arm.targets) == since
            assert arm.tcp[2, 3] == pytest.approx(0.31)

    asyncio.run(visit())


def test_an_arm_that_holds_lets_go(made: Steered, arm: MadeUpArm) -> None:
    async def visit() -> None:
        async with moving(made) as page:
            arm.say("hold (following_error: joint2 is 0.3 rad behind)")
            await released(made, "arm_holds")
            await page.until(lambda: page.state["refusal"], "the page knows why")
            assert "joint2" in page.state["refusal"]["sentence"]
            assert "following_error" in page.state["mode"]

    asyncio.run(visit())


def test_without_the_arms_pose_nobody_can_grip(made: Steered, arm: MadeUpArm) -> None:
    async def visit() -> None:
        async with made.browser() as page:
            arm.talking = False
            await asyncio.sleep(made.rig.teleop.stale_s + 0.2)
            await page.take_the_helm()
            since = len(arm.joys)
            await page.sample()
            await page.until(lambda: page.state["refusal"], "the page is told")
            assert page.state["refusal"]["reason"] == "arm_pose_unknown"
            assert not any(joy.buttons[0] for joy in arm.joys[since:])

    asyncio.run(visit())


def test_a_bridge_that_ends_lets_go(made: Steered, arm: MadeUpArm) -> None:
    async def visit() -> None:
        async with moving(made):
            arm.lose_bridge()
            await released(made, "peer_lost")
        arm.new_bridge()

    asyncio.run(visit())


def test_the_page_records_through_the_recorder_and_shows_what_it_says(made: Steered, arm: MadeUpArm) -> None:
    async def visit() -> None:
        async with made.browser() as page:
            await page.until(lambda: page.state.get("recorder"), "the recorder's status")
            episodes = page.state["recorder"]["episodes"]
            for action, service in (("start", "/recorder/start"), ("mark", "/recorder/mark_stage"),
                                    ("stop", "/recorder/stop"), ("arm_home", "/arm/home")):  # fmt: skip
                await page.say(type="call", action=action)
                await page.until(lambda service=service: f"{service} done" in page.notices, f"{service} answers")
            await page.until(lambda: page.state["recorder"]["episodes"] == episodes + 1, "one more episode")
            arm.tell_recorder("the disk is full", state="refused", seconds="nan", episodes="many")
            await page.until(lambda: page.state["recorder"]["state"] == "refused", "the refusal")
            assert page.state["recorder"]["message"] == "the disk is full"
            assert (page.state["recorder"]["seconds"], page.state["recorder"]["episodes"]) == (0.0, 0)
            arm.tell_recorder(state="idle", seconds="0", episodes="3")

    asyncio.run(visit())


@pytest.mark.usefixtures("arm")
def test_the_page_gets_small_pictures_not_more_than_ten_a_second(made: Steered) -> None:
    async def visit() -> None:
        began_s = time.monotonic()
        async with made.browser() as page:
            await page.until(lambda: page.pictures, "a picture")
            assert page.pictures[0][:3] == b"\xff\xd8\xff"
            assert len(page.pictures[0]) < 60_000
            await asyncio.sleep(2.0)
            # since it connected, however long a pause lasts on a busy machine, and whatever lay waiting
            assert len(page.pictures) <= 10.0 * (time.monotonic() - began_s) + 2

    asyncio.run(visit())


def test_deactivated_it_lets_go_and_nobody_can_grip(made: Steered, arm: MadeUpArm) -> None:
    def change(transition: int) -> None:
        request = ChangeState.Request(transition=Transition(id=transition))
        assert made.probe.call(ChangeState, "/teleop_node/change_state", request).success

    async def visit() -> None:
        async with moving(made) as page:
            await asyncio.to_thread(change, Transition.TRANSITION_DEACTIVATE)
            await until(made.probe, lambda: not arm.clutch, "the clutch is open")
            await page.sample(clutch=False)
            since = len(arm.joys)
            await page.sample()
            await page.until(lambda: page.state["refusal"] and "activate" in page.state["refusal"]["sentence"], "told")
            assert not any(joy.buttons[0] for joy in arm.joys[since:])
            await asyncio.to_thread(change, Transition.TRANSITION_ACTIVATE)
            await page.engage()

    asyncio.run(visit())


def test_killed_it_is_missed_at_once_and_a_new_one_moves_nothing_before_a_fresh_press(
    made: Steered, arm: MadeUpArm
) -> None:
    """The page stays paired; the arm's bridge hears of the death by the lease on /teleop/joy."""
    gone: list[float] = []
    from rclpy.event_handler import SubscriptionEventCallbacks

    events = SubscriptionEventCallbacks(
        liveliness=lambda event: gone.append(time.monotonic()) if event.alive_count_change < 0 else None,
        use_default_callbacks=False,
    )
    made.probe.node.create_subscription(
        Joy, "/teleop/joy", lambda _: None, made.probe.qos.newest_of_living(), event_callbacks=events
    )

    async def visit() -> None:
        async with moving(made) as page:
            killed_s = time.monotonic()
            await asyncio.to_thread(made.processes.kill, "teleop_node")
            while not gone:
                await asyncio.sleep(0.01)
                assert time.monotonic() - killed_s < 10.0
            await page.closed()
            since = len(arm.joys)
            await asyncio.to_thread(made.start_again)
            for _ in range(100):
                try:
                    await page.connect()
                    break
                except OSError:
                    await asyncio.sleep(0.1)
            await page.say(type="claim")
            await page.until(lambda: page.state.get("seat") == "you", "this page steers again")
            for step in range(10):
                await page.sample(0.0, 0.03 + step * 1e-3, 0.0)
            await page.say(type="ping", time_ms=1.0)
            await page.until(lambda: {"type": "pong", "time_ms": 1.0} in page.heard, "all was heard")
            assert not any(joy.buttons[0] for joy in arm.joys[since:]), "the grip was held all along: no consent"
            await page.engage()

    asyncio.run(visit())


def test_asked_to_end_it_lets_go_first(made: Steered, arm: MadeUpArm) -> None:
    async def visit() -> None:
        async with moving(made) as page:
            assert await asyncio.to_thread(made.processes.end, "teleop_node") == 0
            await until(made.probe, lambda: not arm.clutch, "the clutch is open")
            await page.closed()

    asyncio.run(visit())
    made.start_again()


@pytest.mark.usefixtures("arm")
def test_how_long_a_sample_takes_is_on_diagnostics(made: Steered) -> None:
    async def visit() -> None:
        async with moving(made):
            await until(made.probe, lambda: "stage.hand" in made.probe.status["teleop_node"], "a stage time")

    asyncio.run(visit())
