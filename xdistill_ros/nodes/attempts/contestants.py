"""The policies of a protocol: read and checked before the first trial, and taken into service in the running graph."""

from __future__ import annotations

from pathlib import Path

from xdistill_ros.policy.bundle import Bundle
from xdistill_ros.policy.remote.description import Remote, check_fits, load
from xdistill_ros.policy.remote.provenance import RemoteProvenance
from xdistill_ros.rig import Rig
from xdistill_ros.trials import Protocol, Provenance, Trial
from xdistill_ros.trials.provenance import provenance
from xdistill_ros.trials.record import Who

from .policy_switch import PolicySwitch


class Contestants:
    """Bundles by policy and task, and descriptions of remote policies."""

    def __init__(self, protocol: Protocol, folder: Path, shipped: Path, rig: Rig) -> None:
        """`folder` is the protocol's, `shipped` has what ships. Raises BundleError, RemoteError, ProtocolError."""
        self._folders = {
            (name, task): protocol.bundle(name, task, folder, shipped)
            for name in protocol.by_bundle for task in protocol.tasks
        }  # fmt: skip
        bundles = {who: Bundle.read(path) for who, path in self._folders.items()}
        self._descriptions = {
            name: (folder / one.remote).resolve() for name, one in protocol.policies.items() if one.remote is not None
        }
        self._remotes = {name: load(path) for name, path in self._descriptions.items()}
        for remote in self._remotes.values():
            check_fits(remote, rig)
        far = {(name, task): remote for name, remote in self._remotes.items() for task in protocol.tasks}
        self._hashes = {who: bundle.hash for who, bundle in bundles.items()}
        protocol.check_different(self._hashes | {who: remote.sha256 for who, remote in far.items()})
        self.provenance: dict[Who, Provenance] = {
            **{who: provenance(bundle.manifest.name, bundle.hash, rig) for who, bundle in bundles.items()},
            **{who: _remote_provenance(remote, rig) for who, remote in far.items()},
        }

    @property
    def both(self) -> bool:
        """Whether there are bundles and remote policies."""
        return bool(self._folders) and bool(self._remotes)

    def use(self, trial: Trial, switch: PolicySwitch) -> None:
        """The graph proposes by the trial's policy from now on."""
        who = trial.policy, trial.task
        if who in self._folders:
            switch.to_bundle(self._folders[who], self._hashes[who])
        else:
            remote = self._remotes[trial.policy]
            switch.to_remote(self._descriptions[trial.policy], remote.sha256, trial.task)


def _remote_provenance(remote: Remote, rig: Rig) -> Provenance:
    """What is known of a remote policy before its server was heard: its description."""
    return provenance(f"{remote.name} at {remote.url}", RemoteProvenance.of(remote).hash, rig)
