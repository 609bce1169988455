# SPDX-License-Identifier: Apache-2.0
"""Runs of jobs whose result is a mesh: what a worker asks of them, whatever they begin from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from blender_addon.protocol.meshes import MOST_RESULT_TRIANGLES, MOST_RESULT_VERTICES, PreviewMesh, ResultMesh
from pgc.errors import MeshError
from pgc.guidance.base import Guidance
from pgc.mesh import Mesh
from pgc.optimization.config import Prompt
from pgc.optimization.distillation_loop import DistillationLoop
from pgc.shape.prepared import PreparedShape
from pgc.shape.settings import ShapeSettings
from pgc.volume.prepared import PreparedVolume
from pgc.volume.settings import VolumeSettings
from pgc.volume.surface import SurfaceConfig, surface_mesh, volume_surface
from server.recipes.settings import PriorSpec

__all__ = ["MeshRun", "ShapeRun", "VolumeRun"]

_SHOWN = SurfaceConfig(triangles=2000, smoothing=2)
"""Of previews."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShapeRun:
    """A job for a new shape, ready to advance."""

    prior: PriorSpec
    prompt: Prompt
    settings: ShapeSettings
    guidance: Guidance
    shape: PreparedShape
    warnings: tuple[str, ...]
    notices: tuple[str, ...]
    unknown_words: tuple[str, ...]
    has_uvs: bool
    """Whether the mesh that was sent had any: made-up ones are nobody's."""

    @property
    def optimization(self) -> DistillationLoop:
        """The loop."""
        return self.shape.loop

    def why_over(self) -> str | None:
        """Says why no further step helps, where that is so."""
        return self.shape.why_over()

    def preview(self) -> PreviewMesh | None:
        """Returns the shape of this moment, in the space of the mesh that was sent; None: there is none to show."""
        mesh = self.shape.result()
        return PreviewMesh(positions=mesh.positions.astype(np.float32), faces=_triangles(mesh))

    def bake(self) -> ResultMesh:
        """Returns the shape of this moment as a result.

        Raises:
            MeshError: it is larger than a result may be.
        """
        return _result_of(self.shape.result(), has_uvs=self.has_uvs)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VolumeRun:
    """A job for a mesh learnt as a volume, ready to advance."""

    prior: PriorSpec
    prompt: Prompt
    settings: VolumeSettings
    guidance: Guidance
    volume: PreparedVolume
    warnings: tuple[str, ...]
    notices: tuple[str, ...]
    unknown_words: tuple[str, ...]

    @property
    def optimization(self) -> DistillationLoop:
        """The loop."""
        return self.volume.loop

    def why_over(self) -> str | None:
        """Returns None: each step may help."""
        return None

    def preview(self) -> PreviewMesh | None:
        """Returns a coarse surface of this moment; None where there is none yet."""
        try:
            surface = volume_surface(self.volume.scene.volume, _SHOWN)
        except MeshError:
            return None
        return PreviewMesh(
            positions=surface.positions.detach().cpu().numpy().astype(np.float32),
            faces=surface.faces.cpu().numpy().astype(np.int32),
        )

    def bake(self) -> ResultMesh:
        """Returns the surface of this moment as a result.

        Raises:
            MeshError: the volume is empty.
        """
        surface = volume_surface(self.volume.scene.volume, self.settings.surface)
        return _result_of(surface_mesh(surface, "imagined"), has_uvs=False)


MeshRun = ShapeRun | VolumeRun
"""A job whose result is a mesh."""


def _result_of(mesh: Mesh, *, has_uvs: bool) -> ResultMesh:
    """Returns a mesh of triangles as a result.

    Args:
        has_uvs: whether its UVs are anybody's.

    Raises:
        MeshError: it is larger than a result may be.
    """
    faces = _triangles(mesh)
    if len(mesh.positions) > MOST_RESULT_VERTICES or len(faces) > MOST_RESULT_TRIANGLES:
        raise MeshError(
            f"The shape has {len(faces):,} triangles, and a result has at most {MOST_RESULT_TRIANGLES:,}; "
            "take fewer cubes."
        )
    uvs = colors = None
    if has_uvs and mesh.uvs is not None and mesh.corner_uvs is not None:
        uvs = mesh.uvs[mesh.corner_uvs]
    if mesh.colors is not None and mesh.corner_colors is not None:
        colors = np.ascontiguousarray(mesh.colors[mesh.corner_colors][:, :3]).reshape(-1, 3, 3)
    return ResultMesh(
        positions=mesh.positions.astype(np.float32),
        faces=faces,
        corner_uvs=None if uvs is None else uvs.reshape(-1, 3, 2).astype(np.float32),
        corner_colors=None if colors is None else colors.astype(np.float32),
        material_index=mesh.material_index.astype(np.int32),
    )


def _triangles(mesh: Mesh) -> np.ndarray:
    return np.ascontiguousarray(mesh.corner_positions.reshape(-1, 3), dtype=np.int32)
