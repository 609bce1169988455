# SPDX-License-Identifier: Apache-2.0
import math

import pytest
import torch
import torch.nn.functional as F

from pgc.rendering.brdf import (
    brdf_table,
    compensation,
    ggx_density,
    hammersley,
    sample_visible_normals,
    smith_height_correlated,
    smith_masking,
    table_coordinates,
)


def hemisphere(count: int = 400) -> tuple[torch.Tensor, torch.Tensor]:
    """Directions on a fine grid of the upper hemisphere, and the solid angle of each; float64."""
    polar = (torch.arange(count, dtype=torch.float64) + 0.5) * (0.5 * math.pi / count)
    azimuth = (torch.arange(2 * count, dtype=torch.float64) + 0.5) * (math.pi / count)
    polar, azimuth = torch.meshgrid(polar, azimuth, indexing="ij")
    directions = torch.stack([polar.sin() * azimuth.cos(), polar.sin() * azimuth.sin(), polar.cos()], dim=-1)
    return directions, polar.sin() * (0.5 * math.pi / count) * (math.pi / count)


def albedo_by_quadrature(cosine: float, roughness: float) -> tuple[float, float]:
    """A and B of `brdf_table` by summing over the hemisphere of light."""
    light, area = hemisphere()
    alpha = torch.tensor(roughness**2, dtype=torch.float64)
    view = torch.tensor([math.sqrt(1 - cosine**2), 0.0, cosine], dtype=torch.float64)
    half = F.normalize(light + view, dim=-1)
    density = ggx_density(half[..., 2], alpha)
    visible = smith_height_correlated(torch.tensor(cosine, dtype=torch.float64), light[..., 2], alpha)
    schlick = (1 - (half * view).sum(-1)) ** 5
    layer = density * visible * light[..., 2] * area
    return float((layer * (1 - schlick)).sum()), float((layer * schlick).sum())


@pytest.mark.parametrize("alpha", [0.1, 0.4, 1.0])
def test_facets_cover_the_surface_once(alpha):
    half, area = hemisphere()
    projected = ggx_density(half[..., 2], torch.tensor(alpha, dtype=torch.float64)) * half[..., 2]
    assert float((projected * area).sum()) == pytest.approx(1.0, abs=2e-3)


@pytest.mark.parametrize("alpha", [0.1, 0.4, 1.0])
def test_visible_facets_fill_the_view(alpha):
    """Heitz 2014, eq. 5: what is seen of the facets is the projected area, cos of the view."""
    half, area = hemisphere()
    rough = torch.tensor(alpha, dtype=torch.float64)
    view = torch.tensor([0.8, 0.0, 0.6], dtype=torch.float64)
    seen = (half * view).sum(-1).clamp_min(0) * ggx_density(half[..., 2], rough) * area
    assert float(smith_masking(torch.tensor(0.6).double(), rough) * seen.sum()) == pytest.approx(0.6, abs=3e-3)


@pytest.mark.parametrize("roughness", [0.3, 0.55, 0.8, 1.0])
@pytest.mark.parametrize("cosine", [0.15, 0.5, 0.95])
def test_the_table_holds_the_albedos(roughness, cosine):
    place = table_coordinates(torch.tensor([cosine]), torch.tensor([roughness]))[None, None]
    found = F.grid_sample(brdf_table()[None], place, align_corners=True)[0, :, 0, 0]
    assert found.tolist() == pytest.approx(albedo_by_quadrature(cosine, roughness), abs=6e-3)


def test_sampled_half_vectors_have_the_density_of_visible_facets():
    view = F.normalize(torch.tensor([0.7, 0.0, 0.5]), dim=0)
    alpha = torch.tensor(0.5)
    numbers = hammersley(1 << 14)
    sampled = sample_visible_normals(view.expand(len(numbers), 3), alpha.expand(len(numbers)), numbers)
    half, area = hemisphere(200)
    weight = (half * view).sum(-1).clamp_min(0) * ggx_density(half[..., 2], alpha.double()) * area
    weight = weight / weight.sum()
    for moment in (lambda h: h, lambda h: h * h, lambda h: h * h.roll(1, -1)):
        expected = (moment(half) * weight[..., None]).sum((0, 1))
        assert torch.allclose(moment(sampled).mean(0).double(), expected, atol=3e-3)


def test_hammersley_is_even():
    points = hammersley(256)
    assert points.min() > 0
    assert points.max() < 1
    counts = torch.histogramdd(points, bins=[16, 16], range=[0.0, 1.0, 0.0, 1.0]).hist
    assert (counts == 1).all()


def test_compensation_makes_a_white_metal_lose_nothing():
    albedo = torch.tensor([[0.6]])
    assert (albedo * compensation(torch.ones(1, 3), albedo)).tolist() == [pytest.approx([1.0, 1.0, 1.0])]
    assert torch.equal(compensation(torch.zeros(1, 3), albedo), torch.ones(1, 3))
