# SPDX-License-Identifier: Apache-2.0
"""What every rasteriser does, and the settings they share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from pgc.cameras import Camera
from pgc.errors import CameraError, ConfigError, MeshError
from pgc.mesh.data import TriangleMesh
from pgc.rendering.raster.gbuffer import GBuffer

__all__ = ["GRAZING_COSINE", "NEARER", "Rasterizer", "RasterizerConfig", "check_triangles", "check_views"]

GRAZING_COSINE = 1.0 / 64.0
"""Footprints grow no further below this cosine between ray and surface: at a silhouette they would be infinite."""

NEARER = 1.0 - 1e-5
"""A later subsample replaces an earlier one only if it is nearer by more than rounding: on a surface parallel to
the picture's rows all are equally near, and every rasteriser must choose the same."""

_MAX_SIDE = 16384


@dataclass(frozen=True, slots=True, kw_only=True)
class RasterizerConfig:
    """Settings of a rasteriser.

    Attributes:
        supersampling: subsamples a pixel along each axis, for coverage (1 to 8); 2 means 4 subsamples.
        cache_bytes: memory for G-buffers of cameras seen before, on the rasteriser's device; 0 keeps none.

    Raises:
        ConfigError: a value is out of range.
    """

    supersampling: int = 2
    cache_bytes: int = 512 * 1024 * 1024

    def __post_init__(self) -> None:
        if not 1 <= self.supersampling <= 8:
            raise ConfigError(f"Got supersampling {self.supersampling}; expected 1 to 8 subsamples along each axis.")
        if self.cache_bytes < 0:
            raise ConfigError(f"Got cache_bytes {self.cache_bytes}; expected 0 (no cache) or more.")


@runtime_checkable
class Rasterizer(Protocol):
    """Finds what of a fixed mesh each pixel sees."""

    def render(self, cameras: Sequence[Camera], resolution: tuple[int, int]) -> GBuffer:
        """Returns the G-buffer of one view a camera at `resolution` = (H, W).

        The buffer may be shared with a cache: do not write into its tensors.

        Raises:
            CameraError: no camera is given, or the resolution is not between 1 and 16384.
        """
        ...


def check_views(cameras: Sequence[Camera], resolution: tuple[int, int]) -> None:
    """Raises CameraError where there is nothing to render, or too much."""
    if not cameras:
        raise CameraError("Got no camera; pass at least one.")
    if not all(1 <= side <= _MAX_SIDE for side in resolution):
        raise CameraError(f"Got resolution {tuple(resolution)}; expected (height, width), each from 1 to {_MAX_SIDE}.")


def check_triangles(triangles: TriangleMesh) -> None:
    """Raises MeshError where the triangles would read memory that is not theirs, or there are none."""
    faces, vertices = triangles.faces, len(triangles.positions)
    if not len(faces):
        raise MeshError("Got a mesh without triangles; pass a mesh with at least one.")
    lowest, highest = int(faces.min()), int(faces.max())
    if lowest < 0 or highest >= vertices:
        raise MeshError(f"Got corner indices from {lowest} to {highest} for {vertices} vertices; the mesh is damaged.")
    if not np.isfinite(triangles.positions).all():
        raise MeshError("Got vertex positions that are not finite; the mesh is damaged.")
