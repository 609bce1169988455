# SPDX-License-Identifier: Apache-2.0
"""A worker on the CPU goes behind the programs that people wait for: the Blender that its texture is for, above all.

Servers that Blender starts are told so (--low-priority): they share a machine with somebody who draws. Others, such as
dedicated ones, compete as every program does. Workers on a graphics card always do, since the card waits for them.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil

__all__ = ["lower_priority"]

_NICE = 10
_AUTOGROUP = Path("/proc/self/autogroup")


def lower_priority(autogroup: Path = _AUTOGROUP) -> int:
    """Lowers this process's priority for good, and returns what the system now says that it is.

    POSIX: nice 10, or what it is already if that is more. Windows: BELOW_NORMAL_PRIORITY_CLASS. Linux may schedule by
    session (autogroups), and then nice decides within a session alone: the session's own nice is set as well. A worker
    has a session of its own, so that this is its affair; without it, the system refuses or ignores it, and nothing
    else changes.
    """
    process = psutil.Process()
    lowest = getattr(psutil, "BELOW_NORMAL_PRIORITY_CLASS", None)
    if lowest is not None:
        process.nice(lowest)
        return int(process.nice())
    process.nice(max(_NICE, int(process.nice())))
    # Not there outside of Linux and where autogroups are off; the kernel takes a change only now and then.
    with contextlib.suppress(OSError):
        autogroup.write_text(f"{_NICE}\n")
    return int(process.nice())
