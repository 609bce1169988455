# SPDX-License-Identifier: Apache-2.0
"""Meshes that the rendering tests look at."""

import numpy as np
import pytest
import torch
import trimesh

from pgc.mesh.data import TriangleMesh
from pgc.rendering.raster.gbuffer import GBuffer


def build(positions: np.ndarray, faces: np.ndarray, corner_uvs: np.ndarray, normals: np.ndarray) -> TriangleMesh:
    """A triangle mesh of vertex normals and corner UVs; one polygon a triangle."""
    count = len(faces)
    return TriangleMesh(
        positions=positions.astype(np.float32),
        faces=faces.astype(np.int32),
        corner_uvs=corner_uvs.astype(np.float32),
        corner_normals=normals[faces].astype(np.float32),
        polygon_index=np.arange(count, dtype=np.int32),
        corner_index=np.arange(3 * count, dtype=np.int32).reshape(count, 3),
        material_index=np.zeros(count, dtype=np.int32),
    )


def quad(*, left: float = -0.5, right: float = 0.5, mirrored: bool = False, tile: float = 0.0) -> TriangleMesh:
    """A wall in the plane y = 0, one unit high, that faces -Y, with u along +X and v along +Z."""
    positions = np.array([[left, 0, -0.5], [right, 0, -0.5], [right, 0, 0.5], [left, 0, 0.5]])
    uvs = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], dtype=np.float64)
    if mirrored:
        uvs[:, 0] = 1 - uvs[:, 0]
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    return build(positions, faces, uvs[faces] + [tile, 0.0], np.tile([0.0, -1.0, 0.0], (4, 1)))


def primitive(name: str) -> TriangleMesh:
    """A closed mesh inside [-0.8, 0.8]^3 with UVs that are different in every triangle's corners."""
    if name == "box":
        mesh = trimesh.creation.box((1.0, 1.1, 0.9))
    elif name == "torus":
        mesh = trimesh.creation.torus(0.55, 0.22, major_sections=20, minor_sections=10)
    else:
        mesh = trimesh.creation.icosphere(subdivisions=2, radius=0.7)
    points = np.array(mesh.vertices)
    if name == "bumpy":
        points *= 1.0 + 0.15 * np.sin(5 * points[:, :1]) * np.cos(6 * points[:, 1:2]) * np.sin(4 * points[:, 2:])
    mesh = trimesh.Trimesh(points, mesh.faces, process=False)
    uvs = np.stack([0.5 + 0.3 * points[:, 0] + 0.1 * points[:, 1], 0.5 + 0.4 * points[:, 2] - 0.2 * points[:, 1]], 1)
    return build(points, mesh.faces, uvs[mesh.faces], np.array(mesh.vertex_normals))


@pytest.fixture(name="quad")
def quad_fixture():
    return quad


@pytest.fixture(name="primitive")
def primitive_fixture():
    return primitive


def buffer(views: int, height: int = 2, width: int = 3) -> GBuffer:
    """A G-buffer whose view i holds the number i everywhere."""

    def plane(channels: int) -> torch.Tensor:
        return torch.arange(views, dtype=torch.float32).view(views, 1, 1, 1).expand(views, channels, height, width)

    return GBuffer(
        face_index=plane(1)[:, 0].int(),
        barycentrics=plane(3),
        uv=plane(2),
        uv_footprint=plane(4),
        position=plane(3),
        normal=plane(3),
        tangent=plane(4),
        depth=plane(1),
        mask=plane(1) >= 0,
        coverage=plane(1),
    )


@pytest.fixture(name="buffer")
def buffer_fixture():
    return buffer
