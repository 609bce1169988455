# SPDX-License-Identifier: Apache-2.0
"""Log of the broker: one JSON object a line, written by a thread of its own, old files put aside.

What artists write is not for logs: the formatter takes from a record only its text and fields that it knows, and
no code of the broker puts a prompt into either.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import os
import queue
import time
import traceback
from pathlib import Path

from server.platform import make_private_directory

MAX_BYTES = 10 << 20
KEPT_FILES = 10
_FIELDS = ("job", "attempt", "step", "err_id")


class JsonLines(logging.Formatter):
    """`{"ts": …, "lvl": …, "ep": …, "name": …, "msg": …, job, attempt, step, err_id}`; absent fields are left out."""

    def __init__(self, epoch: str) -> None:
        super().__init__()
        self._epoch = epoch

    def format(self, record: logging.LogRecord) -> str:
        """Returns one JSON object in one line for a record, with its trace where it has one."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        entry: dict[str, object] = {
            "ts": f"{stamp}.{int(record.msecs):03d}Z",
            "lvl": record.levelname.lower(),
            "ep": self._epoch[:8],
            "name": record.name,
            "msg": record.getMessage(),
        }
        entry.update({name: getattr(record, name) for name in _FIELDS if hasattr(record, name)})
        if record.exc_info is not None and record.exc_info[0] is not None:
            entry["trace"] = "".join(traceback.format_exception(*record.exc_info))
        return json.dumps(entry, ensure_ascii=False, default=str)


class _QueueHandler(logging.handlers.QueueHandler):
    """Hands records on as they are: the listener is in this process, so nothing needs to be serialised."""

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        return record


class LogFile:
    """Collects the records of `server` while it is open.

    with LogFile(paths.log_file, epoch):
        ...
    """

    def __init__(self, path: Path, epoch: str, level: int = logging.INFO) -> None:
        make_private_directory(path.parent)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
        file = logging.handlers.RotatingFileHandler(
            path, maxBytes=MAX_BYTES, backupCount=KEPT_FILES - 1, encoding="utf-8"
        )
        file.setFormatter(JsonLines(epoch))
        waiting: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
        self._file = file
        self._handler = _QueueHandler(waiting)
        self._listener = logging.handlers.QueueListener(waiting, file)
        self._logger = logging.getLogger("server")
        self._level = level
        self._earlier_level = logging.NOTSET

    def __enter__(self) -> LogFile:
        self._listener.start()
        self._earlier_level = self._logger.level
        self._logger.setLevel(self._level)
        self._logger.addHandler(self._handler)
        return self

    def __exit__(self, *_exception: object) -> None:
        self._logger.removeHandler(self._handler)
        self._logger.setLevel(self._earlier_level)
        self._listener.stop()
        self._file.close()
