"""The policies of a protocol, and taking one of them into service in the running graph."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from xdistill_ros.policy.bundle import Bundle
from xdistill_ros.rig import Rig
from xdistill_ros.trials import Protocol, Provenance, Trial
from xdistill_ros.trials.provenance import provenance

from .observed import Observed
from .operator import Operator

_NODES = ("encoder_node", "sampler_node")


class Contestants:
    """Bundles by policy and task, all of them read and checked before the first trial."""

    def __init__(self, protocol: Protocol, folder: Path, shipped: Path, rig: Rig) -> None:
        """`folder` is the protocol's, `shipped` has what ships. Raises BundleError, ProtocolError."""
        whos = [(policy, task) for policy in protocol.policies for task in protocol.tasks]
        self.folders = {who: protocol.bundle(*who, folder, shipped) for who in whos}
        loaded = {who: Bundle.read(path) for who, path in self.folders.items()}
        protocol.check_different({who: bundle.hash for who, bundle in loaded.items()})
        self._hashes = {who: bundle.hash for who, bundle in loaded.items()}
        self.provenance: dict[tuple[str, str], Provenance] = {
            who: provenance(bundle.manifest.name, bundle.hash, rig) for who, bundle in loaded.items()
        }

    def use(self, trial: Trial, operator: Operator, observed: Observed) -> None:
        """Encoder and sampler with the trial's bundle, also after one of them was started anew with its first."""
        who = trial.policy, trial.task
        for node in _NODES:
            operator.wait(partial(observed.value, node, "state"), f"{node} says something on /diagnostics")
            if observed.value(node, "bundle") != self._hashes[who]:
                operator.calls.set_parameters(node, bundle=str(self.folders[who]))
                operator.calls.configure_anew(node)
