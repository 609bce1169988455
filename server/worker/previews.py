# SPDX-License-Identifier: Apache-2.0
"""Previews while a job runs: the texture as it is, downscaled to raw bytes, no more often than is cheap."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from blender_addon.protocol.meshes import MOST_PREVIEW_BYTES
from blender_addon.protocol.messages import PreviewCodec
from blender_addon.protocol.specs.job import NEW_SHAPE
from pgc.texture.field import TextureField, to_uint8_values
from server.children.messages import WorkerPreview
from server.recipes import JobRun, MeshRun

__all__ = ["MAX_SIDE", "PreviewTile", "Throttle", "preview_messages", "preview_tiles"]

MAX_SIDE = 512
"""Three bytes a texel of a bigger one would not fit into one frame of 1 MiB."""
_COST_SHARE = 10.0
"""Previews take at most a tenth of the time."""


@dataclass(frozen=True)
class PreviewTile:
    """One tile of one map; `pixels` are rows from the top, `channels` bytes a pixel."""

    map: str
    tile: int
    side: int
    channels: int
    pixels: bytes


def preview_tiles(texture: TextureField, size: int, maps: Collection[str] = ("base_color",)) -> Iterator[PreviewTile]:
    """Yields the maps' tiles at the biggest power of two that is at most `size` texels, or the texture's own side.

    Maps that the texture does not hold are left out: occlusion comes at the end.
    """
    size = min(size, MAX_SIDE)
    shown = texture.preview(size)
    for name, images in shown.maps.items():
        if name not in maps:
            continue
        for tile, pixels in zip(shown.tiles, images, strict=True):
            data = to_uint8_values(pixels).permute(1, 2, 0).contiguous().cpu()
            yield PreviewTile(name, tile, int(data.shape[0]), int(data.shape[2]), data.numpy().tobytes())


def preview_messages(job: str, run: JobRun | MeshRun, size: int) -> Iterator[tuple[WorkerPreview, bytes]]:
    """Yields a message and its pixels for each tile of each map that the job wants, as they are now; of a shape its
    mesh, where that is not too large.
    """
    if isinstance(run, MeshRun):
        yield from _shape_messages(job, run)
        return
    for tile in preview_tiles(run.optimization.scene.texture, size, run.settings.maps):
        message = WorkerPreview(
            job=job,
            step=run.optimization.step,
            map=tile.map,
            tile=tile.tile,
            width=tile.side,
            height=tile.side,
            channels=tile.channels,
            codec=PreviewCodec.RAW_U8.value,
        )
        yield message, tile.pixels


def _shape_messages(job: str, run: MeshRun) -> Iterator[tuple[WorkerPreview, bytes]]:
    mesh = run.preview()
    data = b"" if mesh is None else mesh.pack()
    if mesh is None or len(data) > MOST_PREVIEW_BYTES:
        return
    message = WorkerPreview(
        job=job,
        step=run.optimization.step,
        map=NEW_SHAPE,
        tile=1001,
        width=len(mesh.positions),
        height=len(mesh.faces),
        channels=3,
        codec=PreviewCodec.MESH.value,
    )
    yield message, data


class Throttle:
    """When the next preview is due: `seconds` after the last one began, or 10 times its cost if that is more."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._due = clock()

    def is_due(self) -> bool:
        """Says whether to make a preview now; the first one always."""
        return self._clock() >= self._due

    def made(self, seconds: float) -> None:
        """Takes note that a preview was made, which took `seconds`."""
        self._due = self._clock() + max(self._seconds - seconds, _COST_SHARE * seconds)
