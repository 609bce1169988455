# SPDX-License-Identifier: Apache-2.0
"""Logs of gates and workers: JSON lines in `logs/<role>-<index>.jsonl`, 5 files of 10 MB.

Prompts and mesh names stay out of it. What a client is told of an unexpected error is an id; the traceback that
belongs to it is here.
"""

from __future__ import annotations

import faulthandler
import json
import logging
import logging.handlers
import os
import time
import uuid
from typing import Any

from server.config import ServerPaths
from server.platform import dump_stacks_on_request

__all__ = ["JsonLines", "new_error_id", "start_log"]

_FILE_BYTES = 10_000_000
_FILES = 5
_EXTRAS = ("job", "attempt", "step", "err_id")


class JsonLines(logging.Formatter):
    """One JSON object a line: ts, lvl, name, pid, msg, and job, attempt, step, err_id where they are known."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns one JSON object in one line for a record, with its trace where it has one."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "ts": f"{stamp}.{int(record.msecs):03d}Z",
            "lvl": record.levelname.lower(),
            "name": record.name,
            "pid": os.getpid(),
            "msg": record.getMessage(),
        }
        line |= {name: value for name in _EXTRAS if (value := getattr(record, name, None)) is not None}
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def start_log(paths: ServerPaths, role: str, index: int) -> None:
    """Sends this process's log to its file, and a crash's stack to standard error. Times are UTC."""
    path = paths.logs / f"{role}-{index}.jsonl"
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
    handler = logging.handlers.RotatingFileHandler(path, maxBytes=_FILE_BYTES, backupCount=_FILES - 1, encoding="utf-8")
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    faulthandler.enable()
    dump_stacks_on_request()


def new_error_id() -> str:
    """Returns a short id that ties what a person sees to a line of the log."""
    return uuid.uuid4().hex[:12]
