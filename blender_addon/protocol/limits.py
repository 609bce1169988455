# SPDX-License-Identifier: Apache-2.0
"""How much of anything either side accepts. The server tells its own limits in WELCOME."""

from __future__ import annotations

from dataclasses import dataclass, field

from .structure import LATER

__all__ = ["DEFAULT_LIMITS", "MAX_VALUES", "SMALL_HEADER", "Limits"]

KIB = 1 << 10
MIB = 1 << 20

SMALL_HEADER = 8 * KIB
"""Bytes of the header of a client's message; for a few types more (`messages.LARGE_HEADERS`)."""
MAX_VALUES = 32_768
"""In all lists and maps of a header together: a job of 64 meshes and 256 cameras has 15,000."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes unless said otherwise.

    Args:
        header: of the msgpack header.
        depth: of maps and lists inside each other in a header.
        array_len: entries of a list in a header; map_len: of a map.
        ctl_frame: of a frame on the control channel; bulk_frame: on the bulk channel.
        frames: of one message, magic and header included.
        vertices, triangles, meshes, views: of one job.
        prompt: UTF-8 bytes of each text.
        image_min, image_max: sides of images, in pixels.
        blob: of one content-addressed array.
        get: bytes that one GET may ask for.
        job_texels, job_bytes, job_memory: of one job in all (since 1.1), as `job_size` counts them; 0: not told.
    """

    header: int = 192 * KIB
    depth: int = 16
    array_len: int = 4096
    map_len: int = 256
    ctl_frame: int = 256 * KIB
    bulk_frame: int = MIB
    frames: int = 10
    vertices: int = 20_000_000
    triangles: int = 40_000_000
    meshes: int = 64
    views: int = 256
    prompt: int = 4096
    image_min: int = 16
    image_max: int = 8192
    blob: int = 4 << 30
    get: int = 768 * KIB
    job_texels: int = field(default=0, metadata={LATER: True})
    job_bytes: int = field(default=0, metadata={LATER: True})
    job_memory: int = field(default=0, metadata={LATER: True})


DEFAULT_LIMITS = Limits()
