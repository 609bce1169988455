# SPDX-License-Identifier: Apache-2.0
"""Which rasteriser a run gets: nvdiffrast where the user has it and the card is NVIDIA's, else Warp."""

from __future__ import annotations

import logging
from typing import Literal, get_args

import torch

from pgc.devices import with_index
from pgc.errors import ConfigError
from pgc.mesh.data import TriangleMesh
from pgc.rendering.raster.nvdiffrast_rasterizer import (
    NvdiffrastError,
    NvdiffrastRasterizer,
    check_nvdiffrast,
    is_nvdiffrast_installed,
)
from pgc.rendering.raster.rasterizer import Rasterizer, RasterizerConfig
from pgc.rendering.raster.warp_rasterizer import WarpRasterizer

__all__ = [
    "RASTERIZERS",
    "RasterizerName",
    "build_rasterizer",
    "check_rasterizer",
    "checked_rasterizer",
    "name_of",
    "rasterizer_config",
]

_LOG = logging.getLogger(__name__)
_CARD_CACHE = 64 << 20

RasterizerName = Literal["auto", "warp", "nvdiffrast"]
RASTERIZERS: tuple[RasterizerName, ...] = get_args(RasterizerName)


def checked_rasterizer(name: str) -> RasterizerName:
    """Raises ConfigError for anything but the names of rasterisers."""
    for known in RASTERIZERS:
        if name == known:
            return known
    raise ConfigError(f"--rasterizer is {name!r}; expected one of {', '.join(RASTERIZERS)}.")


def check_rasterizer(asked: RasterizerName, device: torch.device) -> None:
    """Raises ConfigError where nvdiffrast is asked for by name and cannot be had, before time goes into the mesh."""
    if asked == "nvdiffrast":
        check_nvdiffrast(with_index(device))


def build_rasterizer(
    triangles: TriangleMesh,
    *,
    device: torch.device | str,
    asked: RasterizerName = "auto",
    config: RasterizerConfig | None = None,
) -> WarpRasterizer | NvdiffrastRasterizer:
    """Builds the rasteriser of a mesh that is asked for, or, for "auto", the fastest that works.

    Without a configuration it is the device's (`rasterizer_config`).

    Raises:
        MeshError: there are no triangles, or they index vertices that do not exist.
        ConfigError: nvdiffrast is asked for and cannot be had.
    """
    place = with_index(device)
    config = config or rasterizer_config(place)
    drawable = place.type == "cuda" and torch.version.hip is None and is_nvdiffrast_installed()
    if asked == "nvdiffrast" or (asked == "auto" and drawable):
        try:
            return NvdiffrastRasterizer(triangles, device=place, config=config)
        except NvdiffrastError as error:
            if asked == "nvdiffrast":
                raise
            _LOG.warning("Views are drawn by Warp: %s", error)
    return WarpRasterizer(triangles, device=place, config=config)


def rasterizer_config(device: torch.device) -> RasterizerConfig:
    """Returns a rasteriser's settings on a device. A card's memory is worth more than the time of tracing a view: the
    views of previews are kept there, and a step's, which are larger and hardly ever seen again, are not."""
    return RasterizerConfig(cache_bytes=_CARD_CACHE) if device.type == "cuda" else RasterizerConfig()


def name_of(rasterizer: Rasterizer) -> str:
    """Returns the name by which a report mentions a rasteriser."""
    match rasterizer:
        case NvdiffrastRasterizer():
            return "nvdiffrast"
        case WarpRasterizer():
            return "warp"
        case _:
            return type(rasterizer).__name__
