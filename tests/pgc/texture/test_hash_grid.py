# SPDX-License-Identifier: Apache-2.0
"""The paper's hash grid: its size, its interpolation against a slow reference, its two rates, and its bake."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pgc.errors import ConfigError
from pgc.mesh import load_mesh, prepare_mesh
from pgc.mesh.data import TriangleMesh
from pgc.surface import SurfacePoints
from pgc.texture.hash_field import grid_resolutions
from pgc.texture.hash_grid import HashGridTexture, HashGridTextureConfig

SMALL = HashGridTextureConfig(
    texture_size=32, coarsest_size=8, start_size=8, grid_levels=4, coarsest_cells=4, finest_cells=32, rows=512, hidden=8
)


@pytest.fixture
def cube(cube_obj: Path) -> TriangleMesh:
    return prepare_mesh(load_mesh(cube_obj)).triangles


def test_it_has_the_official_rows(cube: TriangleMesh) -> None:
    config = HashGridTextureConfig(texture_size=16, coarsest_size=8, start_size=8)
    sides = grid_resolutions(config)
    assert sides[:5] == [16, 24, 34, 49, 71]
    # The official code's float arithmetic makes 4,097 of the last; its rows are the same.
    assert sides[-2:] == [2831, 4096]
    texture = HashGridTexture(cube, config)
    assert texture.grid.shape == (909_192, 4)
    assert texture.grid.numel() == 3_636_768
    assert float(texture.grid.detach().abs().max()) <= 1e-4


@torch.no_grad()
def slow_color(texture: HashGridTexture, place: tuple[float, float, float]) -> list[float]:
    """One point, by loops and the formulas of the paper."""
    config = texture.config
    growth = math.log2(config.finest_cells / config.coarsest_cells) / (config.grid_levels - 1)
    features: list[float] = []
    start = 0
    for level, side in enumerate(grid_resolutions(config)):
        size = min(config.rows, side**3)
        scale = 2.0 ** (level * growth) * config.coarsest_cells - 1.0
        at = [(value + 1.0) / 2.0 * scale + 0.5 for value in place]
        total = [0.0] * config.features
        for dx in (0, 1):
            for dy in (0, 1):
                for dz in (0, 1):
                    x, y, z = (math.floor(value) + step for value, step in zip(at, (dx, dy, dz), strict=True))
                    weight = 1.0
                    for value, step in zip(at, (dx, dy, dz), strict=True):
                        part = value - math.floor(value)
                        weight *= part if step else 1.0 - part
                    dense = side**3 <= size
                    row = (x + side * (y + side * z)) if dense else x ^ (y * 2654435761) ^ (z * 805459861)
                    for channel in range(config.features):
                        total[channel] += weight * float(texture.grid.detach()[start + row % size, channel])
        features += total
        start += size
    layer = torch.relu(
        texture.get_parameter("hidden_weight") @ torch.tensor(features) + texture.get_parameter("hidden_bias")
    )
    out = texture.get_parameter("colors_weight") @ layer + texture.get_parameter("colors_bias")
    return (torch.sigmoid(out) * 0.9 + 0.05).tolist()


def test_colours_are_those_of_the_formulas(cube: TriangleMesh) -> None:
    texture = HashGridTexture(cube, SMALL)
    with torch.no_grad():
        texture.grid.copy_(torch.randn(texture.grid.shape, generator=torch.Generator().manual_seed(1)))
    places = [(0.1, -0.7, 0.8), (-0.8, 0.8, 0.0), (0.33, 0.33, -0.33), (0.0, 0.0, 0.0)]
    found = texture.colors_at(torch.tensor(places))
    for place, color in zip(places, found.tolist(), strict=True):
        assert color == pytest.approx(slow_color(texture, place), abs=1e-4)


def points(cube: TriangleMesh) -> SurfacePoints:
    position = torch.rand((1, 3, 4, 4), generator=torch.Generator().manual_seed(2)) - 0.5
    mask = torch.ones((1, 1, 4, 4), dtype=torch.bool)
    mask[..., 0, 0] = False
    zeros = torch.zeros((1, 2, 4, 4))
    return SurfacePoints(
        uv=zeros, uv_footprint=torch.zeros((1, 4, 4, 4)), position=position, normal=torch.zeros((1, 3, 4, 4)), mask=mask
    )


def test_a_sample_is_differentiable_and_empty_off_the_mask(cube: TriangleMesh) -> None:
    texture = HashGridTexture(cube, SMALL)
    image = texture.sample(points(cube))["base_color"]
    assert image.shape == (1, 3, 4, 4)
    assert not image[..., 0, 0].any()
    image.square().sum().backward()
    assert all(parameter.grad is not None and bool(parameter.grad.any()) for parameter in texture.parameters())
    groups = texture.parameter_groups(0.01)
    assert [group["lr"] for group in groups] == pytest.approx([0.01, 0.001])
    assert sum(len(group["params"]) for group in groups) == len(list(texture.parameters()))


@pytest.mark.slow
def test_it_learns_a_colour_and_bakes_it(cube: TriangleMesh) -> None:
    texture = HashGridTexture(cube, SMALL)
    optimizer = torch.optim.Adam(texture.parameter_groups(0.01), betas=(0.9, 0.99), eps=1e-15)
    wanted = torch.tensor([0.8, 0.3, 0.2])
    places = torch.rand((512, 3), generator=torch.Generator().manual_seed(3)) * 1.6 - 0.8
    for _ in range(150):
        optimizer.zero_grad()
        (texture.colors_at(places) - wanted).square().sum().backward()
        optimizer.step()
    baked = texture.bake()
    image = baked.maps["base_color"][0]
    assert image.shape == (3, 32, 32)
    assert torch.allclose(image, wanted[:, None, None].expand_as(image), atol=0.1)
    assert texture.preview(16).size == 16


def test_its_state_comes_back(cube: TriangleMesh) -> None:
    one, other = HashGridTexture(cube, SMALL), HashGridTexture(cube, replace(SMALL, seed=5))
    places = torch.rand((8, 3)) - 0.5
    assert not torch.equal(one.colors_at(places), other.colors_at(places))
    other.load_state_dict(one.state_dict())
    assert torch.equal(one.colors_at(places), other.colors_at(places))


@pytest.mark.parametrize("changes", [{"grid_levels": 0}, {"finest_cells": 2}, {"network_rate": 0.0}, {"rows": 0}])
def test_a_grid_that_is_none_is_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="Got a grid of"):
        replace(SMALL, **changes)  # type: ignore[arg-type]
