# SPDX-License-Identifier: Apache-2.0
"""From a mesh and settings to a run that can begin, and from its geometry back to a mesh in the file's own space."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int32

from pgc.cameras.named import build_cameras
from pgc.color_space import linear_from_srgb
from pgc.errors import ConfigError, MeshError
from pgc.guidance.base import Guidance
from pgc.mesh import Mesh, prepare_mesh
from pgc.mesh.data import PreparedMesh, TriangleMesh
from pgc.optimization.config import Prompt
from pgc.optimization.distillation_loop import DistillationLoop
from pgc.optimization.views.reference_view import ReferenceView
from pgc.rendering.raster.rasterizer import RasterizerConfig
from pgc.rendering.raster.warp_rasterizer import WarpRasterizer
from pgc.shape.geometry.base import Geometry
from pgc.shape.geometry.dmtet import DMTet, DMTetConfig
from pgc.shape.geometry.signed_distance import Progress, measuring, signed_distance
from pgc.shape.geometry.subdivision import subdivided
from pgc.shape.geometry.vertex_offsets import VertexOffsets
from pgc.shape.rendering.choice import build_renderer
from pgc.shape.rendering.moving_mesh import MovingMesh
from pgc.shape.rendering.renderer import ShapeRenderer
from pgc.shape.run.scene import ShapeScene
from pgc.shape.run.views import ShapeViews
from pgc.shape.settings import GeometryConfig, ShapeSettings

__all__ = ["FEW_TRIANGLES", "MOST_TRIANGLES", "PreparedShape", "geometry_of", "moved_mesh"]
__all__ += ["own_triangles", "prepare_shape", "shaped_mesh"]

FEW_TRIANGLES = 2000
"""Fewer can hold little detail."""
MOST_TRIANGLES = 400_000
"""The smoothing solve is factored once, whose memory grows faster than the mesh."""

_SAMPLES_A_CELL = 4.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PreparedShape:
    """A shape run, ready to advance."""

    blockout: PreparedMesh
    """The artist's mesh, subdivided where that is asked for."""
    scene: ShapeScene
    loop: DistillationLoop

    def wished_subdivisions(self) -> int:
        """Returns how often the blockout's triangles should become four, so that they can hold detail; 0 where they
        can, and for a grid."""
        times, triangles = 0, len(self.blockout.triangles.faces)
        while isinstance(self.scene.geometry, VertexOffsets) and triangles * 4**times < FEW_TRIANGLES:
            times += 1
        return times

    def why_over(self) -> str | None:
        """Says why no further step helps, where that is so: the shape of then is what there is."""
        if not self.scene.geometry.vanished:
            return None
        return (
            f"The shape would have vanished in step {self.loop.step}, so that the run ended with the one before. Use a "
            "lower learning rate, more views a step, or a stronger regulariser."
        )

    def result(self) -> Mesh:
        """Returns the shape of this moment as a new mesh."""
        learns_color = "rgb" in self.scene.shown
        return shaped_mesh(self.blockout, self.scene.geometry, colored=learns_color)


def prepare_shape(
    mesh: Mesh,
    guidance: Guidance,
    prompt: Prompt,
    settings: ShapeSettings,
    *,
    renderer: ShapeRenderer | None = None,
    reference_view: ReferenceView | None = None,
    progress: Progress | None = None,
) -> PreparedShape:
    """Prepares a run that learns a shape from a blockout, and from a picture where there is one.

    `progress` is told the name of a slow stage, and how much of it is done.

    Raises:
        PgcError: the mesh, the prior or a setting cannot serve.
    """
    count = int((mesh.polygon_sizes - 2).sum()) * 4**settings.subdivide
    if count > MOST_TRIANGLES:
        raise ConfigError(
            f"The mesh would have {count:,} triangles, and a shape is learnt up to {MOST_TRIANGLES:,}; give a simpler "
            "blockout, or a smaller --subdivide."
        )
    blockout = prepare_mesh(subdivided(mesh, settings.subdivide) if settings.subdivide else mesh)
    device = guidance.device
    scene = ShapeScene(
        geometry=geometry_of(blockout.triangles, settings.geometry, device, progress),
        renderer=renderer or build_renderer(device),
        cameras=build_cameras(settings.cameras),
        shown=settings.shown,
        losses={} if settings.normal_loss is None else {"normal": settings.normal_loss},
        pictures=settings.pictures,
        held=_still_mesh(blockout.triangles, device) if settings.hold else None,
        reference_view=reference_view,
    )
    views = ShapeViews(scene, guidance, prompt, settings.optimize)
    return PreparedShape(blockout=blockout, scene=scene, loop=DistillationLoop(views, guidance, settings.optimize))


