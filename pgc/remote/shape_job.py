# SPDX-License-Identifier: Apache-2.0
"""What `pgc shape`, `pgc imagine` and `pgc image` ask for, as a job for the server; and its answer in the space of the
file that was sent.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from blender_addon import client as wire
from pgc.errors import ConfigError
from pgc.images.likeness import srgb_bytes
from pgc.images.maps import encode_png
from pgc.images.reading import read_source_image
from pgc.mesh import Mesh, Normalization, TriangleMesh, load_mesh, triangulate
from pgc.optimization.config import Prompt
from pgc.remote.job import PREVIEW_SECONDS, JobArrays, RemoteJob, check_model_name
from pgc.shape.geometry.subdivision import subdivided
from pgc.shape.picture import PictureOfObject, ball, given_picture
from pgc.shape.prepared import moved_mesh, own_triangles

__all__ = ["SentMesh", "ShapeJob", "ShapeWish", "mesh_of", "shape_job", "vertex_colors"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeWish:
    """What is asked for.

    Args:
        name: of the job, for lists; model: a key of the server's.
        settings: steps, views, resolution, seed and preset; what is left out is the server's to choose.
        shape: how it is learnt; the picture and `subdivide` are put in here.
        mesh: to begin from; subdivide: how often each of its triangles becomes four.
        picture: of the object; elevation: of its camera, degrees.
    """

    name: str
    model: str
    prompt: Prompt
    settings: wire.SettingsSpec
    shape: wire.ShapeSpec
    mesh: Path | None = None
    subdivide: int = 0
    picture: Path | None = None
    elevation: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SentMesh:
    """A mesh as it is sent: its welded triangles, turned Z up and counted from its origin."""

    mesh: Mesh
    triangles: TriangleMesh

    def spec(self, arrays: JobArrays) -> wire.MeshSpec:
        """Returns the mesh as the job names it; its arrays are added."""
        given = self.triangles
        return wire.MeshSpec(
            name=self.mesh.name,
            positions=arrays.add((given.positions @ self._turn().T).astype(np.float32)),
            faces=arrays.add(given.faces),
            corner_uvs=None if not self.mesh.has_uvs else arrays.add(given.corner_uvs),
            material_index=arrays.add(given.material_index),
        )

    def back(self, result: wire.ResultMesh) -> Mesh:
        """Returns a result in the file's own space, with all of the mesh that it keeps."""
        positions = result.positions.astype(np.float64) @ self._turn() + np.asarray(self.mesh.origin)
        colors = vertex_colors(result)
        if np.array_equal(result.faces, self.triangles.faces):
            return moved_mesh(self.mesh, self.triangles, positions, colors)
        return own_triangles(self.mesh, positions, result.faces, colors)

    def _turn(self) -> np.ndarray:
        return Normalization(scale=1.0, center=(0.0, 0.0, 0.0), up_axis=self.mesh.up_axis).rotation()


def mesh_of(result: wire.ResultMesh, sent: SentMesh | None, name: str) -> Mesh:
    """Returns a result as a mesh: in the space of the one that was sent, or Z up where none was."""
    if sent is not None:
        return sent.back(result)
    return own_triangles(
        replace(ball(0), name=name), result.positions.astype(np.float64), result.faces, vertex_colors(result)
    )


def vertex_colors(result: wire.ResultMesh) -> np.ndarray | None:
    """Returns linear RGBA by vertex [V, 4] of a result's colours by corner, which agree at each vertex."""
    if result.corner_colors is None:
        return None
    colors = np.ones((len(result.positions), 4), dtype=np.float32)
    colors[result.faces.reshape(-1), :3] = result.corner_colors.reshape(-1, 3)
    return colors


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShapeJob(RemoteJob):
    """A job ready to be submitted, and what it needs to be understood when it comes back."""

    sent: SentMesh | None
    notes: tuple[str, ...] = field(default=())
    """What is said of the mesh and the picture before anything is sent."""


def shape_job(wish: ShapeWish) -> ShapeJob:
    """Makes the job that gives what the same command gives in this process.

    Raises:
        ConfigError: a value that the protocol does not allow.
        PgcError: a file is missing or damaged, or no object is to be seen in the picture.
    """
    check_model_name(wish.model)
    arrays, notes = JobArrays(), ()
    sent = None if wish.mesh is None else _sent(wish.mesh, wish.subdivide)
    try:
        picture = None
        if wish.picture is not None:
            # Read here only to see that there is an object in it.
            notes = given_picture(wish.picture, PictureOfObject(elevation_deg=wish.elevation), 1).notes
            picture = _picture(wish.picture, wish.elevation, arrays)
        spec = wire.TextureJobSpec(
            meshes=() if sent is None else (sent.spec(arrays),),
            prompt=wire.PromptSpec(text=wish.prompt.text, negative=wish.prompt.negative),
            settings=wish.settings,
            guidance=wire.ModelSpec(model=wish.model),
            preview=wire.PreviewSpec(every_s=PREVIEW_SECONDS, size=256),
            maps=("shape",),
            shape=replace(wish.shape, picture=picture),
            name=f"{wish.name[:64]} (new shape)",
        )
    except wire.FieldError as error:
        raise ConfigError(f"The server takes no such job ({error}); change that, or run without --server.") from error
    return ShapeJob(spec=spec, arrays=arrays.by_hash, sent=sent, notes=notes)


def _sent(path: Path, subdivide: int) -> SentMesh:
    mesh = load_mesh(path)
    mesh = subdivided(mesh, subdivide) if subdivide else mesh
    return SentMesh(mesh=mesh, triangles=triangulate(mesh))


def _picture(path: Path, elevation: float, arrays: JobArrays) -> wire.PictureSpec:
    """The file as it is where it is of a kind that travels, and else what the reader sees in it, as a PNG."""
    data = np.fromfile(path, np.uint8)
    header = wire.picture_header(lambda start, end: data[start:end].tobytes())
    if header is None:
        pixels = srgb_bytes(read_source_image(path, upright=True))
        data = np.frombuffer(encode_png(torch.from_numpy(pixels).permute(2, 0, 1)), np.uint8)
        header = wire.picture_header(lambda start, end: data[start:end].tobytes())
        assert header is not None
    return wire.PictureSpec(
        file=arrays.add(data),
        width=header.width,
        height=header.height,
        elevation=elevation,
        name=path.name[:128],
    )
