# SPDX-License-Identifier: Apache-2.0
"""The one thread that uses the journal. All that waits is committed together, with one fsync.

    journal.submit(lambda j: j.save(row, event), done)

`done` gets the result or the exception, and is handed to `deliver` (the broker's loop) after the commit, in the
order of the submits. So what a client is told is on the disk, and a read sees all writes submitted before it.
"""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from server.errors import JournalError
from server.storage.journal import Journal

_LOG = logging.getLogger(__name__)

Operation: TypeAlias = Callable[[Journal], Any]
Done: TypeAlias = Callable[[Any, Exception | None], None]

MAX_TOGETHER = 256
RETRY_SECONDS = 0.5


@dataclass(frozen=True)
class _Waiting:
    operation: Operation
    done: Done
    essential: bool


class JournalThread:
    """Runs operations on a journal that belongs to it from now on.

    Args:
        deliver: hands a call to the broker's loop.
        stuck: is told, in this thread, when the disk stops taking what must not be lost, and when it takes it again.
    """

    def __init__(
        self,
        journal: Journal,
        deliver: Callable[[Callable[[], None]], None],
        stuck: Callable[[bool], None],
    ) -> None:
        self._journal = journal
        self._deliver = deliver
        self._stuck = stuck
        self._waiting: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="journal")
        self._thread.start()

    def submit(self, operation: Operation, done: Done, *, essential: bool = False) -> None:
        """Runs the operation in the next transaction.

        One that is not essential fails when the disk is full. An essential one is tried again until it works, and
        keeps its place in the order.
        """
        self._waiting.put(_Waiting(operation, done, essential))

    def close(self) -> None:
        """Does all that waits, then closes the journal. On a disk that takes nothing more, what waits is given up."""
        self._closing.set()
        self._waiting.put(None)
        self._thread.join()
        self._journal.close()

    def _run(self) -> None:
        while True:
            batch, ended = self._take()
            while batch:
                batch = self._commit(batch)
            if ended:
                return

    def _take(self) -> tuple[list[_Waiting], bool]:
        batch: list[_Waiting] = []
        item = self._waiting.get()
        while item is not None:
            batch.append(item)
            if len(batch) == MAX_TOGETHER:
                return batch, False
            try:
                item = self._waiting.get_nowait()
            except queue.Empty:
                return batch, False
        return batch, True

    def _commit(self, batch: list[_Waiting]) -> list[_Waiting]:
        """Do a batch; returns what has to be tried again."""
        outcomes: list[tuple[Done, Any, Exception | None]] = []
        again: list[_Waiting] = []
        try:
            with self._journal.transaction():
                for waiting in batch:
                    outcomes.append(self._one(waiting))
        except (sqlite3.Error, OSError) as error:  # The disk is full, or gone: nothing of the batch counts.
            _LOG.error("journal: commit failed: %s", error)
            failure = JournalError(f"The journal could not be written: {error}")
            closing = self._closing.is_set()
            again = [waiting for waiting in batch if waiting.essential and not closing]
            outcomes = [(waiting.done, None, failure) for waiting in batch if waiting not in again]
        for done, result, error in outcomes:
            self._deliver(lambda done=done, result=result, error=error: done(result, error))
        if again:
            self._stuck(True)
            self._closing.wait(RETRY_SECONDS)
        elif any(waiting.essential for waiting in batch):
            self._stuck(False)
        return again

    def _one(self, waiting: _Waiting) -> tuple[Done, Any, Exception | None]:
        try:
            with self._journal.savepoint():
                return waiting.done, waiting.operation(self._journal), None
        except sqlite3.OperationalError:
            raise  # Such as a full disk: not this operation's own fault.
        except Exception as error:  # noqa: BLE001 - handed to `done`, which knows what was attempted
            return waiting.done, None, error
