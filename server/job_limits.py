# SPDX-License-Identifier: Apache-2.0
"""How large a job this machine can do, from the memory that it has and what a run takes: what WELCOME promises must be
true.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import psutil

from blender_addon.protocol.job_size import BYTES_PER_TEXEL, BYTES_PER_TRIANGLE, MOST_TRIANGLES
from blender_addon.protocol.limits import DEFAULT_LIMITS, Limits

__all__ = ["limits_for", "machine_memory"]

_CGROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_SHARE = 0.75
"""Of the memory, for one job: the rest is the system's, Blender's and the server's own."""
_WORKER = 1_500_000_000
"""A worker with torch and the built-in prior, before it has a job."""
_LEAST = 500_000_000
"""A draft of a small mesh fits into it; without it the server would be of no use at all."""
_VERTICES_SHARE = 2
"""A closed mesh has half as many vertices as triangles; seams may double that."""
_MOST_BYTES = 16 << 30


def machine_memory(cgroups: Sequence[str] = _CGROUPS) -> int:
    """Returns the bytes of main memory, or what this container may have of it."""
    total = psutil.virtual_memory().total
    for name in cgroups:
        try:
            total = min(total, int(Path(name).read_text("ascii")))
        except (OSError, ValueError):  # Not in a container, or in one without a limit ("max").
            continue
    return total


def limits_for(memory: int, on_card: bool) -> Limits:
    """Returns the limits of a server.

    Args:
        memory: bytes of main memory; on_card: texels lie on a graphics card, whose memory a run plans for itself.
    """
    for_a_job = max(_LEAST, int(memory * _SHARE) - _WORKER)
    triangles = min(DEFAULT_LIMITS.triangles, for_a_job // BYTES_PER_TRIANGLE)
    return replace(
        DEFAULT_LIMITS,
        triangles=min(MOST_TRIANGLES, triangles),
        vertices=min(DEFAULT_LIMITS.vertices, _VERTICES_SHARE * triangles),
        job_texels=0 if on_card else for_a_job // BYTES_PER_TEXEL,
        job_bytes=min(_MOST_BYTES, for_a_job),
        job_memory=0 if on_card else for_a_job,
    )
