# SPDX-License-Identifier: Apache-2.0
"""Charts of a UV layout by its edges, and the seams between charts that lie beside each other on the surface."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["connected", "cut_neighbours", "edge_keys", "edge_uvs", "uv_bits", "welded", "wound_charts"]

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.signedinteger[Any]]

_HASH, _HASH_2, _HASH_3, _HASH_4 = 0x2545F4914F6CDD1D, 0x1B873593CC9E2D51, 0x27D4EB2F165667C5, 0x165667B19E3779F9
"""Odd factors that spread keys over 64 bits; equal hashes are compared in full, so they only cost time."""
_SAME_UV = 1e-4


def edge_keys(faces: Ints, vertex_count: int) -> Ints:
    """Returns a number [3 F] for each half-edge (3 * face + edge), equal for equal undirected edges of positions."""
    start = faces.reshape(-1).astype(np.int64)
    end = faces[:, [1, 2, 0]].reshape(-1).astype(np.int64)
    key = np.minimum(start, end) * vertex_count + np.maximum(start, end)
    # An edge without length is nobody's neighbour.
    return np.where(start == end, -1 - np.arange(len(key)), key)


def edge_uvs(faces: Ints, corner_uvs: Floats) -> Floats:
    """Returns the UVs [3 F, 4] of the ends of each half-edge, the end with the smaller position index first."""
    start_uv = corner_uvs.reshape(-1, 2)
    end_uv = corner_uvs[:, [1, 2, 0]].reshape(-1, 2)
    forward = (faces < faces[:, [1, 2, 0]]).reshape(-1, 1)
    return np.concatenate([np.where(forward, start_uv, end_uv), np.where(forward, end_uv, start_uv)], axis=1)


def uv_bits(uvs: Floats) -> Ints:
    """Returns the 64 bits of each float32 UV [N, 2] as one number; -0 as 0."""
    return np.ascontiguousarray(uvs.astype(np.float32) + np.float32(0.0)).view(np.int64).reshape(-1)


def connected(count: int, first: Ints, second: Ints) -> Ints:
    """Returns the component [count] of each of `count` nodes joined by pairs, numbered from 0 by their lowest node.

    Roots are hooked to lower roots and paths shortened until nothing changes (Shiloach and Vishkin 1982).
    """
    parent = np.arange(count)
    while len(first):
        a, b = parent[first], parent[second]
        differs = a != b
        first, second, a, b = first[differs], second[differs], a[differs], b[differs]
        parent[np.maximum(a, b)] = np.minimum(a, b)
        while True:
            above = parent[parent]
            if np.array_equal(above, parent):
                break
            parent = above
    return np.unique(parent, return_inverse=True)[1].reshape(-1)


def welded(positions: Floats, faces: Ints) -> Ints:
    """Returns the faces with one index for equal positions: files repeat a position for each of its normals and UVs."""
    points = np.ascontiguousarray(positions, dtype=np.float64) + 0.0
    key = _position_keys(points)
    order = np.argsort(key, kind="stable")
    new = np.ones(len(order), dtype=bool)
    new[1:] = (points[order[1:]] != points[order[:-1]]).any(axis=1)
    if (new[1:] & (key[order[1:]] == key[order[:-1]])).any():
        # Two places of one hash: their vertices may lie in turns, so that equal ones are not beside each other.
        order = np.lexsort(points.T)
        new[1:] = (points[order[1:]] != points[order[:-1]]).any(axis=1)
    first = np.empty(len(order), dtype=np.int64)
    first[order] = order[np.maximum.accumulate(np.where(new, np.arange(len(order)), 0))]
    return first[faces]


def _position_keys(points: npt.NDArray[np.float64]) -> npt.NDArray[np.uint64]:
    """A hash of each position. Round numbers have bits at the top alone, and a factor carries none downwards: two signs
    would cancel each other, and (1, 1, z) be (-1, -1, z).
    """
    bits = points.view(np.uint64)
    bits = bits ^ (bits >> np.uint64(32))
    with np.errstate(over="ignore"):
        return bits[:, 0] * np.uint64(_HASH) + bits[:, 1] * np.uint64(_HASH_2) + bits[:, 2] * np.uint64(_HASH_3)


def wound_charts(faces: Ints, corner_uvs: Floats, flipped: npt.NDArray[np.bool_], vertex_count: int) -> Ints:
    """Returns the chart [F] of each face: joined over edges with equal positions, equal UVs and equal winding in UV
    space.

    The two halves of a mirrored model share UVs along the middle; their winding tells them apart.
    """
    edges = edge_keys(faces, vertex_count)
    uvs = edge_uvs(faces, corner_uvs)
    winding = np.repeat(flipped.astype(np.int64), 3)
    with np.errstate(over="ignore"):
        key = edges * _HASH + uv_bits(uvs[:, :2]) * _HASH_2 + uv_bits(uvs[:, 2:]) * _HASH_3 + winding * _HASH_4
    order = np.argsort(key)
    first, second = order[:-1], order[1:]
    near = np.flatnonzero(key[first] == key[second])
    first, second = first[near], second[near]
    equal = edges[first] == edges[second]
    for column in range(4):
        equal &= uvs[first, column] == uvs[second, column]
    equal &= winding[first] == winding[second]
    return connected(len(faces), first[equal] // 3, second[equal] // 3)


def cut_neighbours(
    faces: Ints, corner_uvs: Floats, flipped: npt.NDArray[np.bool_], charts: Ints, vertex_count: int
) -> tuple[Ints, Ints]:
    """Returns the pairs of charts that share an edge of the surface where the picture starts anew, one entry an edge.

    Where two halves are mirrored the UVs of the edge are the same (by whole units) and the winding is not: there the
    picture goes on as its own mirror image, and the pair is none of these.
    """
    key = edge_keys(faces, vertex_count)
    order = np.argsort(key)
    same = key[order[1:]] == key[order[:-1]]
    first, second = order[:-1][same], order[1:][same]
    other = charts[first // 3] != charts[second // 3]
    first, second = first[other], second[other]
    uvs = edge_uvs(faces, corner_uvs)
    apart = uvs[first].astype(np.float64) - uvs[second].astype(np.float64)
    mirrored = (np.abs(apart - np.round(apart)) < _SAME_UV).all(axis=1) & (flipped[first // 3] != flipped[second // 3])
    return charts[first[~mirrored] // 3], charts[second[~mirrored] // 3]
