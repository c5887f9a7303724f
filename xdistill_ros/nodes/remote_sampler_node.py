"""Images and joint states in, the action chunks of a policy that runs elsewhere out. It takes the sampler's place.

In the graph it is called `sampler_node`, as what it stands for: bridge, recorder, trials and trace know no other. An
observation is sent when the frame that it needs has arrived and the last answer is in; a thread of its own speaks
with the server, so that neither waits for the other. What is sent and what an answer means is `policy/remote`'s.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image, JointState
from trajectory_msgs.msg import JointTrajectory

from xdistill_ros.policy.remote.description import RemoteError, check_fits, load
from xdistill_ros.policy.remote.provenance import RemoteProvenance
from xdistill_ros.policy.streams import Streams
from xdistill_ros.rig import Reason, Refusal
from xdistill_ros.timeline import Grid, Row

from .base import messages
from .base.lifecycle import GraphNode, SetupError, run
from .base.tunables import Tunable
from .clock_verdict import ClockVerdict
from .images import COMPRESSED, PixelsOf, see

_WATCH_S = 0.1
_KEPT_IMAGES = 8  # as they come, so that only what is sent is resized; an observation needs the newest of each camera
_SERVER = "server"


class RemoteSamplerNode(GraphNode):
    """See the module's docstring."""

    tunables: ClassVar[tuple[Tunable, ...]] = (
        Tunable("remote", "", "description of the remote policy (YAML); takes effect when configured"),
        Tunable("task", "", "which of the description's prompts, where it has them by task; takes effect at once"),
        COMPRESSED,
    )
    refusals = (RemoteError,)

    def __init__(self) -> None:
        super().__init__("sampler_node")

    def configure(self) -> None:
        """Reads the description, refuses one that does not fit the rig; the server need not be there yet."""
        from xdistill_ros.arm.kinematics import Kinematics  # pinocchio takes a while to import

        try:
            from xdistill_ros.policy.remote.answer import AnswerReader
            from xdistill_ros.policy.remote.link import Link, Listener
            from xdistill_ros.policy.remote.request import RequestWriter
        except ModuleNotFoundError as error:
            raise SetupError(f"no {error.name}: pip install 'xdistill_ros[remote]'") from error
        self._remote = remote = load(Path(self.value("remote")))
        check_fits(remote, self.rig)
        remote.prompt_for(self.value("task"))
        forward = Kinematics(self.rig).forward
        writer, reader = RequestWriter(remote, self.rig, forward), AnswerReader(remote, self.rig, forward)
        self._link = Link(
            remote, writer, reader, Listener(self._on_proposed, self._on_refused, self._on_connected),
            min(self.time.factor, 1.0),
        )  # fmt: skip
        self._facts = RemoteProvenance.of(remote).model_dump()
        self._begin()
        self._connect()
        self.get_logger().info(f"remote policy {remote.name} at {remote.url}")

    def _begin(self) -> None:
        remote, grid = self._remote, Grid.of(self.rig)
        periods_ns = {name: grid.camera_period_ns[name] for name in self.rig.cameras if name in remote.cameras}
        # one step: a policy that wants to see the past remembers it
        newest = Grid(grid.period_ns, 1, periods_ns, grid.state_gap_ns)
        self._streams: Streams[NDArray[np.uint8]] = Streams(self.rig, newest, _KEPT_IMAGES)
        self._newest = dict.fromkeys(remote.cameras, 0)
        self._asked: Row[NDArray[np.uint8]] | None = None
        self._due_ns = 0
        # frames do not fall on the horizon exactly: the one nearest to it is taken
        self._interval_ns = (
            round(remote.actions.ask_after / remote.actions.rate_hz * 1e9) - max(periods_ns.values()) // 2
        )

    def _connect(self) -> None:
        self._chunks = self.publisher(JointTrajectory, "/policy/action_chunk", self.qos.stream())
        for name in self._remote.cameras:
            see(self, name, self._on_image)
        self._reader = messages.StateReader(self.rig)
        self.subscribe(JointState, "/joint_states", self._on_state, self.qos.recent())
        self._clocks = ClockVerdict(self)
        self.every(_WATCH_S, self._watch, steady=True)

    def activate(self) -> None:
        """Begins to connect to the server."""
        self._link.start()

    def deactivate(self) -> None:
        """Ends the connection."""
        self._link.stop()

    def forget(self) -> None:
        """Stamps begin anew; an answer that is under way is of another world."""
        self._streams.clear()
        self._newest = dict.fromkeys(self._newest, 0)
        self._asked, self._due_ns = None, 0

    def report(self) -> dict[str, str]:
        """Which policy, and of which server."""
        return self._facts

    # ---- the executor's thread

    def _on_image(self, camera: str, pixels_of: PixelsOf, message: Image | CompressedImage, info: Any) -> None:
        self.health.took("transport", (time.time_ns() - info["source_timestamp"]) * 1e-9)
        stamp_ns = messages.to_ns(message.header.stamp)
        pixels = pixels_of(message, camera, self.rig.cameras[camera])
        refusal = (
            pixels if isinstance(pixels, Refusal) else self._streams.push_image(camera, stamp_ns, pixels, self.now_ns())
        )
        if refusal is not None:
            self.refuse(refusal, camera)
            return
        self.accept(camera)
        self._newest[camera] = stamp_ns
        if self._link.idle and min(self._newest.values()) >= self._due_ns:
            self._ask()

    def _on_state(self, message: JointState) -> None:
        state = self._reader.read(message)
        refusal = state if isinstance(state, Refusal) else self._streams.push_state(state, self.now_ns())
        if refusal is not None:
            self.refuse(refusal, "/joint_states")
        else:
            self.accept("/joint_states")

    def _observe(self) -> Row[NDArray[np.uint8]] | Refusal:
        rows = self._clocks.refusal or self._streams.rows(self.now_ns())
        return rows if isinstance(rows, Refusal) else rows[-1]

    def _ask(self) -> None:
        began_s = time.monotonic()
        row = self._observe()
        if isinstance(row, Refusal):
            self.refuse(row, "observation")
            return
        if self._asked is not None and row.stamp_ns <= self._asked.stamp_ns:
            return
        try:
            prompt = self._remote.prompt_for(self.value("task"))
        except RemoteError as error:
            self.refuse(Refusal(Reason.REMOTE_PROMPT, str(error)), "observation")
            return
        self.accept("observation")
        self._asked = row
        self._link.offer(row, prompt)
        self.health.took("observe", time.monotonic() - began_s)

    def _watch(self) -> None:
        """What keeps an overdue observation from being sent, when no frame comes that would show it."""
        if self.now_ns() - self._due_ns > self._interval_ns:
            observation = self._observe()
            if isinstance(observation, Refusal):
                self.refuse(observation, "observation")

    # ---- the link's thread

    def _on_proposed(self, proposed: Any) -> None:
        if proposed.row is not self._asked or self.namesake is not None:
            return
        self._due_ns = proposed.chunk.observation_ns + self._interval_ns
        self._chunks.publish(messages.chunk_message(proposed.chunk, self.rig.channels, self.rig.arm.base_frame))
        self.health.took("sample", proposed.seconds)
        if proposed.server_s is not None:
            self.health.took(_SERVER, proposed.server_s)
        self.health.count("chunks")
        self.accept(_SERVER)

    def _on_refused(self, refusal: Refusal) -> None:
        self.refuse(refusal, _SERVER)

    def _on_connected(self, metadata_sha256: str) -> None:
        self._facts = RemoteProvenance.of(self._remote, metadata_sha256).model_dump()
        self.get_logger().info(f"connected to {self._remote.url}, metadata {metadata_sha256[:12]}")


main = partial(run, RemoteSamplerNode)

if __name__ == "__main__":
    raise SystemExit(main())
