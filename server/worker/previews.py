# SPDX-License-Identifier: Apache-2.0
"""Previews while a job runs: the texture as it is, downscaled to raw bytes, no more often than is cheap."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from blender_addon.protocol.messages import PreviewCodec
from pgc.texture.field import TextureField, to_uint8_values
from pgc.texture.material_field import MaterialField, normal_from_slopes
from pgc.texture.texel_pyramid import TexelPyramid
from server.children.messages import WorkerPreview
from server.recipes import JobRun

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
    with torch.no_grad():
        for name, tiles, image in _images(texture, size, maps):
            for tile, pixels in zip(tiles, image, strict=True):
                data = to_uint8_values(pixels).permute(1, 2, 0).contiguous().cpu()
                yield PreviewTile(name, tile, int(data.shape[0]), int(data.shape[2]), data.numpy().tobytes())


def preview_messages(job: str, run: JobRun, size: int) -> Iterator[tuple[WorkerPreview, bytes]]:
    """Yields a message and its pixels for each tile of each map that the job wants, as they are now."""
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


def _images(texture: TextureField, size: int, maps: Collection[str]) -> Iterator[tuple[str, tuple[int, ...], Tensor]]:
    """Name, tile numbers and [tiles, c, s, s] of each map."""
    pyramid = texture.pyramid if isinstance(texture, MaterialField) else texture
    if isinstance(pyramid, TexelPyramid):
        # A coarser level of the pyramid is the mip of the full texture, and costs nothing.
        level = 0
        while pyramid.config.texture_size >> level > size and level < pyramid.config.levels - 1:
            level += 1
        for name in pyramid.channels:
            image = pyramid.texels(name, level)[level]
            assert image is not None
            shown, image = ("normal", normal_from_slopes(image)) if name == "slope" else (name, image)
            if shown in maps:
                yield shown, pyramid.config.tiles, image
        return
    baked = texture.bake()
    for name, images in baked.maps.items():
        if name not in maps:
            continue
        stacked = torch.stack(list(images))
        factor = max(1, stacked.shape[-1] // size)
        yield name, baked.tiles, F.avg_pool2d(stacked, factor)


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
