# SPDX-License-Identifier: Apache-2.0
"""A volume's surface as a closed mesh.

Marching tetrahedra (`pgc.shape.geometry.tetrahedra`) and not marching cubes: its surfaces are closed whatever the
values, and it is there. The largest part is kept, by its volume; what floats beside it and hollows within go. The grid
is as fine as the wanted number of triangles asks for, so that none are taken away again. Taubin, "A Signal Processing
Approach to Fair Surface Design", 1995, smooths without shrinking.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy.sparse
import scipy.sparse.csgraph
import torch
from jaxtyping import Float, Int
from torch import Tensor

from pgc.color_space import linear_from_srgb
from pgc.errors import ConfigError, MeshError
from pgc.mesh.data import Mesh
from pgc.shape.geometry.large_steps import laplacian
from pgc.shape.geometry.tetrahedra import kuhn_grid, marching_tetrahedra
from pgc.shape.rendering.moving_mesh import vertex_normals
from pgc.volume.light.marching import march
from pgc.volume.light.rays import Rays
from pgc.volume.volume import Volume

__all__ = ["Surface", "SurfaceConfig", "largest_part", "smoothed", "surface_mesh", "volume_surface"]

_COUNTING_CUBES = 32
_CUBES = (16, 96)
_INWARD, _OUTWARD = 0.5, -0.53
"""Taubin's λ and μ."""
_POINTS_AT_ONCE = 1 << 16
_NEAR = 0.12
"""From how far outside the surface its colours are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SurfaceConfig:
    """Where the surface is, and how fine its mesh."""

    density: float = 8.0
    """Density at the surface; half of the densest place's where that is less. At 8 a ray loses half of its light over
    9 hundredths. Stable-DreamFusion's is 10."""
    triangles: int = 12_000
    """About how many."""
    smoothing: int = 8
    """Rounds of Taubin's smoothing."""

    def __post_init__(self) -> None:
        if not (self.density > 0.0 and math.isfinite(self.density)):
            raise ConfigError(f"surface.density is {self.density}; it must be above 0.")
        if self.triangles < 100 or self.smoothing < 0:
            raise ConfigError(
                f"Got {self.triangles} triangles and {self.smoothing} rounds of smoothing; expected 100 or more, and 0 "
                "or more."
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Surface:
    """A closed mesh in the normalised space."""

    positions: Float[Tensor, "v 3"]
    faces: Int[Tensor, "f 3"]
    """Counter-clockwise seen from outside."""
    colors: Float[Tensor, "v 3"]
    """sRGB in [0, 1], as rays from outside see them."""
    notes: tuple[str, ...] = ()
    """Where it has not about as many triangles as were asked for, why."""


@torch.no_grad()
def volume_surface(volume: Volume, config: SurfaceConfig) -> Surface:
    """Finds the surface of a volume.

    Raises:
        MeshError: the volume is empty.
    """
    positions, faces = _marched(volume, config.density, _COUNTING_CUBES)
    wanted = round(_COUNTING_CUBES * math.sqrt(config.triangles / len(faces)))
    cubes = min(max(wanted, _CUBES[0]), _CUBES[1])
    if cubes != _COUNTING_CUBES:
        positions, faces = _marched(volume, config.density, cubes)
    positions, faces = largest_part(positions, faces)
    positions = smoothed(positions, faces, config.smoothing)
    notes = () if cubes == wanted else (_of_another_size(len(faces), config.triangles, finest=cubes < wanted),)
    return Surface(positions=positions, faces=faces, colors=_colors(volume, positions, faces), notes=notes)


def _of_another_size(found: int, wanted: int, *, finest: bool) -> str:
    grid = f"finest grid ({_CUBES[1]}" if finest else f"coarsest grid ({_CUBES[0]}"
    return (
        f"The mesh has {found:,} triangles and not about {wanted:,}: that is what the {grid} cubes along a side) gives "
        "of this surface."
    )


def _marched(volume: Volume, density: float, cubes: int) -> tuple[Tensor, Tensor]:
    grid = kuhn_grid(cubes, 1.0).to(volume.device)
    levels = torch.cat([volume.field.level_at(some) for some in grid.positions.split(_POINTS_AT_ONCE)])
    middle = float(volume.field.density_at(grid.positions[levels.argmax()][None]))
    threshold = volume.field.config.level_of(max(min(density, 0.5 * middle), 1e-6))
    # Outside at the border, so that the surface closes there.
    values = torch.where(grid.at_border, torch.full_like(levels, 1e-3), threshold - levels)
    if middle <= volume.config.occupancy.threshold:
        raise MeshError(
            "The volume is empty: there is nothing left in it to make a mesh of. Take fewer steps, a lower "
            "--learning-rate or another --seed."
        )
    positions, faces, _ = marching_tetrahedra(grid, grid.positions, values, grid.positions)
    return positions, faces


def largest_part(
    positions: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"]
) -> tuple[Float[Tensor, "w 3"], Int[Tensor, "g 3"]]:
    """Keeps the connected part around the largest volume, and the vertices that it uses."""
    triangles = faces.cpu().numpy()
    links = scipy.sparse.coo_matrix(
        (np.ones(2 * len(triangles)), (triangles[:, [0, 1]].ravel(), triangles[:, [1, 2]].ravel())),
        shape=(len(positions), len(positions)),
    )
    count, part = scipy.sparse.csgraph.connected_components(links, directed=False)
    corners = positions.detach().double().cpu().numpy()[triangles]
    six = np.einsum("fc,fc->f", corners[:, 0], np.cross(corners[:, 1], corners[:, 2]))
    volumes = np.bincount(part[triangles[:, 0]], weights=six, minlength=count)
    kept = triangles[part[triangles[:, 0]] == volumes.argmax()]
    used, renumbered = np.unique(kept, return_inverse=True)
    return positions[torch.from_numpy(used).to(faces.device)], torch.from_numpy(renumbered.reshape(-1, 3)).to(faces)


def smoothed(positions: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"], rounds: int) -> Float[Tensor, "v 3"]:
    """Smooths by Taubin's two steps a round, each towards or from the mean of a vertex's neighbours."""
    matrix = laplacian(faces, len(positions))
    towards = scipy.sparse.diags(1.0 / np.maximum(matrix.diagonal(), 1.0)) @ matrix
    found = positions.detach().double().cpu().numpy()
    for _ in range(rounds):
        for share in (_INWARD, _OUTWARD):
            found = found - share * (towards @ found)
    return torch.from_numpy(found).to(positions)


def _colors(volume: Volume, positions: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"]) -> Float[Tensor, "v 3"]:
    """What a ray sees that comes straight at each vertex."""
    normals = vertex_normals(positions, faces)
    found = []
    for place, normal in zip(positions.split(_POINTS_AT_ONCE), normals.split(_POINTS_AT_ONCE), strict=True):
        rays = Rays(origins=place + _NEAR * normal, directions=-normal, forward=torch.ones_like(place[:, 0]))
        seen = march(volume.field.at, rays, volume.config.march)
        found.append(seen.color / seen.opacity.clamp_min(1e-6)[:, None])
    return torch.cat(found).clamp(0.0, 1.0)


def surface_mesh(surface: Surface, name: str) -> Mesh:
    """Returns a surface as a mesh of the project: Z-up, with vertex colours, without UVs."""
    faces = surface.faces.cpu().numpy().astype(np.int32)
    linear = linear_from_srgb(surface.colors.detach().cpu()).numpy()
    return Mesh(
        name=name,
        positions=surface.positions.detach().cpu().numpy().astype(np.float64),
        polygon_sizes=np.full(len(faces), 3, dtype=np.int32),
        corner_positions=faces.reshape(-1),
        uvs=None,
        corner_uvs=None,
        normals=None,
        corner_normals=None,
        material_index=np.zeros(len(faces), dtype=np.int32),
        material_names=(name,),
        up_axis="z",
        colors=np.concatenate([linear, np.ones((len(linear), 1))], axis=1).astype(np.float32),
        corner_colors=faces.reshape(-1),
    )
