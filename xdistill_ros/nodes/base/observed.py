"""What /diagnostics says of all nodes, put together: the stages from exposure to command, refusals, interventions.

Owns the order and the public names of the stages; `xdistill trace` and a trial's result show the same ones.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticArray

from . import health


@dataclass(frozen=True)
class StageName:
    """A stage as it is shown, and where it is measured."""

    name: str
    node: str | tuple[str, ...]
    """What the name of the node begins with; of several (cameras), the slowest counts."""
    key: str
    what: str
    transport: bool = False
    """Part of what the graph adds to the models: frame published -> command, without compute and waiting."""


_SAMPLERS = ("sampler_node", "remote_sampler_node")
STAGES = (
    StageName("capture", ("sim_node", "camera_"), "capture", "exposure -> frame published (world time)"),
    StageName("transport", "encoder_node", "transport", "frame published -> encoder's callback", True),
    StageName("preprocess", "encoder_node", "preprocess", "checks, resize, normalise", True),
    StageName("encode", "encoder_node", "encode", "network"),
    StageName("transport features", _SAMPLERS, "transport", "features published -> sampler's callback", True),
    StageName("observe", _SAMPLERS, "observe", "alignment, proprioception", True),
    StageName("sample", _SAMPLERS, "sample", "networks, all denoising steps"),
    StageName("transport chunk", "arm_bridge_node", "transport", "chunk published -> bridge's callback", True),
    StageName("merge", "arm_bridge_node", "merge", "checks, merging", True),
    StageName("command", "arm_bridge_node", "command", "merged -> first command after it (waits for the tick)"),
    StageName("exposure to command", "arm_bridge_node", "exposure_to_command", "end to end (world time)"),
)
_LOOP = ("sim_node", "camera_", "encoder_node", *_SAMPLERS, "arm_bridge_node")
"""What the names of the nodes from exposure to command begin with."""


_SILENT_S = 2.0  # four reports


class Observed:
    """The newest status of every node."""

    def __init__(self) -> None:
        self._values: dict[str, dict[str, str]] = {}
        self.messages: dict[str, str] = {}
        """What each node said last, in words."""
        self._stages: dict[str, dict[str, tuple[float, float, int]]] = {}
        self._heard_s: dict[str, float] = {}

    def update(self, message: DiagnosticArray) -> None:
        """Takes one message on /diagnostics."""
        for status in message.status:
            self._heard_s[status.name] = time.monotonic()
            self._values[status.name] = {pair.key: pair.value for pair in status.values}
            self.messages[status.name] = status.message
            self._stages[status.name] = health.stages(status)

    @property
    def nodes(self) -> set[str]:
        """Who has said anything."""
        return set(self._values)

    def value(self, node: str, key: str) -> str | None:
        """One value of a node's newest status."""
        return self._values.get(node, {}).get(key)

    def stages(self) -> dict[str, tuple[float, float, int]]:
        """Stage -> (median_ms, p99_ms, count), in the order of the loop; those not measured yet are left out."""
        found = {stage.name: self._times(stage) for stage in STAGES}
        return {name: times for name, times in found.items() if times is not None}

    def _times(self, stage: StageName) -> tuple[float, float, int] | None:
        # where there are two policies, the one that was taken down says its old times on
        active = [node for node, values in self._values.items() if values.get("state") == "active"]
        nodes = (self._stages[node] for node in active if node.startswith(stage.node))
        return max((stages[stage.key] for stages in nodes if stage.key in stages), default=None)

    def graph_overhead_ms(self) -> float | None:
        """Sum of the medians of what the graph adds: frame published -> merged, without the networks."""
        stages = self.stages()
        parts = [stages[stage.name][0] for stage in STAGES if stage.transport and stage.name in stages]
        return sum(parts) if len(parts) == sum(stage.transport for stage in STAGES) else None

    @property
    def loop(self) -> set[str]:
        """Those between exposure and command."""
        return {node for node in list(self._values) if node.startswith(_LOOP)}

    @property
    def processes(self) -> dict[str, str]:
        """Which process each of those between exposure and command is; another one when it began anew."""
        return {node: self._values[node].get("process", "") for node in self.loop}

    @property
    def silent(self) -> list[str]:
        """Those between exposure and command that have spoken once and no more: gone, or not back yet."""
        limit_s = time.monotonic() - _SILENT_S
        return sorted(node for node in self.loop if self._heard_s[node] < limit_s)

    @property
    def remotes(self) -> set[str]:
        """Those that ask a policy elsewhere, which they name."""
        return {node for node, values in list(self._values.items()) if "remote" in values}

    def counts(self, prefix: str, nodes: set[str] | None = None) -> Counter[str]:
        """Counters whose name begins with `prefix`, such as `refused.`, without it: of `nodes`, by default of all."""
        total: Counter[str] = Counter()
        for node in self.nodes if nodes is None else nodes:
            for key, value in self._values[node].items():
                if key.startswith(prefix):
                    total[key.removeprefix(prefix)] += int(value)
        return total
