# SPDX-License-Identifier: Apache-2.0
"""Blobs that are sent in odd pieces, broken off, and damaged on the disk: what the server says it has it has, and what
it hands out are the bytes that its name says."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from random import Random

from blender_addon.protocol.arrays import ArrayRef, DType
from blender_addon.protocol.errors import ErrorCode, ProtocolError, WireError
from blender_addon.protocol.messages import BlobNeed, BlobOk, BlobPut, BlobQuery, Chunk, Error, Get
from server.gate.validation import Arrays
from tests.server.broker.core_rig import ALICE, BOB, CoreRig, User
from tests.server.fuzzing.damage import damaged_bytes
from tests.server.fuzzing.judge import WrongError

__all__ = ["Blobs"]

STEPS = 30
"""Of one case, each of which counts."""
_SIZES = (0, 1, 100, 4096, 20_000)
_REFUSED = {"INPUT.MISSING_BLOB", "INPUT.HASH", "INPUT.INVALID", "BUSY"}


class Blobs:
    """A broker of its own for each case."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder, self._seed = folder, seed

    def case(self, number: int) -> Sequence[str]:
        """See `Target`."""
        root = self._folder / "data"
        story = _Story(root, Random(f"blobs {self._seed} {number}"))
        try:
            return [story.step() for _ in range(STEPS)]
        finally:
            story.rig.crash()
            shutil.rmtree(root)

    def close(self) -> None:
        """See `Target`."""


class _Story:
    def __init__(self, root: Path, rng: Random) -> None:
        self._rng = rng
        self.rig = CoreRig(root)
        self._data = {_sha(data): data for data in (rng.randbytes(size) for size in _SIZES)}
        self._users: list[User] = []
        self._log_in()

    def _log_in(self) -> None:
        self.rig.state.fault = _fault
        self._users = [self.rig.user(key) for key in (ALICE, BOB)]

    def step(self) -> str:
        """Somebody does something, or something happens."""
        user, sha = self._rng.choice(self._users), self._rng.choice(list(self._data))
        action = self._rng.random()
        if action < 0.4:
            return self._put(user, sha)
        if action < 0.5:
            return self._ask(user)
        if action < 0.7:
            return self._get(user, sha)
        if action < 0.8:
            return self._look(sha)
        if action < 0.95:
            return self._damage()
        self.rig.restart()
        self._log_in()
        return "restart"

    def _put(self, user: User, sha: str) -> str:
        data, rng = self._data[sha], self._rng
        at = rng.choice((0, 0, 0, len(data) // 2, len(data), rng.randrange(len(data) + 1)))
        piece = data[at : at + rng.choice((0, 1, len(data) // 2, len(data)))]
        if rng.random() < 0.1:
            piece = damaged_bytes(rng, piece)[:30_000]
        size = len(data) if rng.random() < 0.95 else rng.choice((0, 1, len(data) + 1, 1 << 32))
        answer = user.ask(BlobPut(sha, max(size, at), at), piece, bulk=True)
        if isinstance(answer, BlobOk):
            if answer.complete and not self.rig.store.has(sha):
                raise WrongError("complete, and not there")
            return "put: complete" if answer.complete else "put: more"
        return f"put: {_refused(answer)}"

    def _ask(self, user: User) -> str:
        answer = user.ask(BlobQuery(tuple(self._data)), bulk=True)
        if not isinstance(answer, BlobNeed):
            raise WrongError(f"BLOB_QUERY: {answer}")
        missing = {item.sha256 for item in answer.missing}
        for sha, data in self._data.items():
            if sha not in missing and not self.rig.store.holds(sha, len(data)):
                raise WrongError("not missing, and not there")
        return "query"

    def _get(self, user: User, sha: str) -> str:
        data, rng = self._data[sha], self._rng
        at = rng.choice((0, 0, len(data), rng.randrange(len(data) + 1)))
        envelope = user.envelope(Get(sha, at, rng.choice((1, 50, 700_000))), bulk=True)
        if isinstance(envelope.message, Chunk):
            piece = bytes(envelope.buffers[0])
            if piece != data[at : at + len(piece)] or envelope.message.total != len(data):
                raise WrongError("other bytes are handed out")
            return "get: bytes"
        return f"get: {_refused(envelope.message)}"

    def _look(self, sha: str) -> str:
        """As the gate does."""
        data = self._data[sha]
        try:
            rows = Arrays(self.rig.paths, self.rig.store).behind(ArrayRef(sha, DType.U8, (len(data),)), "x")
        except ProtocolError as error:
            if error.error.code not in (ErrorCode.INPUT_MISSING_BLOB, ErrorCode.INPUT_INVALID):
                raise
            return f"look: {error.error.code.value}"
        if bytes(rows[:]) != data:
            raise WrongError("other bytes are believed")
        return "look: bytes"

    def _damage(self) -> str:
        rng, blobs = self._rng, self.rig.paths.blobs
        files = sorted(path for path in blobs.rglob("*") if path.is_file() or path.is_symlink())
        if not files:
            return "damage: nothing there"
        path = rng.choice(files)
        kind = rng.randrange(9)
        if kind < 4 and path.is_file():
            path.write_bytes(damaged_bytes(rng, path.read_bytes()))
            return "damage: bytes"
        path.unlink()
        match kind:
            case 4:
                path.mkdir()
            case 5:
                path.symlink_to(path)
            case 6:
                path.symlink_to(rng.choice(files))
            case _:
                pass
        return "damage: gone"


def _refused(answer: object) -> str:
    if not isinstance(answer, Error):
        raise WrongError(f"{answer}")
    code = answer.error.code.value
    if code not in _REFUSED:
        raise WrongError(f"{answer.error}")
    return code


def _fault(where: str, error: Exception) -> WireError:
    raise WrongError(f"fault in {where}: {type(error).__name__}: {error}") from error


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
