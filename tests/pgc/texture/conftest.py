# SPDX-License-Identifier: Apache-2.0
"""Small meshes and made-up views for the texture tests."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from pgc.mesh.data import TriangleMesh
from pgc.surface import SurfacePoints


def build_mesh(positions: np.ndarray, faces: np.ndarray, corner_uvs: np.ndarray) -> TriangleMesh:
    positions = positions.astype(np.float32)
    corners = positions[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    count = len(faces)
    return TriangleMesh(
        positions=positions,
        faces=faces.astype(np.int32),
        corner_uvs=corner_uvs.astype(np.float32),
        corner_normals=np.repeat(normals[:, None], 3, axis=1).astype(np.float32),
        polygon_index=np.arange(count, dtype=np.int32),
        corner_index=np.arange(3 * count, dtype=np.int32).reshape(count, 3),
        material_index=np.zeros(count, dtype=np.int32),
    )


def build_quad(low: float = 0.0, high: float = 1.0) -> TriangleMesh:
    """A unit square in the xy plane whose UVs fill [low, high]²."""
    positions = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    return build_mesh(positions, faces, low + (high - low) * positions[faces][..., :2])


def build_points(uv: torch.Tensor, footprint: torch.Tensor, mask: torch.Tensor | None = None) -> SurfacePoints:
    zeros = uv.new_zeros(uv.shape[0], 3, *uv.shape[2:])
    mask = torch.ones_like(uv[:, :1], dtype=torch.bool) if mask is None else mask
    return SurfacePoints(uv=uv, uv_footprint=footprint, position=zeros, normal=zeros, mask=mask)


@pytest.fixture(scope="session")
def make_mesh() -> Callable[[np.ndarray, np.ndarray, np.ndarray], TriangleMesh]:
    return build_mesh


@pytest.fixture(scope="session")
def make_quad() -> Callable[..., TriangleMesh]:
    return build_quad


@pytest.fixture(scope="session")
def make_points() -> Callable[..., SurfacePoints]:
    return build_points


def build_two_charts() -> TriangleMesh:
    """A flat 2 x 1 strip cut down the middle: the right half lies turned by 90 degrees elsewhere in UV."""
    positions = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [2, 0, 0], [2, 1, 0]])
    faces = np.array([[0, 1, 2], [0, 2, 3], [1, 4, 5], [1, 5, 2]])
    left, right = positions[faces[:2]][..., :2], positions[faces[2:]][..., :2] - [1, 0]
    turned = np.stack([1.0 - right[..., 1], right[..., 0]], axis=-1)
    return build_mesh(positions, faces, np.concatenate([0.05 + 0.4 * left, [0.55, 0.5] + 0.4 * turned]))


@pytest.fixture(scope="session")
def two_charts() -> TriangleMesh:
    return build_two_charts()
