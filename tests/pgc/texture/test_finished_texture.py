# SPDX-License-Identifier: Apache-2.0
"""A finished texture looks the same through the fast fetch, the slow one, and the field that made it."""

from collections.abc import Callable

import pytest
import torch

from pgc.mesh.data import TriangleMesh
from pgc.surface import SurfacePoints
from pgc.texture.composition import mip_chain
from pgc.texture.field import BakedTexture, SurfaceMaterial, TextureField
from pgc.texture.finished_texture import FinishedTexture
from pgc.texture.mip_fetch import plan_fetch, sample_mipmapped_reference, sample_planned
from pgc.texture.texel_config import TexelMaps
from pgc.texture.texel_pyramid import TexelPyramid, TexelPyramidConfig

SIZE = 32
CHANNELS = {"base_color": 3, "roughness": 1, "normal": 3}
MakeQuad = Callable[..., TriangleMesh]
MakePoints = Callable[..., SurfacePoints]


@pytest.fixture
def texture() -> BakedTexture:
    generator = torch.Generator().manual_seed(0)
    return BakedTexture(
        maps={name: [torch.rand(count, SIZE, SIZE, generator=generator)] for name, count in CHANNELS.items()}
    )


@pytest.fixture
def points(make_points: MakePoints) -> SurfacePoints:
    generator = torch.Generator().manual_seed(1)
    footprint = torch.randn(2, 4, 12, 12, generator=generator) * 2.0 / SIZE
    uv = torch.rand(2, 2, 12, 12, generator=generator)
    return make_points(uv, footprint, torch.rand(2, 1, 12, 12, generator=generator) < 0.8)


@pytest.mark.slow
def test_it_is_the_slow_reference(texture: BakedTexture, points: SurfacePoints) -> None:
    field = FinishedTexture(texture)
    assert isinstance(field, SurfaceMaterial)
    assert not isinstance(field, TextureField), "nothing in it learns"
    assert dict(field.channels) == CHANNELS
    found = field.sample(points)
    assert {name: value.shape[1] for name, value in found.items()} == CHANNELS
    ones = [torch.full((1, 1, SIZE >> level, SIZE >> level), 0.25) for level in range(SIZE.bit_length() - 1)]
    for name, value in found.items():
        mips = mip_chain(torch.stack(texture.maps[name]), ones, SIZE.bit_length())
        slow = sample_mipmapped_reference(mips, points.uv, points.uv_footprint, mask=points.mask)
        torch.testing.assert_close(value, slow, atol=1e-5, rtol=0)


def test_on_one_full_chart_it_is_the_pyramid(texture: BakedTexture, points: SurfacePoints, make_quad: MakeQuad) -> None:
    config = TexelPyramidConfig(texture_size=SIZE, coarsest_size=1)
    pyramid = TexelPyramid(make_quad(), config, initial=texture, maps=TexelMaps(channels=CHANNELS))
    pyramid.set_progress(1.0)
    for name, value in pyramid.sample(points).items():
        torch.testing.assert_close(value.detach(), FinishedTexture(texture).sample(points)[name], atol=1e-5, rtol=0)


def test_one_fetch_of_all_maps_is_that_of_each(points: SurfacePoints, make_quad: MakeQuad) -> None:
    """Values and gradients of the pyramid's joint fetch, against a fetch a map."""
    config, maps = TexelPyramidConfig(texture_size=SIZE, coarsest_size=4, start_size=SIZE), TexelMaps(channels=CHANNELS)
    joint, single = (TexelPyramid(make_quad(), config, maps=maps) for _ in range(2))
    generator = torch.Generator().manual_seed(2)
    for a, b in zip(joint.parameters(), single.parameters(), strict=True):
        a.data.normal_(std=0.1, generator=generator)
        b.data.copy_(a.data)
    plan = plan_fetch(
        points.uv, points.uv_footprint, points.mask, size=SIZE, levels=(0, config.levels - 1), tiles=(1001,)
    )
    together = joint.sample(points)
    for name, value in together.items():
        assert torch.equal(value, sample_planned(single.texels(name, 0), plan)), name
    sum((value**2).sum() for value in together.values()).backward()  # pyright: ignore[reportAttributeAccessIssue]
    for name in CHANNELS:
        (sample_planned(single.texels(name, 0), plan) ** 2).sum().backward()
    for a, b in zip(joint.parameters(), single.parameters(), strict=True):
        assert a.grad is not None
        assert b.grad is not None
        torch.testing.assert_close(a.grad, b.grad, atol=1e-6, rtol=1e-5)
