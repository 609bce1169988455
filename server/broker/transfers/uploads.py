# SPDX-License-Identifier: Apache-2.0
"""Blobs from clients: asked for, received in pieces, checked, and granted to the user who sent all their bytes.

A blob that only others have sent counts as missing, so that nobody learns from the answer what others work on.
"""

from __future__ import annotations

import logging

from blender_addon.protocol.errors import ErrorCode, WireError
from blender_addon.protocol.limits import DEFAULT_LIMITS
from blender_addon.protocol.messages import BlobNeed, BlobOk, BlobProgress, BlobPut, BlobQuery
from server.broker import refusals
from server.broker.state import BrokerState, Request
from server.broker.transfers.partials import Partials
from server.broker.transfers.upload import ActiveUpload, Piece, Upload, Written, owner_tag, writing
from server.errors import BlobError
from server.storage.blobs import BlobStore, is_sha256
from server.storage.journal import Grant

_LOG = logging.getLogger(__name__)
MIN_WINDOW, MAX_WINDOW = 256 << 10, 16 << 20
WINDOW_BUDGET = 64 << 20
"""Bytes that all clients together may have on the way to us."""
QUEUED_LIMIT = MAX_WINDOW + (2 << 20)
IDLE_SECONDS = 60.0
STILL_SECONDS = 1.0
"""An upload that waited so long for its client's next piece makes place for another one of the same user."""


