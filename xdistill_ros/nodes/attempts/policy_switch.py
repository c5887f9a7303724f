"""Gives the arm to one policy or another of a running graph: a bundle's encoder and sampler, or a remote policy.

For whoever tries several of them, from a thread that is not the executor's. Where a graph has both, only one proposes:
the other is taken down first, so that no two chunks of different policies meet.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from ..base.observed import Observed
from .operator import Operator

SAMPLER, ENCODER, REMOTE = "sampler_node", "encoder_node", "remote_sampler_node"


class PolicySwitch:
    """Blocking; raises CallError and InterruptedAttemptError as the operator does."""

    def __init__(self, operator: Operator, observed: Observed, both: bool) -> None:
        """`both`: the graph has a bundle's nodes and a remote policy's; else the one that it has is `sampler_node`."""
        self._operator, self._observed = operator, observed
        self._remote = REMOTE if both else SAMPLER
        self._both = both

    def to_bundle(self, folder: Path, bundle_hash: str) -> None:
        """Encoder and sampler with this bundle, also after one of them was started anew with its first."""
        if self._both:
            self._take_down(REMOTE)
        for node in (ENCODER, SAMPLER):
            self._wait_heard(node)
            if not self._has(node, bundle=bundle_hash):
                self._operator.calls.set_parameters(node, bundle=str(folder))
                self._operator.calls.configure_anew(node)

    def to_remote(self, description: Path, description_sha256: str, task: str) -> None:
        """The remote policy of this description, with the task's prompt, connected and proposing."""
        if self._both:
            self._take_down(SAMPLER)
        node = self._remote
        self._wait_heard(node)
        self._operator.calls.set_parameters(node, remote=str(description), task=task)
        if not self._has(node, description_sha256=description_sha256):
            self._operator.calls.configure_anew(node)
        self._operator.wait(
            lambda: self._has(node, description_sha256=description_sha256) and self._proposes(node),
            f"the remote policy of {description} proposes; {node} says on /diagnostics what keeps it",
        )

    def _take_down(self, node: str) -> None:
        self._wait_heard(node)
        if self._observed.value(node, "state") != "unconfigured":
            self._operator.calls.take_down(node)
            # what it says of itself must not be taken for the next policy's
            self._operator.wait(lambda: self._observed.value(node, "state") == "unconfigured", f"{node} is down")

    def _wait_heard(self, node: str) -> None:
        self._operator.wait(partial(self._observed.value, node, "state"), f"{node} says something on /diagnostics")

    def _has(self, node: str, **values: str) -> bool:
        """Whether an active node says all this of itself."""
        wanted = {"state": "active", **values}
        return all(self._observed.value(node, key) == value for key, value in wanted.items())

    def _proposes(self, node: str) -> bool:
        return bool(self._observed.value(node, "metadata_sha256")) and not self._observed.value(node, "reason")
