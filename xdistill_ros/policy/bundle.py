"""A trained policy on disk: its files, its checksums, its encoder.

Reading is here, and writing, so that the two cannot drift apart. Training writes through `write`; what runs a policy
takes it from `loading.load_bundle`, which also checks the rig and parity.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from xdistill_ros.perception import Encoder

from .manifest import BUNDLE_FILES, FORMAT_VERSION, MANIFEST, BundleError, Manifest, dump, parse

SHARED = "shared"


@dataclass(frozen=True)
class Bundle:
    """A bundle whose checksums hold. `loading.load_bundle` makes one that fits a rig, `Bundle.read` any."""

    path: Path
    """The bundle's folder."""
    manifest: Manifest
    encoder_path: Path
    hash: str
    """Short content hash of manifest and files: names this very policy on topics and in results."""

    @classmethod
    def read(cls, path: Path) -> Bundle:
        """The bundle in folder `path` with its checksums verified, for whatever rig. Raises BundleError."""
        source = path / MANIFEST
        try:
            text = source.read_bytes()
        except OSError as error:
            raise BundleError(f"{source}: cannot be read ({error.strerror}); a bundle is a folder with it") from error
        manifest = parse(text, source)
        for name, sha256 in manifest.files.items():
            _verify(path / name, sha256)
        encoder = encoder_path(path, manifest.encoder.sha256)
        _verify(encoder, manifest.encoder.sha256)
        # The manifest holds every file's hash, so its own hash stands for all of them.
        return cls(path, manifest, encoder, hashlib.sha256(text).hexdigest()[:12])

    def frame_id(self, camera: str) -> str:
        """What the features of `camera` carry as `frame_id`, so that no other bundle takes them."""
        return f"{camera}@{self.hash}"

    def encoder(
        self, camera: str, *, threads: int, require_provider: str | None = None, exact: bool = False
    ) -> Encoder:
        """A session of the encoder for images of `camera`. Raises KeyError for an unknown one, GraphError."""
        size = self.manifest.preprocess[camera].output_size
        return Encoder(
            self.encoder_path,
            size,
            self.manifest.encoder.feature_dim,
            threads=threads,
            require_provider=require_provider,
            exact=exact,
        )


def write(folder: Path, fields: Mapping[str, Any], files: Mapping[str, bytes], encoder: bytes) -> Path:
    """Writes a bundle into `folder` (its encoder into `shared` beside it) and returns `folder`; arguments as `draft`'s.

    `folder` is whole or as it was, whatever happens. Raises BundleError when they do not make a valid bundle.
    """
    with draft(folder, fields, files, encoder):
        return folder


@contextmanager
def draft(folder: Path, fields: Mapping[str, Any], files: Mapping[str, bytes], encoder: bytes) -> Iterator[Bundle]:
    """A bundle that can be read and tried, and becomes `folder` when the block ends; of one that raises, nothing stays.

    `fields` are the manifest's but `format_version` and `files`; `encoder` needs only `feature_dim`. `files` are
    the contents of `BUNDLE_FILES` by name. Raises BundleError when they do not make a valid bundle.
    """
    manifest = _manifest(folder, fields, files, encoder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as made:
        unfinished = Path(made) / folder.name
        unfinished.mkdir()
        for name, content in files.items():
            (unfinished / name).write_bytes(content)
        (unfinished / _encoder_name(manifest.encoder.sha256)).write_bytes(encoder)
        (unfinished / MANIFEST).write_bytes(dump(manifest))
        bundle = Bundle.read(unfinished)
        yield bundle
        _publish(bundle, folder, Path(made) / "before")


def _publish(bundle: Bundle, folder: Path, before: Path) -> None:
    """Moves a drafted bundle to `folder`, and what is there to `before`; first its encoder, which others may share."""
    for path in bundle.path.iterdir():
        _sync(path)
    shared = folder.parent / SHARED
    shared.mkdir(exist_ok=True)
    bundle.encoder_path.replace(shared / bundle.encoder_path.name)
    _sync(bundle.path)
    if folder.exists():
        folder.rename(before)
    try:
        bundle.path.rename(folder)
    except OSError:
        if before.exists():
            before.rename(folder)
        raise
    _sync(folder.parent)


def _sync(path: Path) -> None:
    """Waits until a file, or a folder's list of names, is on the disk: a rename must not overtake it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _manifest(folder: Path, fields: Mapping[str, Any], files: Mapping[str, bytes], encoder: bytes) -> Manifest:
    if set(files) != set(BUNDLE_FILES):
        raise BundleError(f"{folder}: got files {sorted(files)}, a bundle has {sorted(BUNDLE_FILES)}")
    encoder_hash = hashlib.sha256(encoder).hexdigest()
    checksums = {name: hashlib.sha256(files[name]).hexdigest() for name in BUNDLE_FILES}
    entry = {**fields["encoder"], "sha256": encoder_hash}
    try:
        return Manifest.model_validate(
            {**fields, "format_version": FORMAT_VERSION, "encoder": entry, "files": checksums}
        )
    except ValidationError as error:
        raise BundleError(f"{folder}: {error}") from error


def encoder_path(folder: Path, sha256: str) -> Path:
    """Where the encoder of the bundle in `folder` lies: shared with its neighbours, or in the folder itself."""
    name = _encoder_name(sha256)
    places = (folder.resolve().parent / SHARED / name, folder / name)
    for place in places:
        if place.is_file():
            return place
    raise BundleError(
        f"{folder}: its encoder {name} is in neither {places[0].parent} nor the bundle's folder; copy it there"
    )


def _encoder_name(sha256: str) -> str:
    return f"{sha256[:16]}.onnx"


def _verify(path: Path, sha256: str) -> None:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror}); copy the bundle anew") from error
    if found != sha256:
        raise BundleError(
            f"{path}: SHA-256 is {found[:16]}..., the manifest says {sha256[:16]}...; "
            "the file was damaged or changed: copy the bundle anew"
        )
