# SPDX-License-Identifier: Apache-2.0
"""Gutters continue the surface across seams; pull-push fills the rest."""

import numpy as np
import torch

from pgc.mesh.data import TriangleMesh
from pgc.mesh.uvs.charts import seam_edges
from pgc.texture.finishing.edge_frames import edge_frames, interior_edges
from pgc.texture.finishing.gutter import continue_across_seams, pull_push
from pgc.texture.texel_surface import texel_surface


def test_frames_give_the_same_point_on_both_sides(two_charts: TriangleMesh) -> None:
    frames = edge_frames(two_charts, seam_edges(two_charts))
    assert len(frames.length) == 1
    assert len(edge_frames(two_charts, interior_edges(two_charts)).length) == 2
    np.testing.assert_allclose(frames.length, [1.0])
    s, d = np.array([0.25]), np.array([0.1])
    low = frames.origin[0, 0, 1] < frames.origin[0, 0, 1] + frames.along[0, 0, 1]
    y = 0.25 if low else 0.75
    left, right = (frames.points(np.array([0]), side, s, d)[0] for side in (0, 1))
    np.testing.assert_allclose(left, [0.05 + 0.4 * 0.9, 0.05 + 0.4 * y], atol=1e-6)
    np.testing.assert_allclose(right, [0.55 + 0.4 * (1.0 - y), 0.5 + 0.4 * 0.1], atol=1e-6)


def test_the_gutter_shows_what_lies_across_the_seam(two_charts: TriangleMesh) -> None:
    size = 128
    surface = texel_surface(two_charts, size)
    frames = edge_frames(two_charts, seam_edges(two_charts))
    texture = torch.from_numpy(np.where(surface.inside, surface.position[..., 0] / 2, 0.0).astype(np.float32))[
        None, None
    ]
    result, known = continue_across_seams(texture, surface.inside[None], frames, (1001,))
    assert torch.equal(result[0, 0][torch.from_numpy(surface.inside)], texture[0, 0][torch.from_numpy(surface.inside)])
    rows, columns = np.nonzero(known[0] & ~surface.inside)
    # Right of the left chart, on its height: x goes on growing beyond 1, as on the surface.
    beside = (columns > 0.46 * size) & (columns < 0.52 * size) & (rows > 0.6 * size) & (rows < 0.9 * size)
    assert beside.sum() > 100
    x = ((columns[beside] + 0.5) / size - 0.05) / 0.4
    np.testing.assert_allclose(result[0, 0].numpy()[rows[beside], columns[beside]], x / 2, atol=0.005)


def test_pull_push_keeps_known_texels_and_fills_smoothly() -> None:
    texture = torch.rand(1, 2, 32, 32, generator=torch.Generator().manual_seed(0))
    known = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(1)) < 0.1
    filled = pull_push(texture, known)
    assert torch.equal(filled[known.expand_as(filled)], texture[known.expand_as(texture)])
    low, high = texture[known.expand_as(texture)].aminmax()
    assert low <= filled.min() <= filled.max() <= high
    constant = pull_push(torch.where(known, 0.25, texture), known)
    torch.testing.assert_close(constant, torch.full_like(constant, 0.25))
    nothing = torch.zeros_like(known)
    assert torch.equal(pull_push(texture, nothing), texture)
