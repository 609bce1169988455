# SPDX-License-Identifier: Apache-2.0
"""From the texels of a run to a texture that can be exported: filled, seamless, padded, with its locks kept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pgc.mesh.data import TriangleMesh
from pgc.mesh.uvs.charts import chart_ids, seam_edges
from pgc.texture.finishing.edge_frames import edge_frames
from pgc.texture.finishing.fill import fill_unseen
from pgc.texture.finishing.gutter import continue_across_seams, pull_push
from pgc.texture.finishing.seams import SeamConfig, SeamSolver
from pgc.texture.finishing.soft_edge import SoftEdge, TexelLinks, seam_pairs
from pgc.texture.locks import restore_locked
from pgc.texture.texel_surface import TexelSurface

__all__ = ["Finisher"]


class Finisher:
    """Finishes textures of one mesh and size. What depends on the mesh alone is built once.

    Args:
        triangles: the mesh.
        surfaces: what lies under the texels of each tile.
        tiles, repeat: addressing, as in the fetch.
        locked: texels that must not change, [tiles, 1, S, S], or None.
        config: settings of the seam constraint.
        soft_edge: width in texels of the band in which others come to meet the locked ones.
    """

    def __init__(
        self,
        triangles: TriangleMesh,
        surfaces: Sequence[TexelSurface],
        tiles: Sequence[int],
        repeat: bool = False,
        locked: Bool[Tensor, "tiles 1 s s"] | None = None,
        config: SeamConfig | None = None,
        soft_edge: int = 0,
    ) -> None:
        self._surfaces = list(surfaces)
        self._tiles, self._repeat = tuple(tiles), repeat
        self._locked = None if locked is None else locked.cpu()
        self._inside = np.stack([surface.inside for surface in surfaces])
        fixed = np.zeros_like(self._inside) if self._locked is None else self._locked[:, 0].numpy()
        self._known = self._inside | fixed
        config = config or SeamConfig()
        seams = seam_edges(triangles)
        self._frames = edge_frames(triangles, seams if config.across_slots else seams.within_slots(triangles))
        self._edge = None
        if self._locked is not None and soft_edge:
            part = _parts(triangles, self._surfaces, across_slots=config.across_slots)
            pairs = seam_pairs(self._frames, self._inside, tiles, repeat)
            self._edge = SoftEdge(TexelLinks(part=part, pairs=pairs, repeat=repeat), fixed, soft_edge)
        self._solver = SeamSolver(self._frames, self._inside, ~fixed, tiles, repeat, config)

    def finish(
        self,
        texture: Float[Tensor, "tiles c s s"],
        seen: Bool[Tensor, "tiles s s"],
        initial: Float[Tensor, "tiles c s s"] | None = None,
        *,
        anew: bool = False,
    ) -> Float[Tensor, "tiles c s s"]:
        """Returns the finished texture, on the CPU, float32 in [0, 1].

        Unseen texels keep the initial texture where there is one, else they are filled from the surface around
        them; so they are too where what is not locked began `anew`. Then colours are made to agree across chart
        edges, the gutter continues the surface, the rest is filled smoothly, and the mips are made to agree. Locked
        texels are the initial ones, bit for bit.
        """
        texture = texture.detach().cpu()
        if initial is None:
            texture = fill_unseen(texture, seen, self._surfaces)
        elif anew and self._locked is not None:
            texture = restore_locked(texture, initial.cpu(), self._locked)
            texture = fill_unseen(texture, seen.cpu() | self._locked[:, 0], self._surfaces)
        else:
            texture = torch.where(seen.cpu()[:, None], texture, initial.cpu())
            texture = restore_locked(texture, initial.cpu(), self._locked)
        texture = _to_texture(self._solver.close_charts(_to_image(self.softened(texture))))
        texture, known = continue_across_seams(texture, self._known, self._frames, self._tiles, self._repeat)
        texture = pull_push(texture, torch.from_numpy(known)[:, None])
        texture = _to_texture(self._solver.close_mips(_to_image(texture)))
        return texture if initial is None else restore_locked(texture, initial.cpu(), self._locked)

    def softened(self, texture: Float[Tensor, "tiles c s s"]) -> Float[Tensor, "tiles c s s"]:
        """Returns the texture, which holds locked texels already, with a soft edge beside them."""
        return texture if self._edge is None else _to_texture(self._edge.soften(_to_image(texture)))


def _parts(
    triangles: TriangleMesh, surfaces: Sequence[TexelSurface], *, across_slots: bool
) -> Int[np.ndarray, "tiles s s"]:
    """Chart of each texel, and slot where slots stay apart; -1 outside."""
    number = chart_ids(triangles)
    if not across_slots:
        pairs = np.stack([number, triangles.material_index], axis=1)
        number = np.unique(pairs, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int32)
    return np.stack([np.where(surface.inside, number[surface.face_index], -1) for surface in surfaces])


def _to_image(texture: Float[Tensor, "tiles c s s"]) -> Float[np.ndarray, "tiles s s c"]:
    return np.ascontiguousarray(texture.numpy().transpose(0, 2, 3, 1))


def _to_texture(image: Float[np.ndarray, "tiles s s c"]) -> Float[Tensor, "tiles c s s"]:
    clamped = image.clip(0.0, 1.0).astype(np.float32)
    return torch.from_numpy(np.ascontiguousarray(clamped.transpose(0, 3, 1, 2)))