class Uploads:
    """All uploads that are under way."""

    def __init__(self, state: BrokerState, store: BlobStore) -> None:
        self._state = state
        self._store = store
        self._active: dict[tuple[str, str], ActiveUpload] = {}
        self._partials = Partials(state, store)

    def __len__(self) -> int:
        return len(self._active)

    def users(self) -> set[str]:
        """Says who has an upload under way."""
        return {active.user for active in self._active.values()}

    def forget(self, user: str) -> None:
        """Throws away what this user has begun to upload."""
        for key in [key for key in self._active if key[0] == user]:
            active = self._active.pop(key)
            active.unwanted = True
            if not active.busy:
                self._state.ports.disk(active.upload.discard, _ignore, bulk=True)
        self._partials.forget(owner_tag(user))

    def window(self) -> int:
        """Returns the bytes that one client may have on the way."""
        return max(MIN_WINDOW, min(MAX_WINDOW, WINDOW_BUDGET // max(1, self._under_way())))

    def _under_way(self) -> int:
        return sum(not active.resting for active in self._active.values())

    def query(self, request: Request, message: BlobQuery) -> None:
        """Answers which of these blobs the user still has to send, and how much of each is here."""
        hashes = tuple(dict.fromkeys(message.hashes))
        granted = {sha: self._granted(request.user, sha) for sha in hashes if self._state.may_read(request.user, sha)}
        if granted:  # So that housekeeping leaves them until the SUBMIT that this announces.
            wall = self._state.ports.wall()
            self._state.ports.journal(lambda journal: journal.touch(request.user, hashes, wall), _ignore)
        known = {sha: active.upload.received for (user, sha), active in self._active.items() if user == request.user}
        tag = owner_tag(request.user)

        def look() -> tuple[list[str], dict[str, int]]:
            """Returns granted blobs whose file is gone, and how much of the others is here."""
            lost = [sha for sha, size in granted.items() if not self._store.holds(sha, size)]
            paths = {
                sha: self._store.partial_path(sha, tag)
                for sha in hashes
                if is_sha256(sha) and sha not in known and (sha not in granted or sha in lost)
            }
            return lost, {sha: path.stat().st_size for sha, path in paths.items() if path.is_file()}

        def done(found: tuple[list[str], dict[str, int]] | None, error: Exception | None) -> None:
            if found is None:
                self._state.refuse(request.address, self._state.fault("blobs", error or OSError()), request.id)
                return
            lost, sizes = found
            for sha in lost:
                self._lost(request.user, sha)
            wanted = [sha for sha in hashes if sha not in granted or sha in lost]
            missing = tuple(BlobProgress(sha, known.get(sha, sizes.get(sha, 0))) for sha in wanted)
            self._state.send(request.address, BlobNeed(missing), request.id)

        self._state.ports.disk(look, done)

    def _granted(self, user: str, sha256: str) -> int:
        return self._state.grants[user][sha256]

    def _lost(self, user: str, sha256: str) -> None:
        """The store decides what is there: a grant of what is gone is none."""
        _LOG.warning("a blob of %s is gone from the store and is asked for again", user[:8])
        self._state.grants.get(user, {}).pop(sha256, None)
        self._state.ports.journal(lambda journal: journal.take_back(user, sha256), _ignore)

    def put(self, request: Request, message: BlobPut) -> None:
        """Takes one piece of a blob."""
        if not self._state.may_read(request.user, message.sha256):
            self._take(request, message)
            return
        size = self._granted(request.user, message.sha256)

        def looked(there: bool | None, _error: Exception | None) -> None:
            if there:
                self._answer(request, message.sha256, size, True)
                return
            if self._state.may_read(request.user, message.sha256):
                self._lost(request.user, message.sha256)
            self._take(request, message)

        self._state.ports.disk(lambda: self._store.holds(message.sha256, size), looked)

    def _take(self, request: Request, message: BlobPut) -> None:
        active = self._active.get((request.user, message.sha256))
        error = self._objection(request, message, active)
        if error is not None:
            self._state.refuse(request.address, error, request.id)
            return
        if active is None:
            upload = Upload(self._store, message.sha256, message.size, owner_tag(request.user))
            active = ActiveUpload(upload, request.user, self._state.ports.now())
            self._partials.go_on(upload.owner, upload.sha256)
            self._active[request.user, message.sha256] = active
        data = request.envelope.buffers[0] if request.envelope.buffers else b""
        active.resting = False
        active.last_used = self._state.ports.now()
        active.pieces.append(Piece(request, message.offset, data))
        active.queued += len(data)
        self._state.metrics.count("bytes_received", len(data))
        self._start(active)

    def _objection(self, request: Request, message: BlobPut, active: ActiveUpload | None) -> WireError | None:
        if (malformed := _malformed(request, message)) is not None:
            return malformed
        if (blocked := self._state.blocked()) is not None:
            return blocked
        if active is not None:
            if active.upload.size != message.size:
                return refusals.invalid("size", f"Got {message.size}; before it was {active.upload.size}.")
            if active.queued > QUEUED_LIMIT:
                return refusals.busy("More bytes are on the way than the window allows; wait for BLOB_OK.")
        elif self._partials.is_going(owner_tag(request.user), message.sha256):
            return refusals.busy("What was here of this blob is just being removed.")
        elif (error := self._over_quota(request.user, message)) is not None:
            return error
        if (active is None or active.resting) and not self._make_place(request.user):
            return refusals.busy("Too many uploads are under way; end one of them first.")
        return None

    def _over_quota(self, user: str, message: BlobPut) -> WireError | None:
        """Whether there is no room for another blob. What broke off earlier is given up for it, oldest first."""
        allowed, owner = self._state.config.quotas.bytes_per_user, owner_tag(user)
        used = sum(self._state.grants.get(user, {}).values())
        used += sum(active.upload.size for active in self._active.values() if active.user == user)
        if used + message.size > allowed:
            text = f"You store {used} bytes here and may store {allowed}; this blob has {message.size}."
            return refusals.invalid("size", text, ErrorCode.QUOTA_BYTES)
        broken_off = self._partials.stored(owner, without=message.sha256)
        self._partials.make_room(owner, used + broken_off + message.size - allowed, without=message.sha256)
        return None

    def _make_place(self, user: str) -> bool:
        """Whether the user may have one more upload under way, for which the one that has been still longest rests: of
        the user's own, or of all where the server has as many files open as it may."""
        own = [active for active in self._active.values() if active.user == user and not active.resting]
        quotas = self._state.config.quotas
        if len(own) < quotas.uploads_per_user:
            if self._under_way() < quotas.uploads:
                return True
            own = [active for active in self._active.values() if not active.resting]
        latest = self._state.ports.now() - STILL_SECONDS
        still = [active for active in own if active.is_still and active.last_used <= latest]
        if not still:
            return False
        self._close(min(still, key=lambda active: active.last_used), at_end=False)
        return True

    def _close(self, active: ActiveUpload, at_end: bool) -> None:
        """Close an upload's file; what came stays on the disk. `at_end`: the upload itself is forgotten, too."""
        active.busy = active.resting = True

        def done(_result: object, error: Exception | None) -> None:
            active.busy = False
            if active.unwanted:
                self._state.ports.disk(active.upload.discard, _ignore, bulk=True)
            elif error is not None:  # Its last bytes may not be on the disk; the next one looks.
                self._failed(active, [], error)
            elif active.pieces:  # Its client went on meanwhile.
                self._start(active)
            elif at_end:
                del self._active[active.key]
                self._partials.rest(active.upload.owner, active.upload.sha256, active.upload.received)

        self._state.ports.disk(active.upload.close, done, bulk=True)

    def _start(self, active: ActiveUpload) -> None:
        if active.busy or not active.pieces:
            return
        pieces = list(active.pieces)
        active.pieces.clear()
        active.busy = True
        self._state.ports.disk(writing(active, pieces), lambda w, e: self._written(active, pieces, w, e), bulk=True)

    def _written(
        self, active: ActiveUpload, pieces: list[Piece], written: Written | None, error: Exception | None
    ) -> None:
        active.busy = False
        active.resumed = True
        active.queued -= sum(len(piece.data) for piece in pieces)
        if active.unwanted and not (written is not None and written.complete):
            self._state.ports.disk(active.upload.discard, _ignore, bulk=True)
        elif written is None:
            self._failed(active, pieces, error or OSError())
        elif written.complete:
            active.busy = True  # Until the journal has it: what comes now has nothing left to write.
            self._complete(active, pieces, written)
        else:
            for piece, received in zip(pieces, written.received, strict=True):
                self._answer(piece.request, active.upload.sha256, received, False)
            self._start(active)

    def _complete(self, active: ActiveUpload, pieces: list[Piece], written: Written) -> None:
        upload = active.upload
        grant = Grant(active.user, upload.sha256, upload.size, self._state.ports.wall())

        def done(_result: object, error: Exception | None) -> None:
            self._active.pop(active.key, None)
            waiting = [*pieces, *active.pieces]
            if error is not None:
                self._refuse(waiting, self._state.disk_fault("blobs", error))
                return
            self._state.add_grant(grant)
            counts = [*written.received, *(upload.size for _piece in active.pieces)]
            for piece, received in zip(waiting, counts, strict=True):
                self._answer(piece.request, upload.sha256, received, received == upload.size)

        self._state.ports.journal(lambda journal: journal.grant(grant), done)

    def _failed(self, active: ActiveUpload, pieces: list[Piece], error: Exception) -> None:
        self._active.pop(active.key, None)
        self._state.ports.disk(active.upload.close, _ignore)
        waiting = [*pieces, *active.pieces]
        if active.upload.received:
            self._partials.rest(active.upload.owner, active.upload.sha256, active.upload.received)
        if isinstance(error, BlobError):
            self._refuse(waiting, refusals.invalid("sha256", str(error), ErrorCode.INPUT_HASH))
        else:
            self._refuse(waiting, self._state.disk_fault("blobs", error))

    def _refuse(self, pieces: list[Piece], error: WireError) -> None:
        for piece in pieces:
            self._state.refuse(piece.request.address, error, piece.request.id)

    def _answer(self, request: Request, sha256: str, received: int, complete: bool) -> None:
        self._state.send(request.address, BlobOk(sha256, received, complete, self.window()), request.id)

    def tick(self, now: float) -> None:
        """Closes uploads that nobody goes on with; what came of them stays on the disk, for a time."""
        for active in list(self._active.values()):
            if active.is_still and now - active.last_used > IDLE_SECONDS:
                self._close(active, at_end=True)
        self._partials.tick(now)

    def close(self) -> None:
        """Closes all files."""
        for active in self._active.values():
            active.upload.close()


def _malformed(request: Request, message: BlobPut) -> WireError | None:
    if not is_sha256(message.sha256):
        return refusals.invalid("sha256", "Expected a SHA-256 of 64 lower-case hexadecimal digits.")
    if not 0 <= message.size <= DEFAULT_LIMITS.blob:
        return refusals.invalid("size", f"Got {message.size}; expected 0 to {DEFAULT_LIMITS.blob} bytes.")
    if len(request.envelope.buffers) > 1:
        return refusals.invalid("bufs", f"Got {len(request.envelope.buffers)} buffers; expected one.")
    return None


def _ignore(_result: object, _error: Exception | None) -> None:
    """Of closing a file that failed already, and of a new date for a grant: without either all goes on."""
