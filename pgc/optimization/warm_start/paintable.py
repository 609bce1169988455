# SPDX-License-Identifier: Apache-2.0
"""What a warm start asks of a run's texture."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from jaxtyping import Bool, Float
from torch import Tensor

from pgc.mesh.data import TriangleMesh
from pgc.texture.field import TextureField
from pgc.texture.texel_config import TexelLayout

__all__ = ["PaintableField"]


@runtime_checkable
class PaintableField(TextureField, Protocol):
    """A field of texels, which may be given colours as a whole."""

    @property
    def triangles(self) -> TriangleMesh:
        """The mesh whose UVs its texels lie in."""
        ...

    @property
    def texture_size(self) -> int:
        """Side of a tile in texels."""
        ...

    @property
    def layout(self) -> TexelLayout:
        """Where its texels lie."""
        ...

    def paint(self, name: str, image: Float[Tensor, "tiles c s s"], seen: Bool[Tensor, "tiles s s"]) -> None:
        """Makes a map what `image` shows, and shows all its levels; locked texels stay.

        Args:
            name: of the map.
            image: in [0, 1], of the texture's size or a coarser level's; finer levels then add nothing to it.
            seen: texels that somebody has looked at; all others are filled from around them at the end.

        Raises:
            TextureError: the field has no such map, or no level of this size.
        """
        ...
