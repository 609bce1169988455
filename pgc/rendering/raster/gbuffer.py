# SPDX-License-Identifier: Apache-2.0
"""The G-buffer: everything about the visible surface that does not depend on the texture.

The geometry is fixed while a texture is optimised, so nothing in here carries gradients, and a G-buffer of a
camera seen before can be kept and used again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pgc.surface import SurfacePoints

__all__ = ["GBuffer", "surface_points"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class GBuffer:
    """B views of H x W pixels, row 0 at the top, all on one device.

    A pixel holds the surface at its centre. Where the centre misses but a subsample hits, it holds the nearest
    of the hit subsamples, so that an edge composites in its own colour and not in that of the background.

    Attributes:
        face_index: index of the visible triangle, int32; -1 where nothing is hit.
        barycentrics: weights of the triangle's three corners at the hit; sum to 1.
        uv: texture coordinates, UDIM-global, never wrapped.
        uv_footprint: (du/dx, dv/dx, du/dy, dv/dy) for one pixel step, x to the right and y down, from analytic
            ray differentials on the triangle's plane.
        position: world position of the hit.
        normal: interpolated corner normal, unit, world axes, turned towards the viewer.
        tangent: (x, y, z, sign): MikkTSpace's unit direction of growing u (see `pgc.mesh.tangents`), orthogonal
            to the normal, world axes; the bitangent (growing v) is sign * cross(normal, tangent).
        depth: distance from the camera's plane along its -Z axis, > 0; 0 where nothing is hit.
        mask: True where something is shaded, that is face_index >= 0.
        coverage: share of the pixel's subsamples that hit, in [0, 1].
    """

    face_index: Int[Tensor, "B H W"]
    barycentrics: Float[Tensor, "B 3 H W"]
    uv: Float[Tensor, "B 2 H W"]
    uv_footprint: Float[Tensor, "B 4 H W"]
    position: Float[Tensor, "B 3 H W"]
    normal: Float[Tensor, "B 3 H W"]
    tangent: Float[Tensor, "B 4 H W"]
    depth: Float[Tensor, "B 1 H W"]
    mask: Bool[Tensor, "B 1 H W"]
    coverage: Float[Tensor, "B 1 H W"]

    def __len__(self) -> int:
        """Number of views B."""
        return self.face_index.shape[0]

    @property
    def nbytes(self) -> int:
        """Bytes that the tensors hold together."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self._tensors().values())

    def to(self, device: torch.device | str) -> "GBuffer":
        """Returns the same buffer on `device`; tensors that are there already are shared, not copied."""
        return GBuffer(**{name: tensor.to(device) for name, tensor in self._tensors().items()})

    def select(self, indices: Sequence[int]) -> "GBuffer":
        """Returns the views at `indices`, in that order, as a new buffer.

        Raises:
            IndexError: an index is outside [-B, B).
        """
        views = len(self)
        for index in indices:
            if not -views <= index < views:
                raise IndexError(f"View {index} asked of a G-buffer of {views}; pass indices in [{-views}, {views}).")
        rows = torch.tensor([index % views for index in indices], dtype=torch.long, device=self.face_index.device)
        return GBuffer(**{name: tensor.index_select(0, rows) for name, tensor in self._tensors().items()})

    @staticmethod
    def cat(buffers: "Sequence[GBuffer]") -> "GBuffer":
        """Returns all views of `buffers`, one buffer after another. They must agree in size and device.

        Raises:
            ValueError: `buffers` is empty, or sizes differ.
        """
        if not buffers:
            raise ValueError("Got no G-buffer to concatenate; pass at least one.")
        sizes = {tuple(buffer.face_index.shape[1:]) for buffer in buffers}
        if len(sizes) > 1:
            raise ValueError(f"Got G-buffers of sizes {sorted(sizes)}; concatenate only buffers of one size.")
        if len(buffers) == 1:
            return buffers[0]
        columns = [buffer._tensors() for buffer in buffers]
        return GBuffer(**{name: torch.cat([column[name] for column in columns]) for name in columns[0]})

    def _tensors(self) -> dict[str, Tensor]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


def surface_points(gbuffer: GBuffer) -> SurfacePoints:
    """Returns the part of a G-buffer that a texture field reads; tensors are shared, not copied."""
    return SurfacePoints(
        uv=gbuffer.uv,
        uv_footprint=gbuffer.uv_footprint,
        position=gbuffer.position,
        normal=gbuffer.normal,
        mask=gbuffer.mask,
    )
