# SPDX-License-Identifier: Apache-2.0
"""Texels that no camera saw take the colours of their nearest seen neighbours on the surface, not in UV."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.spatial import KDTree
from torch import Tensor

from pgc.texture.texel_surface import TexelSurface

__all__ = ["fill_unseen", "unseen_fraction"]

_NEIGHBOURS = 12
_STRIDE = 23
"""Every 23rd seen texel makes up the coarse set, whose neighbours reach wide and so blend smoothly."""
_NORMAL_REACH = 0.25
"""A normal turned by 60 degrees counts as this fraction of the bounding box's diagonal."""


def unseen_fraction(seen: Bool[Tensor, "tiles s s"], surfaces: Sequence[TexelSurface]) -> float:
    """Returns the fraction of texels with their centre on the surface that were not seen, in [0, 1]."""
    inside = torch.from_numpy(np.stack([surface.inside for surface in surfaces]))
    total = int(inside.sum())
    return float((inside & ~seen.cpu()).sum()) / total if total else 0.0


def fill_unseen(
    texture: Float[Tensor, "tiles c s s"], seen: Bool[Tensor, "tiles s s"], surfaces: Sequence[TexelSurface]
) -> Float[Tensor, "tiles c s s"]:
    """Fills unseen texels on the surface from seen ones that are near in 3D and face the same way.

    Near the border of the seen part the nearest texels decide; further in, more and wider ones are blended. With
    nothing seen at all, or nothing unseen, the texture comes back as it is.
    """
    covered = np.stack([surface.face_index >= 0 for surface in surfaces])
    known = seen.cpu().numpy() & covered
    missing = covered & ~known
    if not known.any() or not missing.any():
        return texture
    position = np.stack([surface.position for surface in surfaces])
    normal = np.stack([surface.normal for surface in surfaces])
    diagonal = float(np.linalg.norm(np.ptp(position[covered], axis=0)))
    features = np.concatenate([position, normal * (_NORMAL_REACH * diagonal)], axis=-1)
    values = texture.detach().cpu().numpy().transpose(0, 2, 3, 1)
    result = values.copy()
    result[missing] = _blend(features[known], values[known], features[missing])
    return torch.from_numpy(np.ascontiguousarray(result.transpose(0, 3, 1, 2))).to(texture)


def _blend(sources: np.ndarray, colors: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Gaussian weights over near and wide neighbours, their width 1.5 times the distance to the nearest."""
    total = np.zeros((len(targets), colors.shape[1]))
    weight_sum = np.zeros((len(targets), 1))
    nearest: np.ndarray | None = None
    for stride in (1, _STRIDE):
        chosen = np.arange(0, len(sources), stride)
        count = min(_NEIGHBOURS, len(chosen))
        distance, index = KDTree(sources[chosen]).query(targets, k=count)
        distance, index = distance.reshape(-1, count), index.reshape(-1, count)
        if nearest is None:
            nearest = np.maximum(distance[:, :1], 1e-9)
        # A sparse source stands for `stride` dense ones.
        weight = stride * np.exp(-((distance / (1.5 * nearest)) ** 2))
        total += np.einsum("nk,nkc->nc", weight, colors[chosen[index]])
        weight_sum += weight.sum(axis=1, keepdims=True)
    return (total / weight_sum).astype(colors.dtype)