def geometry_of(
    triangles: TriangleMesh, config: GeometryConfig, device: torch.device, progress: Progress | None = None
) -> VertexOffsets | DMTet:
    """Builds a geometry that begins as a mesh of the normalised space.

    `progress` is told the name of a slow stage, and how much of it is done.

    Raises:
        MeshError: a grid is asked for, and none of its vertices lies inside the mesh.
    """
    if not isinstance(config, DMTetConfig):
        mesh = _still_mesh(triangles, device)
        return VertexOffsets(mesh.positions, mesh.faces, config)
    if progress is not None:
        progress(f"Measuring the mesh on a grid of {config.cubes} cubes a side; a fine one takes minutes", 0.0)
    grid = DMTet.grid_of(config)
    caster = WarpRasterizer(triangles, device="cpu", config=RasterizerConfig(cache_bytes=0))
    points = grid.positions.double().numpy()
    distances = signed_distance(triangles, caster, points, grid.cell / _SAMPLES_A_CELL, measuring(progress))
    if not (distances < 0.0).any():
        raise MeshError(
            "No point of the grid lies inside the mesh: it is open, inside out, or thinner than a cell. Close it and "
            "turn its faces outward, take more --cubes, or take --geometry offsets."
        )
    return DMTet(grid.to(device), torch.from_numpy(distances).float().to(device), config).to(device)


def shaped_mesh(blockout: PreparedMesh, geometry: Geometry, *, colored: bool) -> Mesh:
    """Returns a geometry's mesh in the space of the blockout's file.

    Vertex offsets keep polygons, UVs, materials and parts; a grid's surface has triangles of its own, without UVs.
    """
    with torch.no_grad():
        found = geometry.mesh()
    positions = blockout.normalization.from_normalized(found.positions.detach().cpu().numpy())
    colors = _linear(found.colors.detach().cpu()) if colored else None
    if isinstance(geometry, VertexOffsets):
        return moved_mesh(blockout.mesh, blockout.triangles, positions, colors)
    return own_triangles(blockout.mesh, positions, found.faces.cpu().numpy().astype(np.int32), colors)


def own_triangles(
    mesh: Mesh,
    positions: Float64[np.ndarray, "v 3"],
    faces: Int32[np.ndarray, "f 3"],
    colors: Float32[np.ndarray, "v 4"] | None,
) -> Mesh:
    """Returns a surface of triangles of its own, without UVs and in one slot, that came of a mesh.

    Args:
        mesh: what it came of; its name, first material and axes stay.
        positions: in the space of the mesh's file. colors: linear RGBA.
    """
    return Mesh(
        name=mesh.name,
        positions=positions,
        polygon_sizes=np.full(len(faces), 3, dtype=np.int32),
        corner_positions=faces.reshape(-1),
        uvs=None,
        corner_uvs=None,
        normals=None,
        corner_normals=None,
        material_index=np.zeros(len(faces), dtype=np.int32),
        material_names=(mesh.material_names[0],),
        up_axis=mesh.up_axis,
        colors=colors,
        corner_colors=None if colors is None else faces.reshape(-1),
    )


def moved_mesh(
    mesh: Mesh,
    triangles: TriangleMesh,
    positions: Float64[np.ndarray, "v 3"],
    colors: Float32[np.ndarray, "v 4"] | None,
) -> Mesh:
    """Returns a mesh with its vertices moved. Polygons, UVs, materials and parts stay; old normals are gone.

    Args:
        triangles: of the mesh, whose vertices are those of `positions` (in the space of the file) and `colors` (linear
            RGBA).
    """
    own = mesh.corner_positions[triangles.corner_index].reshape(-1)
    welded = triangles.faces.reshape(-1)
    places = mesh.positions.copy()
    places[own] = positions[welded]
    painted = None
    if colors is not None:
        painted = np.ones((len(places), 4), dtype=np.float32)
        painted[own] = colors[welded]
    return replace(
        mesh,
        positions=places,
        normals=None,
        corner_normals=None,
        colors=painted,
        corner_colors=None if painted is None else mesh.corner_positions.copy(),
    )


def _linear(colors: Float[torch.Tensor, "v 3"]) -> Float[np.ndarray, "v 4"]:
    linear = linear_from_srgb(colors.clamp(0.0, 1.0)).numpy()
    return np.concatenate([linear, np.ones((len(linear), 1))], axis=1).astype(np.float32)


def _still_mesh(triangles: TriangleMesh, device: torch.device) -> MovingMesh:
    positions = torch.from_numpy(triangles.positions).to(device)
    return MovingMesh(
        positions=positions,
        faces=torch.from_numpy(triangles.faces).long().to(device),
        colors=torch.full_like(positions, 0.5),
    )
