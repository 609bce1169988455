# SPDX-License-Identifier: Apache-2.0
"""The process that others are copies of: it has imported what takes seconds, and forks whenever it is asked to.

What it forks becomes the child of whoever asked, as if that process had started a Python itself: the fork of a fork
is orphaned at once, and Linux gives an orphan to its nearest ancestor that takes orphans in. See `popen.py`.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
from collections.abc import Callable, Sequence

from tests.warm.request import REQUEST_BYTES, Request

__all__ = ["rename", "serve"]

Become = Callable[[Request, Sequence[int]], None]


def serve(link: socket.socket, become: Become) -> None:
    """Forks at each request, and answers with the number of the process; returns when nobody can ask any more."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while True:
        packet, files, _flags, _address = socket.recv_fds(link, REQUEST_BYTES, 3)
        if not packet:
            return
        answer, told = os.pipe()
        waits, go = os.pipe()
        between = os.fork()
        if between == 0:
            pid = os.fork()
            if pid:
                os.write(told, str(pid).encode())
                os._exit(0)
            for file in (answer, told, go, link.detach()):
                os.close(file)
            os.read(waits, 1)
            os.close(waits)
            become(Request.unpacked(packet), files)
        for file in (*files, told, waits):
            os.close(file)
        # When the one between has ended, its child is an orphan, and the asker's.
        os.waitpid(between, 0)
        link.send(os.read(answer, 100))
        os.close(answer)
        os.close(go)


def rename(arguments: Sequence[str]) -> None:
    """Writes what `ps` and `psutil` show over this process's own command line, as far as there is room."""
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    # proc(5): arg_start and arg_end are fields 48 and 49; the third is the first one after the name.
    start, end = int(fields[45]), int(fields[46])
    line = b"\0".join(os.fsencode(argument) for argument in arguments)[: end - start - 1]
    ctypes.memmove(start, line.ljust(end - start, b"\0"), end - start)
