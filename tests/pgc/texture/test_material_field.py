# SPDX-License-Identifier: Apache-2.0
"""Four maps in one field: ranges, rates, unit normals, and what is baked."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from pgc.errors import ConfigError, TextureError
from pgc.mesh.data import TriangleMesh
from pgc.surface import SurfacePoints
from pgc.texture.field import BakedTexture, TextureField
from pgc.texture.material_field import (
    MATERIAL_CHANNELS,
    MaterialField,
    MaterialFieldConfig,
    continue_nearest,
    normal_from_slopes,
    slopes_from_normal,
)
from pgc.texture.texel_config import MapSettings, TexelMaps, TexelPyramidConfig
from pgc.texture.texel_pyramid import TexelPyramid

SIZE = 32
MakeQuad = Callable[..., TriangleMesh]
MakePoints = Callable[..., SurfacePoints]
TEXTURE = TexelPyramidConfig(texture_size=SIZE, coarsest_size=4, start_size=SIZE)


def _field(triangles: TriangleMesh, **changes: object) -> MaterialField:
    return MaterialField(triangles, MaterialFieldConfig(**changes), TEXTURE)  # pyright: ignore[reportArgumentType]


def _points(make_points: MakePoints) -> SurfacePoints:
    generator = torch.Generator().manual_seed(1)
    uv = torch.rand(2, 2, 24, 24, generator=generator)
    footprint = torch.randn(2, 4, 24, 24, generator=generator) * 0.5 / SIZE
    return make_points(uv, footprint, torch.rand(2, 1, 24, 24, generator=generator) < 0.8)


def _target(maps: dict[str, Tensor], values: dict[str, tuple[float, ...]]) -> Tensor:
    return sum(((maps[name] - torch.tensor(value)[:, None, None]) ** 2).sum() for name, value in values.items())  # pyright: ignore[reportReturnType]


def _train(field: MaterialField, points: SurfacePoints, values: dict[str, tuple[float, ...]], steps: int) -> None:
    adam = torch.optim.Adam(field.parameter_groups(0.02))
    field.set_progress(1.0)
    mask = points.mask.float()
    for _ in range(steps):
        adam.zero_grad(set_to_none=True)
        maps = {name: value * mask + (1 - mask) * torch.tensor(values[name])[:, None, None]
                for name, value in field.sample(points).items()}  # fmt: skip
        _target(maps, values).backward()
        adam.step()


def test_it_starts_flat_half_rough_and_hardly_metal(make_quad: MakeQuad, make_points: MakePoints) -> None:
    field = _field(make_quad())
    assert isinstance(field, TextureField)
    points = _points(make_points)
    maps = field.sample(points)
    assert {name: value.shape[1] for name, value in maps.items()} == dict(MATERIAL_CHANNELS)
    inside = points.mask[:, 0]
    expected = {"base_color": (0.5,) * 3, "roughness": (0.5,), "metallic": (0.1,), "normal": (0.5, 0.5, 1.0)}
    for name, value in expected.items():
        for channel, number in enumerate(value):
            assert torch.allclose(maps[name][:, channel][inside], torch.tensor(number)), name
            assert not maps[name][:, channel][~inside].any(), name


def test_slopes_and_normals_are_one_another() -> None:
    slopes = torch.rand(2, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    normal = normal_from_slopes(slopes)
    assert torch.allclose((normal * 2 - 1).norm(dim=1), torch.ones(2, 8, 8), atol=1e-6)
    torch.testing.assert_close(slopes_from_normal(normal), slopes, atol=1e-6, rtol=0)
    # A slope of 1 along u leans by 45 degrees.
    tilted = normal_from_slopes(torch.tensor((1.0, 0.5))[None, :, None, None])[0, :, 0, 0]
    assert tilted.tolist() == pytest.approx([0.5 + 0.5 * math.sqrt(0.5), 0.5, 0.5 + 0.5 * math.sqrt(0.5)])


@pytest.mark.slow
def test_all_four_maps_reach_a_target(make_quad: MakeQuad, make_points: MakePoints) -> None:
    field, points = _field(make_quad()), _points(make_points)
    lean = math.radians(20.0)
    goal = {
        "base_color": (0.9, 0.3, 0.1),
        "roughness": (0.8,),
        "metallic": (1.0,),
        "normal": (0.5 + 0.5 * math.sin(lean), 0.5, 0.5 + 0.5 * math.cos(lean)),
    }
    _train(field, points, goal, 120)
    with torch.no_grad():
        maps = field.sample(points)
    inside = points.mask[:, 0]
    for name, value in goal.items():
        error = (maps[name] - torch.tensor(value)[:, None, None]).permute(0, 2, 3, 1)[inside]
        assert float(error.abs().mean()) < 0.04, name
    assert {name: images[0].shape[0] for name, images in field.bake().maps.items()} == dict(MATERIAL_CHANNELS)


@pytest.mark.slow
def test_values_stay_in_their_ranges(make_quad: MakeQuad, make_points: MakePoints) -> None:
    field, points = _field(make_quad(), roughness=MapSettings(initial=0.5, low=0.3, high=0.6)), _points(make_points)
    goal = {"base_color": (-1.0,) * 3, "roughness": (2.0,), "metallic": (-1.0,), "normal": (0.5, 0.5, 1.0)}
    _train(field, points, goal, 60)
    texture = field.texels("roughness").detach()
    assert float(texture.max()) == pytest.approx(0.6)
    assert float(texture.min()) >= 0.3
    assert float(field.texels("base_color").detach().min()) == pytest.approx(0.02)


def test_learning_rates_are_those_of_the_maps(make_quad: MakeQuad) -> None:
    field = _field(make_quad(), metallic=MapSettings(initial=0.1, rate=3.0))
    rates = {group["name"]: group["lr"] for group in field.parameter_groups(0.1)}
    coarsest = TEXTURE.levels - 1
    assert rates[f"base_color_{coarsest}"] == pytest.approx(0.1)
    assert rates[f"metallic_{coarsest}"] == pytest.approx(0.3)
    assert rates[f"slope_{coarsest}"] == pytest.approx(0.04)


def test_without_metal_and_relief_nothing_of_them_learns(make_quad: MakeQuad, make_points: MakePoints) -> None:
    field, points = _field(make_quad(), with_metallic=False, with_normal=False), _points(make_points)
    maps = field.sample(points)
    assert not maps["metallic"].any()
    assert {name.rpartition("_")[0] for name in dict(field.pyramid.details)} == {"base_color", "roughness"}
    baked = field.bake()
    assert not baked.maps["metallic"][0].any()
    assert torch.equal(baked.maps["normal"][0][:, 0, 0], torch.tensor((0.5, 0.5, 1.0)))
    assert not field.texels("metallic").any()


def test_a_preview_is_the_mip_of_what_is_optimised(make_quad: MakeQuad, make_points: MakePoints) -> None:
    field = _field(make_quad(), with_metallic=False)
    values = {"base_color": (0.9, 0.1, 0.2), "roughness": (0.3,), "metallic": (0.0,), "normal": (0.7, 0.5, 0.9)}
    _train(field, _points(make_points), values, steps=5)
    size = SIZE
    shown = field.preview(size // 2)
    assert shown.size == size // 2
    assert set(shown.maps) == {"base_color", "roughness", "normal"}
    assert torch.equal(shown.maps["base_color"][0], field.texels("base_color", 1)[0].detach())
    assert torch.equal(shown.maps["normal"][0], normal_from_slopes(field.texels("slope", 1))[0].detach())
    assert field.preview(10 * size).size == size
    assert isinstance(field, TextureField)


def test_the_relief_of_one_chart_does_not_leak_into_another(two_charts: TriangleMesh, make_points: MakePoints) -> None:
    """Both charts lean by the same slope in their own axes, which point elsewhere: nothing is to be reconciled."""
    field = _field(two_charts)
    with torch.no_grad():
        left = torch.zeros(1, 2, SIZE, SIZE)
        left[:, 0, :, : SIZE // 2], left[:, 0, :, SIZE // 2 :] = 0.3, -0.3
        field.pyramid.details["slope_0"].copy_(left)
        for level in range(TEXTURE.levels):
            field.pyramid.get_buffer(f"seen_{level}").fill_(True)
    field.set_progress(1.0)
    baked, before = field.bake().maps["normal"][0], normal_from_slopes(field.texels("slope").detach())[0]
    inside = torch.from_numpy(field.surfaces[0].inside)
    assert torch.equal(baked[:, inside], before[:, inside])
    # Beside the charts stands what the nearest chart has.
    known = inside.numpy()
    row, column = np.argwhere(~known)[0]
    rows, columns = np.nonzero(known)
    nearest = np.hypot(rows - row, columns - column)
    candidates = before[:, rows[nearest == nearest.min()], columns[nearest == nearest.min()]]
    assert bool((candidates == baked[:, row, column, None]).all(dim=0).any())


def test_texels_never_seen_have_a_flat_normal(make_quad: MakeQuad) -> None:
    field = _field(make_quad())
    with torch.no_grad():
        field.pyramid.details["slope_0"].normal_(std=0.1)
    field.set_progress(1.0)
    flat = torch.tensor((0.5, 0.5, 1.0))[:, None, None].expand(3, SIZE, SIZE)
    assert torch.equal(field.bake().maps["normal"][0], flat)


def test_an_initial_material_is_where_it_starts(make_quad: MakeQuad, make_points: MakePoints) -> None:
    generator = torch.Generator().manual_seed(3)
    slopes = 0.3 + 0.4 * torch.rand(1, 2, SIZE, SIZE, generator=generator)
    initial = BakedTexture(
        maps={
            "base_color": [0.1 + 0.8 * torch.rand(3, SIZE, SIZE, generator=generator)],
            "roughness": [0.1 + 0.8 * torch.rand(1, SIZE, SIZE, generator=generator)],
            "metallic": [torch.rand(1, SIZE, SIZE, generator=generator)],
            "normal": [normal_from_slopes(slopes)[0]],
        }
    )
    field = MaterialField(make_quad(), MaterialFieldConfig(), TEXTURE, initial)
    for name in ("base_color", "roughness", "metallic"):
        assert torch.equal(field.texels(name)[0], initial.maps[name][0])
    torch.testing.assert_close(field.texels("slope"), slopes, atol=1e-5, rtol=0)
    without = BakedTexture(maps={"base_color": initial.maps["base_color"]})
    with pytest.raises(TextureError, match=r"not \['metallic', 'roughness'\]"):
        MaterialField(make_quad(), MaterialFieldConfig(), TEXTURE, without)


def test_an_initial_normal_stays_where_it_is_locked_or_unseen(make_quad: MakeQuad) -> None:
    """To the bit, though the run holds slopes, which know unit vectors only."""
    generator = torch.Generator().manual_seed(4)
    initial = BakedTexture(
        maps={
            "base_color": [torch.full((3, SIZE, SIZE), 0.5)],
            "roughness": [torch.full((1, SIZE, SIZE), 0.5)],
            "metallic": [torch.zeros(1, SIZE, SIZE)],
            "normal": [0.3 + 0.6 * torch.rand(3, SIZE, SIZE, generator=generator)],
        }
    )
    normal = initial.maps["normal"][0]
    locked = torch.zeros(SIZE, SIZE, dtype=torch.bool)
    locked[:, : SIZE // 2] = True
    field = MaterialField(make_quad(), MaterialFieldConfig(), TEXTURE, initial, lock_mask=[locked])
    with torch.no_grad():
        field.pyramid.details["slope_0"].normal_(std=0.1, generator=generator)
    field.set_progress(1.0)
    assert torch.equal(field.bake().maps["normal"][0], normal)
    for seen in field.pyramid.seen:
        seen.fill_(True)
    baked = field.bake().maps["normal"][0]
    assert torch.equal(baked[:, locked], normal[:, locked])
    assert not torch.equal(baked[:, ~locked], normal[:, ~locked])


def test_state_round_trip(make_quad: MakeQuad, make_points: MakePoints) -> None:
    field, points = _field(make_quad()), _points(make_points)
    goal = {"base_color": (0.9, 0.3, 0.1), "roughness": (0.8,), "metallic": (1.0,), "normal": (0.5, 0.5, 1.0)}
    _train(field, points, goal, 3)
    other = _field(make_quad())
    other.load_state_dict(field.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(field.parameters(), other.parameters(), strict=True))
    assert other.finest_live == field.finest_live


def test_bad_settings_are_refused(make_quad: MakeQuad) -> None:
    with pytest.raises(ConfigError, match="is flat, give that"):
        MaterialFieldConfig(slope=MapSettings(initial=0.4))
    with pytest.raises(ConfigError, match="low below high"):
        MapSettings(initial=0.9, high=0.8)
    with pytest.raises(ConfigError, match="learning-rate factor"):
        MapSettings(rate=0.0)
    with pytest.raises(ConfigError, match="none of the channels"):
        TexelMaps(settings={"gloss": MapSettings()})


def test_maps_without_settings_are_as_before(make_quad: MakeQuad) -> None:
    """A pyramid of base colour alone is bit for bit what it was before maps had settings."""
    plain = TexelPyramid(make_quad(), TEXTURE)
    given = TexelPyramid(make_quad(), TEXTURE, maps=TexelMaps(settings={"base_color": MapSettings()}))
    assert [group["lr"] for group in plain.parameter_groups(0.05)] == [
        0.05 * TEXTURE.rate_falloff ** (TEXTURE.levels - 1 - level) for level in range(TEXTURE.levels)
    ]
    assert torch.equal(plain.bake().maps["base_color"][0], given.bake().maps["base_color"][0])


def test_continuing_an_image_without_charts_changes_nothing() -> None:
    image = torch.rand(3, 4, 4)
    assert torch.equal(continue_nearest(image, torch.zeros(4, 4, dtype=torch.bool)), image)
