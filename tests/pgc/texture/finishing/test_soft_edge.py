# SPDX-License-Identifier: Apache-2.0
"""Inside a mask's border new texels meet the kept ones: in a band of so many texels, and nowhere else."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from pgc.errors import ConfigError
from pgc.evaluation.measures.mask_borders import border_ratios
from pgc.mesh.data import TriangleMesh
from pgc.mesh.uvs.charts import chart_ids, seam_edges
from pgc.texture.field import BakedTexture
from pgc.texture.finishing.edge_frames import edge_frames
from pgc.texture.finishing.order import Finisher
from pgc.texture.finishing.seams import SeamConfig
from pgc.texture.finishing.soft_edge import SoftEdge, TexelLinks, seam_pairs
from pgc.texture.texel_config import TexelPyramidConfig
from pgc.texture.texel_surface import texel_surface

SIZE = 64


def _links(mesh: TriangleMesh, size: int = SIZE) -> TexelLinks:
    surface = texel_surface(mesh, size)
    part = np.where(surface.inside, chart_ids(mesh)[surface.face_index], -1)[None]
    return TexelLinks(part=part, pairs=seam_pairs(edge_frames(mesh, seam_edges(mesh)), surface.inside[None], (1001,)))


def _textures(size: int = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """A kept one and a new one, of other colours and with detail of their own: [1, s, s, 3]."""
    random = np.random.default_rng(0)
    detail = random.normal(0.0, 0.04, (2, 1, size, size, 3))
    return (np.array([0.7, 0.3, 0.2]) + detail[0]).astype(np.float32), (0.2 + detail[1]).astype(np.float32)


def _disc(size: int = SIZE) -> np.ndarray:
    """All but a disc is kept; it reaches over both charts."""
    y, x = np.mgrid[:size, :size] / size
    return (np.hypot(x - 0.5, y - 0.6) > 0.3)[None]


def test_only_the_band_changes_and_kept_texels_keep_their_bytes(two_charts: TriangleMesh) -> None:
    links, kept = _links(two_charts), _disc()
    before, new = _textures()
    image = np.where(kept[..., None], before, new)
    edge = SoftEdge(links, kept, 6)
    done = edge.soften(image)
    touched = np.zeros(kept.size, dtype=bool)
    touched[edge.texels] = True
    assert touched.any()
    assert not touched[kept.reshape(-1)].any()
    assert not touched[links.part.reshape(-1) < 0].any(), "gutters follow charts later"
    same = (done == image).all(axis=-1).reshape(-1)
    assert same[~touched].all()
    assert not same[touched].all()
    wider = SoftEdge(links, kept, 12)
    assert set(edge.texels) < set(wider.texels)


def test_the_least_squares_are_those_of_the_page(two_charts: TriangleMesh) -> None:
    """By a dense matrix, link for link."""
    size = 16
    links, kept = _links(two_charts, size), _disc(size)
    before, new = _textures(size)
    image = np.where(kept[..., None], before, new)
    edge = SoftEdge(links, kept, 3)
    values, fixed = image.reshape(-1, 3).astype(float), kept.reshape(-1)
    place = {int(texel): index for index, texel in enumerate(edge.texels)}
    matrix, right = np.zeros((len(place), len(place))), np.zeros((len(place), 3))
    for texel, index in place.items():
        _, besides, lengths = links.of(np.array([texel]))
        for beside, length in zip(besides, lengths, strict=True):
            weight = (64.0 if fixed[beside] and length == 1.0 else 1.0) / length
            matrix[index, index] += weight
            if fixed[beside]:
                right[index] += weight * (values[beside] - values[texel])
            elif int(beside) in place:
                matrix[index, place[int(beside)]] -= weight
    expected = values[edge.texels] + np.linalg.solve(matrix, right)
    assert len(place) > 15
    assert np.abs(edge.soften(image).reshape(-1, 3)[edge.texels] - expected).max() < 1e-3


def test_the_border_cannot_be_told_from_the_rest(two_charts: TriangleMesh) -> None:
    links, kept = _links(two_charts), _disc()
    before, new = _textures()
    image = np.where(kept[..., None], before, new)

    def ratios(values: np.ndarray) -> list[float]:
        texture = BakedTexture(maps={"base_color": [torch.from_numpy(values[0].transpose(2, 0, 1).copy())]})
        return [found.ratio for found in border_ratios(two_charts, texture, kept)]

    hard, soft = ratios(image), ratios(SoftEdge(links, kept, 12).soften(image))
    assert hard[0] > 3.0
    assert soft[0] < 1.1
    assert all(after < 0.5 * before for after, before in zip(soft, hard, strict=True))


def test_a_mask_that_ends_at_a_chart_is_soft_across_its_seam(two_charts: TriangleMesh) -> None:
    links = _links(two_charts)
    kept = links.part == 0
    before, new = _textures()
    image = np.where(kept[..., None], before, new)
    edge = SoftEdge(links, kept, 5)
    assert len(edge.texels) > 50
    assert (links.part.reshape(-1)[edge.texels] == 1).all()
    done = edge.soften(image)

    def jump(values: np.ndarray) -> float:
        flat = values.reshape(-1, 3)
        return float(np.linalg.norm(flat[links.pairs[:, 0]] - flat[links.pairs[:, 1]], axis=1).mean())

    assert jump(done) < 0.4 * jump(image)
    alone = replace(links, pairs=np.zeros((0, 2), np.int64))
    assert not len(SoftEdge(alone, kept, 5).texels), "in the texture the two charts do not touch"


def test_slots_that_are_apart_stay_apart(make_quad: Callable[..., TriangleMesh]) -> None:
    mesh = replace(make_quad(), material_index=np.array([0, 1], np.int32))
    surface = texel_surface(mesh, SIZE)
    locked = torch.from_numpy(surface.face_index == 0)[None, None]
    texture = torch.where(locked, 0.9, 0.1).expand(1, 3, -1, -1).contiguous()
    for across, moves in ((True, True), (False, False)):
        finisher = Finisher(mesh, [surface], (1001,), False, locked, SeamConfig(across_slots=across), 4)
        assert bool((finisher.softened(texture) != texture).any()) == moves


def test_no_width_is_no_edge_and_a_wide_one_is_refused(two_charts: TriangleMesh) -> None:
    surface = texel_surface(two_charts, SIZE)
    locked = torch.from_numpy(_disc())[None]
    texture = torch.rand(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    assert Finisher(two_charts, [surface], (1001,), locked=locked).softened(texture) is texture
    for width in (-1, 257):
        with pytest.raises(ConfigError, match="expected 0 to 256"):
            TexelPyramidConfig(soft_edge=width)
