# SPDX-License-Identifier: Apache-2.0
"""Which renderer a shape run gets: nvdiffrast where the user has it and the card is NVIDIA's, else ours."""

from __future__ import annotations

import logging

import torch

from pgc.devices import with_index
from pgc.rendering.raster.nvdiffrast_rasterizer import NvdiffrastError, is_nvdiffrast_installed
from pgc.shape.rendering.nvdiffrast_renderer import NvdiffrastRenderer
from pgc.shape.rendering.renderer import RayRenderer, ShapeRenderer

__all__ = ["build_renderer", "renderer_name"]

_LOG = logging.getLogger(__name__)


def build_renderer(device: torch.device | str) -> ShapeRenderer:
    """Builds the fastest renderer that works on a device."""
    place = with_index(device)
    if place.type == "cuda" and torch.version.hip is None and is_nvdiffrast_installed():
        try:
            return NvdiffrastRenderer(place)
        except NvdiffrastError as error:
            _LOG.warning("Shapes are drawn by rays: %s", error)
    return RayRenderer(place)


def renderer_name(renderer: ShapeRenderer) -> str:
    """Returns the name by which a report mentions a renderer."""
    return "nvdiffrast" if isinstance(renderer, NvdiffrastRenderer) else "rays"
