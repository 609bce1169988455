# SPDX-License-Identifier: Apache-2.0
"""Small meshes that move."""

import torch
import trimesh
from torch import Tensor

from pgc.shape.rendering.moving_mesh import MovingMesh


def moving(positions: Tensor, faces: Tensor, colors: Tensor | None = None) -> MovingMesh:
    return MovingMesh(positions=positions, faces=faces, colors=torch.ones_like(positions) if colors is None else colors)


def ball(subdivisions: int, radius: float = 0.6, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    made = trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius)
    return torch.tensor(made.vertices, dtype=dtype), torch.tensor(made.faces, dtype=torch.long)


def square(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Of side 1, in the plane y = 0; its edges lie on no line of pixels' centres."""
    corners = torch.tensor([[-0.5, 0.0, -0.5], [0.5, 0.0, -0.5], [0.5, 0.0, 0.5], [-0.5, 0.0, 0.5]], dtype=dtype)
    return corners + 0.013, torch.tensor([[0, 1, 2], [0, 2, 3]])
