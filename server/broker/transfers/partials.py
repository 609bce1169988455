# SPDX-License-Identifier: Apache-2.0
"""Unfinished uploads that nobody goes on with at the moment: they count as stored, and go after a time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from server.broker.state import BrokerState
from server.storage.blobs import BlobStore

__all__ = ["MAX_PARTIALS", "Partials"]

MAX_PARTIALS = 1024
"""Of one user; beyond it the oldest goes."""
_LEAST_BYTES = 4096
"""What a file takes of a disk at least."""


@dataclass(frozen=True)
class _Partial:
    size: int
    since: float


class Partials:
    """Found by the owner's tag (`server.broker.transfers.upload.owner_tag`) and the blob's hash; oldest first."""

    def __init__(self, state: BrokerState, store: BlobStore) -> None:
        self._state = state
        self._store = store
        self._kept: dict[str, dict[str, _Partial]] = {}
        self._going: set[tuple[str, str]] = set()
        for path in sorted(store.partials(), key=lambda path: path.stat().st_mtime):
            sha256, _, owner = path.name.partition(".")
            self.rest(owner, sha256, path.stat().st_size)

    def rest(self, owner: str, sha256: str, received: int) -> None:
        """Keeps an upload with which nobody goes on for now."""
        own = self._kept.setdefault(owner, {})
        own.pop(sha256, None)
        own[sha256] = _Partial(max(received, _LEAST_BYTES), self._state.ports.now())
        if len(own) > MAX_PARTIALS:
            self._discard(owner, [next(iter(own))])

    def go_on(self, owner: str, sha256: str) -> None:
        """Takes an upload off the list: it is under way again, and counts by itself."""
        self._kept.get(owner, {}).pop(sha256, None)

    def is_going(self, owner: str, sha256: str) -> bool:
        """Says whether it is being removed."""
        return (owner, sha256) in self._going

    def stored(self, owner: str, without: str = "") -> int:
        """Counts the bytes of one user's unfinished uploads; `without` one of them."""
        return sum(partial.size for sha256, partial in self._kept.get(owner, {}).items() if sha256 != without)

    def make_room(self, owner: str, wanted: int, without: str) -> None:
        """Gives up the oldest ones of a user, until so many bytes are free."""
        given_up: list[str] = []
        for sha256, partial in self._kept.get(owner, {}).items():
            if wanted > 0 and sha256 != without:
                given_up.append(sha256)
                wanted -= partial.size
        self._discard(owner, given_up)

    def forget(self, owner: str) -> None:
        """Gives up all of a user's."""
        self._discard(owner, list(self._kept.get(owner, {})))

    def tick(self, now: float) -> None:
        """Gives up those with which nobody went on for long."""
        latest = now - self._state.config.retention.unfinished_upload_seconds
        for owner, own in list(self._kept.items()):
            self._discard(owner, [sha256 for sha256, partial in own.items() if partial.since < latest])
            if not own:
                del self._kept[owner]

    def _discard(self, owner: str, hashes: Iterable[str]) -> None:
        for sha256 in hashes:
            del self._kept[owner][sha256]
            self._going.add((owner, sha256))
            self._remove(owner, sha256)

    def _remove(self, owner: str, sha256: str) -> None:
        path = self._store.partial_path(sha256, owner)

        def done(_result: object, error: Exception | None) -> None:
            self._going.discard((owner, sha256))
            if error is not None:
                self._state.fault("blobs", error)

        self._state.ports.disk(lambda: path.unlink(missing_ok=True), done)
