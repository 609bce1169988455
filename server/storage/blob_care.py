# SPDX-License-Identifier: Apache-2.0
"""Blobs are read as what was written, or not at all."""

from __future__ import annotations

import hashlib

from server.config import ServerPaths
from server.errors import BlobError
from server.storage.blobs import BlobStore
from server.storage.quarantine import Quarantine

__all__ = ["damaged", "read_whole", "require_whole", "set_aside"]


def require_whole(paths: ServerPaths, store: BlobStore, sha256: str) -> None:
    """Sees that a blob is there with the bytes that its name says. A damaged one goes to quarantine, so that from then
    on it counts as missing, and is sent again.

    Raises:
        BlobError: it is missing, or was damaged; the hash is named.
    """
    if not store.verify(sha256):
        set_aside(paths, store, sha256)
        raise damaged(sha256)


def read_whole(paths: ServerPaths, store: BlobStore, sha256: str) -> bytes:
    """Returns a blob's bytes, compared with its name as they were read.

    Raises:
        BlobError: as `require_whole`.
    """
    data = store.read(sha256)
    if hashlib.sha256(data).hexdigest() != sha256:
        set_aside(paths, store, sha256)
        raise damaged(sha256)
    return data


def set_aside(paths: ServerPaths, store: BlobStore, sha256: str) -> None:
    """Moves a damaged blob to quarantine."""
    try:
        Quarantine(paths).take(store.path(sha256), "its bytes no longer have the hash that is its name")
    except FileNotFoundError:
        return  # Another process was faster.


def damaged(sha256: str) -> BlobError:
    """Returns the error that says of a blob that it was set aside."""
    return BlobError(f"Blob {sha256} was damaged on the server's disk and is set aside; upload it again.")
