# SPDX-License-Identifier: Apache-2.0
"""Submissions: ask which arrays the server lacks, send those within the window it grants, then submit. Pure.

The same array is never sent twice, a broken transfer goes on where it stopped, and the same key never makes two jobs.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from ...protocol.errors import ErrorCode, Retry
from ...protocol.job_size import refusal
from ...protocol.limits import DEFAULT_LIMITS, Limits
from ...protocol.messages import Accepted, BlobNeed, BlobOk, BlobPut, BlobQuery, Error, Submit
from ...protocol.specs.job import TextureJobSpec
from ..answers import is_busy, unexpected
from ..events import JobAccepted, JobFailed, Uploading
from ..requests import Answer, Channel, Port
from .windows import Window

__all__ = ["Submission", "Submissions", "UploadConfig"]

KIB = 1 << 10


@dataclass(frozen=True)
class UploadConfig:
    """How much goes at once, how often it is tried, and how long is waited: bytes, counts and seconds.

    Args:
        chunk: the largest; on a slow line they are smaller, a quarter of what should be under way there.
        first_window: what may be under way before the server has said how much it wants.
        hash_tries: how often one array is sent before its hash counts as wrong for good.
        busy_wait: until the next try when the server is busy or about to end.
        most_arrays: arrays under way at a time; the server takes 8 of all of a user's clients together.
    """

    chunk: int = 1024 * KIB
    smallest_chunk: int = 256 * KIB
    first_window: int = 512 * KIB
    hashes_per_query: int = 1024
    hash_tries: int = 2
    busy_wait: float = 2.0
    most_arrays: int = 4


@dataclass
class Submission:
    """One job on its way to the server. `blobs`: the bytes of its arrays by SHA-256, which nobody changes."""

    key: str
    spec: TextureJobSpec
    blobs: Mapping[str, bytes | memoryview]
    done: int = 0
    asked: int = 0
    need: OrderedDict[str, int] = field(default_factory=OrderedDict[str, int])
    """Arrays that the server lacks, with the offset of the next byte to send."""
    flying: dict[str, int] = field(default_factory=dict[str, int])
    """Chunks under way of each array."""
    tries: dict[str, int] = field(default_factory=dict[str, int])
    submitting: bool = False
    retry_at: float | None = None

    @property
    def total(self) -> int:
        """Bytes of all arrays."""
        return sum(map(len, self.blobs.values()))


class AcceptedHandler(Protocol):
    """Is told of every job that the server has taken."""

    def __call__(self, accepted: Accepted) -> None: ...


class Submissions:
    """All submissions that the server has not acknowledged. One uploads at a time, in the order they were made."""

    def __init__(self, port: Port, accepted: AcceptedHandler, config: UploadConfig | None = None) -> None:
        self._port = port
        self._accepted = accepted
        self._config = config or UploadConfig()
        self._waiting: OrderedDict[str, Submission] = OrderedDict()
        self._window = self._config.first_window
        """What the server grants; `_line` may say less."""
        self._line = Window()
        self._under_way = self._round = 0
        self._open, self._limits = False, DEFAULT_LIMITS

    def add(self, submission: Submission) -> None:
        """Starts a submission; a key that is under way already is left as it is."""
        if submission.key not in self._waiting:
            self._waiting[submission.key] = submission
            if self._open or not submission.blobs:
                self._begin(submission)

    def closed(self) -> None:
        """Takes note that the connection is gone: what was under way may have arrived or not."""
        self._open, self._under_way = False, 0
        self._window = self._config.first_window
        self._line.paused()
        self._round += 1

    def opened(self, limits: Limits = DEFAULT_LIMITS) -> None:
        """Asks anew what is missing, since the bulk channel stands again: a crash may have lost a part."""
        self._open, self._limits = True, limits
        for submission in list(self._waiting.values()):
            if not submission.submitting:
                self._begin(submission)

    def tick(self, now: float) -> None:
        """Tries again what the server was too busy for."""
        for submission in list(self._waiting.values()):
            if self._open and submission.retry_at is not None and now >= submission.retry_at:
                self._begin(submission)

    @property
    def deadline(self) -> float | None:
        """When `tick` has something to do."""
        return min((item.retry_at for item in self._waiting.values() if item.retry_at is not None), default=None)

    def __len__(self) -> int:
        return len(self._waiting)

    def _begin(self, submission: Submission) -> None:
        submission.submitting, submission.retry_at = False, None
        if (too_large := refusal(submission.spec, self._limits)) is not None:
            self._refused(submission, Error(too_large))
            return
        submission.need.clear()
        submission.flying.clear()
        submission.done = submission.total
        hashes, step = sorted(submission.blobs), self._config.hashes_per_query
        groups = [tuple(hashes[at : at + step]) for at in range(0, len(hashes), step)]
        submission.asked = len(groups)
        for group in groups:
            self._ask(Channel.BULK, BlobQuery(hashes=group), submission, self._on_need)
        if not groups:
            self._submit(submission)

    def _ask(
        self,
        channel: Channel,
        message: BlobQuery | BlobPut,
        submission: Submission,
        then: Callable[[Submission, Answer], None],
        data: bytes | memoryview | None = None,
    ) -> None:
        """Ask for this connection only: after the next one the submission begins anew."""
        made_in = self._round

        def on_answer(answer: Answer) -> None:
            if made_in != self._round or submission.key not in self._waiting:
                return
            then(submission, answer)
            self._pump()

        self._port.ask(channel, message, on_answer, buffers=() if data is None else (data,), again=False)

    def _on_need(self, submission: Submission, answer: Answer) -> None:
        if not isinstance(answer.message, BlobNeed):
            if is_busy(answer.message):
                self._later(answer.now)
            else:
                self._refused(submission, answer.message)
            return
        submission.asked -= 1
        for item in answer.message.missing:
            blob = submission.blobs.get(item.sha256)
            if blob is None:
                continue
            received = item.received if 0 <= item.received <= len(blob) else 0
            submission.need[item.sha256] = received
            submission.done -= len(blob) - received
        if submission.asked == 0:
            self._port.emit(Uploading(submission.key, submission.done, submission.total))
            if not submission.need:
                self._submit(submission)

    def _pump(self) -> None:
        """Send chunks while the window has room; one at least, or a window below a chunk would stop everything."""
        for submission in self._waiting.values():
            if submission.asked or submission.submitting:
                continue
            for sha256 in list(submission.need):
                if not self._send_blob(submission, sha256):
                    return

    def _send_blob(self, submission: Submission, sha256: str) -> bool:
        """Chunks of one array; False when the window is full."""
        blob = submission.blobs[sha256]
        if sha256 not in submission.flying and len(self._flying()) >= self._config.most_arrays:
            return False
        while (offset := submission.need.get(sha256)) is not None:
            size = min(self._chunk(), len(blob) - offset)
            if self._under_way and self._under_way + size > min(self._window, self._line.size):
                return False
            self._under_way += size
            submission.flying[sha256] = submission.flying.get(sha256, 0) + 1
            if offset + size >= len(blob):
                # All of it is under way; the answers say whether it has arrived.
                del submission.need[sha256]
            else:
                submission.need[sha256] = offset + size
            self._put(submission, sha256, offset, size)
        return True

    def _chunk(self) -> int:
        return min(self._config.chunk, max(self._config.smallest_chunk, self._line.size // 4))

    def _flying(self) -> set[str]:
        return {sha256 for submission in self._waiting.values() for sha256 in submission.flying}

    def _put(self, submission: Submission, sha256: str, offset: int, size: int) -> None:
        blob, sent = submission.blobs[sha256], self._port.now

        def on_ok(submission: Submission, answer: Answer) -> None:
            self._under_way = max(0, self._under_way - size)
            self._line.received(size, answer.now, answer.now - sent)
            if not self._under_way:
                self._line.paused()
            self._on_ok(submission, sha256, size, answer)

        message = BlobPut(sha256=sha256, size=len(blob), offset=offset)
        self._ask(Channel.BULK, message, submission, on_ok, memoryview(blob)[offset : offset + size])

    def _on_ok(self, submission: Submission, sha256: str, size: int, answer: Answer) -> None:
        message = answer.message
        submission.flying[sha256] = submission.flying.get(sha256, 1) - 1
        if isinstance(message, BlobOk):
            self._window = message.window
            submission.done = min(submission.total, submission.done + size)
            self._port.emit(Uploading(submission.key, submission.done, submission.total))
            if message.complete:
                submission.flying.pop(sha256, None)
                submission.need.pop(sha256, None)
            elif submission.flying[sha256] == 0 and sha256 not in submission.need:
                self._once_more(submission, sha256, message)
                return
            if not submission.need and not submission.flying and not submission.submitting:
                self._submit(submission)
        elif is_busy(message):
            self._later(answer.now)
        elif isinstance(message, Error) and message.error.retry is Retry.NEVER:
            self._refused(submission, message)
        else:
            self._once_more(submission, sha256, message)

    def _once_more(self, submission: Submission, sha256: str, message: object) -> None:
        """A damaged, misplaced or lost chunk: ask what the server has, and go on from there."""
        submission.tries[sha256] = submission.tries.get(sha256, 0) + 1
        if submission.tries[sha256] >= self._config.hash_tries:
            self._refused(submission, message)
            return
        for other in self._stop():
            self._begin(other)

    def _later(self, now: float) -> None:
        """The server has too much at once: all uploads rest for a while."""
        for other in self._stop():
            other.asked, other.retry_at = 0, now + self._config.busy_wait
            other.need.clear()
            other.flying.clear()

    def _stop(self) -> list[Submission]:
        """Forget what is under way, whose answers belong to an earlier attempt from here on; gives whose it was."""
        self._round += 1
        self._under_way = 0
        return [other for other in self._waiting.values() if not other.submitting and other.retry_at is None]

    def _submit(self, submission: Submission) -> None:
        submission.submitting = True
        message = Submit(key=submission.key, spec=submission.spec)
        self._port.ask(Channel.CTL, message, lambda answer: self._on_submitted(submission, answer))

    def _on_submitted(self, submission: Submission, answer: Answer) -> None:
        message = answer.message
        if isinstance(message, Accepted):
            self._waiting.pop(submission.key, None)
            self._port.emit(JobAccepted(message.job, message.key, message.state, message.position, message.duplicate))
            self._accepted(message)
            return
        missing = isinstance(message, Error) and message.error.code is ErrorCode.INPUT_MISSING_BLOB
        if missing and submission.tries.get("", 0) < self._config.hash_tries:
            # The server has dropped an array between our question and our order.
            submission.tries[""] = submission.tries.get("", 0) + 1
            self._begin(submission)
        elif is_busy(message):
            submission.submitting = False
            submission.retry_at = answer.now + self._config.busy_wait
        else:
            self._refused(submission, message)

    def _refused(self, submission: Submission, message: object) -> None:
        self._waiting.pop(submission.key, None)
        error = message.error if isinstance(message, Error) else unexpected(message)
        self._port.emit(JobFailed(None, submission.key, error))
