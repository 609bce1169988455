# SPDX-License-Identifier: Apache-2.0
"""Keeps what native libraries write straight to the process's stderr out of a person's terminal."""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["captured_stderr"]


@contextmanager
def captured_stderr() -> Iterator[Callable[[], list[str]]]:
    """Catches what is written to file descriptor 2 inside the block, by C code too. Where a host has no such stream (a
    program without a console), nothing is caught.

    Yields:
        A function that returns the lines that were caught; empty until the block has ended.
    """
    lines: list[str] = []
    if sys.stderr is not None:
        sys.stderr.flush()
    try:
        saved = os.dup(2)
    except OSError:
        yield lambda: lines
        return
    try:
        with tempfile.TemporaryFile() as caught:
            os.dup2(caught.fileno(), 2)
            try:
                yield lambda: lines
            finally:
                os.dup2(saved, 2)
                caught.seek(0)
                lines.extend(caught.read().decode(errors="replace").splitlines())
    finally:
        os.close(saved)
