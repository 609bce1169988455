# SPDX-License-Identifier: Apache-2.0
"""Unseen texels are filled from neighbours on the surface, not in UV, nor through a thin wall."""

from collections.abc import Callable

import numpy as np
import torch

from pgc.mesh.data import TriangleMesh
from pgc.texture.finishing.fill import fill_unseen, unseen_fraction
from pgc.texture.texel_surface import texel_surface


def test_filled_from_the_surface_neighbour(two_charts: TriangleMesh) -> None:
    # The right half, next to the left one in 3D, lies far from it in UV and was not seen.
    surface = texel_surface(two_charts, 64)
    left = torch.from_numpy(np.isin(surface.face_index, (0, 1)))[None]
    texture = torch.zeros(1, 3, 64, 64)
    texture[:, 1] = torch.where(left, torch.from_numpy(surface.position[..., 1]), torch.tensor(0.0))
    filled = fill_unseen(texture, left, [surface])
    right = np.isin(surface.face_index, (2, 3))
    near = right & (surface.position[..., 0] < 1.1)
    np.testing.assert_allclose(filled[0, 1].numpy()[near], surface.position[near, 1], atol=0.08)
    assert torch.equal(filled[0][:, left[0]], texture[0][:, left[0]])
    outside = torch.from_numpy(surface.face_index < 0)
    assert torch.equal(filled[0][:, outside], texture[0][:, outside])
    assert abs(unseen_fraction(left, [surface]) - 0.5) < 0.02


def test_the_other_side_of_a_thin_wall_does_not_bleed(make_mesh: Callable[..., TriangleMesh]) -> None:
    quad = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], dtype=float)
    back = quad - np.array([0, 0, 0.01])
    faces = np.array([[0, 1, 2], [0, 2, 3], [4, 6, 5], [4, 7, 6]])
    positions = np.concatenate([quad, back])
    uvs = 0.02 + 0.45 * positions[faces][..., :2]
    uvs[2:, :, 0] += 0.5
    surface = texel_surface(make_mesh(positions, faces, uvs), 64)
    front = np.isin(surface.face_index, (0, 1))
    unseen = np.isin(surface.face_index, (2, 3)) & (surface.position[..., 0] > 0.85)
    texture = torch.from_numpy(np.where(front, 1.0, 0.0).astype(np.float32))[None, None]
    filled = fill_unseen(texture, torch.from_numpy(~unseen)[None], [surface])
    assert filled[0, 0].numpy()[unseen].max() < 0.1


def test_nothing_seen_or_nothing_missing_changes_nothing(two_charts: TriangleMesh) -> None:
    surface = texel_surface(two_charts, 16)
    texture = torch.rand(1, 3, 16, 16)
    for seen in (torch.zeros(1, 16, 16, dtype=torch.bool), torch.ones(1, 16, 16, dtype=torch.bool)):
        assert torch.equal(fill_unseen(texture, seen, [surface]), texture)
    assert unseen_fraction(torch.zeros(1, 16, 16, dtype=torch.bool), [surface]) == 1.0


def _asked_of_all(sources: np.ndarray, colors: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The slow reference: every target is asked about every source, and about one of 23, drawn by lot."""
    order = np.random.default_rng(7).permutation(len(sources))
    sources, colors = sources[order], colors[order]
    distance = np.linalg.norm(targets[:, None] - sources[None], axis=-1)
    width = 1.3 * distance.min(axis=1, keepdims=True)
    total, weight_sum = 0.0, 0.0
    for stride in (1, 23):
        order = np.argsort(distance[:, ::stride], axis=1)[:, :16]
        near = np.take_along_axis(distance[:, ::stride], order, axis=1)
        weight = np.exp(-((near / width) ** 2))
        weight = stride * (weight - weight[:, -1:] + 1e-6)
        total = total + np.einsum("nk,nkc->nc", weight, colors[::stride][order])
        weight_sum = weight_sum + weight.sum(axis=1, keepdims=True)
    return total / weight_sum


def test_thinned_sources_give_what_all_sources_give(two_charts: TriangleMesh) -> None:
    surface = texel_surface(two_charts, 144)
    covered = surface.face_index >= 0
    seen = covered & (surface.position[..., 0] < 0.8)
    texture = np.sin(surface.position).transpose(2, 0, 1).astype(np.float32)[None]
    filled = fill_unseen(torch.from_numpy(texture), torch.from_numpy(seen)[None], [surface])[0].permute(1, 2, 0).numpy()
    colors = texture[0].transpose(1, 2, 0)
    unseen = covered & ~seen
    diagonal = np.linalg.norm(np.ptp(surface.position[covered], axis=0))
    features = np.concatenate([surface.position, surface.normal * 0.25 * diagonal], axis=-1).astype(np.float64)
    far = surface.position[unseen][:, 0] - 0.8
    expected = _asked_of_all(features[seen], colors[seen], features[unseen][::7])
    error = np.abs(filled[unseen][::7] - expected).max(axis=1)
    # Not none: the wide neighbours are others.
    assert error[far[::7] < 0.03].max() < 0.05
    assert error.max() < 0.1
    assert error.mean() < 0.03


def test_rows_of_a_length_that_thinning_divides_are_no_columns(make_mesh: Callable[..., TriangleMesh]) -> None:
    # 46 seen texels a row: every 23rd source would lie in two columns, far from the border.
    quad = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], dtype=float)
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    surface = texel_surface(make_mesh(quad, faces, quad[faces][..., :2]), 92)
    seen = torch.from_numpy(surface.position[..., 0] < 0.5)
    assert int(seen.sum()) == 46 * 92
    texture = torch.from_numpy(surface.position[..., 0].copy())[None, None]
    filled = fill_unseen(texture, seen[None], [surface])[0, 0]
    beside = torch.from_numpy((surface.position[..., 0] > 0.5) & (surface.position[..., 0] < 0.52))
    assert float(filled[beside].min()) > 0.45
