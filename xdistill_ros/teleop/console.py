"""Where everything about teleoperation meets: the helm, the seat, what the pages are shown, what the node publishes.

Runs in one thread, the server's. It decides who may do what; `helm` decides when the hand moves the arm.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from xdistill_ros.rig import Reason, Refusal, Rig
from xdistill_ros.web.session import Seat

from .helm import Helm, Wish
from .mapping import Array, Frame
from .wire import Action, Call, Claim, Leave, Message, Ping, Release, Sample, Settings

REPEAT_S = 0.1
"""A wish is said again so often while somebody steers, and pages are told the state so often."""
_ALWAYS_ALLOWED = (Action.ARM_STOP,)  # whoever sees the danger may stop the arm
_WHY = {
    "headset_removed": (Reason.HEADSET_REMOVED, "the headset was taken off or shows its menu; put it on, grip again"),
    "space_reset": (Reason.SPACE_RESET, "the headset's space was centred anew; grip again"),
    "page_hidden": (
        Reason.PAGE_HIDDEN,
        "the page lost the keyboard or was hidden; click on it, press the clutch again",
    ),
}


@dataclass(frozen=True)
class Recorder:
    """What the recorder says of itself on /recorder/status."""

    state: str
    message: str
    episodes: int
    seconds: float
    stage: str


class Graph(Protocol):
    """What the console needs of the node. All of it returns at once, but `call`."""

    def wish(self, wish: Wish) -> None:
        """Publishes what the operator wants."""

    def tcp(self) -> Array | Refusal:
        """Measures the TCP's pose (4, 4) in the base frame."""

    def refused(self, refusal: Refusal | None) -> None:
        """The helm's standing refusal has changed; None when it is over."""

    def turned_away(self, refusal: Refusal) -> None:
        """A page was refused something; that says nothing about the hand that steers."""

    def took(self, seconds: float) -> None:
        """How long a sample took from the socket to what was published."""

    async def call(self, action: Action) -> tuple[bool, str]:
        """Asks another node; whether it did it, and what it said."""


class Page(Protocol):
    """One connected page."""

    number: int

    def tell(self, message: dict[str, Any]) -> None:
        """Sends a message that must arrive."""

    def show(self, state: dict[str, Any]) -> None:
        """Sends the newest state; an older one that has not gone yet is dropped."""

    def picture(self, jpeg: bytes) -> None:
        """Sends the newest picture, likewise."""


