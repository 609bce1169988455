# SPDX-License-Identifier: Apache-2.0
"""Texels that no camera saw take the colours of their nearest seen neighbours on the surface, not in UV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.spatial import KDTree
from torch import Tensor

from pgc.texture.texel_surface import TexelSurface

__all__ = ["fill_unseen", "unseen_fraction"]

_NEIGHBOURS = 16
_WIDTH = 1.3
"""Of the weights, in distances to the nearest."""
_STRIDE = 23
"""Every 23rd source makes up the next wider set, whose neighbours reach wide and so blend smoothly."""
_FEW = 250
"""Sources that all targets can be asked about."""
_REACH = 4.0
"""A target that is further from a set than so many times its spacing sees it from afar: no finer set is asked."""
_BLOCK = 1 << 19
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
    blend = _Blend(features[known], values[known])
    targets = features[missing]
    # In blocks: each texel holds all its neighbours' colours for a moment.
    result[missing] = np.concatenate([blend(targets[at : at + _BLOCK]) for at in range(0, len(targets), _BLOCK)])
    return torch.from_numpy(np.ascontiguousarray(result.transpose(0, 3, 1, 2))).to(texture)


class _Blend:
    """Gaussian weights over near and wide neighbours, their width in proportion to the distance to the nearest.

    The sources are thinned out, again and again. A target looks at the finest of these sets that it is within reach
    of, and at the next wider one: to ask all sources about a target that is far from each of them takes a hundred
    times as long, and tells little that the wider sets do not.
    """

    def __init__(self, sources: np.ndarray, colors: np.ndarray) -> None:
        # Texels come in rows, and every 23rd of them may be one column; along this curve it is an even choice.
        order = np.argsort(_places_on_curve(sources[:, :3]), kind="stable")
        sources, self._colors = sources[order], colors[order]
        strides = reversed(_strides(len(sources)))
        self._sets = [(stride, KDTree(sources[::stride])) for stride in strides]
        self._spacings = [_spacing(tree, sources[::stride]) for stride, tree in self._sets]

    def __call__(self, targets: np.ndarray) -> np.ndarray:
        """Returns the colours of targets."""
        result = np.zeros((len(targets), self._colors.shape[1]), dtype=self._colors.dtype)
        asked = np.arange(len(targets))
        wider: _Neighbors | None = None
        for (stride, tree), spacing in zip(self._sets, self._spacings, strict=True):
            found = _neighbors(tree, self._colors[::stride], targets[asked], stride)
            result[asked] = _mean(found, wider)
            is_near = found.distance[:, 0] < _REACH * spacing
            asked, wider = asked[is_near], found.of(is_near)
            if not len(asked):
                break
        return result


def _places_on_curve(positions: Float[np.ndarray, "n 3"]) -> np.ndarray:
    """Places along Morton's curve (1966) through the bounding box, from 10 bits an axis: neighbours on it are near."""
    low, extent = positions.min(axis=0), max(float(np.ptp(positions, axis=0).max()), 1e-12)
    cells = ((positions - low) / extent * 1023).astype(np.uint32)
    for shift, mask in ((16, 0x030000FF), (8, 0x0300F00F), (4, 0x030C30C3), (2, 0x09249249)):
        cells = (cells | (cells << shift)) & mask
    return cells[:, 0] | (cells[:, 1] << 1) | (cells[:, 2] << 2)


def _strides(count: int) -> list[int]:
    """From every source to so few that none is far; two sets at least, as wide neighbours smooth the near ones."""
    strides = [1, _STRIDE]
    while count > _FEW * strides[-1] * _STRIDE:
        strides.append(strides[-1] * _STRIDE)
    return strides


@dataclass(frozen=True, slots=True, kw_only=True)
class _Neighbors:
    """Sources near each target, in the order of their distance."""

    distance: np.ndarray
    colors: np.ndarray
    stride: int
    """A sparse source stands for as many dense ones."""

    def of(self, chosen: np.ndarray) -> _Neighbors:
        """Returns those of some targets."""
        return replace(self, distance=self.distance[chosen], colors=self.colors[chosen])


def _neighbors(tree: KDTree, colors: np.ndarray, targets: np.ndarray, stride: int) -> _Neighbors:
    count = min(_NEIGHBOURS, tree.n)
    distance, index = tree.query(targets, k=count)
    index = index.reshape(-1, count)
    return _Neighbors(distance=distance.reshape(-1, count), colors=colors[index], stride=stride)


def _spacing(tree: KDTree, sources: np.ndarray) -> float:
    """How far apart the sources of a set lie: the median of some."""
    some = sources[:: max(1, len(sources) // _FEW)]
    return float(np.median(tree.query(some, k=2)[0][:, 1])) if tree.n > 1 else np.inf


def _mean(found: _Neighbors, wider: _Neighbors | None) -> np.ndarray:
    """The weighted mean of both sets' colours."""
    nearest = np.maximum(found.distance[:, :1], 1e-9)
    total = np.zeros((len(found.distance), found.colors.shape[-1]))
    weight_sum = np.zeros((len(found.distance), 1))
    for neighbors in (found, *(() if wider is None else (wider,))):
        weight = np.exp(-((neighbors.distance / (_WIDTH * nearest)) ** 2))
        # The last neighbour has next to none, so that none appears of a sudden from one texel to the next.
        weight = neighbors.stride * (weight - weight[:, -1:] + 1e-6)
        total += np.einsum("nk,nkc->nc", weight, neighbors.colors)
        weight_sum += weight.sum(axis=1, keepdims=True)
    return total / weight_sum
