"""Which remote policy a result came from, as far as that can be known from here."""

from __future__ import annotations

import hashlib
from typing import Self

from pydantic import Field

from xdistill_ros.rig.base import Strict

from .description import Remote


class RemoteProvenance(Strict):
    """What a trial keeps of a remote policy, in the place of a bundle's name and hash.

    The weights are the server's affair: two servers that begin with the same metadata cannot be told apart, so let
    yours name its checkpoint there. The node says these fields on /diagnostics as `sampler_node`, under these names.
    """

    remote: str = Field(min_length=1, description="the description's name")
    url: str = Field(min_length=1, description="of the server; holds no secret")
    description_sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="of the description, as it was understood")
    metadata_sha256: str = Field(
        default="",
        pattern=r"^([0-9a-f]{64})?$",
        description="of the message that the server begins with; empty: unheard",
    )

    @classmethod
    def of(cls, remote: Remote, metadata_sha256: str = "") -> Self:
        """Of a description, and a server's metadata once it has been heard."""
        return cls(
            remote=remote.name, url=remote.url, description_sha256=remote.sha256, metadata_sha256=metadata_sha256
        )

    @property
    def hash(self) -> str:
        """Short hash of it all, as a bundle has one: results that differ in it are not pooled."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]