class Console:
    """One arm's teleoperation."""

    def __init__(self, rig: Rig, graph: Graph, clock: Callable[[], float]) -> None:
        self._rig, self._graph, self._clock = rig, graph, clock
        self._helm = Helm(rig.teleop, rig.arm.workspace, graph.tcp)
        self._seat = Seat()
        self._pages: dict[int, Page] = {}
        self._mode = ""
        self._recorder: Recorder | None = None
        self._shown: tuple[object, ...] = ()
        self._refusal: Refusal | None = None
        self._said_s = -REPEAT_S
        self._answers: dict[type, Callable[[Page, Any], Awaitable[None] | None]] = {
            Sample: self._on_sample, Release: self._on_release, Claim: self._on_claim, Leave: self._on_leave,
            Settings: self._on_settings, Call: self._on_call, Ping: self._on_ping,
        }  # fmt: skip

    # ---- what the server tells it

    def join(self, page: Page) -> None:
        """A page has connected; it watches."""
        self._pages[page.number] = page
        page.show(self._state(page))

    def part(self, page: Page) -> None:
        """A page is gone. If it steered, the arm is let go."""
        self._pages.pop(page.number, None)
        sentence = "the page that steered has gone; open it again, then press the clutch"
        self._vacate(page, Refusal(Reason.CLIENT_GONE, sentence))

    def message(self, page: Page, message: Message) -> Awaitable[None] | None:
        """What a page said. What is returned is to be awaited elsewhere, so that samples do not wait for services."""
        return self._answers[type(message)](page, message)

    def misbehaved(self, page: Page, refusal: Refusal) -> None:
        """A page sent what cannot be read, or too much of it."""
        self._turn_away(page, refusal)
        if self._seat.holder == page.number:
            self._helm.release(refusal)
            self._say()

    def tick(self) -> None:
        """To be called several times in a heartbeat: time-outs, and what is to be said again."""
        engaged = self._helm.engaged
        self._helm.check(self._clock())
        due = self._seat.holder is not None and self._clock() - self._said_s >= REPEAT_S
        if due or (engaged and not self._helm.engaged):
            self._say()
        self._publish_state()

    def show_state(self) -> None:
        """Every page gets the state, changed or not."""
        for page in self._pages.values():
            page.show(self._state(page))

    # ---- what the node tells it

    def tell_mode(self, mode: str) -> None:
        """/arm/mode."""
        self._mode = mode
        engaged = self._helm.engaged
        self._helm.tell_mode(mode)
        if engaged and not self._helm.engaged:
            self._say()
        self._publish_state()

    def tell_recorder(self, recorder: Recorder) -> None:
        """/recorder/status."""
        self._recorder = recorder
        self._publish_state()

    def tell_picture(self, jpeg: bytes) -> None:
        """A new picture of the camera."""
        for page in self._pages.values():
            page.picture(jpeg)

    def release(self, refusal: Refusal) -> None:
        """Something in the graph failed: the arm is let go."""
        self._helm.release(refusal)
        self._say()

    @property
    def pages(self) -> int:
        """How many are connected."""
        return len(self._pages)

    # ---- what pages say

    def _on_sample(self, page: Page, sample: Sample) -> None:
        if self._seat.holder != page.number:
            return  # it has lost the seat and will be told by the next state
        began_s = self._clock()
        if self._helm.engaged:
            self._seat.use(began_s)
        self._say(self._helm.sample(sample, began_s))
        self._graph.took(self._clock() - began_s)

    def _on_release(self, page: Page, release: Release) -> None:
        if self._seat.holder == page.number:
            self._helm.release(Refusal(*_WHY[release.why]))
            self._say()

    def _on_claim(self, page: Page, _claim: Claim) -> None:
        before = self._seat.holder
        refusal = self._seat.claim(page.number, self._clock())
        if refusal is not None:
            self._turn_away(page, refusal)
        elif before != page.number:
            self._helm.newcomer()
            self._say()

    def _on_leave(self, page: Page, _leave: Leave) -> None:
        self._vacate(page, None)

    def _on_settings(self, page: Page, settings: Settings) -> None:
        if self._seat.holder in (None, page.number):
            self._helm.frame = Frame(settings.scale, settings.yaw_rad)
            self._publish_state()

    async def _on_call(self, page: Page, call: Call) -> None:
        if self._seat.holder not in (None, page.number) and call.action not in _ALWAYS_ALLOWED:
            sentence = f"{call.action.value}: only the page that steers may ask for it"
            self._turn_away(page, Refusal(Reason.NOT_STEERING, sentence))
            return
        ok, text = await self._graph.call(call.action)
        page.tell({"type": "notice", "ok": ok, "text": text})

    def _on_ping(self, page: Page, ping: Ping) -> None:
        page.tell({"type": "pong", "time_ms": ping.time_ms})

    # ---- inside

    def _turn_away(self, page: Page, refusal: Refusal) -> None:
        page.tell({"type": "notice", "ok": False, "text": refusal.sentence})
        self._graph.turned_away(refusal)

    def _vacate(self, page: Page, refusal: Refusal | None) -> None:
        if not self._seat.leave(page.number):
            return
        if refusal is None:
            self._helm.newcomer()
        elif self._helm.engaged:
            self._helm.release(refusal)
        self._say()

    def _say(self, wish: Wish | None = None) -> None:
        """Publishes `wish`, or that of a hand at rest where it was, and shows what has changed."""
        helm = self._helm
        self._graph.wish(wish or Wish(helm.engaged, helm.opening, None))
        self._said_s = self._clock()
        self._publish_state()

    def _publish_state(self) -> None:
        helm = self._helm
        if helm.refusal is not self._refusal:
            self._refusal = helm.refusal
            self._graph.refused(helm.refusal)
        shown = (helm.engaged, helm.refusal, helm.at_limit, helm.frame, self._seat.holder, self._mode, self._recorder)
        if shown != self._shown:
            self._shown = shown
            self.show_state()

    def _state(self, page: Page) -> dict[str, Any]:
        helm, holder = self._helm, self._seat.holder
        return {
            "type": "state",
            "rig": self._rig.name,
            "mode": self._mode,
            "seat": "free" if holder is None else "you" if holder == page.number else "other",
            "engaged": helm.engaged,
            "limit": helm.at_limit,
            "refusal": helm.refusal and {"reason": helm.refusal.reason.value, "sentence": helm.refusal.sentence},
            "opening": helm.opening,
            "scale": helm.frame.scale,
            "yaw_rad": helm.frame.yaw_rad,
            "recorder": self._recorder and asdict(self._recorder),
            "pages": len(self._pages),
        }
