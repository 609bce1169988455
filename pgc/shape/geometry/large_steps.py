# SPDX-License-Identifier: Apache-2.0
"""Vertices through a smoothing solve: Nicolet, Jacobson and Jakob, "Large Steps in Inverse Rendering of Geometry",
SIGGRAPH Asia 2021.

Vertices are x = (I + λL)⁻¹ u, with L the combinatorial Laplacian, and u is what is learnt. A gradient that an outline
gives to a few vertices then reaches their neighbourhood, so that large steps do not tangle the mesh; and unlike with a
smoothness penalty nothing is lost: any x has its u.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["SmoothingSolve", "laplacian"]


def laplacian(faces: Int[Tensor, "f 3"], vertices: int) -> scipy.sparse.csc_matrix:
    """Builds the combinatorial Laplacian: the number of neighbours on the diagonal, -1 for each neighbour; float64."""
    triangles = faces.detach().cpu().numpy()
    ends = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    both = np.concatenate([ends, ends[:, ::-1]])
    links = scipy.sparse.coo_matrix((np.ones(len(both)), (both[:, 0], both[:, 1])), shape=(vertices, vertices)).tocsr()
    # An edge has as many entries as triangles; it counts once.
    links.data[:] = 1.0
    degrees = np.asarray(links.sum(axis=1)).ravel()
    return scipy.sparse.csc_matrix(scipy.sparse.diags(degrees) - links)


class SmoothingSolve:
    """u to x and back, of one mesh's neighbourhoods. Factored once; each solve is exact to float64's rounding.

    The factors live in main memory: tensors of a card are solved there and go back.
    """

    def __init__(self, faces: Int[Tensor, "f 3"], vertices: int, smoothness: float) -> None:
        self.matrix = scipy.sparse.csc_matrix(scipy.sparse.identity(vertices) + smoothness * laplacian(faces, vertices))
        self._factors = scipy.sparse.linalg.splu(
            self.matrix, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}
        )

    def __call__(self, learnt: Float[Tensor, "v c"]) -> Float[Tensor, "v c"]:
        """Computes x = (I + λL)⁻¹ u; differentiable."""
        result = _Solve.apply(learnt, self)
        assert isinstance(result, Tensor)
        return result

    def inverse(self, positions: Float[Tensor, "v c"]) -> Float[Tensor, "v c"]:
        """Computes u = (I + λL) x."""
        return torch.from_numpy(self.matrix @ positions.detach().cpu().double().numpy()).to(positions)

    def solve(self, values: Float[Tensor, "v c"]) -> Float[Tensor, "v c"]:
        """Solves without a graph."""
        return torch.from_numpy(self._factors.solve(values.detach().cpu().double().numpy())).to(values)


class _Solve(torch.autograd.Function):
    """The matrix is symmetric: the gradient goes through the same solve."""

    @staticmethod
    def forward(learnt: Tensor, system: SmoothingSolve) -> Tensor:
        return system.solve(learnt)

    @staticmethod
    def setup_context(
        ctx: torch.autograd.function.FunctionCtx, inputs: tuple[Tensor, SmoothingSolve], output: Tensor
    ) -> None:
        ctx.system = inputs[1]  # type: ignore[attr-defined]

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *gradients: Tensor) -> tuple[Tensor, None]:
        return ctx.system.solve(gradients[0]), None  # type: ignore[attr-defined]
