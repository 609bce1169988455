# SPDX-License-Identifier: Apache-2.0
import pytest
import torch
import torch.nn.functional as F

from pgc.rendering.brdf import MIN_COSINE, brdf_table, ggx_density, smith_height_correlated, table_coordinates
from pgc.rendering.environment import colored_key
from pgc.rendering.latlong import Environment, texel_directions, texel_solid_angles
from pgc.rendering.pbr_shading import SurfaceSamples
from tests.pgc.rendering.monte_carlo import integrate, radiance_of


def points(roughness: float, count: int = 24) -> SurfaceSamples:
    """Random normals seen from random sides."""
    generator = torch.Generator().manual_seed(9)
    normal = F.normalize(torch.randn(count, 3, generator=generator), dim=1)
    view = F.normalize(normal + 0.8 * F.normalize(torch.randn(count, 3, generator=generator), dim=1), dim=1)
    return SurfaceSamples(
        view_index=torch.zeros(count, dtype=torch.long),
        normal=normal,
        view=view,
        cosine=(normal * view).sum(1, keepdim=True).clamp(MIN_COSINE, 1.0),
        base_color=torch.rand(count, 3, generator=generator),
        roughness=torch.full((count, 1), roughness),
        metallic=torch.rand(count, 1, generator=generator),
        occlusion=torch.ones(count, 1),
    )


def test_it_is_the_sum_over_all_directions():
    """The same three integrals as a plain sum over the texels of an environment, for surfaces rough enough for it."""
    environment, samples = colored_key(), points(0.6)
    terms = integrate(samples, environment, count=4096, generator=torch.Generator().manual_seed(2))
    light = texel_directions(128).reshape(-1, 3)
    area = texel_solid_angles(128).repeat_interleave(256)
    cosine = (samples.normal @ light.T).clamp_min(0)
    half = F.normalize(light[None] + samples.view[:, None], dim=-1)
    alpha = torch.tensor(0.36)
    schlick = (1 - (half * samples.view[:, None]).sum(-1).clamp(0, 1)) ** 5
    layer = ggx_density((half * samples.normal[:, None]).sum(-1), alpha)
    layer = layer * smith_height_correlated(samples.cosine, cosine, alpha) * cosine * area
    radiance = environment.radiance.reshape(3, -1).T
    for found, weight in (
        (terms.a, layer * (1 - schlick)),
        (terms.b, layer * schlick),
        (terms.base, cosine * area / torch.pi),
    ):
        expected = weight @ radiance
        assert (found - expected).abs().max() < 0.03 * expected.max()
        assert (found - expected).abs().mean() < 0.006 * expected.mean()


@pytest.mark.parametrize("roughness", [0.1, 0.4, 1.0])
def test_white_light_gives_the_albedos(roughness):
    samples = points(roughness)
    white = Environment("white", torch.ones(3, 16, 32))
    terms = integrate(samples, white, count=1024, generator=torch.Generator().manual_seed(3))
    place = table_coordinates(samples.cosine[:, 0], samples.roughness[:, 0])[None, None]
    table = F.grid_sample(brdf_table()[None], place, align_corners=True)[0, :, 0].T
    assert (terms.a[:, 0] - table[:, 0]).abs().max() < 0.012
    assert (terms.b[:, 0] - table[:, 1]).abs().max() < 0.012
    assert (terms.base - 1).abs().max() < 0.012


@pytest.mark.slow
def test_it_repeats_by_seed_and_closes_in_by_count():
    environment, samples = colored_key(), points(0.3)

    def drawn(count: int, seed: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        return radiance_of(integrate(samples, environment, count=count, generator=generator), samples)

    assert torch.equal(drawn(64, 1), drawn(64, 1))
    good = drawn(8192, 5)
    errors = [(drawn(count, 1) - good).square().mean().sqrt() for count in (32, 2048)]
    assert errors[1] < 0.4 * errors[0]
