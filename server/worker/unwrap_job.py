# SPDX-License-Identifier: Apache-2.0
"""A job for new UVs, from its specification to its result. It has no steps and no checkpoints."""

from __future__ import annotations

import time
from collections.abc import Callable

from blender_addon.protocol.messages import JobResult
from blender_addon.protocol.specs.job import TextureJobSpec
from server.recipes import new_corner_uvs
from server.recipes.sources import ReadArray
from server.storage.blobs import BlobStore
from server.worker.results import Timings, write_corner_uvs

__all__ = ["unwrap_job"]

_HUNDREDTHS = 100


def unwrap_job(spec: TextureJobSpec, read: ReadArray, store: BlobStore, tell: Callable[[int, int], None]) -> JobResult:
    """Makes new UVs and puts them into the store.

    Args:
        tell: takes hundredths that are done, of how many; asked several times a second. What it raises ends the work.

    Raises:
        ProtocolError: xatlas is not installed. PgcError: the mesh cannot be unwrapped.
        OSError: the result cannot be written.
    """
    begun, timings = time.perf_counter(), Timings()
    corner_uvs = new_corner_uvs(spec, read, lambda share: tell(int(_HUNDREDTHS * share), _HUNDREDTHS))
    timings.add("total", time.perf_counter() - begun)
    return write_corner_uvs(store, corner_uvs, timings)
